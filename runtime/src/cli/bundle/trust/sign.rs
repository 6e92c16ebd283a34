//! `unnunet bundle trust sign`: the signature of a further root, on another machine and another day.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{read_trust_file, write_trust_file};

use super::root_keys::RootKeyArgs;
use crate::cli::{Outcome, output};

/// Add root signatures to a trust document that is not in force yet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust sign trust-v2.json --root-key second-root.pem")]
pub(super) struct Args {
    /// The trust document, as `--output` of a change wrote it; it is replaced by the signed one
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    keys: RootKeyArgs,
}

/// Runs `unnunet bundle trust sign`.
///
/// # Errors
///
/// If the file holds no trust document, or a key cannot be used. The file is unchanged then.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut envelope =
        read_trust_file(&args.file).with_context(|| format!("will not sign `{}`", args.file.display()))?;
    for key in args.keys.read()? {
        envelope.sign(&key);
    }
    write_trust_file(&args.file, &envelope).with_context(|| format!("cannot write `{}`", args.file.display()))?;
    let (n_signed, threshold) = (envelope.claimed_signers().count(), envelope.document().roots.threshold);
    output::line(format_args!("version {} {}", envelope.document().version, envelope.digest()));
    output::note(format_args!("{n_signed} signatures; the document's own roots ask for {threshold}"));
    Ok(Outcome::Done)
}
