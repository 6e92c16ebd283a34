//! libtorch and ONNX Runtime compute the same network.
//!
//! The bundle carries a patch of a validation case and libtorch's logits of
//! it; `unnunet self-test` runs the same patch through ONNX Runtime. Checked
//! for every kind of network that plans ask for: 2D, isotropic 3D, 3D whose
//! first stages do not look across slices, and residual encoders; and for a
//! patch of a million voxels, over which runtimes are careless with sums.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use fs_err as fs;
use phantoms::balls::Balls;
use phantoms::hearts::Hearts;
use phantoms::programs::succeed;
use phantoms::trial::Trial;
use serde_json::Value;

/// Largest difference of logits over their range. Both sum the same products
/// in `f32` in another order; a layer's rounding is about 1e-6, and some
/// twenty layers lie between patch and logits.
const TOLERANCE: f64 = 1e-5;

/// Trains two iterations of two folds, exports, and compares both runtimes.
fn check(work: &Path, dataset: &'static str, configuration: &'static str, plan: &[&str]) {
    let trial = Trial::new(work, dataset, configuration);
    trial.plan_and_preprocess(&[&["--features", "4", "--batch-size", "2"], plan].concat());
    succeed(&mut trial.train(0, &["--epochs", "2", "--cycles", "2", "--iterations", "1", "--late", "1"]));
    trial.export();
    trial.sign();
    for device in ["cpu", "openvino"] {
        let report = succeed(trial.with_bundle("self-test").args(["--device", device, "--json"]));
        let report: Value = serde_json::from_str(&report).unwrap();
        let members = report["members"].as_array().unwrap();
        assert_eq!(members.len(), 2, "one member per cycle: {report}");
        for member in members {
            let difference = member["relative"].as_f64().unwrap();
            assert!(difference <= TOLERANCE, "{device}: {member}");
        }
    }
}

/// The kernel sizes in the plans of a trial in `work`.
fn kernel_sizes(work: &Path, dataset: &str) -> Value {
    let path = work.join("preprocessed").join(dataset).join("nnUNetPlans.json");
    let plans: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["kernel_sizes"].clone()
}

#[test]
fn a_2d_network_computes_the_same_in_both() {
    let folder = tempfile::tempdir().unwrap();
    Hearts { n_training: 10, n_test: 0, seed: 1 }.write(&folder.path().join("raw")).unwrap();
    check(folder.path(), Hearts::NAME, "2d", &["--patch-size", "96,96"]);
}

#[test]
fn an_isotropic_3d_network_computes_the_same_in_both() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    check(folder.path(), Balls::ISOTROPIC.name, "3d_fullres", &[]);
}

/// Most of the patch is padding of one value, as it is air in a scan of a body.
#[test]
fn a_network_of_a_large_patch_computes_the_same_in_both() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    check(folder.path(), Balls::ISOTROPIC.name, "3d_fullres", &["--patch-size", "96,96,96"]);
}

#[test]
fn an_anisotropic_3d_network_computes_the_same_in_both() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ANISOTROPIC.write(&folder.path().join("raw")).unwrap();
    check(folder.path(), Balls::ANISOTROPIC.name, "3d_fullres", &[]);
    let kernel_sizes = kernel_sizes(folder.path(), Balls::ANISOTROPIC.name);
    assert_eq!(kernel_sizes[0], serde_json::json!([1, 3, 3]), "the phantom is not anisotropic enough");
}

#[test]
fn a_residual_encoder_computes_the_same_in_both() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ANISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let preset = ["--planner", "nnUNetPlannerResEncM", "--plans-name", "nnUNetPlans"];
    check(folder.path(), Balls::ANISOTROPIC.name, "3d_fullres", &preset);
}
