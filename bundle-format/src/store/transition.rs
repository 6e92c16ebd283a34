//! What each operation makes of a state: pure functions, no files and no clock.
//!
//! A [`Step`] is a new state and the event that tells of it. The caller writes
//! both at once or neither, so every state that a device can be found in is one
//! that a function here returned.

use super::audit::{Event, Subject};
use super::error::StoreError;
use super::state::{Deployment, DeviceState, Release, Slot};
use crate::digest::Digest;
use crate::manifest::{BundleId, SemanticVersion, Text};

/// Times that a self-test may begin and not end.
const N_ATTEMPTS: u8 = 3;
/// Bundles in one store.
pub(super) const MAX_INSTALLED: usize = 256;

/// Whether an older version may become active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// It is allowed, and recorded.
    Allow,
    /// It is refused.
    Refuse,
}

/// A change that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) state: DeviceState,
    pub(super) event: Event,
}

impl Release {
    fn subject(&self, manifest_sha256: Digest) -> Subject {
        let Self { id, security_version, signers, version, .. } = self.clone();
        Subject { id, manifest_sha256, security_version, signers, version }
    }
}

/// `current` with an installed bundle.
pub(super) fn install(current: &DeviceState, digest: Digest, release: &Release) -> Result<Step, StoreError> {
    check_floor(current, release)?;
    let mut state = current.clone();
    state.installed.insert(digest, release.clone());
    if state.installed.len() > MAX_INSTALLED {
        return Err(StoreError::Full { limit: MAX_INSTALLED });
    }
    Ok(Step { state, event: Event::Install(release.subject(digest)) })
}

/// `current` with an installed bundle in the active place, on trial.
///
/// The bundle to fall back to is the one that was active, if it had passed its
/// self-test, else the one before it.
pub(super) fn activate(
    current: &DeviceState,
    digest: Digest,
    downgrade: Downgrade,
    runs_to_commit: Option<u32>,
) -> Result<Step, StoreError> {
    let release = current.release(digest)?;
    check_floor(current, release)?;
    let is_downgrade = check_version(current, release, downgrade)?;
    let subject = release.subject(digest);
    let mut state = current.clone();
    let slot = state.models.entry(release.id.clone()).or_default();
    let is_same = |deployment: &mut Deployment| deployment.manifest_sha256 == digest;
    let former = [slot.active.take_if(is_same), slot.previous.take_if(is_same)];
    if let Some(left) = slot.active.take().filter(Deployment::is_proven) {
        slot.previous = Some(left);
    }
    slot.active = Some(Deployment {
        attempts: Some(N_ATTEMPTS),
        committed: former.iter().flatten().any(|former| former.committed),
        manifest_sha256: digest,
        runs_to_commit,
    });
    Ok(Step { state, event: if is_downgrade { Event::Downgrade(subject) } else { Event::Activate(subject) } })
}

/// `current` with the previous bundle in the active place, on trial, and the active one behind it.
pub(super) fn rollback(current: &DeviceState, id: &BundleId, downgrade: Downgrade) -> Result<Step, StoreError> {
    let previous = previous(current, id)?;
    let digest = previous.manifest_sha256;
    let release = current.release(digest)?;
    check_floor(current, release)?;
    check_version(current, release, downgrade)?;
    let event = Event::Rollback(release.subject(digest));
    let back = Deployment { attempts: Some(N_ATTEMPTS), ..previous.clone() };
    let mut state = current.clone();
    let slot = slot(&mut state, id);
    slot.previous = slot.active.take().filter(Deployment::is_proven);
    slot.active = Some(back);
    Ok(Step { state, event })
}

/// The bundle that [`rollback`] would go to.
pub(super) fn previous<'a>(current: &'a DeviceState, id: &BundleId) -> Result<&'a Deployment, StoreError> {
    let previous = current.models.get(id).and_then(|slot| slot.previous.as_ref());
    previous.ok_or_else(|| StoreError::NoPrevious { id: id.clone() })
}

/// `current` with one attempt less for the bundle on trial, or without that
/// bundle if none was left. `None` if the active bundle is not on trial.
pub(super) fn attempt(current: &DeviceState, id: &BundleId) -> Result<Option<Step>, StoreError> {
    let active = current.active(id)?;
    let (digest, Some(attempts)) = (active.manifest_sha256, active.attempts) else {
        return Ok(None);
    };
    let Some(left) = attempts.checked_sub(1) else {
        let reason = Text::new("the self-test did not end, in every attempt").expect("it is one short line");
        return fall_back(current, id, reason).map(Some);
    };
    let event = Event::Attempt(current.release(digest)?.subject(digest));
    let mut state = current.clone();
    active_of(&mut state, id).attempts = Some(left);
    Ok(Some(Step { state, event }))
}

