//! The program on a tiny data set: what it writes, what it refuses, and its exit status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod squares;

use std::path::Path;
use std::process::{Command, Output};

use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;

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
    squares::write(root);
    let plan = "plan-and-preprocess -d 1 -c 2d --features 4 --batch-size 2";
    check(root, TRAIN, 2, "cannot look for the data set");
    check(root, plan, 0, "5 cases preprocessed, 0 already there, 0 failed");
    check(root, plan, 0, "0 cases preprocessed, 5 already there, 0 failed");
    let out = check(root, TRAIN, 0, "epoch 1/2 (cycle 1");
    assert_eq!(out.lines().count(), 2, "{out}");
    let fold = root.join("results/Dataset001_Squares/UnnunetTrainer__nnUNetPlans__2d/fold_0");
    for name in ["checkpoint_0.safetensors", "checkpoint_1.json", "checkpoint_best.json", "progress.csv", "run.json"] {
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
    check(root, &format!("{TRAIN} --device cuda:99"), 2, "`--device cuda:99`: ");
    check(root, &TRAIN.replace("--cycles 2", "--cycles 3"), 2, "3 cycles do not divide 2 epochs");

    // What cannot be trained is refused before anything that lies there is touched.
    check(root, &format!("{TRAIN} --overwrite --memory 1"), 2, "for whole cases), found 1 MiB");
    check(root, &TRAIN.replace("--cycles 2", "--cycles 1 --overwrite --patience 2"), 2, "this schedule has only one");
    check(root, &format!("{TRAIN} --time-budget 5"), 2, "expected a whole number and its unit");
    assert!(fold.join("checkpoint_1.json").is_file());
    let run: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(fold.join("run.json")).unwrap()).unwrap();
    let origin = &run["origin"];
    assert!(origin["splits"].is_string() && origin["libtorch"] == "2.11.0" && origin["revision"].is_string(), "{run}");

    let long = TRAIN.replace("--epochs 2 --iterations 2", "--epochs 4000 --iterations 1");
    let spent = "the time budget is spent after epoch";
    check(root, &format!("{long} --overwrite --time-budget 1s"), 0, spent);
    check(root, &format!("{long} --continue --time-budget 1s"), 0, spent);
}

#[test]
fn several_devices_share_batches_and_more_than_samples_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
    check(root, "plan-and-preprocess -d 1 -c 2d --features 4 --batch-size 2", 0, "5 cases preprocessed");
    check(root, &format!("{TRAIN} --device cpu,cpu"), 0, "epoch 1/2 (cycle 1");
    let fold = root.join("results/Dataset001_Squares/UnnunetTrainer__nnUNetPlans__2d/fold_0");
    let run: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(fold.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["origin"]["devices"], serde_json::json!(["cpu", "cpu"]));
    let refused = "a batch of 2 samples cannot be shared by 3 devices";
    check(root, &format!("{TRAIN} --overwrite --device cpu,cpu,cpu"), 2, refused);
    assert!(fold.join("checkpoint_1.json").is_file(), "what lay there was touched");
    check(root, &format!("{TRAIN} --device cpu,cuda:0"), 2, "of one kind");
    // The same training may go on elsewhere.
    check(root, &format!("{TRAIN} --continue --device cpu"), 0, "");
}

#[test]
fn a_bad_case_is_named_and_nothing_is_planned_without_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
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

const NAME: &str = "Dataset001_Squares";

fn text(root: &Path, name: &str) -> String {
    fs_err::read_to_string(root.join("preprocessed").join(NAME).join(name)).unwrap()
}

#[test]
fn steps_one_by_one_do_what_all_at_once_does() {
    let (one, all) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for root in [&one, &all] {
        squares::write(root.path());
    }
    check(one.path(), "plan -d 1", 2, "run `unnunet-train fingerprint` first");
    check(one.path(), "fingerprint -d 1 --jobs 1", 0, "5 cases measured");
    check(one.path(), "preprocess -d 1", 2, "run `unnunet-train plan` first");
    let printed = check(one.path(), "plan -d 1", 0, "2d: patch [32, 32]");
    check(one.path(), "preprocess -d 1 -c 2d", 0, "5 cases preprocessed, 0 already there, 0 failed");
    check(one.path(), "preprocess -d 1 -c 3d_fullres", 2, "no configuration `3d_fullres`, only 2d");
    let all_at_once = check(all.path(), "plan-and-preprocess -d 1", 0, "5 cases preprocessed");
    assert!(all_at_once.contains(&printed), "{all_at_once}");
    for name in ["dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json", "splits_final.json"] {
        assert_eq!(text(one.path(), name), text(all.path(), name), "{name}");
    }
    check(one.path(), "plan-and-preprocess -d 1", 0, "0 cases preprocessed, 5 already there, 0 failed");
}

