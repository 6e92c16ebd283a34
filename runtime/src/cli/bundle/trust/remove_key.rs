//! `unnunet bundle trust remove-key`: a key that retired in peace, or a root that hands over.

use bundle_format::KeyId;

use super::change::ChangeArgs;
use crate::cli::Outcome;

/// Remove a key: bundles that it signed are refused from the next version on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust remove-key 5a7a78cc… --trust trust --root-key root.pem

A key that somebody else may have is revoked instead, so that nobody adds it again by mistake.")]
pub(super) struct Args {
    /// The key's id, 64 hexadecimal digits as `show` prints them
    #[arg(value_name = "KEYID")]
    key: KeyId,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `unnunet bundle trust remove-key`.
///
/// # Errors
///
/// If the key is not listed, or too few roots would be left; too few root keys sign.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.change.write(|draft| draft.remove_key(args.key))
}
