//! `verify-dataset`: one broken data set per kind of problem, and the program as a user starts it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;
use nnunet::dataset::{CaseId, LabelRule};
use nnunet::dataset_check::{Problem, Severity};
use nnunet::listed_cases::ListedError;
use serde_json::{Value, json};
use tempfile::TempDir;
use trainer::dataset_check::Survey;

const SHAPE: (usize, usize, usize) = (2, 3, 4);
const ZYX: [f64; 3] = [3.0, 1.0, 1.0];

/// A raw data set of two cases `a` and `b` of two channels.
struct Fixture {
    root: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["imagesTr", "labelsTr"] {
            fs_err::create_dir_all(fixture.path(folder)).unwrap();
        }
        fixture.describe(&|_| {});
        for (number, case) in (0_u8..).zip(["a", "b"]) {
            for channel in 0..2_u8 {
                let offset = f32::from(100 * number + 50 * channel);
                fixture.image(&format!("imagesTr/{case}_000{channel}.nii.gz"), ZYX, |index| index as f32 + offset);
            }
            fixture.labels(&format!("labelsTr/{case}.nii.gz"), SHAPE, |index| u8::from(index > 9));
        }
        fixture
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("Dataset001_Fixture")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder().join(file)
    }

    /// Writes `dataset.json` as `change` leaves it.
    fn describe(&self, change: &dyn Fn(&mut Value)) {
        let mut json = json!({
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "left": 1, "right": 2},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        });
        change(&mut json);
        fs_err::write(self.path("dataset.json"), json.to_string()).unwrap();
    }

    fn image(&self, file: &str, zyx: [f64; 3], value: impl Fn(usize) -> f32) {
        let geometry = geometry(SHAPE, zyx);
        let voxels = Array3::from_shape_vec(SHAPE, (0..24).map(value).collect()).unwrap();
        nifti::write_map(&self.path(file), &Volume { voxels, geometry }).unwrap();
    }

    fn labels(&self, file: &str, shape: (usize, usize, usize), value: impl Fn(u8) -> u8) {
        let values = (0..).take(shape.0 * shape.1 * shape.2).map(value);
        let voxels = Array3::from_shape_vec(shape, values.collect()).unwrap();
        nifti::write_labels(&self.path(file), &Volume { voxels, geometry: geometry(shape, ZYX) }).unwrap();
    }

    fn problems(&self) -> Vec<Problem> {
        Survey::of(&self.folder()).unwrap().finish(&|| {})
    }

    fn remove(&self, file: &str) {
        fs_err::remove_file(self.path(file)).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        fs_err::copy(self.path(from), self.path(to)).unwrap();
    }
}

fn geometry((z, y, x): (usize, usize, usize), zyx: [f64; 3]) -> Geometry {
    Geometry::axis_aligned([z, y, x], Spacing::new(zyx).unwrap(), Dimensionality::Three)
}

/// Breaks a sound data set and expects exactly these problems.
fn check(breaking: impl FnOnce(&Fixture), expected: &[Problem]) {
    let fixture = Fixture::new();
    breaking(&fixture);
    assert_eq!(fixture.problems(), expected);
}

fn case(name: &str) -> CaseId {
    CaseId::new(name).unwrap()
}

#[test]
fn a_sound_data_set_has_no_problem() {
    check(|_| {}, &[]);
}

#[test]
fn dataset_json_problems_are_found() {
    check(|f| f.remove("dataset.json"), &[Problem::MissingFile { file: "dataset.json".into() }]);
    let latin = |f: &Fixture| fs_err::write(f.path("dataset.json"), b"\xe9").unwrap();
    let found = {
        let fixture = Fixture::new();
        latin(&fixture);
        fixture.problems()
    };
    assert!(matches!(found[..], [Problem::Json { .. }]), "{found:?}");
    let label = Problem::Label { label: "right".into(), found: "3".into(), rule: LabelRule::Gap };
    check(|f| f.describe(&|json| json["labels"]["right"] = 3.into()), &[label]);
    let count = Problem::CaseCount { found: 2, expected: 3 };
    check(|f| f.describe(&|json| json["numTraining"] = 3.into()), &[count]);
    let missing = Problem::MissingKey { key: "file_ending", instead: None };
    check(|f| f.describe(&|json| drop(json.as_object_mut().unwrap().remove("file_ending"))), &[missing]);
    let value = Problem::Value { field: "numTraining".into(), found: "\"2\"".into(), expected: "a whole number" };
    check(|f| f.describe(&|json| json["numTraining"] = "2".into()), &[value]);
}

