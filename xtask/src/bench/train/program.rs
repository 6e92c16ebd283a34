//! Our side: `unnunet-train` as a user would call it.
//!
//! The last epoch of each cycle leaves a checkpoint; the last of them alone validates, as nnU-Net's last does. What
//! the others add is `bench ensembles`' to say.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use fs_err as fs;

use super::{Args, N_VALIDATION, Subject, Trained};
use crate::bench::steps::Steps;
use crate::bench::training_args::TrainingArgs;
use crate::workspace;

/// `unnunet-train` on one data set.
#[derive(Debug)]
pub(super) struct Program<'a> {
    args: &'a Args,
    subject: &'a Subject,
    steps: Steps,
}

impl<'a> Program<'a> {
    pub(super) fn new(args: &'a Args, subject: &'a Subject) -> Self {
        Self { args, subject, steps: Steps::new(&subject.work) }
    }

    /// Makes plans, splits and preprocessed cases.
    ///
    /// # Errors
    ///
    /// When the program fails.
    pub(super) fn prepare(&self) -> Result<()> {
        self.steps.once("ours-plan-and-preprocess", || {
            let Subject { name, raw, .. } = self.subject;
            Ok(self.args.training.plan_and_preprocess(name, raw, &self.preprocessed()))
        })
    }

    /// Trains and validates a fold.
    ///
    /// # Errors
    ///
    /// When the program fails or its record cannot be read.
    pub(super) fn train(&self, fold: u16) -> Result<Trained> {
        let (name, configuration) = (&self.subject.name, &self.args.training.configuration);
        let training = self.results().join(name).join(format!("UnnunetTrainer__nnUNetPlans__{configuration}"));
        let folder = training.join(format!("fold_{fold}"));
        self.steps.once(&format!("ours-train-fold-{fold}"), || {
            let mut command = self.training(fold);
            if folder.join("checkpoint_latest.safetensors").is_file() {
                command.arg("--continue");
            }
            Ok(command)
        })?;
        self.steps.once(&format!("ours-validate-fold-{fold}"), || {
            let mut command = trainer("validate");
            command.args([name, configuration, "--folds", &fold.to_string(), "--members", "1", "--device", "cpu"]);
            command.arg("--raw").arg(&self.subject.raw).arg("--results").arg(self.results());
            Ok(command)
        })?;
        let epochs_s = epochs_s(&fs::read_to_string(folder.join("progress.csv"))?)?;
        Ok(Trained { epochs_s, summary: folder.join("validation/summary.json") })
    }

    fn training(&self, fold: u16) -> Command {
        let TrainingArgs { configuration, epochs, iterations, seed, .. } = &self.args.training;
        let mut command = trainer("train");
        command.args([&self.subject.name, configuration, &fold.to_string()]);
        let numbers = [
            ("--epochs", *epochs),
            ("--cycles", self.args.cycles),
            ("--iterations", *iterations),
            ("--validation-iterations", N_VALIDATION),
        ];
        for (option, number) in numbers {
            command.args([option, &number.to_string()]);
        }
        command.args(["--checkpoints", "late", "--late", "1", "--seed", &seed.to_string(), "--device", "cpu"]);
        command.arg("--preprocessed").arg(self.preprocessed()).arg("--results").arg(self.results());
        command
    }

    fn preprocessed(&self) -> PathBuf {
        self.subject.work.join("ours/preprocessed")
    }

    fn results(&self) -> PathBuf {
        self.subject.work.join("ours/results")
    }
}

fn trainer(verb: &str) -> Command {
    let mut command = workspace::program("unnunet-train");
    command.arg(verb);
    command
}

/// The column `seconds` of a training's `progress.csv`: training and validation iterations of an epoch.
fn epochs_s(text: &str) -> Result<Vec<f64>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let column = reader.headers()?.iter().position(|name| name == "seconds");
    let column = column.context("`progress.csv` has no column `seconds`")?;
    let seconds = |record: csv::StringRecord| {
        record.get(column).and_then(|field| field.parse().ok()).context("`progress.csv` has an epoch without seconds")
    };
    reader.into_records().map(|record| seconds(record?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_found_by_name_and_must_be_numbers() {
        let text = "epoch,seconds,finished\n0,2.5,9\n1,2,9\n";
        assert_eq!(epochs_s(text).unwrap(), [2.5, 2.0]);
        epochs_s("epoch,second\n0,1\n").unwrap_err();
        epochs_s("epoch,seconds\n0,\n").unwrap_err();
    }
}
