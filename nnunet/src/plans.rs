//! `nnUNetPlans.json`: everything derived from a data set's fingerprint, for all configurations.
//!
//! Field names and order are nnU-Net v2.8.1's, so that its own files and ours are interchangeable; fields this crate
//! does not know are kept and written back. Plans of older versions are read as its `PlansManager` reads them. Departs
//! from nnU-Net by checking every length and value when the text is parsed: a [`Configuration`] that exists can be
//! used.

mod architecture;
mod old;
mod stages;

use std::collections::BTreeSet;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use architecture::{Architecture, ArchitectureArguments, EncoderDepth, NonlinearityArguments, NormArguments};

/// Largest extent of a patch along one axis, in voxels.
const MAX_PATCH_EXTENT: usize = 4096;

/// Name of a configuration, such as `2d` or `3d_fullres`; made of letters, digits, `_`, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationName(pub String);

impl fmt::Display for ConfigurationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A normalization scheme by nnU-Net's class name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Normalization {
    /// Zero mean and unit standard deviation of the case.
    #[serde(rename = "ZScoreNormalization")]
    ZScore,
    /// Clip to the data set's percentiles, then its mean and standard deviation.
    #[serde(rename = "CTNormalization")]
    Ct,
    /// Values as they are.
    #[serde(rename = "NoNormalization")]
    None,
    /// Minimum to 0, maximum to 1.
    #[serde(rename = "RescaleTo01Normalization")]
    RescaleTo01,
    /// 8-bit colors divided by 255.
    #[serde(rename = "RGBTo01Normalization")]
    RgbTo01,
}

/// Keyword arguments of nnU-Net's `resample_data_or_seg_to_shape`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResamplingArguments {
    /// Whether labels are resampled.
    pub is_seg: bool,
    /// Spline order in plane.
    pub order: u8,
    /// Spline order along a coarse axis.
    pub order_z: u8,
    /// Forces the coarse axis to be treated alone (`true`) or with the others (`false`).
    pub force_separate_z: Option<bool>,
}

/// One configuration of the plans, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Folder of the preprocessed cases.
    pub data_identifier: String,
    /// nnU-Net's preprocessor class.
    pub preprocessor_name: String,
    /// Patches per iteration.
    pub batch_size: usize,
    /// What the network sees, `[z, y, x]` or `[y, x]`, in transposed axes.
    pub patch_size: Vec<usize>,
    /// Median shape after resampling, in voxels.
    pub median_image_size_in_voxels: Vec<f64>,
    /// Target spacing, mm, as long as `patch_size`.
    pub spacing: Vec<f64>,
    /// One scheme per channel.
    pub normalization_schemes: Vec<Normalization>,
    /// Whether each channel is normalized inside the nonzero mask only.
    pub use_mask_for_norm: Vec<bool>,
    /// nnU-Net's function for images.
    pub resampling_fn_data: String,
    /// nnU-Net's function for labels.
    pub resampling_fn_seg: String,
    /// Arguments for images.
    pub resampling_fn_data_kwargs: ResamplingArguments,
    /// Arguments for labels.
    pub resampling_fn_seg_kwargs: ResamplingArguments,
    /// nnU-Net's function for logits.
    pub resampling_fn_probabilities: String,
    /// Arguments for logits.
    pub resampling_fn_probabilities_kwargs: ResamplingArguments,
    /// The network.
    pub architecture: Architecture,
    /// Whether Dice sums over the batch before dividing.
    pub batch_dice: bool,
    /// Everything else in the file, such as `next_stage`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Configuration {
    /// Axes the network works on: 2 or 3.
    pub fn n_axes(&self) -> usize {
        self.patch_size.len()
    }

    /// The patch as `[z, y, x]`; a 2D configuration sees one slice.
    pub fn patch_zyx(&self) -> [usize; 3] {
        match self.patch_size[..] {
            [y, x] => [1, y, x],
            [z, y, x] => [z, y, x],
            _ => unreachable!("a checked configuration has two or three axes"),
        }
    }

    /// Checks what a file may get wrong; else the field at fault and its value.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let n_axes = self.patch_size.len();
        if !(2..=3).contains(&n_axes) || self.patch_size.iter().any(|&n| n == 0 || n > MAX_PATCH_EXTENT) {
            return Err(("patch_size", format!("{:?}", self.patch_size)));
        }
        if self.spacing.len() != n_axes || self.spacing.iter().any(|&mm| !mm.is_finite() || mm <= 0.0) {
            return Err(("spacing", format!("{:?}", self.spacing)));
        }
        if self.use_mask_for_norm.len() != self.normalization_schemes.len() {
            return Err(("use_mask_for_norm", format!("{:?}", self.use_mask_for_norm)));
        }
        self.check_stages()?;
        if self.batch_size == 0 || self.batch_size > 1 << 16 {
            return Err(("batch_size", self.batch_size.to_string()));
        }
        is_file_name(&self.data_identifier)
            .then_some(())
            .ok_or_else(|| ("data_identifier", self.data_identifier.clone()))
    }
}

