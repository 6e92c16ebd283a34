//! Trainings of a second or two that meet every path a sample or a loss can take.

use std::path::{Path, PathBuf};

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::Fold;
use nnunet::foreground::structures;
use nnunet::plans::{Configuration, ConfigurationName, EncoderDepth, Plans};
use nnunet::preprocess::{CaseProperties, Preprocessed};
use nnunet::topology::UNet;
use tch::Device;
use trainer::annotation::Annotation;
use trainer::augment::Recipe;
use trainer::cases::Cases;
use trainer::checkpoint_rule::CheckpointRule;
use trainer::journal::EpochRecord;
use trainer::limits::Limits;
use trainer::loss::{DiceOver, Loss, deep_supervision_weights};
use trainer::patch_geometry::PatchGeometry;
use trainer::random::Purpose;
use trainer::replicas::Devices;
use trainer::sample::Sampler;
use trainer::schedule::{Decay, Schedule};
use trainer::store::Store;
use trainer::targets;
use trainer::training::{Observer, Start, Training};

/// Samples of a batch: neither two nor three divide them.
pub(crate) const BATCH_SIZE: usize = 5;
const SHAPE: [usize; 3] = [10, 22, 20];
const CLASSES: &str = r#""labels": {"background": 0, "edema": 1, "core": 2}"#;
const IGNORE: &str = r#""labels": {"background": 0, "edema": 1, "core": 2, "ignore": 3}"#;
const REGIONS: &str = r#""labels": {"background": 0, "whole": [1, 2], "core": [2]}, "regions_class_order": [1, 2]"#;
const REGIONS_IGNORE: &str =
    r#""labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, "regions_class_order": [1, 2]"#;

/// What kind of training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    patch: &'static [usize],
    labels: &'static str,
    dice_over: DiceOver,
    /// Whether the second channel is zero outside the nonzero region.
    masked: [bool; 2],
}

/// Slices, volumes, and volumes that are only turned in their plane; classes and regions, with and without ignore.
pub(crate) const VARIANTS: [Variant; 6] = [
    Variant { name: "2d", patch: &[16, 16], labels: CLASSES, dice_over: DiceOver::Batch, masked: [false; 2] },
    Variant { name: "3d", patch: &[8, 16, 8], labels: CLASSES, dice_over: DiceOver::Images, masked: [false, true] },
    Variant { name: "dummy-2d", patch: &[4, 16, 16], labels: IGNORE, dice_over: DiceOver::Batch, masked: [true; 2] },
    Variant { name: "2d-ignore", patch: &[24, 12], labels: IGNORE, dice_over: DiceOver::Images, masked: [false; 2] },
    Variant { name: "3d-regions", patch: &[8, 8, 8], labels: REGIONS, dice_over: DiceOver::Batch, masked: [false; 2] },
    Variant {
        name: "2d-regions-ignore",
        patch: &[16, 16],
        labels: REGIONS_IGNORE,
        dice_over: DiceOver::Batch,
        masked: [true, false],
    },
];

/// How batches are made, and on how many replicas they are trained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) n_workers: usize,
    /// Bytes for whole cases.
    pub(crate) room: u64,
    pub(crate) n_replicas: usize,
    pub(crate) seed: u64,
    pub(crate) n_epochs: u32,
    pub(crate) n_iterations: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { n_workers: 1, room: u64::MAX, n_replicas: 1, seed: 5, n_epochs: 3, n_iterations: 3 }
    }
}

