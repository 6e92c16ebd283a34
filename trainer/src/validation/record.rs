//! `validation/scores/<case>.json`: who predicted a case, and how uncertain they were.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use imaging::atomic_file;
use nnunet::dataset::{CaseId, LabelSet};
use nnunet::uncertainty::{Scores, UncertaintyMethod};
use serde::{Deserialize, Serialize};

use super::ValidationError;
use crate::raw_dataset::read_text;
use crate::stage_predictions::Predictor;

/// Version of this file's format.
const FORMAT: u32 = 1;
/// The folder of these files, inside that of the validation.
const FOLDER: &str = "scores";

/// One member of the ensemble that predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberFacts {
    /// Its name, `fold_<f>/checkpoint_<epoch>`.
    pub member: String,
    /// Digest of its weights.
    pub weights: Digest,
}

/// Scores of a case by one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodScores {
    /// How uncertainty was measured.
    pub method: UncertaintyMethod,
    /// Of all foreground; `None` if undefined.
    pub score: Option<f64>,
    /// Of every structure by its name.
    pub structures: BTreeMap<String, Option<f64>>,
}

impl MethodScores {
    /// Names the scores of the structures.
    pub(super) fn new(method: UncertaintyMethod, scores: &Scores, labels: &LabelSet) -> Self {
        let names = labels.structures.iter().map(|structure| structure.name.clone());
        Self { method, score: scores.whole, structures: names.zip(scores.structures.iter().copied()).collect() }
    }
}

/// Everything that is known about a predicted case but its segmentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseScores {
    format: u32,
    /// The case.
    pub case: CaseId,
    /// Who predicted it.
    pub members: Vec<MemberFacts>,
    /// What their logits were divided by.
    pub temperature: f32,
    /// Digest of the previous stage's segmentation that they saw, in a cascade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_stage: Option<Digest>,
    /// By every method.
    pub scores: Vec<MethodScores>,
}

impl CaseScores {
    pub(super) fn new(case: &CaseId, by: Predictor<'_>, previous: Option<Digest>, scores: Vec<MethodScores>) -> Self {
        let (case, members, temperature) = (case.clone(), by.members.to_vec(), by.temperature);
        Self { format: FORMAT, case, members, temperature, previous_stage: previous, scores }
    }

    /// Whether these members predicted so, and saw this segmentation.
    pub fn are_of(&self, by: Predictor<'_>, previous: Option<Digest>) -> bool {
        self.members == by.members
            && self.temperature.to_bits() == by.temperature.to_bits()
            && self.previous_stage == previous
    }

    /// Scores by a method.
    pub fn by(&self, method: UncertaintyMethod) -> Option<&MethodScores> {
        self.scores.iter().find(|scores| scores.method == method)
    }

    /// Reads what is known about a case in a validation's folder.
    ///
    /// # Errors
    ///
    /// [`ValidationError::Read`] or [`ValidationError::Json`].
    pub fn read(validation: &Path, case: &CaseId) -> Result<Self, ValidationError> {
        let path = path(validation, case);
        let text = read_text(&path).map_err(|source| ValidationError::Read { source: Box::new(source) })?;
        let refuse = |source| ValidationError::Json { path: path.clone(), source };
        let scores: Self = serde_json::from_str(&text).map_err(refuse)?;
        if scores.format != FORMAT || scores.case != *case {
            return Err(ValidationError::OtherCase { path, format: scores.format, found: scores.case });
        }
        Ok(scores)
    }

    pub(super) fn write(&self, validation: &Path) -> Result<(), ValidationError> {
        let path = path(validation, &self.case);
        let refuse = |source| ValidationError::Json { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).map_err(refuse)?;
        atomic_file::write(&path, &text).map_err(|source| ValidationError::Write { source })
    }
}

/// Makes the folders of a fold's validation.
pub(super) fn make_folder(validation: &Path) -> Result<(), ValidationError> {
    fs_err::create_dir_all(validation.join(FOLDER)).map_err(|source| ValidationError::Write { source })
}

/// Where the scores of a case lie.
pub(super) fn path(validation: &Path, case: &CaseId) -> PathBuf {
    validation.join(FOLDER).join(format!("{case}.json"))
}
