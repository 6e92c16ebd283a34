//! From a folder with checkpoints to a bundle, and what is refused on the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod half;

use std::path::{Path, PathBuf};

use bundle_format::{
    BundleContents, BundleId, Channel, Digest, EntryPath, IntactBundle, Limits, SemanticVersion, Text, Timestamp,
    Token, UnverifiedBundle,
};
use ndarray::{Array3, Array4};
use nnunet::calibration::Calibration;
use nnunet::dataset::{CaseId, DatasetJson};
use nnunet::fold::{Fold, Split};
use nnunet::pipeline::Pipeline;
use nnunet::plans::{ConfigurationName, Plans};
use nnunet::preprocess::{CaseProperties, Preprocessed};
use nnunet::topology::UNet;
use serde_json::{Value, json};
use trainer::checkpoint::CheckpointFolder;
use trainer::checkpoint_rule::CheckpointRule;
use trainer::export::{ExportError, Identity, Measurement, Request, Summary, export};
use trainer::journal::EpochRecord;
use trainer::limits::EarlyEnd;
use trainer::run_folder::RunFolderError;
use trainer::run_record::{Origin, RunRecord};
use trainer::schedule::{Decay, Schedule};
use trainer::store::Store;
use trainer::weights::{Tensor, WeightFormat, Weights};

const DATASET: &str = r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"a":1,"b":2},"file_ending":".nii.gz"}"#;

/// A training of two folds with two checkpoints each, in a folder of its own.
struct Training {
    folder: tempfile::TempDir,
    network: UNet,
}

