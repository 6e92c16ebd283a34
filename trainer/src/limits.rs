//! When a training ends before its schedule does: a budget of time, or patience.
//!
//! A budget ends it after the epoch in which the time runs out, to be continued later. Patience ends it for good, when
//! the moving average of the pseudo-Dice, which decides on `checkpoint_best`, has not risen for that many epochs; but
//! only with the last epoch of a cycle, because the members of a cycle exist only then, and the rate has just restarted
//! where a cycle begins. nnU-Net has neither.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::raw_dataset::{RawDatasetError, read_text};
use crate::schedule::Schedule;
use imaging::atomic_file;

/// The file that says that a training ended by patience.
pub const FILE_NAME: &str = "early_end.json";

/// What may end a training early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time since the program began to train, or to go on.
    pub time_budget: Option<Duration>,
    /// Epochs without a better average.
    pub patience: Option<u32>,
}

/// Where a training stands after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The epoch.
    pub epoch: u32,
    /// The epoch with the best average so far.
    pub best_epoch: u32,
    /// Time since the program began to train, or to go on.
    pub elapsed: Duration,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Schedule,
    /// The budget was spent; the training can be continued.
    TimeBudget {
        /// The last epoch that was done.
        epoch: u32,
    },
    /// Nothing got better for too long.
    Patience(EarlyEnd),
}

/// The content of [`FILE_NAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyEnd {
    /// The last epoch, which is the last of its cycle.
    pub epoch: u32,
    /// The epoch with the best average.
    pub best_epoch: u32,
    /// Epochs without a better average that were asked for.
    pub patience: u32,
}

impl Limits {
    /// Whether a training ends here, and why; the schedule's end comes first, patience before time.
    pub fn ending(&self, schedule: &Schedule, standing: Standing) -> Option<Ending> {
        let Standing { epoch, best_epoch, elapsed } = standing;
        if epoch + 1 >= schedule.n_epochs() {
            return Some(Ending::Schedule);
        }
        let ends_cycle = (epoch + 1).is_multiple_of(schedule.cycle_length());
        let is_over = |patience: u32| ends_cycle && epoch.saturating_sub(best_epoch) >= patience;
        if let Some(patience) = self.patience.filter(|&patience| is_over(patience)) {
            return Some(Ending::Patience(EarlyEnd { epoch, best_epoch, patience }));
        }
        let is_spent = self.time_budget.is_some_and(|budget| elapsed >= budget);
        is_spent.then_some(Ending::TimeBudget { epoch })
    }
}

impl EarlyEnd {
    /// Writes the file into a fold's folder.
    ///
    /// # Errors
    ///
    /// The system's own, with the file.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        atomic_file::write(&folder.join(FILE_NAME), &serde_json::to_vec_pretty(self)?)
    }

    /// Reads the file of a fold's folder; `None` if the training did not end early.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if there is a file that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, LimitsError> {
        let path = folder.join(FILE_NAME);
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        let text = read_text(&path).map_err(|source| LimitsError::Read { source })?;
        serde_json::from_str(&text).map(Some).map_err(|source| LimitsError::Json { source })
    }

    /// Removes the file of a fold's folder, whose training goes on.
    ///
    /// # Errors
    ///
    /// The system's own, if there is a file that cannot be removed.
    pub fn forget(folder: &Path) -> io::Result<()> {
        match fs_err::remove_file(folder.join(FILE_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Why it is not known whether a training ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// The file is malformed.
    #[error("`{FILE_NAME}` does not say how the training ended")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("`{FILE_NAME}` cannot be read")]
    Read {
        /// Which file, and why.
        source: RawDatasetError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Decay;

    /// Twelve epochs in three cycles.
    fn check(limits: Limits, (epoch, best_epoch, seconds): (u32, u32, u64), expected: Option<Ending>) {
        let schedule = Schedule::new(12, 3, 0.8, Decay::Unnunet).unwrap();
        let standing = Standing { epoch, best_epoch, elapsed: Duration::from_secs(seconds) };
        assert_eq!(limits.ending(&schedule, standing), expected, "{limits:?}, {standing:?}");
    }

    #[test]
    fn patience_ends_a_training_only_with_a_cycle() {
        let limits = Limits { patience: Some(3), time_budget: None };
        let early = |epoch, best_epoch| Some(Ending::Patience(EarlyEnd { epoch, best_epoch, patience: 3 }));
        check(limits, (6, 0, 0), None);
        check(limits, (7, 4, 0), early(7, 4));
        check(limits, (7, 5, 0), None);
        check(limits, (3, 0, 0), early(3, 0));
        check(limits, (11, 0, 0), Some(Ending::Schedule));
    }

    #[test]
    fn a_budget_ends_a_training_after_the_epoch_that_spends_it() {
        let limits = Limits { patience: None, time_budget: Some(Duration::from_mins(1)) };
        check(limits, (5, 0, 59), None);
        check(limits, (5, 0, 60), Some(Ending::TimeBudget { epoch: 5 }));
        check(limits, (11, 0, 99), Some(Ending::Schedule));
        check(Limits::default(), (5, 0, 1 << 40), None);
    }

    #[test]
    fn an_early_end_is_remembered_until_the_training_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let end = EarlyEnd { epoch: 7, best_epoch: 4, patience: 3 };
        EarlyEnd::forget(folder.path()).unwrap();
        assert_eq!(EarlyEnd::read(folder.path()).unwrap(), None);
        end.write(folder.path()).unwrap();
        assert_eq!(EarlyEnd::read(folder.path()).unwrap(), Some(end));
        fs_err::write(folder.path().join(FILE_NAME), "{}").unwrap();
        assert!(matches!(EarlyEnd::read(folder.path()), Err(LimitsError::Json { .. })));
        EarlyEnd::forget(folder.path()).unwrap();
        assert_eq!(EarlyEnd::read(folder.path()).unwrap(), None);
    }
}
