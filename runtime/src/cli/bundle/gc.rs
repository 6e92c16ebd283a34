//! `unnunet bundle gc`: bundles that are neither active nor previous go.

use bundle_format::Digest;
use serde_json::json;

use super::store_args::StoreArgs;
use crate::cli::{Outcome, output};

/// Remove installed bundles that are neither active nor previous
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle gc --store /var/lib/unnunet --dry-run
  unnunet bundle gc --store /var/lib/unnunet --json

A bundle that was installed and not activated yet is removed as well. Prints a line per bundle; with --json an object: \
`manifest_sha256`, `id`, `version`, `removed`.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object per bundle
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle gc`.
///
/// # Errors
///
/// If the store cannot be changed; what was removed before stays so.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let store = args.store.store();
    let found = if args.dry_run {
        let state = args.store.state()?;
        let unused = state.installed.iter().filter(|(digest, _)| !state.is_in_use(**digest));
        unused.map(|(digest, release)| (*digest, release.clone())).collect()
    } else {
        args.store.lock(&store, None)?.collect()?
    };
    for (digest, release) in &found {
        let (id, version): (_, _) = (&release.id, &release.version);
        if args.json {
            let digest: &Digest = digest;
            let line = json!({ "manifest_sha256": digest, "id": id, "version": version, "removed": !args.dry_run });
            output::json(&line)?;
        } else {
            output::line(format_args!("{digest}  {id} {version}"));
        }
    }
    Ok(Outcome::Done)
}
