//! What a person sees of a training: a bar on a terminal, and a line per epoch.

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar};

use crate::cli::{output, progress};
use crate::journal::EpochRecord;
use crate::training::{Observer, Training};

/// A bar on a terminal, and a line per epoch.
pub(super) struct Reporter {
    /// The bar.
    pub(super) bar: ProgressBar,
    structures: Vec<String>,
    n_epochs: u32,
    n_iterations: u32,
    rate: String,
    dice: String,
}

impl Reporter {
    /// A reporter of a training that is about to start.
    pub(super) fn new(training: &Training) -> Self {
        let (n_epochs, n_iterations) = (training.schedule.n_epochs(), training.n_iterations);
        Self {
            bar: progress::iterations(u64::from(n_epochs) * u64::from(n_iterations), 0),
            structures: training.structures.clone(),
            n_epochs,
            n_iterations,
            rate: String::new(),
            dice: "–".into(),
        }
    }
}

impl Observer for Reporter {
    fn iteration(&mut self, epoch: u32, iteration: u32, loss: f64) {
        let position = u64::from(epoch) * u64::from(self.n_iterations) + u64::from(iteration) + 1;
        if self.rate.is_empty() {
            // Epochs that were done before do not count toward the time left.
            self.bar.set_position(position - 1);
            self.bar.reset_eta();
            self.rate.push('·');
        }
        self.bar.set_position(position);
        let (n_epochs, dice) = (self.n_epochs, &self.dice);
        self.bar.set_message(format!("epoch {epoch}/{n_epochs}, loss {loss:.3}, pseudo-Dice {dice}"));
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let written = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        self.dice = written(record.ema_pseudo_dice);
        let named = self.structures.iter().zip(&record.pseudo_dice);
        let dice = named.map(|(name, &value)| format!("{name} {}", written(value))).collect::<Vec<_>>().join(", ");
        let line = format!(
            "epoch {}/{} (cycle {}, rate {:.5}): loss {:.4}, validation {:.4}, pseudo-Dice {dice}, average {}, {}",
            record.epoch,
            self.n_epochs,
            record.cycle,
            record.learning_rate,
            record.training_loss,
            record.validation_loss,
            self.dice,
            HumanDuration(Duration::from_secs_f64(record.seconds)),
        );
        self.bar.suspend(|| output::line(line));
    }
}
