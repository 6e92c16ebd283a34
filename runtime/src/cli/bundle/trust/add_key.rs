//! `unnunet bundle trust add-key`: one more key that may sign, or one more root.

use std::path::PathBuf;

use anyhow::bail;
use bundle_format::{ModelPattern, TrustKey};

use super::change::ChangeArgs;
use super::{ChannelArg, RoleArg, init};
use crate::cli::Outcome;
use crate::cli::trust::read_public_key;

/// Add a key with its roles, models and channels; the next version of the trust document
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust add-key --trust trust --root-key root.pem --public-key vendor.pub --role release \\
          --model 'acme/*' --channel clinical --channel research
  unnunet bundle trust add-key --trust trust --root-key root.pem --public-key new-root.pub --role root")]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// The key to add (PEM)
    #[arg(long, value_name = "PEM")]
    public_key: PathBuf,
    /// What the key is for; may be given more than once
    #[arg(long = "role", value_name = "ROLE", value_enum, required = true)]
    roles: Vec<RoleArg>,
    /// Models that it may sign: `vendor/model`, `vendor/*` or `*`; may be given more than once
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<ModelPattern>,
    /// Channels that it may sign for; may be given more than once
    #[arg(long = "channel", value_name = "CHANNEL", value_enum)]
    channels: Vec<ChannelArg>,
}

/// Runs `unnunet bundle trust add-key`.
///
/// # Errors
///
/// If the key is listed already, cannot be read, or does not fit into the document; too few root keys sign.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let public = read_public_key(&args.public_key)?;
    let is_root = args.roles == [RoleArg::Root];
    let has_scope = (!args.models.is_empty(), !args.channels.is_empty());
    if has_scope != (!is_root, !is_root) {
        bail!("a key with a role other than `root` needs `--model` and `--channel`; a root has neither");
    }
    let key = if is_root {
        init::root(public)
    } else {
        TrustKey {
            key: public,
            roles: args.roles.iter().map(|role| (*role).into()).collect(),
            models: args.models.iter().cloned().collect(),
            channels: args.channels.iter().map(|channel| (*channel).into()).collect(),
        }
    };
    args.change.write(|draft| draft.add_key(key))
}
