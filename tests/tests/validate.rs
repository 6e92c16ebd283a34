//! From a training to what is expected of a new case: validate, calibrate, export, predict.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use imaging::nifti;
use nnunet::calibration::Calibration;
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet, unnunet_train};
use phantoms::trial::Trial;
use serde_json::Value;

const BUDGET: [&str; 8] = ["--epochs", "4", "--cycles", "2", "--iterations", "10", "--late", "1"];

/// Two folds of balls, trained a little; two cases validate each.
fn train(work: &Path) -> Trial {
    Balls::ISOTROPIC.write(&work.join("raw")).unwrap();
    let trial = Trial::new(work, Balls::ISOTROPIC.name, "3d_fullres");
    trial.plan_and_preprocess(&["--features", "8", "--batch-size", "2"]);
    for fold in [0, 1] {
        succeed(&mut trial.train(fold, &BUDGET));
    }
    trial
}

/// A command on the training; four cases allow for an interval of level one half.
fn after_training(trial: &Trial, command: &str) -> Command {
    let mut after = unnunet_train();
    after.args([command, Balls::ISOTROPIC.name, "3d_fullres"]);
    after.arg("--raw").arg(trial.path("raw")).arg("--results").arg(trial.path("results"));
    after
}

fn validate(trial: &Trial) -> Command {
    let mut validate = after_training(trial, "validate");
    validate.args(["--level", "0.5", "--risk", "0.5", "--minimum-dice", "0.1", "--json"]);
    validate
}

fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_validated_training_tells_the_runtime_what_to_expect() {
    let folder = tempfile::tempdir().unwrap();
    let trial = train(folder.path());
    let printed = lines(&succeed(&mut validate(&trial)));
    assert_eq!(printed.len(), 5);
    assert!(printed[..4].iter().all(|line| line["status"] == "done" && line["Dice"].is_f64()), "{printed:?}");
    println!("{printed:?}");
    let run = trial.fold_folder(0).parent().unwrap().to_owned();
    let validation = trial.fold_folder(0).join("validation");
    let case = printed[0]["case"].as_str().unwrap();
    let image = trial.raw_dataset().join("imagesTr").join(format!("{case}_0000.nii.gz"));
    let prediction = validation.join(format!("{case}.nii.gz"));
    let [image, predicted] = [image, prediction.clone()].map(|path| nifti::read_geometry(&path).unwrap());
    image.same_grid(&predicted).unwrap();
    let _ = (run, unnunet, outcome, Calibration::parse("{}").is_err(), read_json(&validation.join("summary.json")));
}
