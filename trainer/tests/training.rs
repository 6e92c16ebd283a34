//! Trains a tiny 2D network on made-up slices: it learns, repeats, and resumes bit by bit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::plans::{Configuration, ConfigurationName, EncoderDepth, Plans};
use nnunet::preprocess::{CaseProperties, Preprocessed};
use nnunet::topology::UNet;
use tch::Device;
use trainer::annotation::Annotation;
use trainer::augment::Recipe;
use trainer::cases::Cases;
use trainer::checkpoint_rule::CheckpointRule;
use trainer::journal::EpochRecord;
use trainer::limits::{EarlyEnd, Ending, Limits};
use trainer::loss::{DiceOver, Loss, deep_supervision_weights};
use trainer::patch_geometry::PatchGeometry;
use trainer::random::Purpose;
use trainer::replicas::Devices;
use trainer::sample::Sampler;
use trainer::schedule::{Decay, Schedule};
use trainer::store::Store;
use trainer::targets;
use trainer::training::{Observer, Start, Training};

const SHAPE: [usize; 3] = [2, 24, 20];

fn configuration() -> Configuration {
    let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
    let mut configuration = plans.configuration(&ConfigurationName("2d".into())).unwrap();
    configuration.patch_size = vec![16, 16];
    configuration.batch_size = 3;
    let arguments = &mut configuration.architecture.arch_kwargs;
    arguments.n_stages = 3;
    arguments.features_per_stage = vec![4, 6, 8];
    arguments.kernel_sizes = vec![vec![3, 3]; 3];
    arguments.strides = vec![vec![1, 1], vec![2, 2], vec![2, 2]];
    arguments.encoder = EncoderDepth::Convolutions(vec![1; 3]);
    arguments.n_conv_per_stage_decoder = vec![1; 2];
    configuration
}

/// A bright square on a dark ground with a texture that no random numbers are needed for.
fn slices(number: usize) -> Preprocessed {
    let [z, y, x] = SHAPE;
    let inside = |i: usize, j: usize| (6 + number..14 + number).contains(&i) && (5..13).contains(&j);
    let labels = Array3::from_shape_fn((z, y, x), |(_, i, j)| i16::from(inside(i, j)));
    let texture = |k: usize, i: usize, j: usize| ((7 * i + 13 * j + 5 * k + 3 * number) % 11) as f32 / 11.0;
    let image =
        Array4::from_shape_fn((1, z, y, x), |(_, k, i, j)| texture(k, i, j) + if inside(i, j) { 1.5 } else { -0.5 });
    let properties = CaseProperties::unchanged(SHAPE);
    Preprocessed { image, labels: Some(labels), properties }
}

fn store(folder: &Path) -> (Store, Vec<CaseId>) {
    let store = Store::new(folder);
    let cases: Vec<_> = (0..4).map(|number| CaseId::new(format!("case_{number}")).unwrap()).collect();
    for (number, case) in cases.iter().enumerate() {
        store.write(case, Digest::of(b""), &slices(number), &[vec![1]]).unwrap();
    }
    (store, cases)
}

/// A training whose batches are made by `n_workers` threads from cases kept in `room` bytes.
fn training(data: &Path, folder: PathBuf, n_workers: usize, room: u64) -> Training {
    fs_err::create_dir_all(&folder).unwrap();
    let (store, cases) = store(data);
    let configuration = configuration();
    let topology = UNet::new(&configuration, 1, 2).unwrap();
    let schedule = Schedule::new(4, 1, 0.8, Decay::Unnunet).unwrap();
    let sampler = |purpose, cases: &[CaseId], geometry: PatchGeometry| Sampler {
        cases: Cases::open(&store, cases, room).unwrap(),
        recipe: (purpose == Purpose::Training).then(|| Recipe::new(&geometry, &configuration.use_mask_for_norm)),
        target_shapes: targets::shapes(&topology, geometry.patch, deep_supervision_weights(2).len()),
        geometry,
        annotation: Annotation::of_classes(2),
        batch_size: configuration.batch_size,
        seed: 5,
        fold: Fold(0),
        purpose,
    };
    Training {
        structures: vec!["square".into()],
        loss: Loss { annotation: Annotation::of_classes(2), dice_over: DiceOver::Batch },
        limits: Limits::default(),
        kept_epochs: CheckpointRule::Late(2).epochs(&schedule).unwrap(),
        schedule,
        n_iterations: 6,
        n_validation: 2,
        seed: 5,
        fold: Fold(0),
        devices: Devices::one(Device::Cpu),
        n_workers,
        folder,
        sampler: sampler(Purpose::Training, &cases[..3], PatchGeometry::training(&configuration)),
        validation: sampler(Purpose::Validation, &cases[3..], PatchGeometry::validation(&configuration)),
        topology,
    }
}

/// Remembers losses and, if asked, what the folder held after an epoch, as a kill would leave it.
struct Witness {
    losses: Vec<f64>,
    snapshot: Option<(u32, PathBuf, PathBuf)>,
}

impl Observer for Witness {
    fn iteration(&mut self, _epoch: u32, _iteration: u32, _loss: f64) {}

