//! Which store, at which moment: what every command on a store shares.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use bundle_format::store::{DeviceState, DeviceStore, LockedStore, Moment};
use bundle_format::{BundleId, Digest, Timestamp, TrustedKeys};

/// The store of a device.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StoreArgs {
    /// The device's store; `install` makes it
    #[arg(long = "store", value_name = "DIR")]
    folder: PathBuf,
}

impl StoreArgs {
    /// The store, to look at.
    pub(in crate::cli) fn store(&self) -> DeviceStore {
        DeviceStore::at(&self.folder)
    }

    /// The store, to change, under these keys; `None` where nobody has to be trusted.
    ///
    /// # Errors
    ///
    /// If there is no store, another process has it, or it is damaged.
    pub(in crate::cli) fn lock<'a>(
        &self,
        store: &'a DeviceStore,
        keys: Option<&TrustedKeys>,
    ) -> anyhow::Result<LockedStore<'a>> {
        // Only `install` makes a store: a mistyped name must not look like an empty one.
        store.state().with_context(|| self.refusal())?;
        self.lock_or_create(store, keys)
    }

    /// As [`StoreArgs::lock`], for a store that need not exist.
    ///
    /// # Errors
    ///
    /// If another process has it, or it is damaged.
    pub(in crate::cli) fn lock_or_create<'a>(
        &self,
        store: &'a DeviceStore,
        keys: Option<&TrustedKeys>,
    ) -> anyhow::Result<LockedStore<'a>> {
        store.lock(moment(keys)?).with_context(|| self.refusal())
    }

    /// The state as it is.
    ///
    /// # Errors
    ///
    /// If there is no store, or it is damaged.
    pub(in crate::cli) fn state(&self) -> anyhow::Result<DeviceState> {
        self.store().state().with_context(|| self.refusal())
    }

    fn refusal(&self) -> String {
        format!("cannot use the store `{}`", self.folder.display())
    }
}

/// Now, under these keys.
///
/// # Errors
///
/// If the clock is before 1970 or after the year 9999.
pub(in crate::cli) fn moment(keys: Option<&TrustedKeys>) -> anyhow::Result<Moment> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    Ok(Moment { now: Timestamp::from_unix(seconds)?, trust_version: keys.map(trust_version) })
}

/// The version of the trust document; a single key is before every document.
fn trust_version(_keys: &TrustedKeys) -> u64 {
    0
}

/// The model asked for, or the only one that was ever activated.
///
/// # Errors
///
/// If none was asked for and there is not exactly one.
pub(in crate::cli) fn model_of(state: &DeviceState, asked: Option<&BundleId>) -> anyhow::Result<BundleId> {
    match (asked, state.models.keys().collect::<Vec<_>>().as_slice()) {
        (Some(id), _) => Ok(id.clone()),
        (None, [id]) => Ok((*id).clone()),
        (None, []) => bail!("the store has no model that was ever active; activate an installed bundle first"),
        (None, models) => {
            let models: Vec<_> = models.iter().map(ToString::to_string).collect();
            bail!("the store has several models, name one with `--model`: {}", models.join(", "))
        }
    }
}

/// The installed bundle whose manifest digest begins with `text`.
///
/// # Errors
///
/// If none or several do.
pub(super) fn installed(state: &DeviceState, text: &str) -> anyhow::Result<Digest> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let is_prefix = text.len() >= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    ensure!(is_prefix, "`{text}` is no manifest digest, nor at least four digits that begin one");
    let fits: Vec<_> = state.installed.keys().filter(|digest| digest.to_string().starts_with(text)).collect();
    match fits[..] {
        [digest] => Ok(*digest),
        [] => bail!("no installed bundle has a manifest digest that begins with `{text}`"),
        _ => bail!("{} installed bundles have a manifest digest that begins with `{text}`", fits.len()),
    }
}
