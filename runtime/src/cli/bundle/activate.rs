//! `unnunet bundle activate`: an installed bundle takes the active place, if its self-test passes.

use std::path::Path;

use anyhow::Context as _;
use bundle_format::store::{Activation, Downgrade, LockedStore, Release};
use bundle_format::{BundleContents as _, BundleError, BundleId, Digest, Limits, TrustedKeys, UnverifiedBundle};
use serde_json::json;

use super::store_args::{StoreArgs, installed};
use crate::cli::engine_args::{Device, EngineArgs};
use crate::cli::trial::Judge;
use crate::cli::trust::KeyArgs;
use crate::cli::{Outcome, output};
use crate::engine::Engine;
use crate::host;

/// Make an installed bundle the active one, once its self-test passes on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet bundle activate 3f9a12 --store /var/lib/unnunet --public-key vendor.pub
  unnunet bundle activate 3f9a12 --store /var/lib/unnunet --public-key vendor.pub --commit-after 20
  unnunet bundle activate 90c4ee --store /var/lib/unnunet --public-key vendor.pub --allow-downgrade

The bundle that was active stays as the previous one. If the self-test fails, or the program is brought down in three \
attempts, the previous bundle is active again. The device's floor stays as it is until `unnunet bundle commit`, or until \
as many runs of `unnunet predict --store` have succeeded as --commit-after says.

With --json an object: `id`, `version`, `manifest_sha256`, `previous` (null if there is none), `floor`. Exit status 12 if \
the bundle is below the floor or its version is lower than the active one's; 13 if the self-test fails.")]
pub(super) struct Args {
    /// Digest of the bundle's manifest, or its first digits
    #[arg(value_name = "DIGEST")]
    digest: String,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Allow a version lower than the active one's; it is recorded
    #[arg(long)]
    allow_downgrade: bool,
    /// Commit by itself after this many successful runs
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    commit_after: Option<u32>,
    #[command(flatten)]
    test: TestArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// How a self-test runs.
#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Where the self-test runs; `auto` tests every provider of this machine
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) device: Device,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
}

/// Runs `unnunet bundle activate`.
///
/// # Errors
///
/// If the bundle may not become active, or does not pass its self-test.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = args.keys.trusted()?;
    let digest = installed(&args.store.state()?, &args.digest)?;
    let engine = args.test.engine.engine()?;
    let store = args.store.store();
    let mut locked = args.store.lock(&store, Some(&keys))?;
    let activation = Activation { downgrade: downgrade(args.allow_downgrade), runs_to_commit: args.commit_after };
    let id = locked
        .activate(digest, activation, &verify_on(&engine, &keys))
        .with_context(|| format!("will not activate bundle {digest}"))?;
    let judge = Judge { store: &store, keys: &keys, engine: &engine, device: args.test.device };
    judge.settle(&mut locked, &id)?;
    report(&locked, &id, args.json)?;
    Ok(Outcome::Done)
}

/// What the flag says.
pub(super) fn downgrade(is_allowed: bool) -> Downgrade {
    if is_allowed { Downgrade::Allow } else { Downgrade::Refuse }
}

/// Verifies a bundle and its requirements: one that cannot run here is not tried.
pub(super) fn verify_on(
    engine: &Engine,
    keys: &TrustedKeys,
) -> impl Fn(&Path) -> Result<(Digest, Release), BundleError> {
    move |file| {
        let bundle = UnverifiedBundle::open(file, &Limits::default())?.verify(keys)?;
        host::check(&bundle, engine)?;
        Ok((*bundle.manifest_sha256(), Release::of(&bundle)))
    }
}

/// Prints what is active now.
///
/// # Errors
///
/// If nothing is.
pub(super) fn report(locked: &LockedStore<'_>, id: &BundleId, as_json: bool) -> anyhow::Result<()> {
    let state = locked.state();
    let digest = state.active(id)?.manifest_sha256;
    let (release, floor) = (state.release(digest)?, state.floor(id));
    if as_json {
        let previous = state.models.get(id).and_then(|slot| slot.previous.as_ref());
        output::json(&json!({
            "id": id,
            "version": release.version,
            "manifest_sha256": digest,
            "previous": previous.map(|previous| previous.manifest_sha256),
            "floor": floor,
        }))
    } else {
        output::line(format_args!("active {id} {} ({digest}), floor {floor}", release.version));
        Ok(())
    }
}
