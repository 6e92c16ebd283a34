//! A written file has the header of its input: every field that places the grid goes back bit by bit.
//!
//! Inputs are put together byte by byte. Our own reader must find the same geometry in input and output; where the
//! environment variable `UNNUNET_ORACLE_PYTHON` names a Python with nibabel and SimpleITK, `check.py` compares what
//! these two read, too; NIfTI-2 is left to nibabel.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nifti_bytes;

use std::path::Path;
use std::process::Command;

use imaging::nifti;
use nifti_bytes::{Header, Order};

const PYTHON: &str = "UNNUNET_ORACLE_PYTHON";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/nifti_write/check.py");

fn oblique() -> Header {
    Header {
        dim: vec![4, 3, 2],
        pixdim: [-1.0, 0.7, 0.8, 2.5],
        quaternion: [0.1, -0.2, 0.3],
        offset: [-12.25, 33.1, 7.7],
        qform_code: 1,
        ..Header::default()
    }
}

/// Sheared, so that no q-form could say it.
fn sheared() -> [[f64; 4]; 3] {
    [[0.7, 0.1, 0.0, -12.3], [0.0, 0.8, -0.2, 5.5], [0.0, 0.3, 2.5, 100.1]]
}

/// An s-form that ITK accepts, for it reads orthogonal ones only, turned about z.
fn turned() -> [[f64; 4]; 3] {
    let (sin, cos) = (0.6, 0.8);
    [[0.7 * cos, -0.8 * sin, 0.0, -12.3], [0.7 * sin, 0.8 * cos, 0.0, 5.5], [0.0, 0.0, 2.5, 100.1]]
}

/// Name and header of every kind of geometry.
fn inputs() -> Vec<(&'static str, Header)> {
    let both = Header { sform_code: 4, qform_code: 2, srow: turned(), ..oblique() };
    let s_only = Header { sform_code: 2, qform_code: 0, srow: turned(), pixdim: [1.0, 0.7, 0.8, 2.5], ..oblique() };
    vec![
        ("q_form_only", oblique()),
        ("s_form_only", s_only.clone()),
        ("both_forms_that_differ", both.clone()),
        ("no_form", Header { qform_code: 0, ..oblique() }),
        ("big_endian", Header { order: Order::Big, ..both.clone() }),
        ("nifti_2", Header { version: 2, ..both.clone() }),
        ("nifti_2_big_endian", Header { version: 2, order: Order::Big, ..oblique() }),
        ("flat", Header { dim: vec![4, 3], pixdim: [1.0, 0.7, 0.8, 0.0], ..s_only.clone() }),
        ("one_slice", Header { dim: vec![4, 3, 1], ..both.clone() }),
        ("trailing_axis", Header { dim: vec![4, 3, 2, 1], ..Header::default() }),
        ("micrometers", Header { units: 3, pixdim: [1.0, 700.0, 800.0, 2500.0], ..oblique() }),
        ("no_units", Header { units: 0, ..oblique() }),
    ]
}

/// Writes `<name>.in.nii` and, from what was read of it, `<name>.out.<ending>`.
fn write_pair(folder: &Path, name: &str, header: &Header, ending: &str) {
    let n_voxels: i64 = header.dim.iter().product();
    let voxels: Vec<u8> = (1..=n_voxels).map(|value| u8::try_from(value).unwrap()).collect();
    let input = folder.join(format!("{name}.in.nii"));
    fs_err::write(&input, header.file(&voxels)).unwrap();
    let labels = nifti::read_labels(&input).unwrap();
    let output = folder.join(format!("{name}.out{ending}"));
    nifti::write_labels(&output, &labels).unwrap();
    // The geometry holds every field of the header that places the grid, so this compares them all.
    assert_eq!(nifti::read_labels(&output).unwrap(), labels, "{name}");
    let bits = |affine: [[f64; 4]; 4]| affine.map(|row| row.map(f64::to_bits));
    assert_eq!(bits(nifti::read_geometry(&output).unwrap().affine()), bits(labels.geometry.affine()), "{name}");
}

#[test]
fn written_files_have_the_header_of_their_input() {
    for ending in [".nii", ".nii.gz"] {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs();
        for (name, header) in &inputs {
            write_pair(folder.path(), name, header, ending);
        }
        let Some(python) = std::env::var_os(PYTHON) else {
            println!("{PYTHON} is not set: only our own reader looked at the files");
            continue;
        };
        let output = Command::new(python).arg(SCRIPT).arg(folder.path()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        print!("{stdout}");
        assert!(output.status.success(), "{stdout}\n{stderr}");
        assert_eq!(stdout.lines().filter(|line| line.ends_with("is equal")).count(), inputs.len());
    }
}

#[test]
fn a_sheared_s_form_is_kept() {
    // ITK refuses a shear, so that only our own reader can be asked.
    let folder = tempfile::tempdir().unwrap();
    let header = Header { sform_code: 1, qform_code: 0, srow: sheared(), version: 2, ..oblique() };
    write_pair(folder.path(), "sheared", &header, ".nii.gz");
    let affine = nifti::read_geometry(&folder.path().join("sheared.out.nii.gz")).unwrap().affine();
    assert_eq!(affine[..3], sheared());
}
