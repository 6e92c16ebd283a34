//! `unnunet bundle trust update`: what a device does with the file that somebody brought.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{TrustFolder, TrustUpdate};
use serde::Serialize;

use super::FolderArgs;
use crate::cli::trust::ClockArgs;
use crate::cli::{Outcome, output};

/// Follow a chain of trust documents; the last one comes into force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle trust update trust-v2.json --trust trust
  cat trust-v2.json trust-v3.json > missed.json; unnunet bundle trust update missed.json --trust trust

Every version must be there, each signed by the roots of the one before. A file of a trust folder without a document \
starts it: `unnunet bundle trust update first.json --trust trust --first`.")]
pub(super) struct Args {
    /// One trust document a line, in the order of their versions
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    clock: ClockArgs,
    /// The folder has no document yet: believe the one in the file
    #[arg(long)]
    first: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    changed: bool,
    version: u32,
    document_sha256: String,
}

/// Runs `unnunet bundle trust update`.
///
/// # Errors
///
/// If a version is missing, older, forked, badly signed, or expired where that is enforced. The document in force
/// stays then.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let refusal = || format!("refused the trust update `{}`", args.file.display());
    let clock = args.clock.clock()?;
    if args.first {
        let first = bundle_format::read_trust_file(&args.file).with_context(refusal)?;
        let first = first.verify().map_err(super::change::as_bundle_error).with_context(refusal)?;
        clock.check(first.document()).map_err(super::change::as_bundle_error).with_context(refusal)?;
        TrustFolder::create(&args.folder.trust, &first).with_context(refusal)?;
        return report(args, true);
    }
    let lock = || TrustFolder::open(&args.folder.trust)?.lock();
    let mut trust = lock().with_context(|| format!("cannot use the trust `{}`", args.folder.trust.display()))?;
    let update = trust.update(&args.file, &clock).with_context(refusal)?;
    drop(trust);
    report(args, matches!(update, TrustUpdate::New(_)))
}

/// Prints what is in force now.
fn report(args: &Args, changed: bool) -> anyhow::Result<Outcome> {
    let trust = TrustFolder::open(&args.folder.trust)?.read()?;
    let version = trust.document().version;
    if args.json {
        output::json(&Report { changed, version, document_sha256: trust.digest().to_string() })?;
    } else {
        let state = if changed { "" } else { " (as before)" };
        output::line(format_args!("version {version} {}{state}", trust.digest()));
    }
    Ok(Outcome::Done)
}
