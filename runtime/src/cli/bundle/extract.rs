//! `unnunet bundle extract`: unpacks a verified bundle into a new folder.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::{BundleContents as _, Limits, UnverifiedBundle};

use crate::cli::trust::KeyArgs;
use crate::cli::{Outcome, output};

/// Unpack a bundle, once it is verified, into a new folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle extract hearts.unb --public-key vendor.pub --output hearts")]
pub(super) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// New folder; it appears when every file is there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs `unnunet bundle extract`.
///
/// # Errors
///
/// If the bundle is refused, or the folder exists or cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = args.keys.trusted()?;
    let verify = || UnverifiedBundle::open(&args.bundle, &Limits::default())?.verify(&keys);
    let verified = verify().with_context(|| format!("refused the bundle `{}`", args.bundle.display()))?;
    verified.extract(&args.output).with_context(|| format!("cannot extract to `{}`", args.output.display()))?;
    output::line(verified.manifest_sha256());
    Ok(Outcome::Done)
}