impl Variant {
    fn configuration(&self) -> Configuration {
        let plans = Plans::parse(include_str!("../../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let n_axes = self.patch.len();
        let name = if n_axes == 2 { "2d" } else { "3d_fullres" };
        let mut configuration = plans.configuration(&ConfigurationName(name.into())).unwrap();
        configuration.patch_size = self.patch.to_vec();
        configuration.batch_size = BATCH_SIZE;
        configuration.use_mask_for_norm = self.masked.to_vec();
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.n_stages = 3;
        arguments.features_per_stage = vec![3, 4, 5];
        arguments.kernel_sizes = vec![vec![3; n_axes]; 3];
        arguments.strides = vec![vec![1; n_axes], vec![2; n_axes], vec![2; n_axes]];
        arguments.encoder = EncoderDepth::Convolutions(vec![1; 3]);
        arguments.n_conv_per_stage_decoder = vec![1; 2];
        configuration
    }

    fn label_set(&self) -> LabelSet {
        let text = format!(r#"{{"channel_names": {{"0": "a", "1": "b"}}, "file_ending": ".nii.gz", {}}}"#, self.labels);
        DatasetJson::parse(&text).unwrap().structures().unwrap()
    }

    /// A training into `folder` on cases that are written to `data`.
    pub(crate) fn training(&self, data: &Path, folder: PathBuf, setup: Setup) -> Training {
        fs_err::create_dir_all(&folder).unwrap();
        let (configuration, labels) = (self.configuration(), self.label_set());
        let store = Store::new(data.join(self.name));
        let cases: Vec<_> = (0..4).map(|number| CaseId::new(format!("case_{number}")).unwrap()).collect();
        for (number, case) in cases.iter().enumerate() {
            store.write(case, Digest::of(b""), &case_of(number, labels.ignore), &structures(&labels)).unwrap();
        }
        let topology = UNet::new(&configuration, 2, labels.n_outputs()).unwrap();
        let schedule = Schedule::new(setup.n_epochs, 1, 0.8, Decay::Unnunet).unwrap();
        let sampler = |purpose, cases: &[CaseId], geometry: PatchGeometry| Sampler {
            cases: Cases::open(&store, cases, setup.room).unwrap(),
            recipe: (purpose == Purpose::Training).then(|| Recipe::new(&geometry, &configuration.use_mask_for_norm)),
            target_shapes: targets::shapes(&topology, geometry.patch, deep_supervision_weights(2).len()),
            geometry,
            annotation: Annotation::of(&labels),
            batch_size: BATCH_SIZE,
            seed: setup.seed,
            fold: Fold(0),
            purpose,
        };
        Training {
            structures: labels.structures.iter().map(|structure| structure.name.clone()).collect(),
            loss: Loss { annotation: Annotation::of(&labels), dice_over: self.dice_over },
            limits: Limits::default(),
            kept_epochs: CheckpointRule::Late(1).epochs(&schedule).unwrap(),
            schedule,
            n_iterations: setup.n_iterations,
            n_validation: 1,
            seed: setup.seed,
            fold: Fold(0),
            devices: Devices { first: Device::Cpu, others: vec![Device::Cpu; setup.n_replicas - 1] },
            n_workers: setup.n_workers,
            folder,
            sampler: sampler(Purpose::Training, &cases[..3], PatchGeometry::training(&configuration)),
            validation: sampler(Purpose::Validation, &cases[3..], PatchGeometry::validation(&configuration)),
            topology,
        }
    }
}

/// A box in a box on a ground with a texture, outside of it nothing; the last slices are not annotated where there is
/// a label for that.
fn case_of(number: usize, ignore: Option<u8>) -> Preprocessed {
    let depth = |k: usize, i: usize, j: usize| {
        let within = |margin: usize| {
            (margin..SHAPE[0] - margin).contains(&k)
                && (3 * margin + number..20 - margin).contains(&i)
                && (3 * margin..20 - margin).contains(&j)
        };
        (0..3).take_while(|&margin| within(margin)).count()
    };
    let label = |(k, i, j): (usize, usize, usize)| match (ignore, depth(k, i, j)) {
        (_, 0) => -1,
        (Some(ignore), _) if k >= 7 => ignore.into(),
        (_, depth) => i16::try_from(depth).unwrap() - 1,
    };
    let value = |(channel, k, i, j): (usize, usize, usize, usize)| {
        let texture = ((7 * i + 13 * j + 5 * k + 3 * number + 2 * channel) % 11) as f32 / 11.0;
        match depth(k, i, j) {
            0 => 0.0,
            depth => texture + depth as f32 - 1.5,
        }
    };
    let properties = CaseProperties::unchanged(SHAPE);
    let [z, y, x] = SHAPE;
    let labels = Some(Array3::from_shape_fn(SHAPE, label));
    Preprocessed { image: Array4::from_shape_fn((2, z, y, x), value), labels, properties }
}

/// Copies, if asked, what a folder holds after an epoch, as a kill would leave it.
pub(crate) struct Witness(pub(crate) Option<Snapshot>);

/// What to copy, and where to.
pub(crate) struct Snapshot {
    pub(crate) epoch: u32,
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

impl Observer for Witness {
    fn iteration(&mut self, _epoch: u32, _iteration: u32, loss: f64) {
        assert!(loss.is_finite());
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let Some(Snapshot { epoch, from, to }) = &self.0 else { return };
        if *epoch == record.epoch {
            fs_err::create_dir_all(to).unwrap();
            for entry in fs_err::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}

/// Trains to the end.
pub(crate) fn run(training: &Training, start: Start, snapshot: Option<Snapshot>) {
    // The sums of convolutions depend on the number of threads, and other tests run beside this one.
    tch::set_num_threads(1);
    training.run(start, &mut Witness(snapshot)).unwrap();
}

/// Names and bytes of the checkpoints of a folder.
pub(crate) fn checkpoints(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("checkpoint_")).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs_err::read(folder.join(name)).unwrap())).collect()
}