#[test]
fn a_fingerprint_stands_until_a_file_changes() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
    let (anew, kept) = ("cases measured", "cases unchanged, fingerprint kept");
    check(root, "fingerprint -d 1", 0, anew);
    let first = text(root, "dataset_fingerprint.json");
    check(root, "fingerprint -d 1", 0, kept);
    check(root, "plan-and-preprocess -d 1 --no-preprocess", 0, kept);
    check(root, "fingerprint -d 1 --clean", 0, anew);

    // Another image under the same name is another data set.
    let geometry = Geometry::axis_aligned([1, 32, 32], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Two);
    let image = Volume { voxels: Array3::from_shape_fn((1, 32, 32), |(_, i, j)| (i * j) as f32 + 1.0), geometry };
    nifti::write_map(&root.join("raw").join(NAME).join("imagesTr/c1_0000.nii.gz"), &image).unwrap();
    check(root, "fingerprint -d 1", 0, anew);
    assert_ne!(text(root, "dataset_fingerprint.json"), first);
    check(root, "fingerprint -d 1", 0, kept);

    // A fingerprint that this record is not of, a damaged one, and a damaged record, are made anew.
    let fingerprint = root.join("preprocessed").join(NAME).join("dataset_fingerprint.json");
    fs_err::write(&fingerprint, &first).unwrap();
    check(root, "fingerprint -d 1", 0, anew);
    fs_err::write(&fingerprint, "{").unwrap();
    check(root, "plan -d 1", 2, "is no fingerprint");
    check(root, "fingerprint -d 1", 0, anew);
    fs_err::write(fingerprint.with_file_name("dataset_fingerprint.source.json"), "[]").unwrap();
    check(root, "fingerprint -d 1", 0, anew);

    for folder in ["imagesTr/c4_0000.nii.gz", "labelsTr/c4.nii.gz"] {
        fs_err::remove_file(root.join("raw").join(NAME).join(folder)).unwrap();
    }
    check(root, "plan -d 1", 2, "was measured from 5 cases, the data set has 4");
    check(root, "fingerprint -d 1", 0, "4 cases measured");
}

#[test]
fn presets_and_options_of_the_planner_are_nnunets() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
    check(root, "fingerprint -d 1", 0, "5 cases measured");
    check(root, "plan -d 1 --planner nnUNetPlannerResEncL --features 4 --batch-size 2", 0, "2d");
    let plans = text(root, "nnUNetResEncUNetLPlans.json");
    assert!(plans.contains("ResidualEncoderUNet") && plans.contains("nnUNetPlannerResEncL"), "{plans}");
    let preset = "--plans-name nnUNetResEncUNetLPlans";
    check(root, &format!("preprocess -d 1 {preset}"), 0, "5 cases preprocessed");
    let train = TRAIN.replace("train 1", "train --plans nnUNetResEncUNetLPlans 1");
    check(root, &train, 0, "epoch 1/2 (cycle 1");

    check(root, "plan -d 1 --gpu-memory-target 4", 0, "`--plans-name` keeps both");
    check(root, "plan -d 1 --overwrite-target-spacing 999 0.5 1 --plans-name fine", 0, "spacing [0.5, 1.0]");
    assert!(text(root, "fine.json").contains("\"data_identifier\": \"fine_2d\""));
    check(root, "plan -d 1 --plans-name fine --overwrite-target-spacing 999,2,1", 0, "spacing [2.0, 1.0]");
    for (options, message) in [
        ("--planner nnUNetPlannerResEncS", "there is no planner `nnUNetPlannerResEncS`, only ExperimentPlanner"),
        ("--gpu-memory-target 0", "`gpu memory target` cannot be 0"),
        ("--gpu-memory-target 1e-9", "is too small for a network"),
        ("--overwrite-target-spacing 1 1", "takes three numbers, z y x, found [1.0, 1.0]"),
        ("--overwrite-target-spacing 1 0 1", "`target spacing` cannot be [1.0, 0.0, 1.0]"),
        ("--overwrite-target-spacing 999 100 100", "the median image would have"),
        ("--plans-name a/b", "`plans name` cannot be \"a/b\""),
    ] {
        check(root, &format!("plan -d 1 {options}"), 2, message);
    }
    check(root, "plan -d 1 --preprocessor-name Mine --plans-name other", 0, "2d: patch");
    check(
        root,
        "preprocess -d 1 --plans-name other",
        2,
        "the preprocessor `Mine`, only `DefaultPreprocessor` is known",
    );
}

#[test]
fn configurations_that_a_user_added_outlive_a_new_plan() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
    check(root, "plan-and-preprocess -d 1 --no-preprocess", 0, "5 cases measured");
    let path = root.join("preprocessed").join(NAME).join("nnUNetPlans.json");
    let mut plans: serde_json::Value = serde_json::from_str(&text(root, "nnUNetPlans.json")).unwrap();
    plans["configurations"]["mine"] = serde_json::json!({"inherits_from": "2d", "batch_size": 3});
    fs_err::write(&path, plans.to_string()).unwrap();
    check(root, "plan -d 1", 0, "mine: patch [32, 32], batch 3");
    check(root, "preprocess -d 1", 0, "2d: 5 cases preprocessed");
    check(root, "preprocess -d 1 -c mine", 0, "mine: 0 cases preprocessed, 5 already there");
    fs_err::write(&path, "{}").unwrap();
    check(root, "plan -d 1", 2, "nnUNetPlans.json` cannot be used");
}

#[test]
fn a_reader_that_turns_images_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    squares::write(root);
    let json =
        squares::JSON.replace("{\"channel", "{\"overwrite_image_reader_writer\":\"NibabelIOWithReorient\",\"channel");
    fs_err::write(root.join("raw").join(NAME).join("dataset.json"), json).unwrap();
    check(root, "fingerprint -d 1", 2, "by the reader `NibabelIOWithReorient`, which is not supported");
}