/// Statistics of the foreground intensities of one channel over the training set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntensityProperties {
    /// Largest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// 0.5th percentile.
    pub percentile_00_5: f64,
    /// 99.5th percentile.
    pub percentile_99_5: f64,
    /// Standard deviation.
    pub std: f64,
}

/// The whole plans file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plans {
    /// Folder name of the data set.
    pub dataset_name: String,
    /// Name of these plans, `nnUNetPlans` unless chosen otherwise.
    pub plans_name: String,
    /// Median spacing of the training set after transposition, mm.
    pub original_median_spacing_after_transp: Vec<f64>,
    /// Median shape of the training set after transposition, voxels.
    pub original_median_shape_after_transp: Vec<usize>,
    /// nnU-Net's reader class.
    pub image_reader_writer: String,
    /// Axis permutation into network order.
    pub transpose_forward: [usize; 3],
    /// Axis permutation back.
    pub transpose_backward: [usize; 3],
    /// Configurations as written, `inherits_from` unresolved; see [`Plans::configuration`].
    pub configurations: IndexMap<String, Value>,
    /// Planner class.
    pub experiment_planner_used: String,
    /// Label manager class; early plans name none.
    #[serde(default = "label_manager")]
    pub label_manager: String,
    /// Channel number (as text) to its intensity statistics; the earliest plans say `by_modality`.
    #[serde(alias = "foreground_intensity_properties_by_modality")]
    pub foreground_intensity_properties_per_channel: IndexMap<String, IntensityProperties>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Plans {
    /// Parses a plans file and checks what does not belong to one configuration.
    ///
    /// # Errors
    ///
    /// [`PlansError::Json`] if the text has not this shape, [`PlansError::Value`] naming the field at fault.
    pub fn parse(text: &str) -> Result<Self, PlansError> {
        let plans: Self = serde_json::from_str(text).map_err(|source| PlansError::Json { source })?;
        let refuse = |field, found| Err(PlansError::Value { configuration: None, field, found });
        let forward = plans.transpose_forward;
        if forward.iter().copied().collect::<BTreeSet<_>>() != BTreeSet::from([0, 1, 2]) {
            return refuse("transpose_forward", format!("{forward:?}"));
        }
        if forward.iter().enumerate().any(|(i, &axis)| plans.transpose_backward[axis] != i) {
            return refuse("transpose_backward", format!("{:?}", plans.transpose_backward));
        }
        if !is_file_name(&plans.plans_name) {
            return refuse("plans_name", plans.plans_name);
        }
        if !is_file_name(&plans.dataset_name) {
            return refuse("dataset_name", plans.dataset_name);
        }
        Ok(plans)
    }

    /// One configuration, with everything it inherits filled in.
    ///
    /// # Errors
    ///
    /// [`PlansError::NoConfiguration`] if there is none of this name, [`PlansError::Inheritance`] if `inherits_from`
    /// is circular or leads nowhere, [`PlansError::Json`] or [`PlansError::Value`] if a field is missing or wrong.
    pub fn configuration(&self, name: &ConfigurationName) -> Result<Configuration, PlansError> {
        if !self.configurations.contains_key(&name.0) {
            let available = self.configurations.keys().cloned().collect();
            return Err(PlansError::NoConfiguration { name: name.clone(), available });
        }
        let refuse = |(field, found)| PlansError::Value { configuration: Some(name.clone()), field, found };
        let fields = old::with_architecture(self.resolve(&name.0, &mut BTreeSet::new())?).map_err(refuse)?;
        let configuration: Configuration =
            serde_json::from_value(Value::Object(fields)).map_err(|source| PlansError::Json { source })?;
        configuration.check().map_err(refuse)?;
        Ok(configuration)
    }

    /// Takes over the configurations of earlier plans that these do not make themselves, behind their own.
    ///
    /// Planning anew must not lose what a user has added to the file.
    pub fn keep_configurations_of(&mut self, earlier: &Self) {
        for (name, configuration) in &earlier.configurations {
            self.configurations.entry(name.clone()).or_insert_with(|| configuration.clone());
        }
    }

    fn resolve<'a>(&'a self, name: &'a str, seen: &mut BTreeSet<&'a str>) -> Result<Map<String, Value>, PlansError> {
        let broken = || PlansError::Inheritance { name: ConfigurationName(name.to_owned()) };
        let own = self.configurations.get(name).and_then(Value::as_object).ok_or_else(broken)?;
        if !seen.insert(name) {
            return Err(broken());
        }
        let mut fields = match own.get("inherits_from") {
            Some(parent) => self.resolve(parent.as_str().ok_or_else(broken)?, seen)?,
            None => Map::new(),
        };
        fields.extend(
            own.iter().filter(|(key, _)| *key != "inherits_from").map(|(key, value)| (key.clone(), value.clone())),
        );
        Ok(fields)
    }
}

