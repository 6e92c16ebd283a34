//! `cargo xtask bench`: our programs and their peers on the same files, one after the other, in one run.
//!
//! Nothing here asserts a time: ratios are printed beside the command that made them, for people to judge. The peer
//! is nnU-Net in a Python environment that the user has made and names with `--peer`.

mod augment;
mod bundle;
mod ensembles;
mod measure;
mod paired;
mod predict;
mod preprocess;
mod resampling;
mod steps;
mod train;
mod training_args;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::workspace;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// Training samples: how many per second and core
    Augment(augment::Args),
    /// Bundles: verification beside plain SHA-256, and its memory
    Bundle(bundle::Args),
    /// Ensembles: cycles, checkpoints and folds against each other on unseen cases
    Ensembles(ensembles::Args),
    /// Prediction: whole runs beside nnU-Net's on the same weights, memory, and labels voxel by voxel
    Predict(predict::Args),
    /// Resampling and preprocessing: time per core, peak memory, and how far the arrays differ
    Preprocess(preprocess::Args),
    /// Training: seconds per iteration, and Dice of the validation cases
    Train(train::Args),
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.subject {
        Subject::Augment(args) => augment::run(args),
        Subject::Bundle(args) => bundle::run(args),
        Subject::Ensembles(args) => ensembles::run(args),
        Subject::Predict(args) => predict::run(args),
        Subject::Preprocess(args) => preprocess::run(args),
        Subject::Train(args) => train::run(args),
    }
}

/// A Python environment with nnU-Net.
#[derive(Debug)]
struct Peer {
    python: PathBuf,
}

impl Peer {
    /// The environment in `folder`.
    ///
    /// # Errors
    ///
    /// When there is no `bin/python` in it.
    fn new(folder: &Path) -> Result<Self> {
        // Not canonicalized: the link is what tells Python its environment.
        let python = std::path::absolute(folder)?.join("bin/python");
        ensure!(python.is_file(), "`{}` is missing; --peer needs a Python environment with nnunetv2", python.display());
        Ok(Self { python })
    }

    /// Runs a script of this folder on one thread per library.
    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(workspace::root().join("xtask/src/bench").join(name));
        for threads in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLOSC_NTHREADS"] {
            command.env(threads, "1");
        }
        command
    }
}

/// The same command on processor 0 only, so that both sides have one core.
fn on_one_core(command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
    pinned.envs(set_in(command));
    pinned
}

/// The same command line once more.
fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).envs(set_in(command));
    copy
}

/// The variables that a command sets.
fn set_in(command: &Command) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    command.get_envs().filter_map(|(name, value)| Some((name, value?)))
}
