//! Which epochs leave a checkpoint for the ensemble.
//!
//! Per cycle: `late`, the last epochs of the cycle; `sparse`, six epochs evenly spaced over its last part; or both.
//! `best` and `latest` are kept besides and are no concern of this rule.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

/// Epochs at the end of a cycle kept by `late` unless asked otherwise; fewer where a cycle is shorter.
pub const DEFAULT_LATE: u32 = 10;
/// Epochs of a cycle kept by `sparse`.
const N_SPARSE: u32 = 6;

/// Which epochs of each cycle are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointRule {
    /// The last epochs, this many, including the cycle's last.
    Late(u32),
    /// Six epochs from `⌊0.7·Tc⌋` to the cycle's last, both included; fewer where they coincide.
    Sparse,
    /// Late (this many) and sparse.
    Both(u32),
}

impl CheckpointRule {
    /// The epochs kept of a whole training, in order.
    ///
    /// # Errors
    ///
    /// [`CheckpointRuleError`] if `late` asks for no epoch or for more than a cycle has.
    pub fn epochs(self, schedule: &Schedule) -> Result<BTreeSet<u32>, CheckpointRuleError> {
        let length = schedule.cycle_length();
        let within_cycle: BTreeSet<u32> = match self {
            Self::Late(n) => late(n, length)?,
            Self::Sparse => sparse(length),
            Self::Both(n) => late(n, length)?.union(&sparse(length)).copied().collect(),
        };
        let of_cycle = |cycle: u32| within_cycle.iter().map(move |t| cycle * length + t);
        Ok((0..schedule.n_cycles()).flat_map(of_cycle).collect())
    }
}

fn late(n: u32, cycle_length: u32) -> Result<BTreeSet<u32>, CheckpointRuleError> {
    if n == 0 || n > cycle_length {
        return Err(CheckpointRuleError::Late { found: n, cycle_length });
    }
    Ok((cycle_length - n..cycle_length).collect())
}

fn sparse(cycle_length: u32) -> BTreeSet<u32> {
    let (first, last) = (7 * cycle_length / 10, cycle_length - 1);
    let steps = N_SPARSE - 1;
    // Rounded to the nearest epoch; fifths are never halfway. A cycle of one epoch begins with its last.
    let first = first.min(last);
    (0..=steps).map(|i| first + (i * (last - first) + steps / 2) / steps).collect()
}

/// Why a rule does not fit a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointRuleError {
    /// More epochs than a cycle has, or none.
    #[error("cannot keep the last {found} epochs of cycles of {cycle_length}; expected 1 to {cycle_length}")]
    Late {
        /// Epochs asked for.
        found: u32,
        /// Epochs of a cycle.
        cycle_length: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Decay;

    fn check(rule: CheckpointRule, n_epochs: u32, n_cycles: u32, expected: &[u32]) {
        let schedule = Schedule::new(n_epochs, n_cycles, 0.8, Decay::Unnunet).unwrap();
        let epochs = rule.epochs(&schedule).unwrap();
        assert_eq!(epochs.into_iter().collect::<Vec<_>>(), expected, "{rule:?}");
    }

    #[test]
    fn late_keeps_the_end_of_every_cycle() {
        check(CheckpointRule::Late(3), 20, 2, &[7, 8, 9, 17, 18, 19]);
        check(CheckpointRule::Late(10), 10, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn sparse_spreads_six_epochs_over_the_last_part() {
        // ⌊0.7 · 50⌋ = 35 to 49: steps of 2.8 → 35, 37.8, 40.6, 43.4, 46.2, 49.
        check(CheckpointRule::Sparse, 50, 1, &[35, 38, 41, 43, 46, 49]);
        check(CheckpointRule::Sparse, 10, 2, &[3, 4, 8, 9]);
        check(CheckpointRule::Sparse, 2, 2, &[0, 1]);
    }

    #[test]
    fn both_is_the_union() {
        check(CheckpointRule::Both(2), 50, 1, &[35, 38, 41, 43, 46, 48, 49]);
    }

    #[test]
    fn a_cycle_cannot_keep_more_epochs_than_it_has() {
        let schedule = Schedule::new(10, 2, 0.8, Decay::Unnunet).unwrap();
        let error = CheckpointRule::Late(6).epochs(&schedule).unwrap_err();
        assert_eq!(error.to_string(), "cannot keep the last 6 epochs of cycles of 5; expected 1 to 5");
        assert!(CheckpointRule::Both(0).epochs(&schedule).is_err());
    }
}
