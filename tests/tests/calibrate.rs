//! `unnunet calibrate` on balls whose predictions get worse as their scores rise.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use imaging::Volume;
use imaging::nifti;
use nnunet::calibration::{Calibration, Decision, ReducedPrecision};
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet};

const BALLS: Balls = Balls { n_training: 1, n_test: 20, ..Balls::ANISOTROPIC };

/// A finished prediction in `folder`: case `i` lost the first `i` voxels in 24 of its slices, and has the score `i`.
fn calibrate(folder: &Path) -> Command {
    let dataset = BALLS.write(folder).unwrap();
    let output = folder.join("predictions");
    predict(&output, "f32", 0);
    let mut calibrate = unnunet();
    calibrate.arg("calibrate").arg("--predictions").arg(output).arg("--reference").arg(dataset.join("labelsTs"));
    calibrate.arg("--dataset-json").arg(dataset.join("dataset.json"));
    calibrate.arg("--output").arg(folder.join("calibration.json"));
    calibrate
}

/// What `unnunet predict` leaves when `n_more` voxels in 24 are lost beside those of the case.
fn predict(output: &Path, precision: &str, n_more: usize) {
    fs::create_dir_all(output).unwrap();
    let mut scores = "case,selected_fold,score,fold_0,mean,method,disagreement,status\n".to_owned();
    for index in 1..21 {
        let (_, reference) = BALLS.draw(index);
        let mut voxels = reference.voxels;
        for ((_, y, x), label) in voxels.indexed_iter_mut() {
            if (y * 7 + x * 5) % 24 < index + n_more {
                *label = 0;
            }
        }
        let volume = Volume { voxels, geometry: reference.geometry };
        nifti::write_labels(&output.join(format!("balls_{index:03}.nii.gz")), &volume).unwrap();
        writeln!(scores, "balls_{index:03},0,{index},{index},{index},class-entropy,0,done").unwrap();
    }
    fs::write(output.join("scores.csv"), scores).unwrap();
    let report = serde_json::json!({
        "bundle": {"manifest_sha256": "ab12"}, "device": {"provider": "openvino", "precision": precision},
        "options": {"temperature": 1.0, "uncertainty": ["class-entropy"]},
    });
    fs::write(output.join("report.json"), report.to_string()).unwrap();
}

#[test]
fn a_worse_case_is_expected_to_be_worse_and_is_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = succeed(calibrate(folder.path()).args(["--risk", "0.1"]));
    assert!(printed.contains("AURC") && printed.contains("n = 20"), "{printed}");
    let text = fs::read_to_string(folder.path().join("calibration.json")).unwrap();
    let calibration = Calibration::parse(&text).unwrap();
    assert_eq!((calibration.n_fit, calibration.n_conformal), (10, 10));
    let [good, bad] = [1.0, 20.0].map(|score| calibration.expect(Some(score)));
    assert!(good.dice.unwrap() > bad.dice.unwrap() + 0.3, "{good:?} {bad:?}");
    assert_eq!([good.decision, bad.decision], [Decision::Accept, Decision::Review]);
}

#[test]
fn a_calibration_says_where_it_was_checked_below_single_precision() {
    let folder = tempfile::tempdir().unwrap();
    let also = |precision: &str, n_more: usize| {
        let other = folder.path().join(format!("{precision}-{n_more}"));
        let mut command = calibrate(folder.path());
        predict(&other, precision, n_more);
        command.arg("--also").arg(other);
        command
    };
    let checked = || {
        let text = fs::read_to_string(folder.path().join("calibration.json")).unwrap();
        Calibration::parse(&text).unwrap().checked_at
    };
    let printed = succeed(&mut also("bf16", 0));
    assert!(printed.contains("bf16       the calibration holds"), "{printed}");
    assert_eq!(checked(), [ReducedPrecision::Bf16]);
    let printed = succeed(&mut also("bf16", 2));
    assert!(printed.contains("does not hold: mean Dice is"), "{printed}");
    assert!(checked().is_empty());
    let output = outcome(&mut also("f32", 0));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("was made in single precision"));
}

#[test]
fn too_few_cases_and_missing_references_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |command: &mut Command, words: &str| {
        let output = outcome(command);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(words), "{stderr}");
        assert!(!folder.path().join("calibration.json").exists());
    };
    refuse(calibrate(folder.path()).args(["--level", "0.99"]), "20 cases");
    let mut command = calibrate(folder.path());
    fs::remove_file(folder.path().join(BALLS.name).join("labelsTs/balls_007.nii.gz")).unwrap();
    refuse(&mut command, "balls_007");

    let mut command = calibrate(folder.path());
    let path = folder.path().join("predictions/report.json");
    let report = fs::read_to_string(&path).unwrap();
    fs::write(&path, report.replacen('{', r#"{"deviation": "a calibration is of predictions with mirroring","#, 1))
        .unwrap();
    refuse(&mut command, "report.json`: a calibration is of predictions with mirroring");
}
