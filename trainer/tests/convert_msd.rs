//! `convert-msd`: a task of the decathlon becomes a raw data set, whole or not at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use imaging::nifti;
use imaging::{Dimensionality, Geometry, Spacing, Volume};
use ndarray::Array3;
use serde_json::{Value, json};
use tempfile::TempDir;

const SHAPE: (usize, usize, usize) = (2, 3, 4);

struct Fixture {
    root: TempDir,
}

impl Fixture {
    /// A task of two training cases `a`, `b` and a test case `t`, two channels each, shorts.
    fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["imagesTr", "imagesTs", "labelsTr"] {
            fs_err::create_dir_all(fixture.task(folder)).unwrap();
        }
        let json = json!({
            "name": "Fixture", "modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "gland"},
            "numTraining": 2, "numTest": 1, "training": [], "test": [],
        });
        fs_err::write(fixture.task("dataset.json"), json.to_string()).unwrap();
        for (file, first) in [("imagesTr/a", 0), ("imagesTr/b", 100), ("imagesTs/t", 200)] {
            fs_err::write(fixture.task(&format!("{file}.nii.gz")), volumes(first, 2)).unwrap();
        }
        for case in ["a", "b"] {
            let spacing = Spacing::new([1.0; 3]).unwrap();
            let geometry = Geometry::axis_aligned([2, 3, 4], spacing, Dimensionality::Three);
            let voxels = Array3::from_elem(SHAPE, 1);
            let path = fixture.task(&format!("labelsTr/{case}.nii.gz"));
            nifti::write_labels(&path, &Volume { voxels, geometry }).unwrap();
        }
        for file in ["imagesTr/._a.nii.gz", "imagesTr/_b.nii.gz", "labelsTr/._a.nii.gz", "imagesTr/notes.txt"] {
            fs_err::write(fixture.task(file), "not an image").unwrap();
        }
        fixture
    }

    fn task(&self, file: &str) -> PathBuf {
        self.root.path().join("Task05_Fixture").join(file)
    }

    fn raw(&self, file: &str) -> PathBuf {
        self.root.path().join("raw/Dataset005_Fixture").join(file)
    }

    /// Runs the program; returns stdout and stderr.
    fn convert(&self, more: &[&str], status: i32) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_unnunet-train"))
            .args(["convert-msd", "-i"])
            .arg(self.task(""))
            .arg("--raw")
            .arg(self.root.path().join("raw"))
            .args(more)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{out}{err}");
        (out, err)
    }
}

/// A NIfTI-1 file of `n` volumes of shorts, counting on from `first`. It is not compressed: readers tell by content.
fn volumes(first: i16, n: i16) -> Vec<u8> {
    let mut bytes = vec![0; 352];
    let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
    put(0, &348_i32.to_le_bytes());
    for (index, extent) in [4, 4, 3, 2, n, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * index, &extent.to_le_bytes());
    }
    put(70, &4_i16.to_le_bytes());
    put(72, &16_i16.to_le_bytes());
    for index in 0..8 {
        put(76 + 4 * index, &1_f32.to_le_bytes());
    }
    put(108, &352_f32.to_le_bytes());
    put(344, b"n+1\0");
    bytes.extend((first..first + 24 * n).flat_map(i16::to_le_bytes));
    bytes
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that a channel counts on from `first` and is stored as shorts.
fn check(path: &Path, first: usize) {
    let image = nifti::read_image(&[path]).unwrap();
    let expected: Vec<_> = (first..first + 24).map(|value| value as f32).collect();
    assert_eq!(image.voxels.as_slice().unwrap(), expected, "{}", path.display());
}

