//! How unsure an ensemble is of a case: per voxel, and as a score.
//!
//! The members' probabilities are [streamed into sums](Ensemble), from which each [method](UncertaintyMethod) makes a
//! map; a map summed up and divided by the length of the segmentation's [contour](Contours) is a score. Formulas and
//! their sources stand in `docs/uncertainty.md`. Departs from UnnUNet in the logarithm (bits everywhere), in summing
//! over all classes, in a mean over members, so that scores of ensembles of different size compare, and in leaving
//! the score of an empty segmentation undefined.

mod contour;
mod ensemble;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use contour::{Contours, Scores, contour, slicing_axis};
pub use ensemble::{Ensemble, entropy_bits};

/// How a map is made from the members' probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UncertaintyMethod {
    /// Entropy of the mean over the members.
    ClassEntropy,
    /// Mean over the members of their entropies.
    TotalEntropy,
    /// The first less the second: what the members disagree about.
    MutualInformation,
}

impl UncertaintyMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::ClassEntropy, Self::TotalEntropy, Self::MutualInformation];

    /// The name on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClassEntropy => "class-entropy",
            Self::TotalEntropy => "total-entropy",
            Self::MutualInformation => "mutual-information",
        }
    }
}

impl fmt::Display for UncertaintyMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for UncertaintyMethod {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let method = Self::ALL.into_iter().find(|method| method.name() == text);
        method.ok_or_else(|| UnknownMethod { found: text.to_owned() })
    }
}

/// A name that no method has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no uncertainty method; there are {}", UncertaintyMethod::ALL.map(UncertaintyMethod::name).join(", "))]
pub struct UnknownMethod {
    /// The name as found.
    pub found: String,
}

#[cfg(test)]
mod tests;
