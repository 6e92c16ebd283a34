//! Cross-validation folds and the members of an ensemble.
//!
//! A member is one network: the checkpoint of one epoch of one fold. Its text form `fold_0/checkpoint_19` names the
//! member in bundles, traces and reports.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dataset::CaseId;

/// Index of a cross-validation fold, 0–999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fold(pub u16);

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fold_{}", self.0)
    }
}

/// Training and validation cases of one fold, as an entry of `splits_final.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Cases the fold trains on.
    pub train: Vec<CaseId>,
    /// Cases the fold is validated on.
    pub val: Vec<CaseId>,
}

/// One network of the ensemble: fold × checkpoint epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The fold the network was trained on.
    pub fold: Fold,
    /// The epoch, counted from 0, after which its weights were saved.
    pub epoch: u32,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/checkpoint_{}", self.fold, self.epoch)
    }
}

/// At most `max` of a fold's checkpoints in the order of their epochs, evenly spread, the last always among them.
pub fn spread<T: Copy>(checkpoints: &[T], max: Option<NonZeroUsize>) -> Vec<T> {
    let n = max.map_or(checkpoints.len(), |max| max.get().min(checkpoints.len()));
    (1..=n).map(|i| checkpoints[i * checkpoints.len() / n - 1]).collect()
}

/// A text that does not name a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no member; expected `fold_<f>/checkpoint_<epoch>`")]
pub struct ParseMemberError {
    /// The text as found.
    pub found: String,
}

impl FromStr for Member {
    type Err = ParseMemberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (fold, epoch) = text.strip_prefix("fold_")?.split_once("/checkpoint_")?;
            let member = Self { fold: Fold(fold.parse().ok()?), epoch: epoch.parse().ok()? };
            // Refuses `fold_00/…` and `fold_+1/…`: one member has one name.
            (member.to_string() == text).then_some(member)
        };
        parse().ok_or_else(|| ParseMemberError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_spread_evenly_and_end_with_the_last() {
        let epochs = [10, 11, 12, 13, 14, 15];
        let check = |max, expected: &[u32]| assert_eq!(spread(&epochs, NonZeroUsize::new(max)), expected, "{max}");
        check(1, &[15]);
        check(2, &[12, 15]);
        check(3, &[11, 13, 15]);
        check(4, &[10, 12, 13, 15]);
        check(9, &epochs);
        assert_eq!(spread(&epochs, None), epochs);
    }

    #[test]
    fn a_member_has_exactly_one_name() {
        let member = Member { fold: Fold(3), epoch: 120 };
        assert_eq!("fold_3/checkpoint_120".parse(), Ok(member));
        for other in ["fold_03/checkpoint_120", "fold_3/checkpoint_+1", "fold_3", "fold_3/checkpoint_", "../fold_3"] {
            assert!(other.parse::<Member>().is_err(), "{other}");
        }
    }
}