fn plans(name: &str) -> Value {
    let mut plans: Value =
        serde_json::from_str(include_str!("../../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
    let configuration = &mut plans["configurations"][name];
    let n_axes = configuration["patch_size"].as_array().unwrap().len();
    configuration["patch_size"] = json!(if n_axes == 2 { vec![8, 6] } else { vec![4, 8, 6] });
    let arguments = &mut configuration["architecture"]["arch_kwargs"];
    arguments["n_stages"] = json!(2);
    arguments["features_per_stage"] = json!([2, 3]);
    arguments["kernel_sizes"] = json!([vec![3; n_axes], vec![3; n_axes]]);
    arguments["strides"] = json!([vec![1; n_axes], vec![2; n_axes]]);
    arguments["n_conv_per_stage"] = json!([1, 1]);
    arguments["n_conv_per_stage_decoder"] = json!([1]);
    plans
}

fn weights(network: &UNet, seed: usize) -> Weights {
    let mut weights = Weights::default();
    for parameter in network.parameters() {
        let n = parameter.shape.iter().product::<usize>();
        let values = (0..n).map(|i| ((seed + i) * 37 % 100) as f32 / 50.0 - 1.0).collect();
        weights.insert(parameter.name, Tensor { shape: parameter.shape, values }).unwrap();
    }
    weights
}

impl Training {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = plans(name).to_string();
        let dataset = DatasetJson::parse(DATASET).unwrap();
        let plans = Plans::parse(&text).unwrap();
        let configuration = plans.configuration(&ConfigurationName(name.into())).unwrap();
        let network = UNet::new(&configuration, 1, dataset.structures().unwrap().n_outputs()).unwrap();
        let training = Self { folder, network };
        training.write("run/plans.json", text.as_bytes());
        training.write("run/dataset.json", DATASET.as_bytes());
        training.write("data/dataset_fingerprint.json", b"{}");
        for fold in [Fold(0), Fold(1)] {
            for epoch in [9, 19] {
                let seed = 100 * usize::from(fold.0) + epoch as usize;
                training.checkpoint(fold, epoch, &weights(&training.network, seed));
            }
            training.record(fold, &plans, name);
        }
        let other = training.path("run/fold_0/checkpoint_best.safetensors");
        fs_err::write(other, "passed over").unwrap();
        training.store(&configuration.data_identifier);
        training
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::write(self.path(name), content).unwrap();
    }

    fn record(&self, fold: Fold, plans: &Plans, name: &str) {
        let case = |name: &str| vec![CaseId::new(name).unwrap()];
        let record = RunRecord {
            program: "unnunet-train 0".into(),
            dataset: plans.dataset_name.clone(),
            configuration: ConfigurationName(name.into()),
            plans: RunRecord::digest(plans).unwrap(),
            fold,
            split: Split { train: case("case_a"), val: case("case_b") },
            schedule: Schedule::new(20, 2, 0.8, Decay::Unnunet).unwrap(),
            checkpoints: CheckpointRule::Late(1),
            iterations: 3,
            validation_iterations: 1,
            seed: 7,
            threads: 2,
            previous_stage: None,
            origin: Origin::default(),
        };
        record.write(&self.path(&format!("run/{fold}/run.json"))).unwrap();
    }

    fn checkpoint(&self, fold: Fold, epoch: u32, weights: &Weights) {
        let folder = self.path("run").join(fold.to_string());
        fs_err::create_dir_all(&folder).unwrap();
        let record = EpochRecord {
            epoch,
            cycle: epoch / 10,
            learning_rate: 0.01,
            training_loss: -0.5,
            validation_loss: -0.5,
            finished: 1.5e9,
            pseudo_dice: vec![],
            ema_pseudo_dice: Some(0.5),
            seconds: 1.0,
        };
        CheckpointFolder::new(folder).save(&epoch.to_string(), &weights.to_bytes(), fold, &record).unwrap();
    }

    fn store(&self, identifier: &str) {
        let shape = [5, 9, 4];
        let [z, y, x] = shape;
        let properties = CaseProperties::unchanged(shape);
        let image = Array4::from_shape_fn((1, z, y, x), |(_, k, j, i)| ((k * 7 + j * 3 + i) % 5) as f32 - 2.0);
        let case = Preprocessed { image, labels: Some(Array3::zeros((z, y, x))), properties };
        let store = Store::new(self.path("data").join(identifier));
        store.write(&CaseId::new("case_b").unwrap(), Digest::of(b""), &case, &[vec![1], vec![2]]).unwrap();
    }

    fn request(&self, name: &str) -> Request {
        Request {
            dataset_folder: Some(self.path("data")),
            run_folder: self.path("run"),
            configuration: ConfigurationName(name.into()),
            folds: vec![],
            max_members: None,
            weights: WeightFormat::F32,
            measurement: Measurement::Leave,
            identity: Identity {
                id: BundleId::new("demo/test").unwrap(),
                version: SemanticVersion::new("1.2.3").unwrap(),
                security_version: 4,
                title: Text::new("A test").unwrap(),
                channel: Channel::Dev,
                created: Timestamp::from_unix(0).unwrap(),
                source_revision: Text::new("unknown").unwrap(),
                license: "free\n".into(),
            },
            output: self.path("out/model.unb"),
        }
    }

    fn export(&self, change: impl FnOnce(&mut Request)) -> Result<Summary, ExportError> {
        let mut request = self.request("2d");
        change(&mut request);
        fs_err::create_dir_all(self.path("out")).unwrap();
        export(&request, &mut |_| ())
    }
}

fn open(path: &Path) -> IntactBundle {
    UnverifiedBundle::open(path, &Limits::default()).unwrap().check().unwrap()
}

fn tensors(bundle: &IntactBundle, path: &str) -> Weights {
    Weights::from_bytes(&bundle.read(&EntryPath::new(path).unwrap()).unwrap()).unwrap()
}

fn check(name: &str, patch: &[usize]) {
    let training = Training::new(name);
    let configuration = ConfigurationName(name.into());
    let summary = training.export(|request| request.configuration = configuration.clone()).unwrap();
    let bundle = open(&training.path("out/model.unb"));
    assert_eq!(*bundle.manifest_sha256(), summary.manifest_sha256);

    let ids: Vec<_> = bundle.manifest().members.iter().map(|member| member.id.to_string()).collect();
    let expected = ["fold_0/checkpoint_19", "fold_0/checkpoint_9", "fold_1/checkpoint_19", "fold_1/checkpoint_9"];
    assert_eq!(ids, expected);
    let cycles: Vec<_> = bundle.manifest().members.iter().map(|member| member.cycle).collect();
    assert_eq!(cycles, [Some(1), Some(0), Some(1), Some(0)]);

    let pipeline = bundle.read(&bundle.manifest().pipeline).unwrap();
    let pipeline = Pipeline::parse(&String::from_utf8(pipeline).unwrap()).unwrap();
    assert_eq!(pipeline, Pipeline::new(configuration, (0..patch.len()).collect(), 1));
    assert_eq!(tensors(&bundle, "selftest/input.bin").get("image").unwrap().shape, [&[1], patch].concat());
    let logits = tensors(&bundle, "selftest/expected.bin");
    let lengths: Vec<_> = logits.iter().map(|(id, tensor)| (id.to_owned(), tensor.values.len())).collect();
    let n_logits = 3 * patch.iter().product::<usize>();
    assert_eq!(lengths, expected.map(|id| (id.to_owned(), n_logits)));
}

#[test]
fn a_2d_training_becomes_a_whole_bundle() {
    check("2d", &[8, 6]);
}

#[test]
fn a_3d_training_becomes_a_whole_bundle() {
    check("3d_fullres", &[4, 8, 6]);
}

#[test]
fn the_same_checkpoints_give_the_same_bundle_and_nothing_beside_it() {
    let training = Training::new("2d");
    training.export(|_| ()).unwrap();
    let first = fs_err::read(training.path("out/model.unb")).unwrap();
    training.export(|_| ()).unwrap();
    assert_eq!(fs_err::read(training.path("out/model.unb")).unwrap(), first);
    assert_eq!(fs_err::read_dir(training.path("out")).unwrap().count(), 1);
}

#[test]
fn members_are_limited_per_fold_and_the_last_is_kept() {
    let training = Training::new("2d");
    let names = |summary: Summary| summary.members.iter().map(ToString::to_string).collect::<Vec<_>>();
    let one = training.export(|request| request.max_members = std::num::NonZeroUsize::new(1)).unwrap();
    assert_eq!(names(one), ["fold_0/checkpoint_19", "fold_1/checkpoint_19"]);
    let fold = training.export(|request| request.folds = vec![Fold(1)]).unwrap();
    assert_eq!(names(fold), ["fold_1/checkpoint_9", "fold_1/checkpoint_19"]);
}

#[test]
fn a_training_that_ended_by_patience_leaves_the_members_of_its_cycles() {
    let training = Training::new("2d");
    for name in ["checkpoint_19.json", "checkpoint_19.safetensors"] {
        fs_err::remove_file(training.path(&format!("run/fold_1/{name}"))).unwrap();
    }
    let end = EarlyEnd { epoch: 9, best_epoch: 2, patience: 5 };
    end.write(&training.path("run/fold_1")).unwrap();
    let summary = training.export(|_| ()).unwrap();
    let names: Vec<_> = summary.members.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["fold_0/checkpoint_9", "fold_0/checkpoint_19", "fold_1/checkpoint_9"]);
    let card = EntryPath::new("docs/model_card.md").unwrap();
    let card = String::from_utf8(open(&training.path("out/model.unb")).read(&card).unwrap()).unwrap();
    assert!(card.contains("ended with epoch 9, 5 epochs without a better average"), "{card}");
    fs_err::write(training.path("run/fold_1/early_end.json"), "[]").unwrap();
    assert!(matches!(
        training.export(|_| ()),
        Err(ExportError::RunFolder { source: RunFolderError::EarlyEnd { fold: Fold(1), .. } })
    ));
}

