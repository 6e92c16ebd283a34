//! `unnunet score` on folders of probabilities: the reference program's numbers, and what is wrong with a folder.
//!
//! `golden/score/generate.py` says how the folders and the reference's tables were made.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use imaging::npz;
use ndarray::Array4;
use serde_json::Value;
use tempfile::TempDir;

/// Some cases failed, the others are done.
const SOME_FAILED: i32 = 1;
/// The program could not run.
const COULD_NOT_RUN: i32 = 2;
/// Probabilities are `f32`, sums `f64`, maps `f32`: DESIGN.md's tolerance.
const RELATIVE: f64 = 1e-6;

const ALL: &str = "class-entropy,total-entropy,mutual-information,t-test,pairwise-dice";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/score").join(name)
}

fn score(probabilities: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unnunet"));
    command.arg("score").arg("--probabilities").arg(probabilities);
    command
}

fn run(command: &mut Command, status: i32) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{command:?}\n{stderr}");
    output
}

/// Asserts that the command cannot run and says so in these words.
fn check_refused(command: &mut Command, words: &[&str]) {
    let stderr = String::from_utf8(run(command, COULD_NOT_RUN).stderr).unwrap();
    for word in words {
        assert!(stderr.contains(word), "{command:?} does not name `{word}`\n{stderr}");
    }
}

/// Rows of a table, as column → field.
fn rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv);
    reader.deserialize().map(Result::unwrap).collect()
}

/// Asserts that two scores are equal, or both undefined.
#[track_caller]
fn check_equal(what: &str, found: &str, expected: &str) {
    if expected.is_empty() || found.is_empty() {
        assert_eq!(found, expected, "{what}");
        return;
    }
    let (found, expected): (f64, f64) = (found.parse().unwrap(), expected.parse().unwrap());
    assert!((found - expected).abs() <= RELATIVE * expected.abs(), "{what}: {found}, expected {expected}");
}

/// Asserts that all scores of a golden folder are the reference's; returns how many were compared.
fn check_design(name: &str) -> usize {
    let found = rows(&run(score(&golden(name)).args(["--uncertainty", ALL]), 0).stdout);
    let expected = rows(&fs::read(golden(&format!("{name}.csv"))).unwrap());
    assert_eq!(found.len(), 5 * expected.len());
    let mut n_compared = 0;
    for row in &found {
        let (case, method) = (&row["case"], &row["method"]);
        let reference = expected.iter().find(|reference| reference["case"] == *case).unwrap();
        assert_eq!((&row["members"], row["status"].as_str()), (&reference["members"], "done"));
        check_equal(&format!("{case} {method}"), &row["score"], &reference[method]);
        for (column, found) in row.iter().filter_map(|(column, found)| Some((column.strip_prefix("score[")?, found))) {
            if let Some(expected) = reference.get(&format!("{method}[{column}")) {
                check_equal(&format!("{case} {method}[{column}"), found, expected);
                n_compared += 1;
            }
        }
        n_compared += 1;
    }
    n_compared
}

#[test]
fn design_scores_equal_the_reference_programs() {
    // Five methods; class entropy and pairwise Dice per structure.
    assert_eq!(check_design("two_classes"), 4 * (5 + 2));
    assert_eq!(check_design("volume"), 2 * (5 + 6));
    assert_eq!(check_design("many"), 5 + 4);
}

#[test]
fn unnunet_scores_equal_the_reference_programs_unnunet_columns() {
    let methods = "class-entropy,total-entropy,t-test";
    let mut command = score(&golden("two_classes"));
    let found = rows(&run(command.args(["--scores", "unnunet", "--uncertainty", methods]), 0).stdout);
    let expected = rows(&fs::read(golden("two_classes.csv")).unwrap());
    assert_eq!(found.len(), 3 * expected.len());
    for row in found {
        let (case, method) = (&row["case"], &row["method"]);
        let reference = expected.iter().find(|reference| reference["case"] == *case).unwrap();
        let column = format!("unnunet_{}", method.replace('-', "_"));
        check_equal(&format!("{case} {column}"), &row["score"], &reference[&column]);
    }
}

#[test]
fn the_number_of_jobs_and_the_order_of_members_change_nothing_but_rounding() {
    let all = rows(&run(score(&golden("volume")).args(["--uncertainty", ALL]), 0).stdout);
    let mut reversed = Command::new(env!("CARGO_BIN_EXE_unnunet"));
    reversed.args(["score", "--jobs", "1", "--uncertainty", ALL, "--probabilities"]);
    for member in (0..4).rev() {
        reversed.arg(golden("volume").join(format!("checkpoint_{member:02}")));
    }
    for (a, b) in all.iter().zip(rows(&run(&mut reversed, 0).stdout)) {
        a.iter().filter(|(column, _)| column.starts_with("score")).for_each(|(column, a)| {
            check_equal(column, &b[column], a);
        });
    }
}

