//! What a fold's folder shows of its training: `progress.csv`, `progress.png`, and an event file for `TensorBoard`.
//!
//! Table, picture and events are all made from the journal after every epoch and appear by rename, so a crash leaves
//! the last whole ones and a resumed training shows each epoch once. A `TensorBoard` that is open keeps reading the file
//! that was replaced; starting it anew shows the newer epochs.

use std::io;
use std::path::Path;

use imaging::atomic_file;

use crate::event_file::{self, Step};
use crate::journal::{EpochRecord, Journal};
use crate::progress_plot::{self, PlotError};
use crate::pseudo_dice::mean;

/// The table.
pub const CSV: &str = "progress.csv";
/// The picture.
pub const PLOT: &str = "progress.png";
/// The events; `TensorBoard` looks for `tfevents` in a name.
pub const EVENTS: &str = "events.out.tfevents.unnunet";

/// Writes picture and events of the journal's epochs into a folder.
///
/// # Errors
///
/// [`PresentationError`] if the picture cannot be made or a file not be written.
pub fn write(folder: &Path, journal: &Journal) -> Result<(), PresentationError> {
    let picture = progress_plot::png(journal.records()).map_err(|source| PresentationError::Plot { source })?;
    let steps: Vec<_> = journal.records().iter().map(|record| step(record, journal.structures())).collect();
    for (name, content) in [(PLOT, picture), (EVENTS, event_file::bytes(&steps))] {
        atomic_file::write(&folder.join(name), &content).map_err(|source| PresentationError::Write { source })?;
    }
    Ok(())
}

/// An epoch as `TensorBoard` shows it; what is undefined is left out.
fn step(record: &EpochRecord, structures: &[String]) -> Step {
    let of_structures = structures.iter().zip(&record.pseudo_dice);
    let of_structures = of_structures.map(|(name, &dice)| (format!("pseudo_dice/{name}"), dice));
    let values = [
        ("loss/training".to_owned(), Some(record.training_loss)),
        ("loss/validation".to_owned(), Some(record.validation_loss)),
        ("pseudo_dice_mean".to_owned(), mean(&record.pseudo_dice)),
        ("pseudo_dice_moving_average".to_owned(), record.ema_pseudo_dice),
        ("learning_rate".to_owned(), Some(record.learning_rate)),
        ("seconds".to_owned(), Some(record.seconds)),
    ];
    let values = values.into_iter().chain(of_structures).filter_map(|(tag, value)| Some((tag, value?)));
    Step { wall_time: record.finished, number: record.epoch.into(), values: values.collect() }
}

/// Why a training cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresentationError {
    /// The picture could not be made.
    #[error("cannot make `{PLOT}`")]
    Plot {
        /// Why.
        source: PlotError,
    },
    /// A file could not be written.
    #[error("cannot write the course of the training")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32) -> EpochRecord {
        EpochRecord { finished: 1.5e9 + f64::from(epoch), ..crate::journal::tests::record(epoch) }
    }

    #[test]
    fn a_step_has_what_is_defined() {
        let step = step(&record(3), &["a".into(), "b".into()]);
        assert_eq!((step.number, step.wall_time), (3, 1.5e9 + 3.0));
        let tags: Vec<_> = step.values.iter().map(|(tag, _)| tag.as_str()).collect();
        let expected = [
            "loss/training",
            "loss/validation",
            "pseudo_dice_mean",
            "pseudo_dice_moving_average",
            "learning_rate",
            "seconds",
            "pseudo_dice/a",
        ];
        assert_eq!(tags, expected);
    }

    #[test]
    fn an_interrupted_and_resumed_training_shows_what_an_undisturbed_one_shows() {
        let (whole, resumed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let journal = |folder: &Path| Journal::new(folder.join(CSV), &["a".into(), "b".into()]);
        let add = |journal: &mut Journal, folder: &Path, epochs: std::ops::Range<u32>| {
            for epoch in epochs {
                journal.add(&record(epoch)).unwrap();
                write(folder, journal).unwrap();
            }
        };
        add(&mut journal(whole.path()), whole.path(), 0..4);
        // The third epoch was shown, but the training was killed before its state was saved.
        add(&mut journal(resumed.path()), resumed.path(), 0..3);
        fs_err::write(resumed.path().join(PLOT), b"cut").unwrap();
        add(&mut journal(resumed.path()).resume(2).unwrap(), resumed.path(), 2..4);
        for name in [CSV, PLOT, EVENTS] {
            let [a, b] = [&whole, &resumed].map(|folder| fs_err::read(folder.path().join(name)).unwrap());
            assert!(a == b, "{name}");
        }
    }
}
