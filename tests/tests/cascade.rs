//! A cascade from plans to its second stage: what is missing is named, what is there is not made twice, and the second
//! stage is trained, resumed and validated on the predictions of the first.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;
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
    let mut export = unnunet_train();
    export.args(["export", BALLS.name, SECOND, "--id", "test/cascade", "--version", "1.0.0"]);
    export.arg("--preprocessed").arg(cascade.second.path("preprocessed"));
    export.arg("--results").arg(cascade.second.path("results")).arg("--output").arg(cascade.second.path("a.unb"));
    let output = outcome(&mut export);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("a bundle holds the networks of one stage only; export `3d_lowres`"), "{text}");
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
