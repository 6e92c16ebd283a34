//! Plans equal nnU-Net's, field by field: for a real training set and for fingerprints that reach every branch.
//!
//! `golden/planner/cases.json` comes from nnunetv2 2.8.1 by the `generate.py` beside it, the fingerprint and plans of
//! the hippocampus set from a real run of that version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nnunet::dataset::DatasetJson;
use nnunet::fingerprint::Fingerprint;
use nnunet::planner::{PlanError, PlanOptions, Preset, plan};
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;
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

/// Cases of the golden with their set's fingerprint, whose intensity statistics the plans must repeat.
fn golden() -> Vec<Value> {
    let mut golden: Value = serde_json::from_str(CASES).unwrap();
    let Value::Array(mut cases) = golden["cases"].take() else { panic!("a list of cases") };
    for case in &mut cases {
        let set = golden["sets"][case["set"].as_str().unwrap()].clone();
        case["plans"]["foreground_intensity_properties_per_channel"] =
            set["fingerprint"]["foreground_intensity_properties_per_channel"].clone();
        case["fingerprint"] = set["fingerprint"].clone();
        case["dataset"] = set["dataset"].clone();
    }
    cases
}

/// Planner and options of a case, under nnU-Net's names.
fn choose(case: &Value, options: &mut PlanOptions) {
    options.preset = case["planner"].as_str().unwrap().parse().unwrap();
    for (name, value) in case["options"].as_object().unwrap() {
        let text = || value.as_str().unwrap().to_owned();
        match name.as_str() {
            "gpu_memory_target_in_gb" => options.gpu_memory_target_gb = value.as_f64(),
            "plans_name" => options.plans_name = Some(text()),
            "preprocessor_name" => options.preprocessor_name = text(),
            "overwrite_target_spacing" => options.target_spacing = serde_json::from_value(value.clone()).unwrap(),
            name => panic!("an option of nnU-Net that is not known: {name}"),
        }
    }
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
    json!({"planner": "ExperimentPlanner", "options": {}, "dataset": dataset, "plans": plans,
        "fingerprint": serde_json::from_str::<Value>(FINGERPRINT).unwrap()})
}

fn check(case: &Value) {
    let name = format!("{} by {} with {}", case["set"], case["planner"], case["options"]);
    let plans = planned(case, |options| choose(case, options)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut differences = Vec::new();
    compare("", &case["plans"], &serde_json::to_value(plans).unwrap(), &mut differences);
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
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
    let cases = golden();
    assert_eq!(cases.len(), 96);
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
    assert_eq!(refused(|o| o.gpu_memory_target_gb = Some(0.0)), "`gpu memory target` cannot be 0");
    assert_eq!(refused(|o| o.gpu_memory_target_gb = Some(f64::NAN)), "`gpu memory target` cannot be NaN");
    assert_eq!(refused(|o| o.target_spacing = Some([1.0, -1.0, 1.0])), "`target spacing` cannot be [1.0, -1.0, 1.0]");
    assert_eq!(refused(|o| o.plans_name = Some("../plans".into())), "`plans name` cannot be \"../plans\"");
    assert_eq!(refused(|o| o.preprocessor_name = String::new()), "`preprocessor name` cannot be \"\"");
}

#[test]
fn a_spacing_or_a_memory_that_leaves_no_network_is_refused() {
    let refused = |change: fn(&mut PlanOptions)| planned(&hippocampus(), change).unwrap_err().to_string();
    let coarse = refused(|o| o.target_spacing = Some([1.0, 500.0, 1.0]));
    assert_eq!(coarse, "at a spacing of [500.0, 1.0, 1.0] mm the median image would have [0.0, 36.0, 35.0] voxels");
    let flat = refused(|o| o.target_spacing = Some([1e-6, 40.0, 40.0]));
    assert!(
        flat.starts_with("configuration `2d`: a patch of [") && flat.contains(", 0] voxels is too small"),
        "{flat}"
    );
    let small = refused(|o| o.gpu_memory_target_gb = Some(1e-6));
    assert!(small.contains("is too small for a network"), "{small}");
}

#[test]
fn extreme_spacings_and_memories_end_in_plans_or_an_error() {
    let extremes = [1e-9, 1e-3, 1.0, 1e3, 1e9];
    for preset in [Preset::Plain, Preset::ResEncXL] {
        for (z, y, gb) in extremes.iter().flat_map(|&z| extremes.iter().flat_map(move |&y| [(z, y, 1e-3), (z, y, 1e5)]))
        {
            let change = |options: &mut PlanOptions| {
                options.preset = preset;
                options.target_spacing = Some([z, y, 1.0]);
                options.gpu_memory_target_gb = Some(gb);
            };
            if let Ok(plans) = planned(&hippocampus(), change) {
                for name in plans.configurations.keys() {
                    plans.configuration(&ConfigurationName(name.clone())).unwrap();
                }
            }
        }
    }
}

#[test]
fn files_that_nnunet_cannot_read_are_not_planned() {
    let mut case = hippocampus();
    case["dataset"]["file_ending"] = json!(".dcm");
    let error = planned(&case, |_| {}).unwrap_err().to_string();
    assert_eq!(error, "`dataset.json`: no reader of nnU-Net takes files that end in `.dcm`");
}

#[test]
fn a_residual_encoder_is_planned_and_built() {
    let plans = planned(&hippocampus(), |options| options.preset = Preset::ResEncL).unwrap();
    assert_eq!(plans.plans_name, "nnUNetResEncUNetLPlans");
    let configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
    let network = UNet::new(&configuration, 1, 3).unwrap();
    assert_eq!(network.class_name(), "ResidualEncoderUNet");
    // The stem is the first block of the first stage.
    let depths: Vec<_> = network.encoder.iter().map(Vec::len).collect();
    assert_eq!(depths, [1 + 1, 3, 4, 6]);
}

#[test]
fn early_data_sets_call_their_channels_modalities() {
    let mut case = hippocampus();
    let dataset = case["dataset"].as_object_mut().unwrap();
    let channels = dataset.shift_remove("channel_names").unwrap();
    dataset.insert("modality".into(), channels);
    check(&case);
}

#[test]
fn a_fingerprint_that_contradicts_itself_is_refused() {
    let mut case = hippocampus();
    case["fingerprint"]["spacings"] = json!([[1.0, 1.0, 1.0]]);
    assert!(matches!(planned(&case, |_| {}), Err(PlanError::NoCases)));
    case["dataset"]["channel_names"] = json!({"0": "T1", "1": "T2"});
    assert!(matches!(planned(&case, |_| {}), Err(PlanError::ChannelCount { expected: 2, actual: 1 })));
}
