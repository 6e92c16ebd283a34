//! `unnunet bundle trust init`: the first trust document of a folder.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{
    PublicKey, Revoked, Roots, TrustDocument, TrustDraft, TrustFolder, TrustKey, TrustRole, write_trust_file,
};

use super::FolderArgs;
use super::change::{as_bundle_error, signed};
use super::root_keys::{DateArgs, RootKeyArgs};
use super::set::{self, Requirement};
use crate::cli::{Outcome, output, trust::read_public_key};

/// Make the first trust document, signed by its root keys
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust init --trust trust --root-key root.pem
  unnunet bundle trust init --trust trust --root-key a.pem --root-key b.pem --root c.pub --threshold 2 \\
          --require clinical=release:1,qa:1 --require research=release:1")]
pub(super) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    keys: RootKeyArgs,
    /// Public key (PEM) of a further root, who does not sign now
    #[arg(long = "root", value_name = "PEM")]
    roots: Vec<PathBuf>,
    /// Distinct root keys that must sign this document and the next ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: usize,
    /// Who must sign bundles of a channel, for example `clinical=release:1,qa:1`; a channel that is not named is refused
    #[arg(long, value_name = "CHANNEL=ROLE:N,…", default_values = ["clinical=release:1", "research=release:1"])]
    require: Vec<Requirement>,
    #[command(flatten)]
    dates: DateArgs,
    /// Write the document here instead of into the folder: for further root keys to sign
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `unnunet bundle trust init`.
///
/// # Errors
///
/// If the folder has a trust document, a key cannot be used, or fewer roots sign than the threshold.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = args.keys.read()?;
    let signers = keys.iter().map(bundle_format::SigningKey::public_key).map(Ok);
    let roots = signers.chain(args.roots.iter().map(|path| read_public_key(path)));
    let roots = roots.collect::<anyhow::Result<Vec<PublicKey>>>()?;
    let (created, expires) = args.dates.dates()?;
    let draft = TrustDraft {
        created,
        expires,
        min_security_version: [].into(),
        policy: set::policy(&args.require)?,
        revoked: Revoked::default(),
        roots: Roots { keyids: roots.iter().map(PublicKey::key_id).collect(), threshold: args.threshold },
        keys: roots.into_iter().map(root).collect(),
        version: 1,
    };
    let refusal = || format!("cannot make the trust `{}`", args.folder.trust.display());
    let document = TrustDocument::new(draft).map_err(as_bundle_error).with_context(refusal)?;
    let envelope = signed(document, &keys);
    if let Some(path) = &args.output {
        write_trust_file(path, &envelope).with_context(|| format!("cannot write `{}`", path.display()))?;
    } else {
        let first = envelope.clone().verify().map_err(as_bundle_error).with_context(refusal)?;
        TrustFolder::create(&args.folder.trust, &first).with_context(refusal)?;
    }
    output::line(format_args!("version 1 {}", envelope.digest()));
    Ok(Outcome::Done)
}

/// A root key, which signs trust documents and nothing else.
pub(super) fn root(key: PublicKey) -> TrustKey {
    TrustKey { key, roles: [TrustRole::Root].into(), models: BTreeSet::new(), channels: BTreeSet::new() }
}
