//! nnU-Net's side: its own commands, on our plans and splits, with a trainer that takes a small budget.
//!
//! The environment is not changed: nnU-Net looks for trainers in `nnUNet_extTrainer`, too, imports every Python file
//! there, and so is shown a folder with a copy of this one file alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use imaging::atomic_file;

use super::{Args, Subject, Trained};
use crate::bench::Peer;
use crate::bench::steps::Steps;
use crate::bench::training_args::TrainingArgs;

/// Class in the file that `--trainer` names.
const CLASS: &str = "PeerTrainer";
/// Processes that make batches unless nnU-Net is told otherwise; never more than there are processors.
const MAX_AUGMENTING: usize = 12;
/// What stands around the seconds of an epoch in nnU-Net's log.
const EPOCH_TIME: (&str, &str) = ("Epoch time: ", " s");

/// nnU-Net on one data set.
#[derive(Debug)]
pub(super) struct NnUNet<'a> {
    args: &'a Args,
    subject: &'a Subject,
    peer: &'a Peer,
    folder: PathBuf,
    steps: Steps,
}

impl<'a> NnUNet<'a> {
    pub(super) fn new(args: &'a Args, subject: &'a Subject, peer: &'a Peer) -> Self {
        let folder = subject.work.join("nnunet");
        Self { args, subject, peer, folder, steps: Steps::new(&subject.work) }
    }

    /// Copies the trainer, our plans and our splits, and has nnU-Net preprocess for them.
    ///
    /// # Errors
    ///
    /// When an earlier run was made with another trainer, a file cannot be copied, or nnU-Net fails.
    pub(super) fn prepare(&self) -> Result<()> {
        let copy = self.folder.join("trainer/peer_trainer.py");
        let trainer = fs::read(&self.args.trainer)?;
        if copy.is_file() {
            let same = fs::read(&copy)? == trainer;
            ensure!(same, "`{}` is another trainer; remove `{}`", copy.display(), self.subject.work.display());
        } else {
            fs::create_dir_all(self.folder.join("trainer"))?;
            atomic_file::write(&copy, &trainer)?;
        }
        let number = self.subject.name.strip_prefix("Dataset").and_then(|name| name.split('_').next());
        let number = number.filter(|number| number.parse::<u32>().is_ok());
        let number = number.with_context(|| format!("`{}` is no `DatasetNNN_Name`", self.subject.name))?;
        self.steps.once("nnunet-preprocess", || {
            let target = self.folder.join("preprocessed").join(&self.subject.name);
            fs::create_dir_all(&target)?;
            for file in ["nnUNetPlans.json", "dataset.json", "dataset_fingerprint.json", "splits_final.json"] {
                atomic_file::write(&target.join(file), &fs::read(self.subject.plans_folder().join(file))?)?;
            }
            let mut command = self.command("nnUNetv2_preprocess");
            command.args(["-d", number, "-c", &self.args.training.configuration, "-np", &n_processors().to_string()]);
            Ok(command)
        })
    }

    /// Trains a fold; nnU-Net validates it at the end with the network of the last epoch.
    ///
    /// An interrupted training begins afresh: nnU-Net saves its state every fifty epochs, which is often never.
    ///
    /// # Errors
    ///
    /// When nnU-Net fails or its log cannot be read.
    pub(super) fn train(&self, fold: u16) -> Result<Trained> {
        let training = self.folder.join("results").join(&self.subject.name);
        let training = training.join(format!("{CLASS}__nnUNetPlans__{}", self.args.training.configuration));
        let folder = training.join(format!("fold_{fold}"));
        self.steps.once(&format!("nnunet-train-fold-{fold}"), || {
            let mut command = self.command("nnUNetv2_train");
            command.args([&self.subject.name, &self.args.training.configuration, &fold.to_string()]);
            command.args(["-tr", CLASS, "-device", "cpu"]);
            if folder.join("checkpoint_final.pth").is_file() {
                command.arg("--val");
            } else if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            Ok(command)
        })?;
        let mut log = String::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("training_log_"));
            if is_log {
                log += &fs::read_to_string(path)?;
            }
        }
        Ok(Trained { epochs_s: epochs_s(&log), summary: folder.join("validation/summary.json") })
    }

    /// A command of the environment, told where things are, what to train and to leave nothing in the environment.
    fn command(&self, name: &str) -> Command {
        let TrainingArgs { epochs, iterations, .. } = &self.args.training;
        let mut command = Command::new(self.peer.python.with_file_name(name));
        command.env("nnUNet_raw", &self.subject.raw);
        let folders =
            [("nnUNet_preprocessed", "preprocessed"), ("nnUNet_results", "results"), ("nnUNet_extTrainer", "trainer")];
        for (variable, folder) in folders {
            command.env(variable, self.folder.join(folder));
        }
        command.env("nnUNet_n_proc_DA", n_processors().min(MAX_AUGMENTING).to_string());
        command.env("nnUNet_compile", "f").env("PYTHONDONTWRITEBYTECODE", "1");
        for (variable, number) in [
            ("PEER_EPOCHS", *epochs),
            ("PEER_ITERATIONS", *iterations),
            ("PEER_CYCLES", self.args.cycles),
            ("PEER_LATE", 1),
        ] {
            command.env(variable, number.to_string());
        }
        command
    }
}

fn n_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of the epochs in a log: training and validation iterations, without saving and plotting.
fn epochs_s(log: &str) -> Vec<f64> {
    let (before, after) = EPOCH_TIME;
    let seconds = |line: &str| line.split_once(before)?.1.trim_end().strip_suffix(after)?.parse().ok();
    log.lines().filter_map(seconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_of_every_epoch_are_found_in_a_log() {
        let log = "2026-11-24 05:00:00.1: Epoch 0 \n2026-11-24 05:00:09.1: Epoch time: 12.34 s \n\
                   2026-11-24 05:00:19.1: Yayy! New best EMA pseudo Dice: 0.1 \n2026-11-24 05:00:29.1: Epoch time: 9.0 s\n";
        assert_eq!(epochs_s(log), [12.34, 9.0]);
    }
}
