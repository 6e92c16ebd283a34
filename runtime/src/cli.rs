//! Command line of `unnunet`: one file per subcommand, each with `Args` and `run`.

mod bundle;
mod calibrate;
mod devices;
mod engine_args;
mod evaluate;
pub(crate) mod output;
mod predict;
mod report;
mod self_test;
mod source;
mod trial;
mod trust;

use std::process::ExitCode;

use bundle_format::BundleError;
use clap::{Parser, Subcommand};

use crate::model::ModelError;

/// Predicts with a verified nnU-Net bundle and says how far to trust the result
#[derive(Debug, Parser)]
#[command(name = "unnunet", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  unnunet bundle verify hearts.unb --public-key vendor.pub
  unnunet predict -b hearts.unb --public-key vendor.pub -i images -o predictions
  unnunet evaluate --reference labels --prediction predictions --dataset-json dataset.json
  unnunet report --output predictions --images images --reference labels

Exit status:
  0   done
  1   some cases failed, the rest is done
  2   could not run
  10  invalid bundle          11  signature or key not trusted
  12  refused by policy       13  incompatible with this machine
  14  over a limit            20  bundle cannot be read";

#[derive(Debug, Subcommand)]
enum Command {
    Bundle(bundle::Args),
    Calibrate(calibrate::Args),
    Devices(devices::Args),
    Evaluate(evaluate::Args),
    Predict(Box<predict::Args>),
    Report(report::Args),
    SelfTest(self_test::Args),
}

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    Done,
    /// Some cases failed, the rest is done.
    SomeFailed,
}

impl Outcome {
    /// The exit status: 0 done, 1 some cases failed.
    pub(crate) fn exit_code(self) -> ExitCode {
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
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Bundle(args) => bundle::run(args),
            Command::Calibrate(args) => calibrate::run(&args),
            Command::Devices(args) => devices::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Report(args) => report::run(&args),
            Command::SelfTest(args) => self_test::run(&args),
        }
    }
}

/// A signed bundle that contradicts itself.
const INVALID_BUNDLE: u8 = 10;
/// A bundle that does not do on this machine what it did in training.
const INCOMPATIBLE: u8 = 13;

/// The exit status of a command that could not run: a bundle's own code, else 2.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let code_of = |cause: &(dyn std::error::Error + 'static)| {
        let bundle = cause.downcast_ref::<BundleError>().map(BundleError::exit_code);
        let model = cause.downcast_ref::<ModelError>().filter(|error| error.is_of_the_bundle()).map(|_| INVALID_BUNDLE);
        let self_test = cause.downcast_ref::<self_test::Failed>().map(|_| INCOMPATIBLE);
        bundle.or(model).or(self_test)
    };
    // The innermost cause knows best.
    ExitCode::from(error.chain().filter_map(code_of).last().unwrap_or(2))
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
