//! Plans equal nnU-Net's, field by field: for a real training set and for fingerprints that reach every branch.
//!
//! `golden/planner/cases.json` comes from nnunetv2 2.8.1 by the `generate.py` beside it, the fingerprint and plans of
//! the hippocampus set from a real run of that version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nnunet::dataset::DatasetJson;
use nnunet::fingerprint::Fingerprint;
use nnunet::planner::{PlanError, PlanOptions, plan};
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use serde_json::{Value, json};

const CASES: &str = include_str!("golden/planner/cases.json");
const FINGERPRINT: &str = include_str!("golden/planner/hippocampus_fingerprint.json");
const PLANS: &str = include_str!("golden/plans/hippocampus.json");

fn planned(case: &Value, change: impl FnOnce(&mut PlanOptions)) -> Result<Plans, PlanError> {
    let fingerprint: Fingerprint = serde_json::from_value(case["fingerprint"].clone()).unwrap();
    let dataset = DatasetJson::parse(&case["dataset"].to_string()).unwrap();
    let mut options = PlanOptions::new(case["plans"]["dataset_name"].as_str().unwrap());
    change(&mut options);
    plan(&fingerprint, &dataset, &options)
}

fn hippocampus() -> Value {
    let dataset = json!({
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "numTraining": 200,
        "file_ending": ".nii.gz",
    });
    let mut plans: Value = serde_json::from_str(PLANS).unwrap();
    // Two configurations were added by hand to the real file.
    let configurations = plans["configurations"].as_object_mut().unwrap();
    configurations.retain(|name, _| !name.ends_with("_tiny"));
    json!({"name": "hippocampus", "dataset": dataset, "plans": plans,
        "fingerprint": serde_json::from_str::<Value>(FINGERPRINT).unwrap()})
}

fn check(case: &Value) {
    let found = serde_json::to_value(planned(case, |_| {}).unwrap()).unwrap();
    let mut differences = Vec::new();
    compare("", &case["plans"], &found, &mut differences);
    assert!(differences.is_empty(), "{}: {}", case["name"], differences.join("\n"));
}

/// Reals may differ in the last bits: NumPy multiplies in another order.
fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if keys(a) != keys(b) {
                differences.push(format!("{path}: fields {:?}, expected {:?}", keys(b), keys(a)));
            }
            for (key, value) in a {
                compare(&format!("{path}/{key}"), value, &found[key], differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{i}"), a, b, differences);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            if (a - b).abs() > 1e-14 * a.abs() {
                differences.push(format!("{path}: {b}, expected {a}"));
            }
        }
        (a, b) if a == b => {}
        (a, b) => differences.push(format!("{path}: {b}, expected {a}")),
    }
}

#[test]
fn plans_of_a_real_training_set_are_nnunets() {
    check(&hippocampus());
}

#[test]
fn plans_of_every_branch_are_nnunets() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 13);
    cases.iter().for_each(check);
}

fn configuration(name: &str, change: impl FnOnce(&mut PlanOptions)) -> Configuration {
    planned(&hippocampus(), change).unwrap().configuration(&ConfigurationName(name.into())).unwrap()
}

#[test]
fn fewer_features_keep_topology_patch_and_batch() {
    let usual = configuration("3d_fullres", |_| {});
    let mut small = configuration("3d_fullres", |options| options.features = Some(8));
    assert_eq!(small.architecture.arch_kwargs.features_per_stage, [8, 16, 32, 64]);
    small.architecture.arch_kwargs.features_per_stage = vec![32, 64, 128, 256];
    assert_eq!(small, usual);
    let capped = configuration("2d", |options| options.max_features = Some(100));
    assert_eq!(capped.architecture.arch_kwargs.features_per_stage, [32, 64, 100, 100]);
}

#[test]
fn another_patch_gets_poolings_of_its_own_in_configurations_of_its_axes() {
    let flat = |options: &mut PlanOptions| options.patch_size = Some(vec![130, 128]);
    let two = configuration("2d", flat);
    assert_eq!(two.patch_size, [160, 128]);
    assert_eq!(two.architecture.arch_kwargs.n_stages, 6);
    assert_eq!(two.architecture.arch_kwargs.features_per_stage, [32, 64, 128, 256, 512, 512]);
    assert_eq!(configuration("3d_fullres", flat), configuration("3d_fullres", |_| {}));
}

#[test]
fn another_batch_is_everywhere() {
    for name in ["2d", "3d_fullres"] {
        assert_eq!(configuration(name, |options| options.batch_size = Some(3)).batch_size, 3);
    }
}

#[test]
fn options_that_no_network_can_meet_are_refused() {
    let refused = |change: fn(&mut PlanOptions)| planned(&hippocampus(), change).unwrap_err().to_string();
    assert_eq!(refused(|o| o.features = Some(0)), "`features` cannot be 0");
    assert_eq!(refused(|o| o.batch_size = Some(1 << 20)), "`batch size` cannot be 1048576");
    assert_eq!(refused(|o| o.patch_size = Some(vec![8])), "`patch size` cannot be [8]");
    assert_eq!(refused(|o| o.patch_size = Some(vec![4, 4])), "`patch size` cannot be [4, 4]");
}

#[test]
fn a_fingerprint_that_contradicts_itself_is_refused() {
    let mut case = hippocampus();
    case["fingerprint"]["spacings"] = json!([[1.0, 1.0, 1.0]]);
    assert!(matches!(planned(&case, |_| {}), Err(PlanError::NoCases)));
    case["dataset"]["channel_names"] = json!({"0": "T1", "1": "T2"});
    assert!(matches!(planned(&case, |_| {}), Err(PlanError::ChannelCount { expected: 2, actual: 1 })));
}
