//! A cascade from plans to its second stage: what is missing is named, what is there is not made twice, and the second
//! stage is trained, resumed, validated and run as a bundle on the predictions of the first.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;
use imaging::nifti;
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet_train};
use phantoms::trial::Trial;
use serde_json::{Value, json};

const BALLS: Balls = Balls { n_training: 6, n_test: 0, ..Balls::ISOTROPIC };
const FIRST: &str = "3d_lowres";
const SECOND: &str = "3d_cascade_fullres";
/// Two members per fold.
const BUDGET: [&str; 8] = ["--epochs", "2", "--cycles", "2", "--iterations", "2", "--late", "1"];
/// Long enough to be killed between its epochs.
const LONGER: [&str; 8] = ["--epochs", "2", "--cycles", "2", "--iterations", "20", "--late", "1"];
/// Saved at the end of every epoch.
const LATEST: &str = "checkpoint_latest.safetensors";
const LAST: &str = "checkpoint_1.safetensors";
/// Far more than an epoch takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// Both stages of one training, planned and preprocessed, in two folds of three cases.
struct Cascade {
    first: Trial,
    second: Trial,
}

impl Cascade {
    fn new(work: &Path) -> Self {
        BALLS.write(&work.join("raw")).unwrap();
        let fine = Trial::new(work, BALLS.name, "3d_fullres");
        fine.plan_and_preprocess(&["--features", "4", "--batch-size", "2", "--patch-size", "16,16,32"]);
        let folder = work.join("preprocessed").join(BALLS.name);
        let path = folder.join("nnUNetPlans.json");
        let mut plans = read_json(&path);
        let configurations = plans["configurations"].as_object_mut().unwrap();
        // Phantoms are too small for the planner to ask for a cascade.
        let first = json!({"inherits_from": "3d_fullres", "data_identifier": "nnUNetPlans_3d_lowres",
            "spacing": [2.0, 1.5, 1.75], "next_stage": SECOND});
        configurations.insert(FIRST.into(), first);
        configurations.insert(SECOND.into(), json!({"inherits_from": "3d_fullres", "previous_stage": FIRST}));
        fs::write(&path, plans.to_string()).unwrap();
        let case = |index: usize| format!("balls_{index:03}");
        let [low, high]: [Vec<_>; 2] = [(0..3).map(case).collect(), (3..6).map(case).collect()];
        let splits = json!([{"train": low, "val": high}, {"train": high, "val": low}]);
        fs::write(folder.join("splits_final.json"), splits.to_string()).unwrap();
        let mut preprocess = unnunet_train();
        preprocess.args(["preprocess", "-d", BALLS.name, "-c", FIRST]);
        preprocess.arg("--raw").arg(work.join("raw")).arg("--preprocessed").arg(work.join("preprocessed"));
        succeed(&mut preprocess);
        let [first, second] = [FIRST, SECOND].map(|name| Trial::new(work, BALLS.name, name));
        Self { first, second }
    }

    fn validate(&self, configuration: &str, folds: &str) -> Command {
        let mut validate = unnunet_train();
        validate.args(["validate", BALLS.name, configuration, "--folds", folds, "--json", "--device", "cpu"]);
        validate.arg("--raw").arg(self.first.path("raw")).arg("--results").arg(self.first.path("results"));
        validate
    }

    fn prediction(&self, case: usize, ending: &str) -> PathBuf {
        let run = self.first.fold_folder(0).parent().unwrap().to_owned();
        run.join("predicted_next_stage").join(SECOND).join(format!("balls_{case:03}.{ending}"))
    }

    fn written(&self) -> Vec<SystemTime> {
        (0..6).map(|case| fs::metadata(self.prediction(case, "labels")).unwrap().modified().unwrap()).collect()
    }

