//! `unnunet bundle`: keys, trust, signatures, verification and inspection of bundles.

mod attach;
mod diff;
mod extract;
mod inspect;
mod keygen;
mod passphrase;
mod sign;
mod trust;
mod verify;

use super::Outcome;

/// Make keys, sign, verify and inspect bundles, and say whom to trust
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Attach(attach::Args),
    Diff(diff::Args),
    Extract(extract::Args),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
    Sign(sign::Args),
    Trust(trust::Args),
    Verify(verify::Args),
}

/// Runs `unnunet bundle …`.
///
/// # Errors
///
/// Those of the chosen command.
pub(super) fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Attach(args) => attach::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Extract(args) => extract::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Trust(args) => trust::run(args),
        Command::Verify(args) => verify::run(&args),
    }
}
