//! How well segmentations agree with references, and how well scores foretell it.
//!
//! [`Overlap`] counts voxels, [`Summary`] gathers cases in the form of nnU-Net's `summary.json`, [`Correlation`]
//! relates scores to Dice. A metric that does not exist is `None`, never 0: a structure that is neither in the
//! reference nor in the segmentation has no Dice.

mod correlation;
mod overlap;
mod summary;

pub use correlation::Correlation;
pub use overlap::{Overlap, StructureMetrics, case_metrics, label_dice};
pub use summary::{CaseMetrics, Metrics, Summary};
