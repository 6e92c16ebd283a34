//! How unsure an ensemble is of a case: per voxel, and as a score.
//!
//! The members' probabilities are [streamed into sums](Ensemble), from which each [method](UncertaintyMethod) makes a
//! map; a map summed up and divided by the length of the segmentation's [contour](Contours) is a score. One method has
//! no map: it scores how little the members' label maps overlap. Formulas and their sources stand in
//! `docs/uncertainty.md`. Departs from UnnUNet in the logarithm (bits everywhere), in summing over all classes, in a
//! mean over members, so that scores of ensembles of different size compare, in setting significant p-values to 0, and
//! in leaving the score of an empty segmentation undefined. [`UnnunetEnsemble`] gives its own numbers.

mod contour;
mod ensemble;
mod entropy;
mod moments;
mod pairwise_dice;
mod sole_member;
mod t_test;
mod unnunet;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use contour::{Contours, Scores, slicing_axis};
pub use ensemble::{Ensemble, Measure};
pub use sole_member::SoleMember;
pub use unnunet::{UnnunetEnsemble, UnnunetError};

/// How uncertainty is measured from the members' probabilities.
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
    /// p-value of a Welch test between the two most probable classes; 0 where they differ significantly.
    TTest,
    /// How little the members' label maps overlap. Has no map.
    PairwiseDice,
}

impl UncertaintyMethod {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::ClassEntropy, Self::TotalEntropy, Self::MutualInformation, Self::TTest, Self::PairwiseDice];

    /// The methods that need nothing but sums over the members.
    pub const ENTROPIES: [Self; 3] = [Self::ClassEntropy, Self::TotalEntropy, Self::MutualInformation];

    /// The name on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClassEntropy => "class-entropy",
            Self::TotalEntropy => "total-entropy",
            Self::MutualInformation => "mutual-information",
            Self::TTest => "t-test",
            Self::PairwiseDice => "pairwise-dice",
        }
    }

    /// Whether there is a value for every voxel, and not for the case only.
    pub fn has_map(self) -> bool {
        self != Self::PairwiseDice
    }

    /// Whether it takes the sum of the members' entropies beside that of their probabilities.
    pub fn needs_entropies_of_members(self) -> bool {
        matches!(self, Self::TotalEntropy | Self::MutualInformation)
    }

    /// Members without which nothing can be said: one has neither variance nor pair.
    pub fn min_members(self) -> usize {
        match self {
            Self::ClassEntropy | Self::TotalEntropy | Self::MutualInformation => 1,
            Self::TTest | Self::PairwiseDice => 2,
        }
    }

    /// Whether an ensemble of `n_members` can be measured so.
    ///
    /// # Errors
    ///
    /// [`TooFewMembers`] if not.
    pub fn check_members(self, n_members: usize) -> Result<(), TooFewMembers> {
        let needed = self.min_members();
        if n_members < needed { Err(TooFewMembers { method: self, needed, found: n_members }) } else { Ok(()) }
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

/// An ensemble too small for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{method}` needs at least {needed} members, found {found}")]
pub struct TooFewMembers {
    /// The method.
    pub method: UncertaintyMethod,
    /// Members that it needs.
    pub needed: usize,
    /// Members that there are.
    pub found: usize,
}

#[cfg(test)]
mod tests;