#[test]
fn missing_files_and_folders_are_found() {
    let file = "imagesTr/b_0001.nii.gz";
    let channel = Problem::MissingChannel { file: file.into(), case: case("b"), channel: 1, expected: 2 };
    check(|f| f.remove(file), &[channel]);
    let file = "labelsTr/a.nii.gz";
    check(|f| f.remove(file), &[Problem::MissingLabels { file: file.into(), case: case("a") }]);
    let labels = |name: &str| Problem::MissingLabels { file: format!("labelsTr/{name}.nii.gz"), case: case(name) };
    let folder = Problem::MissingFolder { folder: "labelsTr".into() };
    check(|f| fs_err::remove_dir_all(f.path("labelsTr")).unwrap(), &[folder, labels("a"), labels("b")]);
    let none = Problem::NoCases { folder: "imagesTr".into(), ending: ".nii".into() };
    let found = {
        let fixture = Fixture::new();
        fixture.describe(&|json| json["file_ending"] = ".nii".into());
        fixture.problems()
    };
    assert!(found.contains(&none), "{found:?}");
    assert_eq!(found.iter().filter(|problem| matches!(problem, Problem::Stray { .. })).count(), 6);
}

#[test]
fn extra_files_are_found() {
    let file = "imagesTr/a_0002.nii.gz";
    let extra = Problem::ExtraChannel { file: file.into(), channel: 2, expected: 2 };
    check(|f| f.image(file, ZYX, |_| 7.0), &[extra]);
    let file = "labelsTr/c.nii.gz";
    let orphan = Problem::LabelsWithoutImage { file: file.into(), case: case("c") };
    check(|f| f.labels(file, SHAPE, |_| 1), &[orphan]);
    let stray = Problem::Stray { file: "imagesTr/a_0000.nii".into(), ending: ".nii.gz".into() };
    check(|f| f.copy("imagesTr/a_0000.nii.gz", "imagesTr/a_0000.nii"), std::slice::from_ref(&stray));
    assert_eq!(stray.severity(), Severity::Warning);
    let number = Problem::ChannelNumber { file: "imagesTr/a.nii.gz".into(), ending: ".nii.gz".into() };
    check(|f| f.copy("imagesTr/a_0000.nii.gz", "imagesTr/a.nii.gz"), &[number]);
    let name = Problem::CaseName { file: "imagesTr/_0000.nii.gz".into() };
    check(|f| f.copy("imagesTr/a_0000.nii.gz", "imagesTr/_0000.nii.gz"), &[name]);
}

#[test]
fn files_that_cannot_be_read_are_found() {
    let file = "imagesTr/a_0001.nii.gz";
    check(|f| fs_err::write(f.path(file), "").unwrap(), &[Problem::EmptyFile { file: file.into() }]);
    let fixture = Fixture::new();
    let whole = fs_err::read(fixture.path(file)).unwrap();
    for bytes in [&b"no image at all"[..], &whole[..whole.len() - 10]] {
        fs_err::write(fixture.path(file), bytes).unwrap();
        let found = fixture.problems();
        assert!(matches!(&found[..], [Problem::Unreadable { file: found, .. }] if found == file), "{found:?}");
    }
}

#[test]
fn grids_that_differ_are_found() {
    let file = "labelsTr/a.nii.gz";
    let of = || "imagesTr/a_0000.nii.gz".to_owned();
    let shape = Problem::Shape { file: file.into(), found: vec![2, 4, 3], expected: vec![2, 3, 4], of: of() };
    check(|f| f.labels(file, (2, 4, 3), |index| u8::from(index > 9)), &[shape]);
    let file = "imagesTr/a_0001.nii.gz";
    let (found, expected) = (vec![3.25, 1.0, 1.0], ZYX.to_vec());
    let spacing = Problem::Spacing { file: file.into(), found, expected, of: of(), severity: Severity::Error };
    let (found_mm, expected_mm) = (0.25, 0.01);
    let affine = Problem::Affine { file: file.into(), found_mm, expected_mm, of: of(), severity: Severity::Error };
    check(|f| f.image(file, [3.25, 1.0, 1.0], |index| -(index as f32)), &[spacing, affine]);
}

