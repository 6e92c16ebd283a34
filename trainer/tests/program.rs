//! The program on a tiny data set: what it writes, what it refuses, and its exit status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;

const JSON: &str =
    r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"square":1},"numTraining":5,"file_ending":".nii.gz"}"#;

fn raw(root: &Path) {
    let folder = root.join("raw/Dataset001_Squares");
    for sub in ["imagesTr", "labelsTr"] {
        fs_err::create_dir_all(folder.join(sub)).unwrap();
    }
    fs_err::write(folder.join("dataset.json"), JSON).unwrap();
    let geometry = || Geometry::axis_aligned([1, 32, 32], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Two);
    for case in 0..5_usize {
        let inside = |i: usize, j: usize| (8 + case..20 + case).contains(&i) && (8..20).contains(&j);
        let labels = Array3::from_shape_fn((1, 32, 32), |(_, i, j)| u8::from(inside(i, j)));
        let image = Array3::from_shape_fn((1, 32, 32), |(_, i, j)| {
            ((7 * i + 13 * j + case) % 11) as f32 + if inside(i, j) { 30.0 } else { 1.0 }
        });
        let (image, labels) =
            (Volume { voxels: image, geometry: geometry() }, Volume { voxels: labels, geometry: geometry() });
        nifti::write_map(&folder.join(format!("imagesTr/c{case}_0000.nii.gz")), &image).unwrap();
        nifti::write_labels(&folder.join(format!("labelsTr/c{case}.nii.gz")), &labels).unwrap();
    }
}

fn program(root: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unnunet-train"))
        .args(arguments.split_whitespace())
        .env("nnUNet_raw", root.join("raw"))
        .env("nnUNet_preprocessed", root.join("preprocessed"))
        .env("nnUNet_results", root.join("results"))
        .output()
        .unwrap()
}

fn check(root: &Path, arguments: &str, status: i32, message: &str) -> String {
    let output = program(root, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments}: {out}{err}");
    assert!(format!("{out}{err}").contains(message), "{arguments}: {out}{err}");
    assert!(!err.contains("panicked"), "{err}");
    out.into_owned()
}

const TRAIN: &str = "train 1 2d 0 --epochs 2 --iterations 2 --cycles 2 --checkpoints late --late 1 --threads 1";

#[test]
fn a_data_set_is_planned_preprocessed_and_trained() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    raw(root);
    let plan = "plan-and-preprocess -d 1 -c 2d --features 4 --batch-size 2";
    check(root, TRAIN, 2, "cannot look for the data set");
    check(root, plan, 0, "5 cases preprocessed, 0 already there, 0 failed");
    check(root, plan, 0, "0 cases preprocessed, 5 already there, 0 failed");
    let out = check(root, TRAIN, 0, "epoch 1/2 (cycle 1");
    assert_eq!(out.lines().count(), 2, "{out}");
    let fold = root.join("results/Dataset001_Squares/UnnunetTrainer__nnUNetPlans__2d/fold_0");
    for name in ["checkpoint_0.safetensors", "checkpoint_1.json", "checkpoint_best.json", "training.csv", "run.json"] {
        assert!(fold.join(name).is_file(), "{name}");
    }

    // The size said before is the size that was written.
    let size = fs_err::metadata(fold.join("checkpoint_0.safetensors")).unwrap().len();
    let dry = "checkpoints --dry-run 1 2d --epochs 2 --cycles 2 --late 1";
    check(root, dry, 0, &format!("2 checkpoints\t\t\t{}", 2 * size));

    check(root, TRAIN, 2, "holds a training already");
    check(root, &format!("{TRAIN} --continue --seed 3"), 2, "begun with `seed` 0, now it is 3");
    check(root, &format!("{TRAIN} --continue"), 0, "");
    check(root, &TRAIN.replace("2d 0", "2d 7"), 2, "there is no fold 7, only 5 from 0");
    check(root, &TRAIN.replace("2d", "3d_fullres"), 2, "no configuration `3d_fullres`");
    check(root, &format!("{TRAIN} --device cuda"), 2, "this version trains on the CPU only");
    check(root, &TRAIN.replace("--cycles 2", "--cycles 3"), 2, "3 cycles do not divide 2 epochs");
}

#[test]
fn a_bad_case_is_named_and_nothing_is_planned_without_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    raw(root);
    let image = root.join("raw/Dataset001_Squares/imagesTr/c3_0000.nii.gz");
    let plan = "plan-and-preprocess -d 1 -c 2d";
    let good = fs_err::read(&image).unwrap();
    fs_err::write(&image, b"not an image").unwrap();
    check(root, plan, 2, "case `c3` cannot be read");
    assert!(!root.join("preprocessed/Dataset001_Squares/nnUNetPlans.json").exists());
    fs_err::remove_file(&image).unwrap();
    fs_err::write(&image, good).unwrap();
    fs_err::remove_file(root.join("raw/Dataset001_Squares/labelsTr/c2.nii.gz")).unwrap();
    check(root, plan, 2, "case `c2` has no labels");
}

#[test]
fn a_dry_run_lists_epochs_cycles_and_rates() {
    let root = tempfile::tempdir().unwrap();
    let arguments = "checkpoints --dry-run --epochs 10 --cycles 2 --checkpoints late --late 2";
    let out = check(root.path(), arguments, 0, "epoch\tcycle\tlearning_rate\tbytes");
    assert_eq!(
        out.lines().skip(1).take(4).map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["3", "4", "8", "9"]
    );
    check(root.path(), &arguments.replace("--late 2", "--late 6"), 2, "cannot keep the last 6 epochs of cycles of 5");
    check(root.path(), &arguments.replace("late --", "no --"), 2, "invalid value 'no'");
}
