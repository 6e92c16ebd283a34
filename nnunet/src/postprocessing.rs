//! `postprocessing.json`: of which structures only the largest component is kept, and how that was found out.
//!
//! Follows nnU-Net v2 `remove_connected_components.py`: first all foreground together, kept if the mean Dice over the
//! structures rises and no structure's mean falls; then, if there are several structures, one after the other in their
//! order, each kept if its own mean Dice rises, on top of what was kept before. A mean Dice that is undefined, because
//! a structure is in no case, neither rises nor falls, and leaves the mean over the structures undefined. The file is
//! nnU-Net's own, which a bundle carries as `config/postprocessing.json`. Departs from it by pickling nothing, and by
//! evaluating in memory instead of writing every attempt.

use std::collections::BTreeMap;

use imaging::components::outside_largest;
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::dataset::LabelSet;
use crate::evaluation::summary::{MeanMetrics, Summary, key};

/// The only function that is known here, under nnU-Net's name.
const KEEP_LARGEST: &str = "remove_all_but_largest_component_from_segmentation";
/// Steps that a file may have; a determination has one per structure and one for all.
const MAX_STEPS: usize = 256;

/// What is done to a segmentation after prediction, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Postprocessing {
    steps: Vec<Step>,
}

/// Labels of which, taken together, only the largest component is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// In nnU-Net's words.
    labels_or_regions: Labels,
}

/// A label, or several that are one mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Labels {
    One(u8),
    Several(Vec<Labels>),
}

impl Labels {
    fn of(values: &[u8]) -> Self {
        match *values {
            [label] => Self::One(label),
            _ => Self::Several(values.iter().copied().map(Self::One).collect()),
        }
    }

    /// The labels; a region within a list is part of the same mask.
    fn values(&self) -> Vec<u8> {
        match self {
            Self::One(label) => vec![*label],
            Self::Several(labels) => labels.iter().flat_map(Self::values).collect(),
        }
    }
}

impl Step {
    /// The labels whose voxels are one mask.
    pub fn labels(&self) -> Vec<u8> {
        self.labels_or_regions.values()
    }

    /// Makes background of every voxel of these labels outside their largest component; ties keep all.
    fn apply(&self, segmentation: &mut Array3<u8>) {
        let labels = self.labels();
        let mask = segmentation.mapv(|label| labels.contains(&label));
        for voxel in outside_largest(&mask) {
            segmentation[voxel] = 0;
        }
    }
}

impl Postprocessing {
    /// Whether nothing is done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is done, in this order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does it to a label map `[z, y, x]`.
    pub fn apply(&self, segmentation: &mut Array3<u8>) {
        for step in &self.steps {
            step.apply(segmentation);
        }
    }

    fn and(&self, labels: &[u8]) -> Self {
        let mut steps = self.steps.clone();
        steps.push(Step { labels_or_regions: Labels::of(labels) });
        Self { steps }
    }
}

/// The means that a decision rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Means {
    /// Over the structures.
    pub foreground_mean: MeanMetrics,
    /// Of every structure over the cases.
    pub mean: BTreeMap<String, MeanMetrics>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostprocessingFile {
    /// Without postprocessing.
    pub input_folder: Means,
    /// With all that was kept.
    pub postprocessed: Means,
    /// A function's name per step.
    postprocessing_fns: Vec<String>,
    /// Its arguments.
    postprocessing_kwargs: Vec<Step>,
}