#[test]
fn voxels_that_cannot_be_used_are_found() {
    let file = "imagesTr/b_0000.nii.gz";
    let value = |index| match index {
        13 => f32::NAN,
        20 => f32::NEG_INFINITY,
        index => index as f32,
    };
    let not_finite = Problem::NotFinite { file: file.into(), n_nan: 1, n_infinite: 1, first: [1, 0, 1] };
    check(|f| f.image(file, ZYX, value), &[not_finite]);
    let file = "labelsTr/b.nii.gz";
    let unknown = |found: &[f64], n_voxels| {
        let (found, expected) = (found.to_vec(), vec![0, 1, 2]);
        Problem::UnknownLabels { file: file.into(), found, n_voxels, expected }
    };
    check(|f| f.labels(file, SHAPE, |index| index / 4), &[unknown(&[3.0, 4.0, 5.0], 12)]);
    check(
        |f| f.image(file, ZYX, |index| index as f32 / 2.0 - 0.5),
        &[unknown(
            &[
                3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5,
                10.5,
            ],
            21,
        )],
    );
    let empty = Problem::OnlyBackground { file: file.into() };
    check(|f| f.labels(file, SHAPE, |_| 0), &[empty]);
}

#[test]
fn what_is_there_twice_is_found_by_its_voxels() {
    // Written as bytes, so that the files differ.
    let twice = |f: &Fixture| f.labels("imagesTr/b_0000.nii.gz", SHAPE, |index| index);
    let (file, of) = ("imagesTr/b_0000.nii.gz".to_owned(), "imagesTr/a_0000.nii.gz".to_owned());
    let image = Problem::DuplicateImage { file: file.clone(), of };
    assert_eq!(image.severity(), Severity::Warning);
    check(twice, &[image]);
    let case_twice = Problem::DuplicateCase { file, case: case("b"), of: case("a") };
    let both = |f: &Fixture| {
        twice(f);
        f.copy("imagesTr/a_0001.nii.gz", "imagesTr/b_0001.nii.gz");
    };
    check(both, &[case_twice]);
}

#[test]
#[cfg(unix)]
fn links_are_found() {
    use fs_err::os::unix::fs::symlink;
    let file = "imagesTr/a_0000.nii.gz";
    let fixture = Fixture::new();
    let elsewhere = fixture.root.path().join("elsewhere.nii.gz");
    fs_err::rename(fixture.path(file), &elsewhere).unwrap();
    symlink(&elsewhere, fixture.path(file)).unwrap();
    let target = fs_err::canonicalize(&elsewhere).unwrap().display().to_string();
    let out = Problem::LinkOut { file: file.into(), target };
    assert_eq!(out.severity(), Severity::Warning);
    assert_eq!(fixture.problems(), [out]);
    fs_err::remove_file(&elsewhere).unwrap();
    assert_eq!(fixture.problems(), [Problem::BrokenLink { file: file.into() }]);
}

#[test]
fn listed_cases_are_checked_where_they_are_listed() {
    let entry = |case: &str| {
        let images: Vec<_> = (0..2).map(|channel| format!("imagesTr/{case}_000{channel}.nii.gz")).collect();
        json!({"images": images, "label": format!("labelsTr/{case}.nii.gz")})
    };
    let listed = |f: &Fixture, change: &dyn Fn(&mut Value)| {
        f.describe(&|json| {
            json["dataset"] = json!({"a": entry("a"), "b": entry("b")});
            change(&mut json["dataset"]);
        });
    };
    check(|f| listed(f, &|_| {}), &[]);
    let path = "../b.nii.gz".to_owned();
    let outside = Problem::Listed { reason: ListedError::Outside { case: case("b"), path } };
    let count = Problem::CaseCount { found: 1, expected: 2 };
    check(|f| listed(f, &|cases| cases["b"]["label"] = "../b.nii.gz".into()), &[outside, count]);
    let missing = Problem::MissingLabels { file: "labelsTr/none.nii.gz".into(), case: case("b") };
    check(|f| listed(f, &|cases| cases["b"]["label"] = "labelsTr/none.nii.gz".into()), &[missing]);
    let n_channels = Problem::ChannelCount { case: case("b"), found: 1, expected: 2 };
    let first = json!(["imagesTr/b_0000.nii.gz"]);
    check(|f| listed(f, &|cases| cases["b"]["images"] = first.clone()), &[n_channels]);
    let file = "imagesTr/a_0000.nii.gz".to_owned();
    let twice = Problem::DuplicateCase { file, case: case("b"), of: case("a") };
    check(|f| listed(f, &|cases| cases["b"] = cases["a"].clone()), &[twice]);
}

#[test]
fn splits_that_do_not_fit_are_found() {
    let fixture = Fixture::new();
    fs_err::write(fixture.path("splits_final.json"), r#"[{"train":["a"],"val":["c"]}]"#).unwrap();
    let found = fixture.problems();
    assert!(matches!(&found[..], [Problem::Splits { reason }] if reason.contains("case `c`")), "{found:?}");
}

/// Every file below `folder` with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs_err::read(&path).unwrap());
        }
    }
    files
}

