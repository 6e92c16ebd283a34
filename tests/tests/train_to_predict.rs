//! The main job on tiny phantoms: from raw images to evaluated predictions.
//!
//! Seconds on a CPU, so the bounds are loose: a ball twelve deviations
//! brighter than its surroundings must be found, not outlined perfectly.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use fs_err as fs;
use imaging::nifti;
use phantoms::balls::Balls;
use phantoms::hearts::Hearts;
use phantoms::programs::{succeed, unnunet};
use phantoms::trial::Trial;
use serde_json::Value;

const BUDGET: [&str; 10] =
    ["--epochs", "4", "--cycles", "2", "--iterations", "15", "--checkpoints", "late", "--late", "2"];

/// Runs the main job on two folds of `dataset`; the mean Dice of label 1 in what was predicted.
fn check(work: &Path, dataset: &'static str, configuration: &'static str, plan: &[&str]) -> f64 {
    let trial = Trial::new(work, dataset, configuration);
    trial.plan_and_preprocess(&[&["--features", "8", "--batch-size", "2"], plan].concat());
    for fold in [0, 1] {
        succeed(&mut trial.train(fold, &BUDGET));
    }
    trial.export();
    trial.sign();
    let mut verify = unnunet();
    verify.args(["bundle", "verify"]).arg(trial.path("model.unb"));
    succeed(verify.arg("--public-key").arg(trial.path("test.pub.pem")));
    succeed(&mut trial.with_bundle("self-test"));

    let images = trial.raw_dataset().join("imagesTs");
    let output = trial.path("predictions");
    succeed(&mut trial.predict(&images, &output));
    assert_outputs_lie_on_the_images(&images, &output);
    let again = trial.path("again");
    succeed(&mut trial.predict(&images, &again));
    assert_same_images(&output, &again);
    dice(&trial, &output)
}

fn assert_outputs_lie_on_the_images(images: &Path, output: &Path) {
    let cases = cases_in(images, "_0000.nii.gz");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let image = nifti::read_image(&[images.join(format!("{case}_0000.nii.gz"))]).unwrap();
        let segmentation = nifti::read_labels(&output.join(format!("{case}.nii.gz"))).unwrap();
        image.geometry.same_grid(&segmentation.geometry).unwrap();
        let map = nifti::read_image(&[output.join(format!("{case}_uncertainty.nii.gz"))]).unwrap();
        image.geometry.same_grid(&map.geometry).unwrap();
        assert!(map.voxels.iter().all(|bits| (0.0..=2.0).contains(bits)), "entropy of at most four classes");
        let trace: Value = read_json(&output.join(format!("{case}.json")));
        assert!(trace.is_object());
    }
    assert!(read_json(&output.join("report.json")).is_object());
    let scores = fs::read_to_string(output.join("scores.csv")).unwrap();
    assert!(scores.starts_with("case,selected_fold,score,fold_0,fold_1,mean,method,disagreement,status\n"), "{scores}");
    assert_eq!(scores.lines().count(), 1 + cases.len());
}

fn assert_same_images(one: &Path, other: &Path) {
    for case in cases_in(one, ".nii.gz") {
        let name = format!("{case}.nii.gz");
        assert!(fs::read(one.join(&name)).unwrap() == fs::read(other.join(&name)).unwrap(), "`{name}` differs");
    }
}

/// Mean Dice of label 1 against the references that no training saw.
fn dice(trial: &Trial, prediction: &Path) -> f64 {
    let mut evaluate = unnunet();
    evaluate.arg("evaluate").arg("--reference").arg(trial.raw_dataset().join("labelsTs"));
    evaluate.arg("--prediction").arg(prediction);
    succeed(evaluate.arg("--dataset-json").arg(trial.raw_dataset().join("dataset.json")));
    read_json(&prediction.join("summary.json"))["mean"]["1"]["Dice"].as_f64().unwrap()
}

fn cases_in(folder: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut cases: Vec<_> = names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    cases.sort();
    cases
}

fn read_json(path: &PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn hearts_are_found_in_2d() {
    let folder = tempfile::tempdir().unwrap();
    Hearts { n_training: 20, n_test: 2, seed: 1 }.write(&folder.path().join("raw")).unwrap();
    let dice = check(folder.path(), Hearts::NAME, "2d", &["--patch-size", "96,96"]);
    assert!(dice > 0.3, "Dice {dice}");
}

#[test]
fn balls_are_found_in_3d() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let dice = check(folder.path(), Balls::ISOTROPIC.name, "3d_fullres", &[]);
    assert!(dice > 0.5, "Dice {dice}");
}

#[test]
fn balls_are_found_in_thick_slices() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ANISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let dice = check(folder.path(), Balls::ANISOTROPIC.name, "3d_fullres", &[]);
    assert!(dice > 0.4, "Dice {dice}");
}