fn label_manager() -> String {
    "LabelManager".into()
}

/// Whether a name can be a file or folder of its own, on every system.
pub(crate) fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

/// What can be wrong with plans.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlansError {
    /// `inherits_from` is circular or names a configuration that is not there.
    #[error("configuration `{name}` does not resolve: `inherits_from` is circular or leads nowhere")]
    Inheritance {
        /// The configuration where it ends.
        name: ConfigurationName,
    },
    /// The text is not plans.
    #[error("the plans are malformed")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// There is no such configuration.
    #[error("the plans have no configuration `{name}`, only {}", available.join(", "))]
    NoConfiguration {
        /// The name asked for.
        name: ConfigurationName,
        /// The names there are.
        available: Vec<String>,
    },
    /// A field has a value that cannot be used.
    #[error("plans{}: `{field}` cannot be {found}", configuration.as_ref().map(|name| format!(", configuration `{name}`")).unwrap_or_default())]
    Value {
        /// The configuration, if the field belongs to one.
        configuration: Option<ConfigurationName>,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANS: &str = include_str!("../tests/golden/plans/hippocampus.json");

    fn name(text: &str) -> ConfigurationName {
        ConfigurationName(text.into())
    }

    #[test]
    fn plans_of_nnunet_are_written_back_unchanged() {
        let plans = Plans::parse(PLANS).unwrap();
        let original: Value = serde_json::from_str(PLANS).unwrap();
        assert_eq!(serde_json::to_value(&plans).unwrap(), original);
        for (key, written) in original["configurations"].as_object().unwrap() {
            let configuration = plans.configuration(&name(key)).unwrap();
            assert_eq!(&serde_json::to_value(&configuration).unwrap(), written, "{key}");
        }
    }

    #[test]
    fn a_configuration_takes_what_it_does_not_say_from_its_parent() {
        let mut plans = Plans::parse(PLANS).unwrap();
        plans
            .configurations
            .insert("small".into(), serde_json::json!({"inherits_from": "3d_fullres", "batch_size": 2}));
        let (parent, child) =
            (plans.configuration(&name("3d_fullres")).unwrap(), plans.configuration(&name("small")).unwrap());
        assert_eq!(child, Configuration { batch_size: 2, ..parent });
    }

    #[test]
    fn arguments_that_are_not_known_are_kept() {
        let mut plans = Plans::parse(PLANS).unwrap();
        plans.configurations["2d"]["architecture"]["arch_kwargs"]["nonlin_first"] = serde_json::json!(true);
        let configuration = plans.configuration(&name("2d")).unwrap();
        assert_eq!(configuration.architecture.arch_kwargs.other["nonlin_first"], true);
        assert_eq!(serde_json::to_value(&configuration).unwrap(), plans.configurations["2d"]);
    }

    #[test]
    fn configurations_of_a_user_outlive_a_new_plan() {
        let mut earlier = Plans::parse(PLANS).unwrap();
        let mut plans = earlier.clone();
        plans.configurations.retain(|name, _| name == "2d" || name == "3d_fullres");
        earlier.configurations["2d"]["batch_size"] = serde_json::json!(3);
        earlier.configurations.insert("mine".into(), serde_json::json!({"inherits_from": "2d"}));
        let fresh = plans.configurations["2d"].clone();
        plans.keep_configurations_of(&earlier);
        assert_eq!(plans.configurations["2d"], fresh);
        assert_eq!(plans.configurations.keys().last().unwrap(), "mine");
    }

    #[test]
    fn circular_inheritance_is_an_error() {
        let mut plans = Plans::parse(PLANS).unwrap();
        plans.configurations.insert("a".into(), serde_json::json!({"inherits_from": "b"}));
        plans.configurations.insert("b".into(), serde_json::json!({"inherits_from": "a"}));
        assert!(matches!(plans.configuration(&name("a")), Err(PlansError::Inheritance { .. })));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named() {
        let mut plans = Plans::parse(PLANS).unwrap();
        plans.configurations["2d"]["patch_size"] = serde_json::json!([56, 0]);
        let error = plans.configuration(&name("2d")).unwrap_err();
        assert_eq!(error.to_string(), "plans, configuration `2d`: `patch_size` cannot be [56, 0]");
    }
}
