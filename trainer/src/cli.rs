//! Command line of `unnunet-train`: one file per subcommand, each with `Args` and `run`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod checkpoints;
pub mod convert_msd;
pub mod determine_postprocessing;
pub mod device;
pub mod devices;
pub mod export;
pub mod find_best_configuration;
pub mod fingerprint;
pub mod folders;
pub mod import;
pub mod limit_args;
pub mod openmp;
pub mod output;
pub mod plan;
pub mod plan_and_preprocess;
pub mod planning_args;
pub mod preprocess;
pub mod progress;
pub mod schedule_args;
pub mod split_args;
pub mod train;
pub mod training_args;
pub mod validate;
pub mod verify_dataset;

/// Trains nnU-Nets with cyclic checkpoints and exports them as bundles.
#[derive(Debug, Parser)]
#[command(name = "unnunet-train", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    ConvertMsd(convert_msd::Args),
    VerifyDataset(verify_dataset::Args),
    Checkpoints(checkpoints::Args),
    Fingerprint(fingerprint::Args),
    Plan(Box<plan::Args>),
    Preprocess(preprocess::Args),
    PlanAndPreprocess(Box<plan_and_preprocess::Args>),
    Train(Box<train::Args>),
    Validate(Box<validate::Args>),
    DeterminePostprocessing(determine_postprocessing::Args),
    FindBestConfiguration(find_best_configuration::Args),
    Export(Box<export::Args>),
    Import(Box<import::Args>),
}

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// Some cases failed, the rest is done.
    SomeFailed,
}

impl Outcome {
    /// The exit status: 0 done, 1 some cases failed.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::SomeFailed => ExitCode::from(1),
        }
    }
}

impl Cli {
    /// Runs the chosen command.
    ///
    /// # Errors
    ///
    /// Whatever kept the command from running; the chain names file, field, found and expected.
    pub fn run(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::ConvertMsd(args) => convert_msd::run(&args),
            Command::VerifyDataset(args) => verify_dataset::run(&args),
            Command::Checkpoints(args) => checkpoints::run(&args),
            Command::Fingerprint(args) => fingerprint::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Preprocess(args) => preprocess::run(&args),
            Command::PlanAndPreprocess(args) => plan_and_preprocess::run(&args),
            Command::Train(args) => train::run(&args),
            Command::Validate(args) => validate::run(&args),
            Command::DeterminePostprocessing(args) => determine_postprocessing::run(&args),
            Command::FindBestConfiguration(args) => find_best_configuration::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Import(args) => import::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