    /// Why the second stage is not trained.
    fn refusal(&self, flags: &[&str]) -> String {
        let output = outcome(&mut self.second.train(0, &[&LONGER[..], flags].concat()));
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_second_stage_is_trained_on_what_the_first_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let cascade = Cascade::new(folder.path());
    check_missing_predictions_are_named(&cascade);
    check_predictions_are_made_once(&cascade);
    check_a_second_stage_repeats_and_resumes(&cascade);
    check_a_second_stage_is_validated(&cascade);
    check_both_stages_predict(&cascade);
    check_both_stages_are_in_the_commands_that_come_next(&cascade);
    check_other_predictions_are_refused(&cascade);
}

fn check_missing_predictions_are_named(cascade: &Cascade) {
    let text = cascade.refusal(&[]);
    assert!(
        text.contains("`3d_cascade_fullres` sees the segmentations of `3d_lowres`; 6 of 6 cases have none"),
        "{text}"
    );
    assert!((0..6).all(|case| text.contains(&cascade.prediction(case, "json").display().to_string())), "{text}");
    for fold in ["0", "1"] {
        assert!(text.contains(&format!("\n  unnunet-train train Dataset901_Balls 3d_lowres {fold}\n")), "{text}");
    }
    assert!(text.contains("\n  unnunet-train validate Dataset901_Balls 3d_lowres --folds 0,1\n"), "{text}");
    assert!(!cascade.second.fold_folder(0).exists(), "nothing is begun");

    for fold in [0, 1] {
        succeed(&mut cascade.first.train(fold, &BUDGET));
    }
    succeed(&mut cascade.validate(FIRST, "0"));
    let text = cascade.refusal(&[]);
    assert!(text.contains("3 of 6 cases have none"), "{text}");
    assert!(text.contains("balls_002.json") && !text.contains("balls_003.json"), "{text}");
    assert!(text.contains("--folds 1\n") && !text.contains("unnunet-train train"), "{text}");
}

fn check_predictions_are_made_once(cascade: &Cascade) {
    succeed(&mut cascade.validate(FIRST, "0,1"));
    let cases = cascade.first.path("preprocessed").join(BALLS.name).join("nnUNetPlans_3d_fullres");
    for case in 0..6 {
        let record = read_json(&cascade.prediction(case, "json"));
        let stored = read_json(&cases.join(format!("balls_{case:03}.json")));
        assert_eq!(record["shape"], stored["shape"]);
        assert_eq!(record["members"].as_array().unwrap().len(), 2);
        assert!(record["members"][0]["member"].as_str().unwrap().starts_with(if case < 3 {
            "fold_1/"
        } else {
            "fold_0/"
        }));
        let labels = fs::read(cascade.prediction(case, "labels")).unwrap();
        assert_eq!(labels.len(), BALLS.shape.iter().product::<usize>());
        assert!(labels.iter().all(|label| *label < 3));
    }
    let before = cascade.written();
    succeed(&mut cascade.validate(FIRST, "0,1"));
    assert_eq!(cascade.written(), before);
    fs::remove_file(cascade.prediction(4, "json")).unwrap();
    succeed(&mut cascade.validate(FIRST, "0,1"));
    let changed: Vec<_> = cascade.written().iter().zip(&before).map(|(now, then)| now != then).collect();
    assert_eq!(changed, [false, false, false, false, true, false]);
}

fn check_a_second_stage_repeats_and_resumes(cascade: &Cascade) {
    let folder = cascade.second.fold_folder(0);
    let train = |flags: &[&str]| cascade.second.train(0, &[&LONGER[..], flags].concat());
    succeed(&mut train(&["--workers", "1"]));
    let expected = fs::read(folder.join(LAST)).unwrap();
    let record = read_json(&folder.join("run.json"));
    assert_eq!(record["previous_stage"]["configuration"], FIRST);
    assert_eq!(record["previous_stage"]["n_channels"], 2);

    // Read in parts, made by other threads, and killed.
    fs::remove_dir_all(&folder).unwrap();
    let mut other = train(&["--workers", "3", "--cache", "0"]);
    let mut child = other.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !folder.join(LATEST).exists() {
        assert!(start.elapsed() < PATIENCE, "no epoch after {PATIENCE:?}");
        assert_eq!(child.try_wait().unwrap(), None, "training ended early");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join(LAST).exists(), "training was killed too late");
    succeed(&mut train(&["--workers", "2", "--continue"]));
    assert!(fs::read(folder.join(LAST)).unwrap() == expected, "the resumed run's last checkpoint differs");
}

fn check_a_second_stage_is_validated(cascade: &Cascade) {
    let printed = succeed(&mut cascade.validate(SECOND, "0"));
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[..3].iter().all(|line| line["status"] == "done" && line["Dice"].is_f64()), "{printed}");
    for case in 3..6 {
        let scores = cascade.second.fold_folder(0).join(format!("validation/scores/balls_{case:03}.json"));
        assert_eq!(read_json(&scores)["previous_stage"], read_json(&cascade.prediction(case, "json"))["labels"]);
    }
}