/// Runs the program on a fixture; it must end with `status`, leave every file as it is, and write nothing else.
fn program(fixture: &Fixture, arguments: &str, status: i32) -> (String, String) {
    let before = content(fixture.root.path());
    let output = Command::new(env!("CARGO_BIN_EXE_unnunet-train"))
        .args(arguments.split_whitespace())
        .env("nnUNet_raw", fixture.root.path())
        .env("nnUNet_preprocessed", fixture.root.path().join("preprocessed"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    assert_eq!(content(fixture.root.path()), before);
    (out, err)
}

#[test]
fn the_program_lists_every_problem_and_writes_nothing() {
    let fixture = Fixture::new();
    let (out, err) = program(&fixture, "verify-dataset -d 1", 0);
    assert_eq!((out.as_str(), err.as_str()), ("Dataset001_Fixture: 2 cases, 0 errors, 0 warnings\n", ""));

    fixture.labels("labelsTr/a.nii.gz", SHAPE, |index| if index == 5 { 7 } else { 1 });
    fixture.labels("labelsTr/b.nii.gz", SHAPE, |_| 0);
    fixture.remove("imagesTr/b_0001.nii.gz");
    let (out, err) = program(&fixture, "verify-dataset -d 1", 1);
    let expected = "\
Dataset001_Fixture: error: `imagesTr/b_0001.nii.gz`: channel 0001 of case `b` not found; `channel_names` names 2
Dataset001_Fixture: error: `labelsTr/a.nii.gz`: labels: found 7 in 1 voxels, expected one of [0, 1, 2]
Dataset001_Fixture: warning: `labelsTr/b.nii.gz`: labels: found only background, expected some foreground
Dataset001_Fixture: 2 cases, 2 errors, 1 warnings
";
    assert_eq!((out.as_str(), err.as_str()), (expected, ""));

    let (out, _) = program(&fixture, "verify-dataset -d 1 --json", 1);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let label = json!({
        "dataset": "Dataset001_Fixture", "severity": "error", "kind": "unknown-labels",
        "message": "`labelsTr/a.nii.gz`: labels: found 7 in 1 voxels, expected one of [0, 1, 2]",
        "file": "labelsTr/a.nii.gz", "found": [7.0], "n_voxels": 1, "expected": [0, 1, 2],
    });
    assert_eq!(lines[1], label);
    let summary =
        json!({"dataset": "Dataset001_Fixture", "kind": "summary", "n_cases": 2, "n_errors": 2, "n_warnings": 1});
    assert_eq!(lines[3], summary);
    assert_eq!(lines.len(), 4);
}

#[test]
fn warnings_alone_leave_the_exit_status_zero() {
    let fixture = Fixture::new();
    fixture.labels("labelsTr/b.nii.gz", SHAPE, |_| 0);
    let (out, _) = program(&fixture, "verify-dataset -d 1", 0);
    assert!(out.ends_with("2 cases, 0 errors, 1 warnings\n"), "{out}");
}

#[test]
fn what_cannot_be_checked_ends_with_two() {
    let fixture = Fixture::new();
    let (out, err) = program(&fixture, "verify-dataset -d 7", 2);
    assert_eq!(out, "");
    assert!(err.contains("no data set `Dataset007_…`"), "{err}");
    program(&fixture, "verify-dataset", 2);
}

#[test]
fn planning_stops_at_a_data_set_with_errors_before_anything_is_computed() {
    let fixture = Fixture::new();
    fixture.labels("labelsTr/a.nii.gz", SHAPE, |_| 9);
    let (out, err) = program(&fixture, "plan-and-preprocess -d 1 --verify-dataset-integrity", 2);
    assert!(out.contains("labelsTr/a.nii.gz`: labels: found 9"), "{out}");
    assert!(err.contains("has 1 errors; nothing was computed"), "{err}");
}

#[test]
fn splits_by_group_are_refused_before_anything_is_computed() {
    let fixture = Fixture::new();
    let plan = "plan-and-preprocess -d 1 --group-by";
    let (_, err) = program(&fixture, &format!("{plan} ^(.)"), 2);
    assert!(err.contains("`^(.)` makes 2 groups of the cases, 5 folds need at least 5"), "{err}");
    let (_, err) = program(&fixture, &format!("{plan} ^a"), 2);
    assert!(err.contains("case `b` has no group: `^a` does not match it"), "{err}");
    let (_, err) = program(&fixture, &format!("{plan} ("), 2);
    assert!(err.contains("`(` is no regular expression"), "{err}");
}
