//! How the members' predictions become one segmentation.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// All rules of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Rules {
    /// Whose vote a fold's segmentation is.
    pub(crate) segmentation: Segmentation,
    /// Which fold's segmentation is the result.
    pub(crate) select: Select,
    /// What is averaged.
    pub(crate) average: Average,
}

/// Whose vote a fold's segmentation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Segmentation {
    /// The mean of the fold's members
    #[default]
    Mean,
    /// The fold's best checkpoint alone; the others still say how uncertain it is
    Best,
}

/// Which fold's segmentation is the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Select {
    /// Of the fold with the lowest score on the case
    #[default]
    LowestUncertainty,
    /// Of no fold: the mean over the folds
    Mean,
}

/// What is averaged for a segmentation. Maps and scores are always made of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Average {
    /// Probabilities on the grid of the case
    #[default]
    Probabilities,
    /// Logits on the grid of the network, as nnU-Net's ensemble of folds
    Logits,
}
