//! `progress.csv`: one line per finished epoch, and the only record of them.
//!
//! Whatever else shows the course of a training is made from these lines. The file is written anew after every epoch,
//! so that it is whole at any time; a resumed training keeps the lines of the epochs that it does not repeat.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use imaging::atomic_file;

/// Columns before the pseudo-Dice of the structures.
const FIRST_COLUMNS: &str = "epoch,cycle,learning_rate,training_loss,validation_loss";
/// Columns after them.
const LAST_COLUMNS: &str = ",ema_pseudo_dice,seconds,finished";

/// What happened in one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRecord {
    /// The epoch, counted from 0.
    pub epoch: u32,
    /// Its cycle, counted from 0.
    pub cycle: u32,
    /// Learning rate.
    pub learning_rate: f64,
    /// Mean loss of the training batches.
    pub training_loss: f64,
    /// Mean loss of the validation batches.
    pub validation_loss: f64,
    /// Pseudo-Dice per foreground structure; `None` where no validation patch had it.
    pub pseudo_dice: Vec<Option<f64>>,
    /// Exponential moving average of their mean.
    pub ema_pseudo_dice: Option<f64>,
    /// Wall time of the epoch, seconds.
    pub seconds: f64,
    /// When it was finished, seconds since 1970.
    pub finished: f64,
}

/// The epochs of a training and their file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    structures: Vec<String>,
    records: Vec<EpochRecord>,
}

impl Journal {
    /// A journal without epochs; structures are named in the order of their pseudo-Dice.
    pub fn new(path: impl Into<PathBuf>, structures: &[String]) -> Self {
        // A comma or quote in a name would shift the columns.
        let name = |name: &String| name.replace([',', '"', '\n', '\r'], "_");
        Self { path: path.into(), structures: structures.iter().map(name).collect(), records: Vec::new() }
    }

    /// Takes over the epochs before `n_epochs` from the file, if there is one of the same columns.
    ///
    /// # Errors
    ///
    /// The system's own, if there is a file that cannot be read.
    pub fn resume(mut self, n_epochs: u32) -> io::Result<Self> {
        let old = match fs_err::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            old => old?,
        };
        if let Some(lines) = old.strip_prefix(&self.header()) {
            let records = lines.lines().filter_map(|line| EpochRecord::parse(line, self.structures.len()));
            self.records = records.filter(|record| record.epoch < n_epochs).collect();
        }
        Ok(self)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the structures as columns have them.
    pub fn structures(&self) -> &[String] {
        &self.structures
    }

    /// The epochs, as the file has them.
    pub fn records(&self) -> &[EpochRecord] {
        &self.records
    }

    /// Adds an epoch and writes the file.
    ///
    /// # Errors
    ///
    /// The system's own, with the file.
    pub fn add(&mut self, record: &EpochRecord) -> io::Result<()> {
        // What is kept is what a resumed training would read, so that both show the same.
        let kept = EpochRecord::parse(&record.line(), self.structures.len()).unwrap_or_else(|| record.clone());
        self.records.push(kept);
        let mut text = self.header();
        for record in &self.records {
            text.push_str(&record.line());
            text.push('\n');
        }
        atomic_file::write(&self.path, text.as_bytes())
    }

    fn header(&self) -> String {
        let names = self.structures.iter().map(|name| format!(",pseudo_dice_{name}"));
        format!("{FIRST_COLUMNS}{}{LAST_COLUMNS}\n", names.collect::<String>())
    }
}

impl EpochRecord {
    /// The epoch as a line; an undefined value leaves its column empty.
    fn line(&self) -> String {
        let Self { epoch, cycle, learning_rate, training_loss, validation_loss, .. } = self;
        let mut line = format!("{epoch},{cycle},{learning_rate},{training_loss:.6},{validation_loss:.6}");
        for value in self.pseudo_dice.iter().chain([&self.ema_pseudo_dice]) {
            let _ = match value {
                Some(value) => write!(line, ",{value:.6}"),
                None => write!(line, ","),
            };
        }
        let _ = write!(line, ",{:.3},{:.3}", self.seconds, self.finished);
        line
    }