    fn epoch(&mut self, record: &EpochRecord) {
        self.losses.push(record.training_loss);
        if let Some((epoch, from, to)) = &self.snapshot
            && *epoch == record.epoch
        {
            for entry in fs_err::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}

fn checkpoints(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("checkpoint_")).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs_err::read(folder.join(name)).unwrap())).collect()
}

fn run(training: &Training, start: Start, snapshot: Option<(u32, PathBuf, PathBuf)>) -> Vec<f64> {
    let mut witness = Witness { losses: Vec::new(), snapshot };
    training.run(start, &mut witness).unwrap();
    witness.losses
}

/// How a training ends, and how many epochs it did.
fn ending(training: &Training, start: Start) -> (Ending, usize) {
    let mut witness = Witness { losses: Vec::new(), snapshot: None };
    let ending = training.run(start, &mut witness).unwrap();
    (ending, witness.losses.len())
}

#[test]
fn a_training_learns_and_resumes_bit_by_bit_whatever_feeds_it() {
    // Threads of libtorch wait for each other by spinning, which other tests would pay for.
    tch::set_num_threads(1);
    let root = tempfile::tempdir().unwrap();
    let (data, whole, resumed) = (root.path().join("data"), root.path().join("whole"), root.path().join("resumed"));
    fs_err::create_dir_all(&resumed).unwrap();
    let uninterrupted = training(&data, whole.clone(), 1, u64::MAX);
    let losses = run(&uninterrupted, Start::Afresh, Some((1, whole.clone(), resumed.clone())));
    assert_eq!(losses.len(), 4);
    assert!(losses[3] < losses[0] - 0.2, "{losses:?}");

    // Three workers instead of one, and every patch read from the disk instead of memory.
    let later = run(&training(&data, resumed.clone(), 3, 0), Start::Resume, None);
    assert_eq!(later, losses[2..]);
    let (expected, found) = (checkpoints(&whole), checkpoints(&resumed));
    let names: Vec<_> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["2", "3", "best", "latest"]
            .map(|name| [format!("checkpoint_{name}.json"), format!("checkpoint_{name}.safetensors")])
            .concat()
    );
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        assert!(expected == found, "{name} differs");
    }
    let journal = fs_err::read_to_string(resumed.join("progress.csv")).unwrap();
    assert_eq!(journal.lines().count(), 5, "{journal}");
    for name in ["progress.png", "events.out.tfevents.unnunet"] {
        assert!(resumed.join(name).is_file(), "{name}");
    }
}

#[test]
fn a_budget_stops_after_an_epoch_and_going_on_leads_to_the_same_end() {
    tch::set_num_threads(1);
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let new = |name: &str| training(&data, root.path().join(name), 1, u64::MAX);
    let spent = Limits { time_budget: Some(Duration::ZERO), patience: None };
    let in_parts = Training { limits: spent, ..new("parts") };
    assert_eq!(ending(&in_parts, Start::Afresh), (Ending::TimeBudget { epoch: 0 }, 1));
    assert_eq!(ending(&in_parts, Start::Resume), (Ending::TimeBudget { epoch: 1 }, 1));
    assert_eq!(ending(&new("parts"), Start::Resume), (Ending::Schedule, 2));
    assert_eq!(ending(&new("parts"), Start::Resume), (Ending::Schedule, 0), "nothing is left to do");
    assert_eq!(ending(&new("whole"), Start::Afresh), (Ending::Schedule, 4));
    assert!(checkpoints(&root.path().join("parts")) == checkpoints(&root.path().join("whole")));
}

#[test]
fn patience_ends_a_training_with_a_cycle_until_it_is_continued_without() {
    tch::set_num_threads(1);
    let root = tempfile::tempdir().unwrap();
    let (data, folder) = (root.path().join("data"), root.path().join("fold"));
    let new = |patience| {
        let mut training = training(&data, folder.clone(), 1, u64::MAX);
        // Without foreground the pseudo-Dice is 0 or undefined, and never rises.
        let (store, case) = (Store::new(&data), CaseId::new("empty").unwrap());
        let mut empty = slices(0);
        empty.labels = Some(Array3::zeros(SHAPE));
        store.write(&case, Digest::of(b""), &empty, &[vec![1]]).unwrap();
        training.validation.cases = Cases::open(&store, &[case], u64::MAX).unwrap();
        training.schedule = Schedule::new(6, 3, 0.8, Decay::Unnunet).unwrap();
        training.kept_epochs = CheckpointRule::Late(1).epochs(&training.schedule).unwrap();
        training.limits = Limits { time_budget: None, patience };
        training
    };
    let (found, n_epochs) = ending(&new(Some(2)), Start::Afresh);
    let Ending::Patience(end) = found else { panic!("{found:?}") };
    assert_eq!((end.epoch, end.best_epoch, n_epochs), (3, 0, 4));
    assert_eq!(EarlyEnd::read(&folder).unwrap(), Some(end));
    assert!(folder.join("checkpoint_3.safetensors").is_file(), "the members of the cycle are there");
    assert_eq!(ending(&new(Some(2)), Start::Resume), (found, 0));
    assert_eq!(ending(&new(None), Start::Resume), (Ending::Schedule, 2));
    assert_eq!(EarlyEnd::read(&folder).unwrap(), None);
}