#[test]
fn documents_say_what_the_training_was() {
    let training = Training::new("2d");
    training.export(|_| ()).unwrap();
    let bundle = open(&training.path("out/model.unb"));
    let text = |path: &str| String::from_utf8(bundle.read(&EntryPath::new(path).unwrap()).unwrap()).unwrap();
    let card = text("docs/model_card.md");
    for line in [
        "- Structures: a, b",
        "| 0 | 1 | 1 |",
        "| `fold_1/checkpoint_19` | 1 | 0.5000 |",
        "- Patch [8, 6] voxels",
        "in 2 cycles",
        "- Kernels stored in single precision",
        // 256 MiB of libraries, one image three times, four sums of four floats, logits and probabilities, 3.5.
        "256 MiB for any case, and 114 bytes per voxel",
        "for each of 4 members",
    ] {
        assert!(card.contains(line), "{line} is missing in\n{card}");
    }
    assert!(!card.contains("Measured"), "a figure of this machine would differ from run to run");
    assert_eq!(text("docs/license.txt"), "free\n");
    let bill: Value = serde_json::from_str(&text("sbom/model.cdx.json")).unwrap();
    let model = bundle.manifest().file(&bundle.manifest().members[0].model).unwrap().sha256.to_string();
    let hashes: Vec<_> = bill["components"].as_array().unwrap().iter().map(|c| &c["hashes"][0]["content"]).collect();
    assert!(hashes.contains(&&json!(model)));
}

