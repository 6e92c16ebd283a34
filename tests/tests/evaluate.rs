//! `unnunet evaluate` on balls that were moved, missed and left where they are.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use imaging::Volume;
use imaging::nifti;
use ndarray::{Array3, s};
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet};
use serde_json::Value;

/// Slices of 4 mm, so that a step along z shows the spacing.
const BALLS: Balls = Balls { n_training: 1, n_test: 3, ..Balls::ANISOTROPIC };

/// The data set in `folder`, and predictions: exact, one slice further, and without label 2.
fn predictions(folder: &Path) -> Command {
    let dataset = BALLS.write(folder).unwrap();
    let output = folder.join("predictions");
    fs::create_dir_all(&output).unwrap();
    for index in 1..4 {
        let (_, reference) = BALLS.draw(index);
        let voxels = match index {
            1 => reference.voxels,
            2 => one_slice_further(&reference.voxels),
            _ => reference.voxels.mapv(|label| label % 2),
        };
        let volume = Volume { voxels, geometry: reference.geometry };
        nifti::write_labels(&output.join(format!("balls_{index:03}.nii.gz")), &volume).unwrap();
    }
    let mut evaluate = unnunet();
    evaluate.arg("evaluate").arg("--reference").arg(dataset.join("labelsTs")).arg("--prediction").arg(output);
    evaluate.arg("--dataset-json").arg(dataset.join("dataset.json"));
    evaluate
}

fn one_slice_further(labels: &Array3<u8>) -> Array3<u8> {
    let mut moved = Array3::zeros(labels.dim());
    moved.slice_mut(s![1.., .., ..]).assign(&labels.slice(s![..-1, .., ..]));
    moved
}

#[test]
fn surfaces_stand_beside_the_fields_of_nnunet() {
    let folder = tempfile::tempdir().unwrap();
    let printed = succeed(predictions(folder.path()).arg("--json"));
    let text = fs::read_to_string(folder.path().join("predictions/summary.json")).unwrap();
    let [summary, printed]: [Value; 2] = [&text, &printed].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(summary, printed);
    assert_eq!(summary["surface"]["tolerance_mm"], 1.0);

    let metrics = |case: usize, label: &str| &summary["metric_per_case"][case]["metrics"][label];
    let exact = metrics(0, "1");
    assert_eq!([&exact["Dice"], &exact["HD95"], &exact["ASSD"], &exact["NSD"]], [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(exact["presence"], "both");
    let moved = metrics(1, "1");
    assert!(moved["HD95"].as_f64().unwrap() <= 4.0, "no further than the slices lie apart: {moved}");
    assert!(moved["ASSD"].as_f64().unwrap() > 0.2, "{moved}");
    let missed = metrics(2, "2");
    assert_eq!([&missed["Dice"], &missed["NSD"]], [0.0, 0.0]);
    assert!(missed["HD95"].is_null() && missed["ASSD"].is_null());
    assert_eq!(missed["presence"], "reference-only");
    assert_eq!(summary["mean"]["2"]["n_reference_only"], 1);
}

#[test]
fn a_line_per_case_and_structure_is_written_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(predictions(folder.path()).args(["--tolerance", "4"]));
    assert!(table.contains("HD95 mm") && table.contains("1 structures missed"), "{table}");
    let csv = fs::read_to_string(folder.path().join("predictions/summary.csv")).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 3 * 2);
    assert_eq!(lines[0], "case,structure,label,presence,Dice,IoU,HD95_mm,ASSD_mm,NSD,TP,FP,FN,n_pred,n_ref");
    assert!(lines[1].starts_with("balls_001,large,1,both,1,1,0,0,1,"), "{}", lines[1]);
    // One slice further is 4 mm, which is within the tolerance.
    assert!(lines[3].starts_with("balls_002,large,1,both,") && lines[3].split(',').nth(8) == Some("1"), "{}", lines[3]);
    assert!(lines[6].starts_with("balls_003,small,2,reference-only,0,0,,,0,"), "{}", lines[6]);
}

#[test]
fn a_tolerance_that_is_no_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = outcome(predictions(folder.path()).args(["--tolerance=-1"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not negative"));
    assert!(!folder.path().join("predictions/summary.json").exists());
}