impl PostprocessingFile {
    /// Finds out which steps help; `evaluate` says how good the cases are after the steps it is handed.
    ///
    /// # Errors
    ///
    /// What `evaluate` says.
    pub fn determine<E>(
        labels: &LabelSet,
        mut evaluate: impl FnMut(&Postprocessing) -> Result<Summary, E>,
    ) -> Result<Self, E> {
        let before = Means::of(evaluate(&Postprocessing::default())?);
        let (mut kept, mut reached) = (Postprocessing::default(), before.clone());
        let all = kept.and(&foreground(labels));
        let means = Means::of(evaluate(&all)?);
        let falls = |key: &String| below(means.dice(key), before.dice(key));
        if below(before.foreground_dice(), means.foreground_dice()) && !means.mean.keys().any(falls) {
            (kept, reached) = (all, means);
        }
        if labels.structures.len() > 1 {
            for structure in &labels.structures {
                let key = key(structure);
                let one_more = kept.and(&structure.values);
                let means = Means::of(evaluate(&one_more)?);
                if below(reached.dice(&key), means.dice(&key)) {
                    (kept, reached) = (one_more, means);
                }
            }
        }
        let postprocessing_fns = vec![KEEP_LARGEST.to_owned(); kept.steps.len()];
        Ok(Self { input_folder: before, postprocessed: reached, postprocessing_fns, postprocessing_kwargs: kept.steps })
    }

    /// Parses a file, of ours or of nnU-Net, and checks that its steps are ones for these labels.
    ///
    /// # Errors
    ///
    /// [`PostprocessingError`] if the text has not this shape, or names what is not known.
    pub fn parse(text: &str, labels: &LabelSet) -> Result<Self, PostprocessingError> {
        let file: Self = serde_json::from_str(text).map_err(|source| PostprocessingError::Json { source })?;
        let (functions, arguments) = (file.postprocessing_fns.len(), file.postprocessing_kwargs.len());
        if functions != arguments || functions > MAX_STEPS {
            return Err(PostprocessingError::Steps { functions, arguments });
        }
        if let Some(found) = file.postprocessing_fns.iter().find(|name| *name != KEEP_LARGEST) {
            return Err(PostprocessingError::Function { found: found.clone() });
        }
        let known = foreground(labels);
        for step in &file.postprocessing_kwargs {
            let found = step.labels();
            if found.is_empty() || found.iter().any(|label| !known.contains(label)) {
                return Err(PostprocessingError::Labels { found, known });
            }
        }
        Ok(file)
    }

    /// What is to be done.
    pub fn postprocessing(&self) -> Postprocessing {
        Postprocessing { steps: self.postprocessing_kwargs.clone() }
    }
}

impl Means {
    fn of(summary: Summary) -> Self {
        Self { foreground_mean: summary.foreground_mean, mean: summary.mean }
    }

    fn dice(&self, key: &String) -> Option<f64> {
        self.mean.get(key).and_then(|mean| mean.dice)
    }

    /// Over all structures, or none.
    fn foreground_dice(&self) -> Option<f64> {
        self.mean.values().all(|mean| mean.dice.is_some()).then_some(self.foreground_mean.dice).flatten()
    }
}

/// Whether both are defined and the first is less.
fn below(one: Option<f64>, other: Option<f64>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one < other)
}

/// Every label of a structure, ascending.
fn foreground(labels: &LabelSet) -> Vec<u8> {
    let mut values: Vec<u8> = labels.structures.iter().flat_map(|structure| structure.values.iter().copied()).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostprocessingError {
    /// A step that is not known here.
    #[error("the postprocessing asks for `{found}`, only `{KEEP_LARGEST}` is known")]
    Function {
        /// Its name.
        found: String,
    },
    /// The text is no postprocessing.
    #[error("the postprocessing is malformed")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// A step of labels that the data set has not.
    #[error("the postprocessing names the labels {found:?}, the data set has {known:?}")]
    Labels {
        /// The labels of the step.
        found: Vec<u8>,
        /// The labels there are.
        known: Vec<u8>,
    },
    /// Functions and arguments do not go together.
    #[error("the postprocessing has {functions} functions and {arguments} sets of arguments, at most {MAX_STEPS}")]
    Steps {
        /// Functions.
        functions: usize,
        /// Sets of arguments.
        arguments: usize,
    },
}

#[cfg(test)]
mod tests;