#[test]
fn what_is_measured_is_in_the_card() {
    let training = Training::new("2d");
    training.export(|request| request.measurement = Measurement::Take).unwrap();
    let card = open(&training.path("out/model.unb")).read(&EntryPath::new("docs/model_card.md").unwrap()).unwrap();
    let card = String::from_utf8(card).unwrap();
    let line = card.lines().find(|line| line.contains("Measured when exported")).unwrap();
    assert!(line.contains("s per patch and member") && line.contains("a patch took"), "{line}");
}

fn check_refused(change: impl FnOnce(&Training), message: &str) {
    let training = Training::new("2d");
    change(&training);
    let error = training.export(|_| ()).unwrap_err();
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    assert!(chain.contains(message), "{chain}");
    assert_eq!(fs_err::read_dir(training.path("out")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_training_without_checkpoints_is_refused() {
    let remove = |names: &'static [&'static str]| {
        move |training: &Training| names.iter().for_each(|name| fs_err::remove_file(training.path(name)).unwrap())
    };
    check_refused(
        remove(&["run/fold_0/checkpoint_19.safetensors"]),
        "fold_0` lacks checkpoint 19; the training is not finished",
    );
    check_refused(remove(&["run/fold_1/checkpoint_9.json"]), "fold_1` lacks checkpoint 9");
    check_refused(remove(&["run/fold_1/run.json"]), "fold_1 has no usable record of its training");
    check_refused(|training| fs_err::remove_dir_all(training.path("data/nnUNetPlans_2d")).unwrap(), "case_b.json");
}

#[test]
fn weights_that_cannot_be_run_are_refused() {
    const NAME: &str = "run/fold_1/checkpoint_19.safetensors";
    let spoil = |tensor: Tensor| {
        move |training: &Training| {
            let mut weights = Weights::read(&training.path(NAME)).unwrap();
            weights.insert("decoder.seg_layers.0.bias", tensor).unwrap();
            training.checkpoint(Fold(1), 19, &weights);
        }
    };
    check_refused(
        spoil(Tensor { shape: vec![3], values: vec![0.0, f32::NAN, 0.0] }),
        "member `fold_1/checkpoint_19` cannot be exported: parameter `decoder.seg_layers.0.bias`: value 1 is NaN",
    );
    check_refused(
        spoil(Tensor { shape: vec![2], values: vec![0.0; 2] }),
        "parameter `decoder.seg_layers.0.bias` has shape [2], the network expects [3]",
    );
    check_refused(|training| fs_err::write(training.path(NAME), b"short").unwrap(), "is no weights file");
}

#[test]
fn a_training_with_other_plans_is_refused() {
    let mut plans = plans("2d");
    plans["configurations"]["2d"]["batch_size"] = json!(5);
    check_refused(
        move |training| training.write("run/plans.json", plans.to_string().as_bytes()),
        "fold_0 was not trained with this configuration",
    );
}

#[test]
fn a_checkpoint_that_was_changed_or_renamed_is_refused() {
    check_refused(
        |training| weights(&training.network, 5).write(&training.path("run/fold_0/checkpoint_9.safetensors")).unwrap(),
        "member `fold_0/checkpoint_9` cannot be read",
    );
    let swap = |training: &Training| {
        for suffix in ["json", "safetensors"] {
            let [from, to] = ["9", "19"].map(|epoch| training.path(&format!("run/fold_0/checkpoint_{epoch}.{suffix}")));
            fs_err::copy(from, to).unwrap();
        }
    };
    check_refused(swap, "the record of member `fold_0/checkpoint_19` is that of `fold_0/checkpoint_9`");
}

/// `scores.json` of a fold whose two members validated, as `validate` writes it.
fn validated(training: &Training, fold: Fold) {
    let member = |epoch: u32| {
        let path = training.path(&format!("run/{fold}/checkpoint_{epoch}.safetensors"));
        json!({"member": format!("{fold}/checkpoint_{epoch}"), "weights": Weights::read(&path).unwrap().digest()})
    };
    let members = [9, 19].map(member);
    let scores =
        json!({"format": 1, "fold": fold, "members": members, "temperature": 1.5, "postprocessing": [], "cases": []});
    training.write(&format!("run/{fold}/validation/scores.json"), scores.to_string().as_bytes());
}

/// The temperature in the bundle that was exported last.
fn temperature(training: &Training) -> f32 {
    let bundle = open(&training.path("out/model.unb"));
    let pipeline = bundle.read(&bundle.manifest().pipeline).unwrap();
    Pipeline::parse(&String::from_utf8(pipeline).unwrap()).unwrap().temperature
}

const CALIBRATION: &str = r#"{"format":1,"promise":{"method":"class-entropy","temperature":1.5,"level":0.9,"minimum_dice":0.7,
    "risk":0.05},"n_fit":10,"n_conformal":10,"n_without_score":1,"knots":[{"score":0.5,"dice":0.9}],"half_width":0.1,
    "accept_at_most":0.25}"#;

