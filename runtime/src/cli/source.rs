//! Where the bundle comes from that predicts: a file, or the device's store.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bundle_format::store::DeviceStore;
use bundle_format::{BundleError, BundleId, Limits, UnverifiedBundle, VerifiedBundle};

use super::bundle::store_args::{model_of, moment};
use super::engine_args::Device;
use super::output;
use super::trial::Judge;
use super::trust::KeyArgs;
use crate::engine::Engine;

/// A bundle, or a store with an active one, and whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// The bundle (`.unb`)
    #[arg(short, long, value_name = "FILE", required_unless_present = "store", conflicts_with = "store")]
    bundle: Option<PathBuf>,
    /// The device's store, whose active bundle predicts
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The model, if the store has several
    #[arg(long, value_name = "ID", requires = "store")]
    model: Option<BundleId>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// A bundle that may predict.
pub(super) struct Opened {
    /// The bundle.
    pub(super) bundle: VerifiedBundle,
    /// The engine, if it was needed to find out.
    pub(super) engine: Option<Engine>,
    /// The store and model whose runs are counted, if they are.
    counted: Option<(DeviceStore, BundleId)>,
}

impl SourceArgs {
    /// Opens and verifies the bundle; the active one of a store passes its self-test first if it has not yet.
    ///
    /// # Errors
    ///
    /// If the bundle is refused, no bundle is active, or the active one does not pass its self-test.
    pub(super) fn open(
        &self,
        device: Device,
        load_engine: impl FnOnce() -> anyhow::Result<Engine>,
    ) -> anyhow::Result<Opened> {
        let keys = self.keys.trusted()?;
        if let Some(file) = &self.bundle {
            let verified = UnverifiedBundle::open(file, &Limits::default()).and_then(|bundle| bundle.verify(&keys));
            let bundle = verified.with_context(|| format!("refused the bundle `{}`", file.display()))?;
            return Ok(Opened { bundle, engine: None, counted: None });
        }
        let Some(folder) = &self.store else {
            bail!("neither a bundle nor a store was named");
        };
        let refusal = || format!("cannot use the store `{}`", folder.display());
        let store = DeviceStore::at(folder);
        let mut state = store.state().with_context(refusal)?;
        let moment = moment(Some(&keys))?;
        moment.check_trust(&state).with_context(refusal)?;
        let id = model_of(&state, self.model.as_ref())?;
        let mut engine = None;
        if !state.active(&id).map_err(BundleError::from)?.is_proven() {
            let loaded = load_engine()?;
            let mut locked = store.lock(moment).with_context(refusal)?;
            let judge = Judge { store: &store, keys: &keys, engine: &loaded, device };
            if let Err(error) = judge.settle(&mut locked, &id) {
                output::note("warning: the active bundle failed its self-test:");
                output::report(&error);
            }
            state = locked.state().clone();
            engine = Some(loaded);
        }
        let active = state.active(&id).map_err(BundleError::from)?;
        let bundle = store
            .load(&state, active.manifest_sha256, &keys)
            .with_context(|| format!("refused the active bundle of {id}"))?;
        let is_counted = active.runs_to_commit.is_some();
        Ok(Opened { bundle, engine, counted: is_counted.then_some((store, id)) })
    }
}

/// Counts a run that succeeded, where runs are counted; a store that is in use is no reason to fail a run.
pub(super) fn count_run(counted: Option<(DeviceStore, BundleId)>) {
    let Some((store, id)) = counted else {
        return;
    };
    let count = || -> anyhow::Result<()> { Ok(store.lock(moment(None)?)?.run_succeeded(&id)?) };
    if let Err(error) = count() {
        output::note(format_args!("warning: this run was not counted: {error:#}"));
    }
}

impl Opened {
    /// Its parts: bundle, engine, and what [`count_run`] takes.
    pub(super) fn into_parts(self) -> (VerifiedBundle, Option<Engine>, Option<(DeviceStore, BundleId)>) {
        (self.bundle, self.engine, self.counted)
    }
}