#[test]
fn maps_have_the_sums_that_scores_are_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = score(&golden("two_classes"));
    run(command.args(["--uncertainty", ALL, "--save-maps"]).arg(folder.path()), 0);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let bytes = fs::read(folder.path().join("ball.npz")).unwrap();
    for name in ["class-entropy.npy", "t-test.npy"] {
        assert!(bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
    assert!(!bytes.windows(13).any(|window| window == b"pairwise-dice"), "a method without map has none");
}

/// Folders of two members, each with the cases `a` and `b` of two voxels.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        for member in ["0", "1"] {
            desk.write(member, "a", &[0.75, 0.25, 0.25, 0.75], 2);
            desk.write(member, "b", &[0.75, 0.25, 0.25, 0.75], 2);
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn probabilities(&self) -> PathBuf {
        self.path("run")
    }

    fn file(&self, member: &str, case: &str) -> PathBuf {
        self.probabilities().join(member).join(format!("{case}.npz"))
    }

    /// Writes probabilities of so many classes in a row of voxels.
    fn write(&self, member: &str, case: &str, values: &[f32], n_classes: usize) {
        let path = self.file(member, case);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let shape = (n_classes, 1, 1, values.len() / n_classes);
        npz::write(&path, "probabilities", &Array4::from_shape_vec(shape, values.to_vec()).unwrap()).unwrap();
    }

    /// Asserts that case `a` fails with these words, and `b` is scored.
    fn check_a_fails(&self, words: &[&str]) {
        let output = self.path("scores.csv");
        let mut command = score(&self.probabilities());
        let done = run(command.arg("--output").arg(&output).arg("--json"), SOME_FAILED);
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(stderr.starts_with("error: case `a` failed\n"), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "no `{word}` in\n{stderr}");
        }
        let rows = rows(&fs::read(&output).unwrap());
        let status: Vec<_> = rows.iter().map(|row| (row["case"].as_str(), row["status"].as_str())).collect();
        assert_eq!(status, [("a", "failed"), ("b", "done")]);
        let lines: Vec<Value> =
            String::from_utf8(done.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["status"], &lines[1]["status"]), (&"failed".into(), &"done".into()));
        assert!(!lines[0]["error"].as_array().unwrap().is_empty());
        assert_eq!(lines[1]["members"], 2);
    }
}

#[test]
fn a_case_that_one_member_lacks_fails_alone() {
    let desk = Desk::new();
    fs::remove_file(desk.file("1", "a")).unwrap();
    desk.check_a_fails(&["has no `a.npz`"]);
}

#[test]
fn a_truncated_file_fails_alone() {
    let desk = Desk::new();
    let path = desk.file("1", "a");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    desk.check_a_fails(&["cannot read `", "1/a.npz"]);
}

#[test]
fn members_of_different_shape_fail_alone() {
    let desk = Desk::new();
    desk.write("1", "a", &[0.75, 0.25, 0.5, 0.25, 0.75, 0.5], 2);
    desk.check_a_fails(&["1/a.npz` has shape [2, 1, 1, 3], the members before [2, 1, 1, 2]"]);
}

#[test]
fn what_is_no_probability_fails_alone() {
    for (values, words) in [
        ([0.75, f32::NAN, 0.25, 0.75], "has the value NaN, which is no probability"),
        ([2.75, 0.25, -1.75, 0.75], "which is no probability"),
        ([0.75, 0.75, 0.25, 0.75], "sum to 1.5, not 1"),
    ] {
        let desk = Desk::new();
        desk.write("1", "a", &values, 2);
        desk.check_a_fails(&["1/a.npz", words]);
    }
}

#[test]
fn what_cannot_be_scored_at_all_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let output = desk.path("scores.csv");
    let start = || {
        let mut command = score(&desk.probabilities());
        command.arg("--output").arg(&output);
        command
    };
    check_refused(&mut score(&desk.path("nowhere")), &["nowhere"]);
    check_refused(&mut score(desk.folder.path()), &["neither", ".npz"]);
    check_refused(start().args(["--uncertainty", "guess"]), &["guess", "pairwise-dice"]);
    check_refused(
        start().args(["--scores", "unnunet", "--uncertainty", "pairwise-dice"]),
        &["UnnUNet has no `pairwise-dice`"],
    );
    let one_member = desk.probabilities().join("0");
    for method in ["t-test", "pairwise-dice"] {
        let words = format!("`{method}` needs at least 2 members, found 1");
        check_refused(score(&one_member).args(["--uncertainty", method]), &[&words]);
    }
    assert!(!output.exists());
}

#[test]
fn volumes_and_more_classes_have_no_unnunet_scores() {
    let desk = Desk::new();
    let thirds = [0.5, 0.25, 0.25, 0.5, 0.25, 0.25];
    for member in ["0", "1"] {
        desk.write(member, "a", &thirds, 3);
    }
    let mut command = score(&desk.probabilities());
    let stderr = run(command.args(["--scores", "unnunet"]), SOME_FAILED).stderr;
    assert!(String::from_utf8(stderr).unwrap().contains("two classes in one slice, found shape [3, 1, 1, 2]"));
}

#[test]
fn a_data_set_names_structures_and_says_what_regions_are() {
    let desk = Desk::new();
    let json = desk.path("dataset.json");
    let write = |labels: &str| {
        let rest = r#""channel_names":{"0":"MRI"},"regions_class_order":[1,2],"file_ending":".nii.gz""#;
        fs::write(&json, format!(r#"{{"labels":{labels},{rest}}}"#)).unwrap();
    };
    let score = || {
        let mut command = score(&desk.probabilities());
        command.arg("--dataset-json").arg(&json);
        command
    };
    write(r#"{"background":0,"heart":1}"#);
    let rows = rows(&run(&mut score(), 0).stdout);
    // One voxel of heart beside one of contour, each a quarter undecided.
    let bits = -(0.25 * 0.25_f64.log2() + 0.75 * 0.75_f64.log2());
    check_equal("score[heart]", &rows[0]["score[heart]"], &(2.0 * bits).to_string());
    write(r#"{"background":0,"heart":1,"lung":2}"#);
    let stderr = run(&mut score(), SOME_FAILED).stderr;
    assert!(String::from_utf8(stderr).unwrap().contains("2 classes or regions, the data set's labels make 3"));
    write(r#"{"background":0,"whole":[1,2],"core":[2]}"#);
    run(score().args(["--uncertainty", ALL]), 0);
    check_refused(score().args(["--scores", "unnunet"]), &["the data set has regions"]);
}
