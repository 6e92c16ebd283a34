//! `unnunet bundle commit`: the active bundle has proved itself, and the floor rises.

use anyhow::Context as _;
use bundle_format::BundleId;
use serde_json::json;

use super::store_args::{StoreArgs, model_of};
use crate::cli::{Outcome, output};

/// Raise the device's floor to what the active bundle asks for
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle commit --store /var/lib/unnunet
  unnunet bundle commit --store /var/lib/unnunet --model acme/hearts --json

From then on bundles of the model below the floor are refused, for ever. With --json an object: `id`, `manifest_sha256`, \
`floor`. Exit status 12 if the active bundle has not passed its self-test.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The model; needed if the store has several
    #[arg(long, value_name = "ID")]
    model: Option<BundleId>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle commit`.
///
/// # Errors
///
/// If no bundle is active, or the active one is on trial.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let store = args.store.store();
    let mut locked = args.store.lock(&store, None)?;
    let id = model_of(locked.state(), args.model.as_ref())?;
    let floor = locked.commit(&id).with_context(|| format!("cannot commit {id}"))?;
    let digest = locked.state().active(&id)?.manifest_sha256;
    if args.json {
        output::json(&json!({ "id": id, "manifest_sha256": digest, "floor": floor }))?;
    } else {
        output::line(format_args!("committed {id} ({digest}), floor {floor}"));
    }
    Ok(Outcome::Done)
}