/// `current` with the active bundle no longer on trial.
pub(super) fn pass(current: &DeviceState, id: &BundleId) -> Result<Step, StoreError> {
    let digest = current.active(id)?.manifest_sha256;
    let event = Event::Pass(current.release(digest)?.subject(digest));
    let mut state = current.clone();
    active_of(&mut state, id).attempts = None;
    Ok(Step { state, event })
}

/// `current` with the previous bundle in the place of the active one, which loses it.
///
/// Nothing is active if the floor has risen above the previous bundle.
pub(super) fn fall_back(current: &DeviceState, id: &BundleId, reason: Text) -> Result<Step, StoreError> {
    let digest = current.active(id)?.manifest_sha256;
    let subject = current.release(digest)?.subject(digest);
    let mut state = current.clone();
    let slot = slot(&mut state, id);
    let may_run = |previous: &Deployment| {
        current.installed.get(&previous.manifest_sha256).is_some_and(|release| check_floor(current, release).is_ok())
    };
    slot.active = slot.previous.take().filter(may_run);
    Ok(Step { state, event: Event::FallBack { reason, subject } })
}

/// `current` with the floor that the active bundle asks for.
pub(super) fn commit(current: &DeviceState, id: &BundleId) -> Result<Step, StoreError> {
    let active = current.active(id)?;
    if !active.is_proven() {
        return Err(StoreError::OnTrial { id: id.clone() });
    }
    let digest = active.manifest_sha256;
    let release = current.release(digest)?;
    check_floor(current, release)?;
    let floor = current.floor(id).max(release.min_security_version);
    let mut state = current.clone();
    slot(&mut state, id).floor = floor;
    let active = active_of(&mut state, id);
    (active.committed, active.runs_to_commit) = (true, None);
    Ok(Step { state, event: Event::Commit { floor, subject: release.subject(digest) } })
}

/// `current` after a run of the active bundle succeeded. `None` if runs are not counted.
pub(super) fn run_succeeded(current: &DeviceState, id: &BundleId) -> Result<Option<Step>, StoreError> {
    let active = current.active(id)?;
    let Some(runs) = active.runs_to_commit.filter(|_| active.is_proven()) else {
        return Ok(None);
    };
    if runs <= 1 {
        return commit(current, id).map(Some);
    }
    let digest = active.manifest_sha256;
    let event = Event::Run(current.release(digest)?.subject(digest));
    let mut state = current.clone();
    active_of(&mut state, id).runs_to_commit = Some(runs - 1);
    Ok(Some(Step { state, event }))
}

/// `current` without one bundle that nobody uses. `None` if there is no such bundle.
pub(super) fn collect(current: &DeviceState) -> Option<(Digest, Step)> {
    let (&digest, release) = current.installed.iter().find(|(digest, _)| !current.is_in_use(**digest))?;
    let event = Event::Remove(release.subject(digest));
    let mut state = current.clone();
    state.installed.remove(&digest);
    Some((digest, Step { state, event }))
}

/// The bundle's security version is high enough, and committing it will not lock it out.
pub(super) fn check_floor(current: &DeviceState, release: &Release) -> Result<(), StoreError> {
    let (actual, floor) = (release.security_version, current.floor(&release.id));
    if actual < floor {
        let (id, version) = (release.id.clone(), release.version.clone());
        return Err(StoreError::BelowFloor { id, version, actual, floor });
    }
    match release.min_security_version {
        raised if raised > actual => Err(StoreError::FloorAboveItself { actual, raised }),
        _ => Ok(()),
    }
}

/// Whether the release is older than the active one, if that is allowed.
fn check_version(current: &DeviceState, release: &Release, downgrade: Downgrade) -> Result<bool, StoreError> {
    let active = current.models.get(&release.id).and_then(|slot| slot.active.as_ref());
    let Some(active) = active else {
        return Ok(false);
    };
    let active = &current.release(active.manifest_sha256)?.version;
    let is_older = precedence(&release.version).cmp_precedence(&precedence(active)).is_lt();
    if is_older && downgrade == Downgrade::Refuse {
        let (actual, active) = (release.version.clone(), active.clone());
        return Err(StoreError::Downgrade { actual, active });
    }
    Ok(is_older)
}

fn precedence(version: &SemanticVersion) -> semver::Version {
    semver::Version::parse(version.as_str()).expect("a semantic version was parsed when it was made")
}

fn slot<'a>(state: &'a mut DeviceState, id: &BundleId) -> &'a mut Slot {
    state.models.get_mut(id).expect("a model with a deployment has a slot")
}

fn active_of<'a>(state: &'a mut DeviceState, id: &BundleId) -> &'a mut Deployment {
    slot(state, id).active.as_mut().expect("the caller has seen the active bundle")
}
