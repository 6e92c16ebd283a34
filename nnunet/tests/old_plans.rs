//! Plans of nnU-Net before 2.4, against what the current one makes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nnunet::plans::{ConfigurationName, EncoderDepth, Plans};
use nnunet::topology::UNet;
use serde_json::Value;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/old_plans/cases.json")).unwrap()
}

fn plans(case: &Value) -> Plans {
    Plans::parse(&case["plans"].to_string()).unwrap()
}

#[test]
fn configurations_are_those_of_the_current_plans_manager() {
    let cases = cases();
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let plans = plans(case);
        let expected = case["configurations"].as_object().unwrap();
        assert_eq!(expected.len(), 5);
        for (name, expected) in expected {
            let mut expected = expected.clone();
            // The name of the parent is no property of a configuration once it is resolved.
            expected.as_object_mut().unwrap().shift_remove("inherits_from");
            let found = plans.configuration(&ConfigurationName(name.clone())).unwrap();
            assert_eq!(serde_json::to_value(found).unwrap(), expected, "{name}");
        }
    }
}

#[test]
fn intensities_by_modality_and_plans_without_label_manager_are_read() {
    for case in &cases() {
        let plans = plans(case);
        assert_eq!(plans.label_manager, "LabelManager");
        let intensities = serde_json::to_value(&plans.foreground_intensity_properties_per_channel).unwrap();
        assert_eq!(intensities, case["intensities"]);
    }
}

#[test]
fn plain_and_residual_networks_of_old_plans_are_built() {
    let plans = plans(&cases()[0]);
    let configuration = |name: &str| plans.configuration(&ConfigurationName(name.into())).unwrap();
    assert_eq!(UNet::new(&configuration("3d_cascade_fullres"), 1, 2).unwrap().encoder.len(), 5);
    let residual = configuration("3d_lowres").architecture;
    assert_eq!(residual.arch_kwargs.encoder, EncoderDepth::Blocks(vec![1, 3, 4]));
    let network = UNet::new(&configuration("3d_lowres"), 1, 2).unwrap();
    assert_eq!((network.class_name(), network.encoder.len()), ("ResidualEncoderUNet", 3));
}

#[test]
fn old_plans_are_written_back_as_they_came() {
    let case = &cases()[0];
    assert_eq!(serde_json::to_value(plans(case)).unwrap(), case["plans"]);
}
