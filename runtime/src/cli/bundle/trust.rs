//! `unnunet bundle trust`: the trust document of a device, from its first version on.
//!
//! A change writes the next version, signed by root keys, either into force (when enough of them are at hand) or, with
//! `--output`, into a file that further root keys sign and devices take with `update`.

mod add_key;
mod change;
mod init;
mod remove_key;
mod revoke;
mod root_keys;
mod set;
mod show;
mod sign;
mod update;

use std::path::PathBuf;

use bundle_format::{Channel, RevocationReason, TrustRole};

use crate::cli::Outcome;

/// Make, change, update and show a trust document: who may sign which bundles
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(init::Args),
    AddKey(add_key::Args),
    RemoveKey(remove_key::Args),
    Revoke(revoke::Args),
    Set(set::Args),
    Sign(sign::Args),
    Update(update::Args),
    Show(show::Args),
}

/// Runs `unnunet bundle trust …`.
///
/// # Errors
///
/// Those of the chosen command.
pub(super) fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Init(args) => init::run(&args),
        Command::AddKey(args) => add_key::run(&args),
        Command::RemoveKey(args) => remove_key::run(&args),
        Command::Revoke(args) => revoke::run(&args),
        Command::Set(args) => set::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Update(args) => update::run(&args),
        Command::Show(args) => show::run(&args),
    }
}

/// The trust folder.
#[derive(Debug, clap::Args)]
struct FolderArgs {
    /// Trust folder, which holds `trust.dsse.json`
    #[arg(long, value_name = "DIR")]
    trust: PathBuf,
}

/// What a key may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum RoleArg {
    /// The makers themselves; never beside patients
    Dev,
    /// A second person at the maker's
    Qa,
    /// The maker
    Release,
    /// Signs trust documents and nothing else
    Root,
    /// The hospital
    Site,
}

impl From<RoleArg> for TrustRole {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Dev => Self::Dev,
            RoleArg::Qa => Self::Qa,
            RoleArg::Release => Self::Release,
            RoleArg::Root => Self::Root,
            RoleArg::Site => Self::Site,
        }
    }
}

/// Who a bundle is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum ChannelArg {
    /// Patients
    Clinical,
    /// The makers themselves
    Dev,
    /// Studies
    Research,
}

impl From<ChannelArg> for Channel {
    fn from(channel: ChannelArg) -> Self {
        match channel {
            ChannelArg::Clinical => Self::Clinical,
            ChannelArg::Dev => Self::Dev,
            ChannelArg::Research => Self::Research,
        }
    }
}

/// Why a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReasonArg {
    /// Somebody else has it, or may have it
    Compromise,
    /// Nobody has it any more
    Loss,
    /// Another key took its place
    Retired,
}

impl From<ReasonArg> for RevocationReason {
    fn from(reason: ReasonArg) -> Self {
        match reason {
            ReasonArg::Compromise => Self::Compromise,
            ReasonArg::Loss => Self::Loss,
            ReasonArg::Retired => Self::Retired,
        }
    }
}
