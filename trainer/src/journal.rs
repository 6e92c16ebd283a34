//! `training.csv`: one line per finished epoch.
//!
//! The file is written anew after every epoch, so that it is whole at any time; a resumed training keeps the lines of
//! the epochs that it does not repeat.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use imaging::atomic_file;

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
}

/// The lines of `training.csv`.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    text: String,
}

impl Journal {
    /// A journal without epochs; structures are named in the order of their pseudo-Dice.
    pub fn new(path: impl Into<PathBuf>, structures: &[String]) -> Self {
        let mut text = String::from("epoch,cycle,learning_rate,training_loss,validation_loss");
        for name in structures {
            // A comma or quote in a name would shift the columns.
            let _ = write!(text, ",pseudo_dice_{}", name.replace([',', '"', '\n', '\r'], "_"));
        }
        text.push_str(",ema_pseudo_dice,seconds\n");
        Self { path: path.into(), text }
    }

    /// Takes over the lines of the epochs before `n_epochs` from the file, if there is one of the same columns.
    ///
    /// # Errors
    ///
    /// The system's own, if there is a file that cannot be read.
    pub fn resume(mut self, n_epochs: u32) -> io::Result<Self> {
        let old = match fs_err::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            old => old?,
        };
        if let Some(lines) = old.strip_prefix(&self.text) {
            let is_before = |line: &&str| {
                let epoch = line.split(',').next().and_then(|epoch| epoch.parse::<u32>().ok());
                epoch.is_some_and(|epoch| epoch < n_epochs)
            };
            self.text.extend(lines.split_inclusive('\n').filter(is_before));
        }
        Ok(self)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an epoch and writes the file.
    ///
    /// # Errors
    ///
    /// The system's own, with the file.
    pub fn add(&mut self, record: &EpochRecord) -> io::Result<()> {
        let EpochRecord { epoch, cycle, learning_rate, training_loss, validation_loss, .. } = record;
        let mut line = format!("{epoch},{cycle},{learning_rate},{training_loss:.6},{validation_loss:.6}");
        for value in record.pseudo_dice.iter().chain([&record.ema_pseudo_dice]) {
            // An undefined value leaves its column empty.
            let _ = match value {
                Some(value) => write!(line, ",{value:.6}"),
                None => write!(line, ","),
            };
        }
        let _ = writeln!(line, ",{:.3}", record.seconds);
        self.text.push_str(&line);
        atomic_file::write(&self.path, self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32) -> EpochRecord {
        EpochRecord {
            epoch,
            cycle: 0,
            learning_rate: 0.01,
            training_loss: 1.0,
            validation_loss: 0.5,
            pseudo_dice: vec![Some(0.25), None],
            ema_pseudo_dice: Some(0.25),
            seconds: 2.0,
        }
    }

    #[test]
    fn a_resumed_journal_keeps_the_epochs_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.csv");
        let new = || Journal::new(&path, &["a".into(), "b,c".into()]);
        let mut journal = new();
        for epoch in 0..3 {
            journal.add(&record(epoch)).unwrap();
        }
        new().resume(1).unwrap().add(&record(1)).unwrap();
        assert_eq!(
            fs_err::read_to_string(&path).unwrap(),
            "epoch,cycle,learning_rate,training_loss,validation_loss,pseudo_dice_a,pseudo_dice_b_c,ema_pseudo_dice,\
             seconds\n\
             0,0,0.01,1.000000,0.500000,0.250000,,0.250000,2.000\n\
             1,0,0.01,1.000000,0.500000,0.250000,,0.250000,2.000\n"
        );
    }
}
