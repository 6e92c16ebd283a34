//! `unnunet bundle rollback`: back to the bundle that was active before.

use anyhow::Context as _;
use bundle_format::BundleId;

use super::activate::{TestArgs, downgrade, report, verify_on};
use super::store_args::{StoreArgs, model_of};
use crate::cli::Outcome;
use crate::cli::trial::Judge;
use crate::cli::trust::KeyArgs;

/// Make the previous bundle the active one again, once its self-test passes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle rollback --store /var/lib/unnunet --public-key vendor.pub --allow-downgrade
  unnunet bundle rollback --store /var/lib/unnunet --public-key vendor.pub --allow-downgrade --model acme/hearts

The bundle that was active becomes the previous one. The floor stays: what is below it does not come back. Output and exit \
status are those of `unnunet bundle activate`.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The model; needed if the store has several
    #[arg(long, value_name = "ID")]
    model: Option<BundleId>,
    #[command(flatten)]
    keys: KeyArgs,
    /// Allow a version lower than the active one's; it is recorded
    #[arg(long)]
    allow_downgrade: bool,
    #[command(flatten)]
    test: TestArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet bundle rollback`.
///
/// # Errors
///
/// If there is no previous bundle, it may not become active, or does not pass its self-test.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = args.keys.trusted()?;
    let id = model_of(&args.store.state()?, args.model.as_ref())?;
    let engine = args.test.engine.engine()?;
    let store = args.store.store();
    let mut locked = args.store.lock(&store, Some(&keys))?;
    locked
        .rollback(&id, downgrade(args.allow_downgrade), &verify_on(&engine, &keys))
        .with_context(|| format!("will not roll {id} back"))?;
    let judge = Judge { store: &store, keys: &keys, engine: &engine, device: args.test.device };
    judge.settle(&mut locked, &id)?;
    report(&locked, &id, args.json)?;
    Ok(Outcome::Done)
}
