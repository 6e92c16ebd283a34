//! The store of a device: installed bundles, the active one of each model, floors, and a history.
//!
//! ```text
//! state/device.json                        what is installed and active; replaced by rename
//! state/audit.jsonl                        hash-chained history
//! state/lock                               held by the one process that changes the store
//! store/<manifest_sha256>/bundle.unb       an installed bundle, as it was signed
//! ```
//!
//! Follows `BUNDLE` format "Device store": [`LockedStore::install`] verifies
//! the copy that it keeps; [`LockedStore::activate`] puts a bundle in its place
//! *on trial*, where it stays for three attempts to pass its self-test and
//! falls back to the previous one; [`LockedStore::commit`] raises the floor.
//! Every operation is one rename of the state, so that a crash leaves the old
//! state or the new one. What an operation does is decided by the pure
//! functions of `transition`; what it writes, by `journal`.
//!
//! A bundle is kept packed: its entries lie uncompressed and aligned in the
//! archive, and one verification then serves files and store.

mod audit;
mod counter;
mod error;
mod file_system;
mod journal;
mod state;
mod transition;

use std::path::{Path, PathBuf};

pub use audit::{Event, Record, Subject};
pub use counter::{MemoryCounter, MonotonicCounter, NoCounter};
pub use error::{AuditBreach, StoreError};
pub use file_system::{Disk, FileSystem};
pub use state::{AuditEnd, Deployment, DeviceState, Release, Slot};
pub use transition::Downgrade;

use crate::contents::{BundleContents as _, VerifiedBundle};
use crate::digest::Digest;
use crate::error::BundleError;
use crate::limits::Limits;
use crate::manifest::{BundleId, Text, Timestamp};
use crate::trust::TrustedKeys;
use crate::verify::UnverifiedBundle;
use journal::{Journal, bundle_in};
use transition::Step;

/// Verifies the bundle in a file, and says who it is.
pub type Verify<'a> = &'a dyn Fn(&Path) -> Result<(Digest, Release), BundleError>;

/// A store that can be looked at; [`DeviceStore::lock`] lets it be changed.
#[derive(Debug)]
pub struct DeviceStore<F = Disk, C = NoCounter> {
    journal: Journal<F>,
    counter: C,
}

/// When a store is changed, and under which trust.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The clock; a time before the latest that the device has seen counts as that one.
    pub now: Timestamp,
    /// Version of the trust document in use, 0 if a key was named instead;
    /// `None` where nobody has to be trusted.
    pub trust_version: Option<u64>,
}

impl Moment {
    /// The trust in force is not older than one that this device has used.
    ///
    /// # Errors
    ///
    /// [`StoreError::FormerTrust`].
    pub fn check_trust(&self, state: &DeviceState) -> Result<(), BundleError> {
        match self.trust_version.filter(|&version| version < state.trust_version) {
            Some(actual) => Err(StoreError::FormerTrust { actual, seen: state.trust_version }.into()),
            None => Ok(()),
        }
    }
}

/// What to do with the bundle on trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The active bundle has passed; there is nothing to do.
    Over,
    /// Run its self-test, and say how it ended.
    Test(Digest),
    /// It had no attempt left: the previous bundle, if there is one, took its place.
    FellBack(Digest),
}

/// How a bundle is to become active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Whether its version may be lower than that of the active one.
    pub downgrade: Downgrade,
    /// Runs after which it commits itself; `None` if it waits to be told.
    pub runs_to_commit: Option<u32>,
}

impl DeviceStore {
    /// The store in `folder`, which need not exist, on a device without a counter.
    pub fn at(folder: &Path) -> Self {
        Self::new(folder, Disk, NoCounter)
    }

    /// The installed bundle `digest`, verified again, its digest and floor included.
    ///
    /// # Errors
    ///
    /// Whatever verification refuses; [`StoreError::Replaced`], [`StoreError::BelowFloor`],
    /// [`StoreError::NotInstalled`].
    pub fn load(&self, state: &DeviceState, digest: Digest, keys: &TrustedKeys) -> Result<VerifiedBundle, BundleError> {
        state.release(digest)?;
        let file = self.journal.bundle_file(digest);
        let bundle = UnverifiedBundle::open(&file, &Limits::default())?.verify(keys)?;
        check_identity(digest, *bundle.manifest_sha256())?;
        transition::check_floor(state, &Release::of(&bundle))?;
        Ok(bundle)
    }
}

impl<F: FileSystem, C: MonotonicCounter> DeviceStore<F, C> {
    /// The store in `folder` of `fs`, which need not exist.
    pub fn new(folder: &Path, fs: F, counter: C) -> Self {
        Self { journal: Journal { fs, root: folder.to_path_buf() }, counter }
    }

    /// The state as it is now.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoStore`]; [`StoreError`] if the state is damaged or not the latest; [`BundleError::Io`].
    pub fn state(&self) -> Result<DeviceState, BundleError> {
        let state = self.journal.read_state()?;
        let state = state.ok_or_else(|| StoreError::NoStore { folder: self.journal.root.clone() })?;
        self.check_counter(&state)?;
        Ok(state)
    }

