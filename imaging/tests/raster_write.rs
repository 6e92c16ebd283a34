//! Label maps that we write as pictures and stacks are what nnU-Net's own readers find in them.
//!
//! Where the environment variable `UNNUNET_ORACLE_PYTHON` names a Python with nnU-Net, `check.py` asks its readers;
//! else only our own reader is asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use imaging::{Dimensionality, Geometry, Spacing, Volume, raster};
use ndarray::Array3;
use serde_json::{Value, json};

const PYTHON: &str = "UNNUNET_ORACLE_PYTHON";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/raster/check.py");

/// Writes counted labels and returns what a reader must find.
fn write(folder: &Path, name: &str, shape: [usize; 3]) -> Value {
    let is_stack = name.starts_with("stack");
    let (dimensionality, zyx) =
        if is_stack { (Dimensionality::Three, [3.0, 0.5, 0.75]) } else { (Dimensionality::Two, [1.0; 3]) };
    let [_, y, x] = shape;
    let voxels = Array3::from_shape_fn(shape, |(k, j, i)| u8::try_from((k * y * x + j * x + i) % 256).unwrap());
    let values: Vec<f64> = voxels.iter().map(|&label| f64::from(label)).collect();
    let geometry = Geometry::axis_aligned(shape, Spacing::new(zyx).unwrap(), dimensionality);
    let labels = Volume { voxels, geometry };
    raster::write_labels(&folder.join(name), &labels).unwrap();
    assert_eq!(raster::read_labels(&folder.join(name)).unwrap(), labels, "{name}");
    let spacing = if is_stack { zyx } else { [999.0, 1.0, 1.0] };
    json!({ "shape": shape, "spacing": spacing, "values": values })
}

#[test]
fn what_we_write_is_what_nnunet_reads() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("picture.png", [1, 6, 5]),
        ("large.png", [1, 70, 300]),
        ("picture.bmp", [1, 6, 5]),
        ("picture.tif", [1, 6, 5]),
        ("stack.tif", [7, 6, 5]),
        ("stack_of_three.tiff", [3, 6, 5]),
        ("stack_of_one.tif", [1, 6, 5]),
        ("stack_of_one_slice.tiff", [1, 6, 8]),
    ];
    let expected: serde_json::Map<_, _> =
        files.into_iter().map(|(name, shape)| (name.to_owned(), write(folder.path(), name, shape))).collect();
    fs_err::write(folder.path().join("expected.json"), Value::Object(expected).to_string()).unwrap();
    let Some(python) = std::env::var_os(PYTHON) else {
        println!("{PYTHON} is not set: only our own reader looked at the files");
        return;
    };
    let output = Command::new(python).arg(SCRIPT).arg(folder.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{stdout}");
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.ends_with("is equal")).count(), files.len());
}