fn check_both_stages_predict(cascade: &Cascade) {
    let images = cascade.first.raw_dataset().join("imagesTr");
    let [low, high, failed] = ["low", "high", "failed"].map(|name| cascade.first.path(name));
    cascade.first.export();
    cascade.first.sign();
    succeed(&mut cascade.first.predict(&images, &low));
    let text = refused(cascade.first.predict(&images, &high).arg("--previous-stage").arg(&low));
    assert!(text.contains("configuration `3d_lowres` has no previous stage"), "{text}");

    for name in ["unsigned.unb", "model.unb", "test.key.pem", "test.pub.pem"] {
        fs::remove_file(cascade.second.path(name)).unwrap();
    }
    cascade.second.export();
    cascade.second.sign();
    succeed(&mut cascade.second.with_bundle("self-test"));
    let text = refused(&mut cascade.second.predict(&images, &high));
    assert!(text.contains("sees the segmentations of `3d_lowres`: predict the images with a bundle of that"), "{text}");
    let predict = |previous: &Path, output: &Path| {
        let mut predict = cascade.second.predict(&images, output);
        predict.arg("--previous-stage").arg(previous);
        predict
    };
    let text = refused(&mut predict(&low, &low));
    assert!(text.contains("is both input and output"), "{text}");
    succeed(&mut predict(&low, &high));
    let inputs = read_json(&high.join("balls_003.json"))["inputs"].clone();
    let names: Vec<_> = inputs.as_array().unwrap().iter().map(|input| input["file"].as_str().unwrap()).collect();
    assert_eq!(names, ["balls_003_0000.nii.gz", "balls_003.nii.gz"]);
    check_bad_segmentations_fail_their_cases(&low, &mut predict(&low, &failed), &failed);
}

/// One missing, one with another label, one on another grid: these cases fail, the other three do not.
fn check_bad_segmentations_fail_their_cases(low: &Path, predict: &mut Command, failed: &Path) {
    let path = |case: usize| low.join(format!("balls_{case:03}.nii.gz"));
    fs::remove_file(path(0)).unwrap();
    let mut segmentation = nifti::read_labels(&path(1)).unwrap();
    segmentation.voxels[[0, 0, 0]] = 3;
    nifti::write_labels(&path(1), &segmentation).unwrap();
    let thick = Balls { spacing_mm: [2.0, 1.0, 1.0], ..BALLS };
    nifti::write_labels(&path(2), &thick.draw(2).1).unwrap();
    let output = outcome(predict);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for message in [
        "balls_000.nii.gz",
        "the previous stage's segmentation has label 3, expected 0 or one of [1, 2]",
        "balls_002.nii.gz` does not lie on the image",
    ] {
        assert!(text.contains(message), "{message}: {text}");
    }
    let done: Vec<_> = (0..6).filter(|case| failed.join(format!("balls_{case:03}.json")).is_file()).collect();
    assert_eq!(done, [3, 4, 5]);
}

fn check_both_stages_are_in_the_commands_that_come_next(cascade: &Cascade) {
    let mut find = unnunet_train();
    find.args(["find-best-configuration", BALLS.name, "-c", SECOND, "--folds", "0"]);
    find.arg("--raw").arg(cascade.first.path("raw")).arg("--results").arg(cascade.first.path("results"));
    succeed(&mut find);
    let path = cascade.first.path("results").join(BALLS.name).join("inference_instructions.txt");
    let commands = fs::read_to_string(path).unwrap();
    let at = |words: &str| commands.find(words).unwrap_or_else(|| panic!("{words}: {commands}"));
    let exports = [FIRST, SECOND].map(|name| at(&format!("export {} {name} ", BALLS.name)));
    let predictions = ["--output PREVIOUS", "--output OUTPUT --previous-stage PREVIOUS"].map(at);
    assert!(exports[0] < predictions[0] && predictions[0] < exports[1] && exports[1] < predictions[1], "{commands}");
}

/// What a command that is refused says.
fn refused(command: &mut Command) -> String {
    let output = outcome(command);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn check_other_predictions_are_refused(cascade: &Cascade) {
    let description = cascade.prediction(4, "json");
    let good = fs::read_to_string(&description).unwrap();
    let change = |field: &str, value: Value| {
        let mut record: Value = serde_json::from_str(&good).unwrap();
        record[field] = value;
        fs::write(&description, record.to_string()).unwrap();
    };
    change("shape", json!([28, 24, 32]));
    let text = cascade.refusal(&["--continue"]);
    assert!(text.contains("has shape [28, 24, 32], the preprocessed case [24, 28, 32]"), "{text}");
    assert!(text.contains("--folds 0\n"), "{text}");

    let other = read_json(&cascade.prediction(5, "json"))["labels"].clone();
    change("labels", other);
    let text = cascade.refusal(&["--continue"]);
    assert!(text.contains("the training was begun with `previous_stage`"), "{text}");
    let output = outcome(&mut cascade.validate(SECOND, "0"));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("case `balls_004` of fold_0 failed") && text.contains("is not what its description"),
        "{text}"
    );
    fs::write(&description, good).unwrap();
    succeed(&mut cascade.validate(SECOND, "0"));
}