    /// The file of an installed bundle.
    pub fn bundle_file(&self, digest: Digest) -> PathBuf {
        self.journal.bundle_file(digest)
    }

    /// Size of an installed bundle's file in bytes; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`].
    pub fn bundle_bytes(&self, digest: Digest) -> Result<Option<u64>, BundleError> {
        self.journal.size(&self.bundle_file(digest))
    }

    /// Checks every record of the audit log and hands it out; returns how many there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Audit`] naming the first record that does not fit; [`BundleError::Io`].
    pub fn verify_audit(&self, each: &mut dyn FnMut(&Record)) -> Result<u64, BundleError> {
        self.journal.verify_log(&self.state()?, each)
    }

    /// Takes the store for this process, makes it if it is not there, and
    /// completes what a crash left half done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another process has it; [`StoreError`] if it is damaged; [`BundleError::Io`].
    pub fn lock(&self, moment: Moment) -> Result<LockedStore<'_, F, C>, BundleError> {
        self.journal.create_folders()?;
        let file = self.journal.lock_file();
        let lock = self.journal.fs.lock(&file).map_err(BundleError::io(&file))?;
        let lock = lock.ok_or_else(|| StoreError::Busy { folder: self.journal.root.clone() })?;
        let state = self.journal.recover(&moment.now)?;
        self.check_counter(&state)?;
        moment.check_trust(&state)?;
        Ok(LockedStore { store: self, state, moment, _lock: lock })
    }

    /// The state is the one that the counter counts, or one that a crash kept from being counted.
    fn check_counter(&self, state: &DeviceState) -> Result<(), BundleError> {
        let io = || BundleError::io(&self.journal.root);
        match self.counter.read().map_err(io())? {
            None => Ok(()),
            Some(counter) if state.counter == counter => Ok(()),
            Some(counter) if state.counter == counter + 1 => self.counter.increase().map_err(io()),
            Some(counter) => Err(StoreError::FormerState { state: state.counter, counter }.into()),
        }
    }
}

/// A store that this process alone may change.
#[derive(Debug)]
pub struct LockedStore<'a, F: FileSystem = Disk, C = NoCounter> {
    store: &'a DeviceStore<F, C>,
    state: DeviceState,
    moment: Moment,
    _lock: F::Lock,
}