#[test]
fn a_calibration_goes_along_with_the_members_that_it_speaks_of() {
    let training = Training::new("2d");
    let uncalibrated =
        |change: fn(&mut Request)| training.export(change).unwrap().uncalibrated.map(|why| why.to_string());
    assert_eq!(uncalibrated(|_| ()).unwrap(), "the training has no calibration; `unnunet-train validate` makes one");
    training.write("run/calibration.json", CALIBRATION.as_bytes());
    validated(&training, Fold(0));
    assert_eq!(uncalibrated(|_| ()).unwrap(), "fold_1 was not validated");
    validated(&training, Fold(1));
    let other = |request: &mut Request| request.max_members = std::num::NonZeroUsize::new(1);
    assert_eq!(uncalibrated(other).unwrap(), "fold_0 was validated by other members than are exported");
    assert_eq!(temperature(&training).to_bits(), 1.0_f32.to_bits(), "that of a mean over other members is unknown");
    training.write("run/calibration.json", CALIBRATION.replace("1.5", "2.5").as_bytes());
    let reason = "fold_0 was validated at temperature 1.5, the calibration is one of 2.5; validate again";
    assert_eq!(uncalibrated(|_| ()).unwrap(), reason);
    fs_err::remove_file(training.path("run/calibration.json")).unwrap();
    assert!(uncalibrated(|_| ()).is_some());
    assert_eq!(temperature(&training).to_bits(), 1.5_f32.to_bits(), "the members were validated at it");
    training.write("run/calibration.json", CALIBRATION.as_bytes());
    assert_eq!(uncalibrated(|_| ()), None);

    let bundle = open(&training.path("out/model.unb"));
    let text = |path: &EntryPath| String::from_utf8(bundle.read(path).unwrap()).unwrap();
    let found = Calibration::parse(&text(&EntryPath::new("config/calibration.json").unwrap())).unwrap();
    assert_eq!(found, Calibration::parse(CALIBRATION).unwrap());
    assert_eq!(Pipeline::parse(&text(&bundle.manifest().pipeline)).unwrap().temperature.to_bits(), 1.5_f32.to_bits());
    let card = text(&bundle.manifest().documents.model_card);
    assert!(card.contains("calibrated on 21 cases") && card.contains("Scores up to 0.2500 are accepted"), "{card}");
    assert!(bundle.manifest().requires.features.is_empty());

    let steps = json!([{"labels_or_regions": [1, 2]}]);
    training.write("run/postprocessing.json", postprocessing(&steps).as_bytes());
    assert_eq!(uncalibrated(|_| ()).unwrap(), "fold_0 was calibrated with another postprocessing; validate again");
    let bundle = open(&training.path("out/model.unb"));
    assert_eq!(bundle.manifest().requires.features, [Token::new("postprocessing").unwrap()]);
    let path = EntryPath::new("config/postprocessing.json").unwrap();
    assert_eq!(String::from_utf8(bundle.read(&path).unwrap()).unwrap(), postprocessing(&steps));
}

fn postprocessing(steps: &Value) -> String {
    let functions: Vec<_> =
        steps.as_array().unwrap().iter().map(|_| "remove_all_but_largest_component_from_segmentation").collect();
    let names = ["Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"];
    let mean: serde_json::Map<_, _> = names.into_iter().map(|name| (name.to_owned(), json!(0.5))).collect();
    let means = json!({"foreground_mean": mean, "mean": {"1": mean, "2": mean}});
    json!({"input_folder": means, "postprocessed": means, "postprocessing_fns": functions, "postprocessing_kwargs": steps})
        .to_string()
}

#[test]
fn findings_that_lie_are_refused() {
    let lie = |name: &'static str, text: String| move |training: &Training| training.write(name, text.as_bytes());
    check_refused(
        lie("run/calibration.json", CALIBRATION.replace("0.9,", "9,")),
        "calibration.json` cannot be used: `level` of a calibration cannot be 9",
    );
    check_refused(
        lie("run/postprocessing.json", postprocessing(&json!([{"labels_or_regions": 3}]))),
        "postprocessing.json` cannot be used: the postprocessing names the labels [3], the data set has [1, 2]",
    );
}