    /// Reads a line back; `None` if it is none with that many structures.
    fn parse(line: &str, n_structures: usize) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let n_first = FIRST_COLUMNS.split(',').count();
        let (first, rest) = fields.split_at_checked(n_first)?;
        let (dice, last) = rest.split_at_checked(n_structures)?;
        let &[epoch, cycle, rate, training, validation] = first else { return None };
        let &[ema, seconds, finished] = last else { return None };
        let number = |text: &str| text.parse::<f64>().ok();
        // The outer option says whether the field can be read, the inner whether it has a value.
        let optional = |text: &str| if text.is_empty() { Some(None) } else { number(text).map(Some) };
        Some(Self {
            epoch: epoch.parse().ok()?,
            cycle: cycle.parse().ok()?,
            learning_rate: number(rate)?,
            training_loss: number(training)?,
            validation_loss: number(validation)?,
            pseudo_dice: dice.iter().map(|text| optional(text)).collect::<Option<_>>()?,
            ema_pseudo_dice: optional(ema)?,
            seconds: number(seconds)?,
            finished: number(finished)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An epoch of which all is known but the second structure's pseudo-Dice.
    pub(crate) fn record(epoch: u32) -> EpochRecord {
        EpochRecord {
            epoch,
            cycle: 0,
            learning_rate: 0.01,
            training_loss: 1.0,
            validation_loss: 0.5,
            pseudo_dice: vec![Some(0.25), None],
            ema_pseudo_dice: Some(0.25),
            seconds: 2.0,
            finished: 1.5e9,
        }
    }

    #[test]
    fn a_resumed_journal_keeps_the_epochs_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.csv");
        let new = || Journal::new(&path, &["a".into(), "b,c".into()]);
        let mut journal = new();
        for epoch in 0..3 {
            journal.add(&record(epoch)).unwrap();
        }
        new().resume(1).unwrap().add(&record(1)).unwrap();
        assert_eq!(
            fs_err::read_to_string(&path).unwrap(),
            "epoch,cycle,learning_rate,training_loss,validation_loss,pseudo_dice_a,pseudo_dice_b_c,ema_pseudo_dice,\
             seconds,finished\n\
             0,0,0.01,1.000000,0.500000,0.250000,,0.250000,2.000,1500000000.000\n\
             1,0,0.01,1.000000,0.500000,0.250000,,0.250000,2.000,1500000000.000\n"
        );
    }

    #[test]
    fn what_was_added_is_what_a_resumed_journal_reads() {
        let folder = tempfile::tempdir().unwrap();
        let new = || Journal::new(folder.path().join("progress.csv"), &["a".into(), "b".into()]);
        let mut journal = new();
        for epoch in 0..3 {
            let third = f64::from(epoch) / 3.0;
            let uneven = EpochRecord { training_loss: third, seconds: third, learning_rate: third, ..record(epoch) };
            journal.add(&uneven).unwrap();
        }
        assert_eq!(new().resume(3).unwrap().records(), journal.records());
        assert_eq!(new().resume(2).unwrap().records(), &journal.records()[..2]);
    }

    #[test]
    fn a_damaged_line_or_other_columns_are_no_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.csv");
        let journal = |structures: &[String]| Journal::new(&path, structures);
        let names = ["a".into(), "b".into()];
        journal(&names).add(&record(0)).unwrap();
        let good = fs_err::read_to_string(&path).unwrap();
        let n_read = |text: &str| {
            fs_err::write(&path, text).unwrap();
            journal(&names).resume(9).unwrap().records().len()
        };
        assert_eq!(n_read(&good), 1);
        assert_eq!(n_read(&good.replace("0,0,0.01", "0,0,x")), 0);
        assert_eq!(n_read(&good.replace(",2.000", "")), 0);
        assert_eq!(n_read(&good.replace("cycle", "circle")), 0);
        assert_eq!(n_read("\u{1f9e0}"), 0);
    }
}
