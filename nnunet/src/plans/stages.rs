//! The stages of a cascade, as a configuration names them.
//!
//! Follows nnU-Net's `previous_stage_name`, `next_stage_names` and `determine_num_input_channels`: a configuration with a
//! previous stage sees that one's segmentation, one more input channel per foreground label.

use serde_json::Value;

use super::{Configuration, ConfigurationName, is_file_name};
use crate::dataset::LabelSet;

impl Configuration {
    /// The configuration whose segmentations this one sees.
    pub fn previous_stage(&self) -> Option<ConfigurationName> {
        self.other.get("previous_stage").and_then(Value::as_str).map(|name| ConfigurationName(name.to_owned()))
    }

    /// The configurations that see the segmentations of this one.
    pub fn next_stages(&self) -> Vec<ConfigurationName> {
        let names = match self.other.get("next_stage") {
            Some(Value::Array(names)) => &names[..],
            Some(name) => std::slice::from_ref(name),
            None => &[],
        };
        names.iter().filter_map(Value::as_str).map(|name| ConfigurationName(name.to_owned())).collect()
    }

    /// Input channels of the network: those of the image, and one per foreground label where there is a previous stage.
    pub fn n_input_channels(&self, n_image_channels: usize, labels: &LabelSet) -> usize {
        n_image_channels + self.previous_stage().map_or(0, |_| labels.foreground().len())
    }

    /// Checks that stages are names; else the field at fault and its value.
    pub(super) fn check_stages(&self) -> Result<(), (&'static str, String)> {
        let is_name = |value: &Value| value.as_str().is_some_and(is_file_name);
        let is_known = |value: &Value| value.is_null() || is_name(value);
        let is_list = |value: &Value| value.as_array().is_some_and(|names| names.iter().all(is_name));
        match (self.other.get("previous_stage"), self.other.get("next_stage")) {
            (Some(value), _) if !is_known(value) => Err(("previous_stage", value.to_string())),
            (_, Some(value)) if !is_known(value) && !is_list(value) => Err(("next_stage", value.to_string())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::DatasetJson;
    use crate::plans::Plans;

    const PLANS: &str = include_str!("../../tests/golden/plans/hippocampus.json");

    fn configuration(field: &str, value: Value) -> Result<Configuration, String> {
        let mut plans = Plans::parse(PLANS).unwrap();
        plans.configurations["3d_fullres"][field] = value;
        plans.configuration(&ConfigurationName("3d_fullres".into())).map_err(|error| error.to_string())
    }

    #[test]
    fn stages_are_one_name_or_several_or_none() {
        let names = |value| configuration("next_stage", value).unwrap().next_stages();
        assert_eq!(names(json!("a")), [ConfigurationName("a".into())]);
        assert_eq!(names(json!(["a", "b"])).len(), 2);
        assert_eq!(names(json!(null)), []);
        let previous = |value| configuration("previous_stage", value).unwrap().previous_stage();
        assert_eq!(previous(json!("3d_lowres")), Some(ConfigurationName("3d_lowres".into())));
        assert_eq!(previous(json!(null)), None);
    }

    #[test]
    fn a_stage_that_is_no_name_is_refused() {
        for (field, value) in
            [("next_stage", json!("../a")), ("next_stage", json!(["a", 3])), ("previous_stage", json!(["a"]))]
        {
            let error = configuration(field, value.clone()).unwrap_err();
            assert!(error.ends_with(&format!("`{field}` cannot be {value}")), "{error}");
        }
    }

    #[test]
    fn a_previous_stage_adds_a_channel_per_foreground_label() {
        let text = r#"{"channel_names":{"0":"CT"},"labels":{"background":0,"whole":[1,2],"core":2,"ignore":3},
            "regions_class_order":[1,2],"file_ending":".nii"}"#;
        let labels = DatasetJson::parse(text).unwrap().structures().unwrap();
        assert_eq!(labels.foreground(), [1, 2]);
        assert_eq!(configuration("previous_stage", json!("low")).unwrap().n_input_channels(1, &labels), 3);
        assert_eq!(configuration("previous_stage", json!(null)).unwrap().n_input_channels(1, &labels), 1);
    }
}
