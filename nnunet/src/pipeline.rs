//! `config/pipeline.json` of a bundle: what the runtime must know besides plans, labels and weights.
//!
//! Written by the trainer's export, read by the runtime. Ours, not nnU-Net's; unknown fields and versions are errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fold::Fold;
use crate::plans::ConfigurationName;

/// The only version there is.
const FORMAT: u32 = 1;

/// How a bundle's members are run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Version of this file's format.
    pub format: u32,
    /// The configuration of `config/plans.json` the members were trained with.
    pub configuration: ConfigurationName,
    /// Spatial axes (0 is the first of the patch) along which training mirrored and prediction may.
    pub mirror_axes: Vec<usize>,
    /// Softmax temperature from calibration; 1 where there is none.
    pub temperature: f32,
    /// `selftest/expected.bin` holds every n-th logit of the probe patch, in C order from the first.
    pub probe_stride: usize,
    /// Epoch of the fold's best checkpoint, of those folds whose best is a member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub best_epochs: BTreeMap<Fold, u32>,
}

impl Pipeline {
    /// A pipeline of the current format.
    pub fn new(configuration: ConfigurationName, mirror_axes: Vec<usize>, probe_stride: usize) -> Self {
        let best_epochs = BTreeMap::new();
        Self { format: FORMAT, configuration, mirror_axes, temperature: 1.0, probe_stride, best_epochs }
    }

    /// Parses and checks the file.
    ///
    /// # Errors
    ///
    /// [`PipelineError`] if the text has not this shape or a value cannot be used.
    pub fn parse(text: &str) -> Result<Self, PipelineError> {
        let pipeline: Self = serde_json::from_str(text).map_err(|source| PipelineError::Json { source })?;
        let refuse = |field, found| Err(PipelineError::Value { field, found });
        if pipeline.format != FORMAT {
            return refuse("format", pipeline.format.to_string());
        }
        let mut axes = pipeline.mirror_axes.clone();
        axes.dedup();
        if axes != pipeline.mirror_axes || !axes.is_sorted() || axes.iter().any(|&axis| axis > 2) {
            return refuse("mirror_axes", format!("{:?}", pipeline.mirror_axes));
        }
        if !(0.01..=100.0).contains(&pipeline.temperature) {
            return refuse("temperature", pipeline.temperature.to_string());
        }
        if pipeline.probe_stride == 0 {
            return refuse("probe_stride", "0".into());
        }
        Ok(pipeline)
    }
}

/// What can be wrong with `config/pipeline.json`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The text is not a pipeline.
    #[error("`config/pipeline.json` is malformed")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field has a value that cannot be used.
    #[error("`config/pipeline.json`: `{field}` cannot be {found}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, message: &str) {
        assert_eq!(Pipeline::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut pipeline = Pipeline::new(ConfigurationName("2d".into()), vec![0, 1], 7);
        let check = |pipeline: &Pipeline| {
            let text = serde_json::to_string(pipeline).unwrap();
            assert_eq!(Pipeline::parse(&text).unwrap(), *pipeline);
            assert_eq!(text.contains("best_epochs"), !pipeline.best_epochs.is_empty(), "{text}");
        };
        check(&pipeline);
        pipeline.best_epochs.insert(Fold(3), 19);
        check(&pipeline);
    }

    #[test]
    fn unknown_fields_versions_and_values_are_refused() {
        let text = |format, axes, more| {
            format!(
                r#"{{"format":{format},"configuration":"2d","mirror_axes":{axes},"temperature":1,"probe_stride":7{more}}}"#
            )
        };
        check(&text(2, "[0]", ""), "`config/pipeline.json`: `format` cannot be 2");
        check(&text(1, "[1,0]", ""), "`config/pipeline.json`: `mirror_axes` cannot be [1, 0]");
        check(&text(1, "[3]", ""), "`config/pipeline.json`: `mirror_axes` cannot be [3]");
        check(&text(1, "[0]", r#","x":1"#), "`config/pipeline.json` is malformed");
    }
}
