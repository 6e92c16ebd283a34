//! Preprocessing through the program: killed at any time it leaves no half case, and started again it does no work twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use imaging::{Dimensionality, Geometry, Spacing, Volume, nifti};
use ndarray::Array3;
use nnunet::dataset::CaseId;
use trainer::store::Store;

const JSON: &str =
    r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"cube":1},"numTraining":24,"file_ending":".nii.gz"}"#;
const N_CASES: usize = 24;
const SHAPE: [usize; 3] = [40, 48, 56];

fn raw(root: &Path) {
    let folder = root.join("raw/Dataset001_Cubes");
    for sub in ["imagesTr", "labelsTr"] {
        fs_err::create_dir_all(folder.join(sub)).unwrap();
    }
    fs_err::write(folder.join("dataset.json"), JSON).unwrap();
    for case in 0..N_CASES {
        let spacing = Spacing::new([1.0, 1.0 + 0.02 * case as f64, 1.0]).unwrap();
        let geometry = || Geometry::axis_aligned(SHAPE, spacing, Dimensionality::Three);
        let inside = |z: usize, y: usize, x: usize| [z, y, x].iter().all(|i| (10 + case % 5..30).contains(i));
        let labels = Array3::from_shape_fn(SHAPE, |(z, y, x)| u8::from(inside(z, y, x)));
        let image = Array3::from_shape_fn(SHAPE, |(z, y, x)| {
            ((7 * z + 13 * y + 5 * x + case) % 11) as f32 + if inside(z, y, x) { 30.0 } else { 1.0 }
        });
        let (image, labels) =
            (Volume { voxels: image, geometry: geometry() }, Volume { voxels: labels, geometry: geometry() });
        nifti::write_map(&folder.join(format!("imagesTr/c{case:02}_0000.nii.gz")), &image).unwrap();
        nifti::write_labels(&folder.join(format!("labelsTr/c{case:02}.nii.gz")), &labels).unwrap();
    }
}

fn command(root: &Path, preprocessed: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unnunet-train"));
    command.args(["plan-and-preprocess", "-d", "1", "-c", "3d_fullres"]);
    command.arg("--raw").arg(root.join("raw")).arg("--preprocessed").arg(root.join(preprocessed));
    command
}

fn finish(root: &Path, preprocessed: &str) -> String {
    let output = command(root, preprocessed).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folder(root: &Path, preprocessed: &str) -> PathBuf {
    root.join(preprocessed).join("Dataset001_Cubes/nnUNetPlans_3d_fullres")
}

fn described(folder: &Path) -> Vec<CaseId> {
    let cases = (0..N_CASES).map(|case| CaseId::new(format!("c{case:02}")).unwrap());
    cases.filter(|case| folder.join(format!("{case}.json")).is_file()).collect()
}

/// Every file with its bytes; what a killed run left under a temporary name does not count.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs_err::read(entry.path()).unwrap()));
    named.filter(|(name, _)| !name.starts_with('.')).collect()
}

#[test]
fn a_killed_run_leaves_whole_cases_and_the_next_one_makes_only_the_others() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    raw(root);
    let said = finish(root, "whole");
    assert!(said.contains("24 cases preprocessed, 0 already there, 0 failed"), "{said}");
    let whole = files(&folder(root, "whole"));
    assert_eq!(whole.len(), 4 * N_CASES);

    let killed = folder(root, "killed");
    let mut child = command(root, "killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while described(&killed).len() < 3 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let complete = described(&killed);
    assert!(complete.len() >= 3);
    let store = Store::new(&killed);
    for case in &complete {
        store.open(case).unwrap().read().unwrap();
    }

    let said = finish(root, "killed");
    let n_left = N_CASES - complete.len();
    let expected = format!("{n_left} cases preprocessed, {} already there, 0 failed", complete.len());
    assert!(said.contains(&expected), "{said}");
    assert!(files(&killed) == whole, "a resumed run wrote other bytes");
    assert!(finish(root, "killed").contains("0 cases preprocessed, 24 already there, 0 failed"));
}
