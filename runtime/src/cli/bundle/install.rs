//! `unnunet bundle install`: a verified copy in the device's store.

use std::path::PathBuf;

use anyhow::Context as _;
use bundle_format::store::verify_with;
use bundle_format::{Limits, UnverifiedBundle};
use serde_json::json;

use super::store_args::StoreArgs;
use crate::cli::trust::KeyArgs;
use crate::cli::{Outcome, output};

/// Verify a bundle and copy it into the device's store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle install hearts.unb --store /var/lib/unnunet --public-key vendor.pub
  unnunet bundle activate --store /var/lib/unnunet --public-key vendor.pub \\
      $(unnunet bundle install hearts.unb --store /var/lib/unnunet --public-key vendor.pub)

Prints the digest of the manifest, which names the bundle from then on. With --json an object: `manifest_sha256`, `id`, \
`version`, `security_version`, `floor`. What is installed does not predict until it is activated. Exit status 12 if the \
security version is below the device's floor.")]
pub(super) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle install`.
///
/// # Errors
///
/// If the bundle is refused, its security version is below the floor, or the store cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = args.keys.trusted()?;
    let refusal = || format!("refused the bundle `{}`", args.bundle.display());
    // What is no bundle at all is not copied, and makes no store.
    UnverifiedBundle::open(&args.bundle, &Limits::default()).with_context(refusal)?;
    let store = args.store.store();
    let mut locked = args.store.lock_or_create(&store, Some(&keys))?;
    let digest = locked.install(&args.bundle, &verify_with(&keys)).with_context(refusal)?;
    let release = locked.state().release(digest)?;
    if args.json {
        output::json(&json!({
            "manifest_sha256": digest,
            "id": release.id,
            "version": release.version,
            "security_version": release.security_version,
            "floor": locked.state().floor(&release.id),
        }))?;
    } else {
        output::note(format_args!("installed {} {}", release.id, release.version));
        output::line(digest);
    }
    Ok(Outcome::Done)
}