#[test]
fn a_task_becomes_a_raw_data_set() {
    let fixture = Fixture::new();
    let (out, _) = fixture.convert(&[], 0);
    assert_eq!(out, "Dataset005_Fixture: 5 files converted, 0 already there, 0 failed\n");
    let images = ["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"];
    assert_eq!(names(&fixture.raw("imagesTr")), images);
    assert_eq!(names(&fixture.raw("imagesTs")), ["t_0000.nii.gz", "t_0001.nii.gz"]);
    assert_eq!(names(&fixture.raw("labelsTr")), ["a.nii.gz", "b.nii.gz"]);
    check(&fixture.raw("imagesTr/a_0001.nii.gz"), 24);
    check(&fixture.raw("imagesTs/t_0000.nii.gz"), 200);
    let label = |folder: PathBuf| fs_err::read(folder.join("a.nii.gz")).unwrap();
    assert_eq!(label(fixture.raw("labelsTr")), label(fixture.task("labelsTr")));
    let json: Value = serde_json::from_slice(&fs_err::read(fixture.raw("dataset.json")).unwrap()).unwrap();
    let expected = json!({
        "name": "Fixture", "labels": {"background": 0, "gland": 1}, "numTraining": 2, "numTest": 1,
        "file_ending": ".nii.gz", "channel_names": {"0": "T2", "1": "ADC"},
    });
    assert_eq!(json, expected);

    let verify = Command::new(env!("CARGO_BIN_EXE_unnunet-train"))
        .args(["verify-dataset", "-d", "5", "--raw"])
        .arg(fixture.root.path().join("raw"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&verify.stdout), "Dataset005_Fixture: 2 cases, 0 errors, 0 warnings\n");
}

#[test]
fn an_interrupted_conversion_goes_on_where_it_was() {
    let fixture = Fixture::new();
    fixture.convert(&[], 0);
    assert!(fixture.convert(&[], 0).0.contains("0 files converted, 5 already there"));
    fs_err::remove_file(fixture.raw("imagesTr/b_0001.nii.gz")).unwrap();
    fs_err::remove_file(fixture.raw("dataset.json")).unwrap();
    assert!(fixture.convert(&[], 0).0.contains("1 files converted, 4 already there"));
    check(&fixture.raw("imagesTr/b_0001.nii.gz"), 124);
    assert!(fixture.raw("dataset.json").is_file());
}

#[test]
fn a_bad_image_fails_alone_and_keeps_the_data_set_from_being_whole() {
    let fixture = Fixture::new();
    for (bad, words) in [
        (volumes(100, 3), ["has 3 volumes", "expected 2"]),
        (volumes(100, 2)[..400].to_vec(), ["declares 96 bytes", "room for 48"]),
        (b"no image".to_vec(), ["imagesTr/b.nii.gz", "sizeof_hdr"]),
    ] {
        fs_err::write(fixture.task("imagesTr/b.nii.gz"), bad).unwrap();
        let (out, err) = fixture.convert(&[], 1);
        assert!(out.ends_with("1 failed\n"), "{out}");
        assert!(words.iter().all(|word| err.contains(word)), "{err}");
        assert_eq!(names(&fixture.raw("imagesTr")), ["a_0000.nii.gz", "a_0001.nii.gz"]);
        assert!(!fixture.raw("dataset.json").exists());
    }
}

#[test]
fn another_data_set_is_never_touched() {
    let fixture = Fixture::new();
    fs_err::create_dir_all(fixture.raw("")).unwrap();
    fs_err::write(fixture.raw("dataset.json"), "{}").unwrap();
    let (_, err) = fixture.convert(&[], 2);
    assert!(err.contains("Dataset005_Fixture` holds another data set already"), "{err}");
    assert_eq!(names(&fixture.raw("")), ["dataset.json"]);

    fs_err::create_dir_all(fixture.root.path().join("raw/Dataset007_Other")).unwrap();
    let (_, err) = fixture.convert(&["--dataset-id", "7"], 2);
    assert!(err.contains("number 7 belongs to `Dataset007_Other`"), "{err}");
    assert!(fixture.convert(&["--dataset-id", "8"], 0).0.starts_with("Dataset008_Fixture: 5 files"));
}

#[test]
fn a_folder_that_is_no_task_is_refused_and_nothing_is_written() {
    let fixture = Fixture::new();
    let json = fs_err::read_to_string(fixture.task("dataset.json")).unwrap();
    for (broken, word) in [
        (json.replace("modality", "channel_names"), "`modality` is null"),
        (json.replace("\"1\":\"gland\"", "\"1\":\"background\""), "`labels` is"),
        ("{".to_owned(), "malformed"),
    ] {
        fs_err::write(fixture.task("dataset.json"), broken).unwrap();
        let (_, err) = fixture.convert(&[], 2);
        assert!(err.contains(word), "{err}");
    }
    fs_err::write(fixture.task("dataset.json"), json).unwrap();
    fs_err::remove_dir_all(fixture.task("labelsTr")).unwrap();
    assert!(fixture.convert(&[], 2).1.contains("labelsTr"));
    assert!(!fixture.raw("").exists());
}
