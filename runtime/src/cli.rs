//! Command line of `unnunet`: one file per subcommand, each with `Args` and `run`.

mod bundle;
mod evaluate;
pub(crate) mod output;
mod trust;

use std::process::ExitCode;

use bundle_format::BundleError;
use clap::{Parser, Subcommand};

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
    Evaluate(evaluate::Args),
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
            Command::Evaluate(args) => evaluate::run(&args),
        }
    }
}

/// The exit status of a command that could not run: a bundle's own code, else 2.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let bundle = error.chain().find_map(|cause| cause.downcast_ref::<BundleError>());
    ExitCode::from(bundle.map_or(2, BundleError::exit_code))
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
