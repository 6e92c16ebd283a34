//! `unnunet bundle`: keys, trust, signatures, verification and inspection of bundles, and the device's store of them.

mod activate;
mod attach;
mod audit;
mod commit;
mod diff;
mod documents;
mod extract;
mod gc;
mod inspect;
mod install;
mod keygen;
mod list;
mod passphrase;
mod rollback;
mod sign;
pub(super) mod store_args;
mod trust;
mod verify;

use super::Outcome;

/// Make keys, sign, verify and inspect bundles, say whom to trust; install and activate them on a device
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Activate(activate::Args),
    Attach(attach::Args),
    Audit(audit::Args),
    Commit(commit::Args),
    Diff(diff::Args),
    Extract(extract::Args),
    Gc(gc::Args),
    Inspect(inspect::Args),
    Install(install::Args),
    Keygen(keygen::Args),
    List(list::Args),
    Rollback(rollback::Args),
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
        Command::Activate(args) => activate::run(&args),
        Command::Attach(args) => attach::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Commit(args) => commit::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Extract(args) => extract::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::List(args) => list::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Trust(args) => trust::run(args),
        Command::Verify(args) => verify::run(&args),
    }
}