impl<F: FileSystem, C: MonotonicCounter> LockedStore<'_, F, C> {
    /// The state as this process has left it.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }

    /// Copies `bundle` into the store, verifies the copy, and keeps it.
    ///
    /// One that is installed already is replaced, so that a damaged file is
    /// repaired and a further signature arrives.
    ///
    /// # Errors
    ///
    /// Whatever `verify` refuses; [`StoreError::BelowFloor`], [`StoreError::FloorAboveItself`],
    /// [`StoreError::Full`]; [`BundleError::Io`]. The state is unchanged then.
    pub fn install(&mut self, bundle: &Path, verify: Verify<'_>) -> Result<Digest, BundleError> {
        let journal = &self.store.journal;
        journal.sweep(&self.state)?;
        let staged = self.stage(bundle, verify).and_then(|(digest, release)| {
            let step = transition::install(&self.state, digest, &release)?;
            self.place(digest)?;
            Ok((digest, step))
        });
        let (digest, step) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                // The first error is the one to report; what stays is swept by the next install.
                let _ = journal.sweep(&self.state);
                return Err(error);
            }
        };
        self.write(step)?;
        Ok(digest)
    }

    /// Copies a bundle beside the others, durably, and verifies the copy.
    fn stage(&self, bundle: &Path, verify: Verify<'_>) -> Result<(Digest, Release), BundleError> {
        let journal = &self.store.journal;
        let folder = journal.staging_folder();
        let copy = bundle_in(&folder);
        journal.fs.create_folder(&folder).map_err(BundleError::io(&folder))?;
        journal.fs.copy_in(bundle, &copy).map_err(BundleError::io(bundle))?;
        let verified = verify(&copy)?;
        journal.sync(&copy)?;
        journal.sync(&folder)?;
        Ok(verified)
    }

    /// Gives the staged copy its place.
    fn place(&self, digest: Digest) -> Result<(), BundleError> {
        let journal = &self.store.journal;
        let (staging, folder) = (journal.staging_folder(), journal.bundle_folder(digest));
        if journal.size(&folder)?.is_none() {
            journal.fs.rename(&staging, &folder).map_err(BundleError::io(&folder))?;
        } else {
            let file = bundle_in(&folder);
            journal.fs.rename(&bundle_in(&staging), &file).map_err(BundleError::io(&file))?;
            journal.sync(&folder)?;
            journal.fs.remove_folder(&staging).map_err(BundleError::io(&staging))?;
        }
        journal.sync(&journal.bundles_folder())
    }

    /// Puts an installed bundle in the active place, on trial.
    ///
    /// # Errors
    ///
    /// Whatever `verify` refuses; [`StoreError`] with the policy that forbids it. The state is unchanged then.
    pub fn activate(
        &mut self,
        digest: Digest,
        activation: Activation,
        verify: Verify<'_>,
    ) -> Result<BundleId, BundleError> {
        let Activation { downgrade, runs_to_commit } = activation;
        let step = transition::activate(&self.state, digest, downgrade, runs_to_commit)?;
        let release = self.verified(digest, verify)?;
        self.write(step)?;
        Ok(release.id)
    }

    /// Puts the previous bundle in the active place, on trial, and the active one behind it.
    ///
    /// # Errors
    ///
    /// As [`LockedStore::activate`]; [`StoreError::NoPrevious`].
    pub fn rollback(&mut self, id: &BundleId, downgrade: Downgrade, verify: Verify<'_>) -> Result<Digest, BundleError> {
        let step = transition::rollback(&self.state, id, downgrade)?;
        let digest = transition::previous(&self.state, id)?.manifest_sha256;
        self.verified(digest, verify)?;
        self.write(step)?;
        Ok(digest)
    }

    /// Counts one attempt of the bundle on trial, before its self-test runs.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`]; [`BundleError::Io`].
    pub fn attempt(&mut self, id: &BundleId) -> Result<Trial, BundleError> {
        let digest = self.state.active(id)?.manifest_sha256;
        let Some(step) = transition::attempt(&self.state, id)? else {
            return Ok(Trial::Over);
        };
        let fell_back = matches!(step.event, Event::FallBack { .. });
        self.write(step)?;
        Ok(if fell_back { Trial::FellBack(digest) } else { Trial::Test(digest) })
    }

    /// Ends the trial of the active bundle: it has passed its self-test.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`]; [`BundleError::Io`].
    pub fn pass(&mut self, id: &BundleId) -> Result<(), BundleError> {
        self.write(transition::pass(&self.state, id)?)
    }

    /// Ends the trial of the active bundle: the previous one, if there is one, takes its place.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`]; [`BundleError::Io`].
    pub fn fall_back(&mut self, id: &BundleId, reason: Text) -> Result<(), BundleError> {
        self.write(transition::fall_back(&self.state, id, reason)?)
    }

    /// Raises the model's floor to what the active bundle asks for; returns the floor.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`]; [`StoreError::OnTrial`]; [`BundleError::Io`].
    pub fn commit(&mut self, id: &BundleId) -> Result<u32, BundleError> {
        self.write(transition::commit(&self.state, id)?)?;
        Ok(self.state.floor(id))
    }

    /// Counts a run of the active bundle, if its runs are counted; the last commits it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`]; [`BundleError::Io`].
    pub fn run_succeeded(&mut self, id: &BundleId) -> Result<(), BundleError> {
        transition::run_succeeded(&self.state, id)?.map_or(Ok(()), |step| self.write(step))
    }

    /// Removes every bundle that is neither active nor previous; returns what was removed.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`]; what was removed before stays so.
    pub fn collect(&mut self) -> Result<Vec<(Digest, Release)>, BundleError> {
        let mut removed = Vec::new();
        while let Some((digest, step)) = transition::collect(&self.state) {
            let release = self.state.release(digest)?.clone();
            self.write(step)?;
            removed.push((digest, release));
        }
        self.store.journal.sweep(&self.state)?;
        Ok(removed)
    }

    /// The installed bundle is still the one that was installed, and still trusted.
    fn verified(&self, digest: Digest, verify: Verify<'_>) -> Result<Release, BundleError> {
        let (actual, release) = verify(&self.store.bundle_file(digest))?;
        check_identity(digest, actual)?;
        transition::check_floor(&self.state, &release)?;
        Ok(release)
    }

    fn write(&mut self, mut step: Step) -> Result<(), BundleError> {
        let trust_version = self.moment.trust_version.unwrap_or(self.state.trust_version);
        let record = self.state.audit.last.next(step.event.clone(), &self.moment.now, trust_version);
        let count = self.store.counter.read().map_err(BundleError::io(&self.store.journal.root))?;
        if let Some(count) = count.filter(|_| floors_rise(&self.state, &step.state)) {
            step.state.counter = count + 1;
        }
        self.state = self.store.journal.write(step, record, &self.store.counter)?;
        Ok(())
    }
}

/// Verifies with these keys, for [`LockedStore::install`] and its kin.
pub fn verify_with(keys: &TrustedKeys) -> impl Fn(&Path) -> Result<(Digest, Release), BundleError> {
    move |file| {
        let bundle = UnverifiedBundle::open(file, &Limits::default())?.verify(keys)?;
        Ok((*bundle.manifest_sha256(), Release::of(&bundle)))
    }
}

fn check_identity(expected: Digest, actual: Digest) -> Result<(), StoreError> {
    if expected == actual { Ok(()) } else { Err(StoreError::Replaced { expected, actual }) }
}

fn floors_rise(before: &DeviceState, after: &DeviceState) -> bool {
    after.models.iter().any(|(id, slot)| slot.floor > before.floor(id))
}
