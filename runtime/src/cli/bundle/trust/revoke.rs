//! `unnunet bundle trust revoke`: keys and bundles that are no longer believed.

use bundle_format::{Digest, KeyId, RevokedKey};

use super::ReasonArg;
use super::change::ChangeArgs;
use crate::cli::Outcome;

/// Revoke keys and bundles; the next version of the trust document
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust revoke --trust trust --root-key root.pem --key 5a7a78cc… --reason compromise \\
          --still-valid eeec6fa1…
  unnunet bundle trust revoke --trust trust --root-key root.pem --manifest eeec6fa1…

A digest is that of `manifest.json`, as `unnunet bundle verify` prints it. There is no trusted time offline, so what a \
revoked key signed stays valid only where its digest is listed.")]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Id of a key to revoke
    #[arg(long, value_name = "KEYID", required_unless_present = "manifests")]
    key: Option<KeyId>,
    /// Why the key is revoked
    #[arg(long, value_enum, default_value = "compromise", requires = "key")]
    reason: ReasonArg,
    /// Digest of a bundle that the revoked key signed and that stays valid; may be given more than once
    #[arg(long, value_name = "DIGEST", requires = "key")]
    still_valid: Vec<Digest>,
    /// Digest of a bundle to refuse, whoever signed it; may be given more than once
    #[arg(long = "manifest", value_name = "DIGEST")]
    manifests: Vec<Digest>,
}

/// Runs `unnunet bundle trust revoke`.
///
/// # Errors
///
/// If the key is not listed, or is a root: that is removed first; too few root keys sign.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.change.write(|draft| {
        if let Some(keyid) = args.key {
            let (reason, still_valid) = (args.reason.into(), args.still_valid.clone());
            draft.revoke_key(RevokedKey { keyid, reason, still_valid })?;
        }
        for manifest in &args.manifests {
            draft.revoke_manifest(*manifest);
        }
        Ok(())
    })
}
