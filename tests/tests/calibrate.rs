//! `unnunet calibrate` on balls whose predictions get worse as their scores rise.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use imaging::Volume;
use imaging::nifti;
use nnunet::calibration::{Calibration, Decision};
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet};

const BALLS: Balls = Balls { n_training: 1, n_test: 20, ..Balls::ANISOTROPIC };

/// A finished prediction in `folder`: case `i` lost the first `i` voxels in 24 of its slices, and has the score `i`.
fn calibrate(folder: &Path) -> Command {
    let dataset = BALLS.write(folder).unwrap();
    let output = folder.join("predictions");
    fs::create_dir_all(&output).unwrap();
    let mut scores = "case,selected_fold,score,fold_0,mean,method,disagreement,status\n".to_owned();
    for index in 1..21 {
        let (_, reference) = BALLS.draw(index);
        let mut voxels = reference.voxels;
        for ((_, y, x), label) in voxels.indexed_iter_mut() {
            if (y * 7 + x * 5) % 24 < index {
                *label = 0;
            }
        }
        let volume = Volume { voxels, geometry: reference.geometry };
        nifti::write_labels(&output.join(format!("balls_{index:03}.nii.gz")), &volume).unwrap();
        writeln!(scores, "balls_{index:03},0,{index},{index},{index},class-entropy,0,done").unwrap();
    }
    fs::write(output.join("scores.csv"), scores).unwrap();
    fs::write(output.join("report.json"), r#"{"options":{"temperature":1.0,"uncertainty":["class-entropy"]}}"#)
        .unwrap();
    let mut calibrate = unnunet();
    calibrate.arg("calibrate").arg("--predictions").arg(output).arg("--reference").arg(dataset.join("labelsTs"));
    calibrate.arg("--dataset-json").arg(dataset.join("dataset.json"));
    calibrate.arg("--output").arg(folder.join("calibration.json"));
    calibrate
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
}
