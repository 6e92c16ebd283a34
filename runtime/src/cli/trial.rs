//! A bundle on trial: its self-test decides whether it stays active.
//!
//! `activate` and `rollback` begin a trial; `predict` from a store goes on with one that a crash left. An attempt is
//! counted before the self-test runs, so that a bundle that brings the program down falls back as well.

use anyhow::Context as _;
use bundle_format::store::{DeviceStore, LockedStore, Trial};
use bundle_format::{BundleId, Text, TrustedKeys};

use super::engine_args::{Device, PrecisionArg};
use super::{output, self_test};
use crate::engine::Engine;

/// What decides a trial.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    /// The store, to load from.
    pub(super) store: &'a DeviceStore,
    /// Who must have signed.
    pub(super) keys: &'a TrustedKeys,
    /// What runs the self-test.
    pub(super) engine: &'a Engine,
    /// Where it runs.
    pub(super) device: Device,
}

impl Judge<'_> {
    /// Ends the trial of the model's active bundle, if it is on trial.
    ///
    /// # Errors
    ///
    /// Why the bundle fell back; then the previous one is active.
    pub(super) fn settle(self, locked: &mut LockedStore<'_>, id: &BundleId) -> anyhow::Result<()> {
        let digest = match locked.attempt(id)? {
            Trial::Over => return Ok(()),
            Trial::FellBack(digest) => {
                output::note(format_args!("warning: {}", after(locked, id, &digest.to_string())));
                return Ok(());
            }
            Trial::Test(digest) => digest,
        };
        let bundle = self.store.load(locked.state(), digest, self.keys).map_err(anyhow::Error::new);
        let tested = bundle.and_then(|bundle| {
            let tests = self_test::test(&bundle, self.engine, self.device, PrecisionArg::F32)?;
            Ok(self_test::check(&tests)?)
        });
        match tested {
            Ok(()) => Ok(locked.pass(id)?),
            Err(error) => {
                locked.fall_back(id, reason(&error)).context("cannot fall back")?;
                Err(error.context(after(locked, id, &digest.to_string())))
            }
        }
    }
}

/// The innermost cause, as one line.
fn reason(error: &anyhow::Error) -> Text {
    let line: String = error.root_cause().to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    Text::new(line).unwrap_or_else(|_| Text::new("the self-test failed").expect("it is one short line"))
}

fn after(locked: &LockedStore<'_>, id: &BundleId, failed: &str) -> String {
    let state = locked.state();
    let active = state.active(id).ok().map(|active| active.manifest_sha256);
    let now = active.and_then(|digest| Some((digest, state.release(digest).ok()?)));
    match now {
        Some((digest, release)) => {
            format!("bundle {failed} did not pass its self-test; active is {id} {} again ({digest})", release.version)
        }
        None => format!("bundle {failed} did not pass its self-test; no bundle of {id} is active"),
    }
}
