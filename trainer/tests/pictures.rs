//! A data set of color pictures through the program: one file per case that holds three channels.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use imaging::{Dimensionality, Geometry, Spacing, Volume, file};
use ndarray::Array3;
use nnunet::dataset::CaseId;
use trainer::store::Store;

const EXTENT: usize = 32;

fn json(channels: &str) -> String {
    format!(
        r#"{{"channel_names":{{{channels}}},"labels":{{"background":0,"square":1}},"numTraining":5,"file_ending":".bmp"}}"#
    )
}

/// A 24-bit BMP; rows from bottom to top, blue first.
fn bmp(color: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let n_bytes = u32::try_from(54 + 3 * EXTENT * EXTENT).unwrap();
    let extent = u32::try_from(EXTENT).unwrap().to_le_bytes();
    let mut bytes = b"BM".to_vec();
    for word in [n_bytes, 0, 54, 40] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(extent.iter().chain(&extent));
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for y in (0..EXTENT).rev() {
        for x in 0..EXTENT {
            let [red, green, blue] = color(y, x);
            bytes.extend([blue, green, red]);
        }
    }
    bytes
}

fn inside(case: usize, y: usize, x: usize) -> bool {
    (8 + case..20 + case).contains(&y) && (8..20).contains(&x)
}

fn color(case: usize, y: usize, x: usize) -> [u8; 3] {
    let texture = u8::try_from((7 * y + 13 * x + case) % 11).unwrap();
    [if inside(case, y, x) { 200 } else { 20 } + texture, 100 + texture, 5 + texture]
}

fn raw(root: &Path, channels: &str) {
    let folder = root.join("raw/Dataset001_Pictures");
    for sub in ["imagesTr", "labelsTr"] {
        fs_err::create_dir_all(folder.join(sub)).unwrap();
    }
    fs_err::write(folder.join("dataset.json"), json(channels)).unwrap();
    for case in 0..5 {
        let image = bmp(|y, x| color(case, y, x));
        fs_err::write(folder.join(format!("imagesTr/p{case}_0000.bmp")), image).unwrap();
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry::axis_aligned([1, EXTENT, EXTENT], spacing, Dimensionality::Two);
        let voxels = Array3::from_shape_fn(geometry.shape(), |(_, y, x)| u8::from(inside(case, y, x)));
        file::write_labels(&folder.join(format!("labelsTr/p{case}.bmp")), &Volume { voxels, geometry }).unwrap();
    }
}

fn program(root: &Path, arguments: &str) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_unnunet-train"))
        .args(arguments.split_whitespace())
        .env("nnUNet_raw", root.join("raw"))
        .env("nnUNet_preprocessed", root.join("preprocessed"))
        .output()
        .unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn the_three_channels_of_a_picture_are_planned_and_preprocessed() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    raw(root, r#""0":"rgb_to_0_1","1":"rgb_to_0_1","2":"rgb_to_0_1""#);
    let (status, said) = program(root, "verify-dataset -d 1");
    assert_eq!((status, said.contains("5 cases, 0 errors")), (Some(0), true), "{said}");
    let (status, said) = program(root, "plan-and-preprocess -d 1");
    assert_eq!(status, Some(0), "{said}");

    let store = Store::new(root.join("preprocessed/Dataset001_Pictures/nnUNetPlans_2d"));
    let block = store.open(&CaseId::new("p3").unwrap()).unwrap().read().unwrap();
    assert_eq!((block.n_channels(), block.shape), (3, [1, EXTENT, EXTENT]));
    for channel in 0..3 {
        let found = block.image[(channel * EXTENT + 10) * EXTENT + 9];
        let expected = f32::from(color(3, 10, 9)[channel]) / 255.0;
        assert!((found - expected).abs() < 1e-6, "channel {channel}: {found}, expected {expected}");
    }
}

#[test]
fn channels_are_counted_in_the_files() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    raw(root, r#""0":"rgb_to_0_1","1":"rgb_to_0_1""#);
    let (status, said) = program(root, "verify-dataset -d 1");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("case `p0`: found 3 channels in its files, expected 2"), "{said}");
    let (status, said) = program(root, "plan-and-preprocess -d 1");
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("hold 3 channels, `dataset.json` names 2"), "{said}");
    assert!(!root.join("preprocessed/Dataset001_Pictures/nnUNetPlans.json").exists());
}
