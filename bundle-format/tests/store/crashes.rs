//! Killed, cut off, full, half written: at every change of every operation.
//!
//! After each the state must be the old one or the new one, the log must
//! verify, every bundle that the state names must verify, and the same
//! operation, or the next, must work.

use std::path::Path;

use bundle_format::store::{Activation, DeviceState, DeviceStore, Disk, Downgrade, FileSystem, NoCounter};

use crate::device::{ALLOW, Act, MODELS, Model, REFUSE, STORE, audit, moment, outside, play, state, verify};
use crate::draw::Draw;
use crate::faulty::{Fault, Faulty, faults, power_losses};
use crate::simulated_disk::{Cut, SimulatedDisk};

const HEARTS: &str = "test/hearts";

/// A life in which every operation occurs, in each of its forms.
fn life() -> Vec<Act> {
    let [first, second, third, lungs] = MODELS;
    let counted = Activation { downgrade: Downgrade::Refuse, runs_to_commit: Some(2) };
    vec![
        Act::Install(first.clone()),
        Act::Activate(first.clone(), REFUSE),
        Act::Attempt(HEARTS),
        Act::Pass(HEARTS),
        Act::Commit(HEARTS),
        Act::Install(second.clone()),
        Act::Install(second.clone()),
        Act::Activate(second.clone(), counted),
        Act::Attempt(HEARTS),
        Act::Pass(HEARTS),
        Act::Run(HEARTS),
        Act::Run(HEARTS),
        Act::Install(third.clone()),
        Act::Activate(third.clone(), REFUSE),
        Act::Attempt(HEARTS),
        Act::FallBack(HEARTS),
        Act::Collect,
        Act::Install(third.clone()),
        Act::Install(lungs),
        Act::Activate(third, REFUSE),
        Act::Attempt(HEARTS),
        Act::Pass(HEARTS),
        Act::Rollback(HEARTS, Downgrade::Allow),
        Act::Attempt(HEARTS),
        Act::Attempt(HEARTS),
        Act::Attempt(HEARTS),
        Act::Attempt(HEARTS),
        Act::Collect,
    ]
}

/// Everything that must hold of a disk, whatever happened; returns the state.
fn sound<F: FileSystem + Clone>(fs: &F, what: &str) -> DeviceState {
    let found = state(fs).unwrap_or_else(|error| panic!("{what}: {error}"));
    audit(fs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = DeviceStore::new(Path::new(STORE), fs.clone(), NoCounter);
    for (digest, release) in &found.installed {
        let (actual, verified) = verify(fs, &store.bundle_file(*digest)).unwrap_or_else(|_| panic!("{what}: {digest}"));
        assert_eq!((actual, &verified), (*digest, release), "{what}");
    }
    found
}

/// One act on one disk, with and without a fault.
struct Case<'a> {
    before: &'a SimulatedDisk,
    act: &'a Act,
    second: u64,
    old: Option<DeviceState>,
    new: DeviceState,
}

impl Case<'_> {
    /// Goes wrong at change `n`, loses power as `cut` says, starts again.
    fn check(&self, n: u64, fault: Fault, cut: Cut) {
        let what = format!("{:?}, {fault:?} at {n}, {cut:?}", self.act);
        let broken = Faulty::at(self.before.after(Cut::None), n, fault);
        let outcome = self.act.on(&broken, self.second);
        let found = broken.inner.after(cut);
        if outcome.is_ok() {
            assert_eq!(state(&found).unwrap(), self.new, "{what}: said to be done");
        }
        // Before anybody repairs anything, the state can be read, and is old or new.
        let first = match (&self.old, state(&found)) {
            (None, Err(error)) => {
                assert_eq!(error.code(), "E702", "{what}");
                None
            }
            (_, state) => Some(state.unwrap_or_else(|error| panic!("{what}: {error}"))),
        };
        let is_new = first.as_ref() == Some(&self.new);
        let is_created = self.old.is_none() && first.as_ref().is_some_and(|state| state.audit.last.n == 0);
        assert!(
            is_new || is_created || first == self.old || self.is_between(first.as_ref()),
            "{what}: neither old nor new: {first:?}"
        );

        if is_new {
            Act::Collect.on(&found, self.second).unwrap_or_else(|error| panic!("{what}: next: {error}"));
            sound(&found, &what);
        } else {
            let again = self.act.on(&found, self.second).unwrap_or_else(|error| panic!("{what}: again: {error}"));
            assert_eq!(again, self.new, "{what}");
            assert_eq!(sound(&found, &what), self.new, "{what}");
        }
    }
}

impl Case<'_> {
    /// Garbage goes bundle by bundle: some of it may be left.
    fn is_between(&self, found: Option<&DeviceState>) -> bool {
        let has_all = |more: &DeviceState, less: &DeviceState| {
            less.installed.keys().all(|digest| more.installed.contains_key(digest))
        };
        let (Act::Collect, Some(old), Some(found)) = (self.act, &self.old, found) else {
            return false;
        };
        found.models == old.models && has_all(old, found) && has_all(found, &self.new)
    }
}

/// Calls `check` with every act of a life and the number of its changes.
fn for_each_act(mut check: impl FnMut(&Case<'_>, u64)) {
    let disk = SimulatedDisk::new(outside(&MODELS));
    for (second, act) in life().iter().enumerate() {
        let second = second as u64;
        let whole = Faulty::none(disk.after(Cut::None));
        let new = act.on(&whole, second).unwrap_or_else(|error| panic!("{act:?}: {error}"));
        check(&Case { before: &disk, act, second, old: state(&disk).ok(), new }, whole.n_changes());
        act.on(&disk, second).unwrap();
    }
    sound(&disk, "the whole life");
}

#[test]
fn killed_or_failing_at_every_change_leaves_the_old_or_the_new_state() {
    let mut n_points = 0;
    for_each_act(|case, n_changes| {
        for (n, fault, cut) in faults(n_changes) {
            case.check(n, fault, cut);
        }
        n_points += n_changes;
    });
    assert!(n_points > 300, "only {n_points} points");
}

#[test]
fn power_lost_at_every_change_leaves_the_old_or_the_new_state() {
    for_each_act(|case, n_changes| {
        for (n, fault, cut) in power_losses(n_changes) {
            case.check(n, fault, cut);
        }
    });
}

#[test]
fn what_an_operation_reported_survives_any_loss_of_power() {
    for_each_act(|case, n_changes| {
        for cut in [Cut::AllLost, Cut::AllKept, Cut::Random(1), Cut::Random(2), Cut::Random(3)] {
            let disk = case.before.after(Cut::None);
            case.act.on(&disk, case.second).unwrap();
            assert_eq!(sound(&disk.after(cut), "after"), case.new, "{:?} of {n_changes} changes", case.act);
        }
    });
}

#[test]
fn a_disk_that_stays_full_costs_nothing_but_the_operation() {
    let disk = SimulatedDisk::new(outside(&MODELS));
    let acts = life();
    play(&disk, &acts[..5]);
    let before = state(&disk).unwrap();
    for n in 0..40 {
        let full = Faulty::at(disk.after(Cut::None), n, Fault::Full);
        if Act::Install(MODELS[1].clone()).on(&full, 9).is_err() {
            let found = state(&full.inner).unwrap();
            let is_installed = found.installed.contains_key(&MODELS[1].digest());
            assert!(found == before || is_installed, "full at {n}");
            // Room is made, and everything goes on.
            Act::Install(MODELS[1].clone()).on(&full.inner, 9).unwrap();
            sound(&full.inner, "after room was made");
        }
    }
}

#[test]
fn the_machines_own_disk_is_killed_at_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, ..] = MODELS;
    let bundles = [&first, &second].map(|model| folder.path().join(model.digest().to_string()));
    fs_err::write(&bundles[0], first.bytes()).unwrap();
    fs_err::write(&bundles[1], second.bytes()).unwrap();
    let root = folder.path().join("device");
    let install = |fs: &Faulty<Disk>, model: usize| {
        let store = DeviceStore::new(&root, fs.clone(), NoCounter);
        let mut locked = store.lock(moment(1))?;
        locked.install(&bundles[model], &|file| verify(&Disk, file)).map(|_| locked.state().clone())
    };
    let activate = |fs: &Faulty<Disk>, model: &Model| {
        let store = DeviceStore::new(&root, fs.clone(), NoCounter);
        let mut locked = store.lock(moment(2))?;
        locked.activate(model.digest(), ALLOW, &|file| verify(&Disk, file)).map(|_| locked.state().clone())
    };
    // Each attempt gets one change further than the one before it, on what that one left.
    for step in 0..2 {
        let mut n = 0;
        let done = loop {
            let fs = Faulty::at(Disk, n, if n % 2 == 0 { Fault::Killed } else { Fault::KilledHalfway });
            match if step == 0 { install(&fs, 0) } else { activate(&fs, &first) } {
                Ok(state) => break state,
                Err(error) => assert_eq!(error.code(), "E101"),
            }
            n += 1;
        };
        assert!(n > 10, "step {step} was over after {n} changes");
        let store = DeviceStore::at(&root);
        assert_eq!(store.state().unwrap(), done);
        assert_eq!(store.verify_audit(&mut |_| ()).unwrap(), done.audit.last.n + 1);
    }
    install(&Faulty::none(Disk), 1).unwrap();
    let names: Vec<_> = Disk.names(&root.join("store")).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Random acts, kills and losses of power on one device for `n_steps`.
fn live(n_steps: u64, seed: u64) {
    let models: Vec<_> = (0..6)
        .map(|n| Model {
            id: HEARTS,
            version: ["1.0.0", "1.1.0", "2.0.0", "2.0.1", "2.1.0-rc.1", "3.0.0"][n],
            security_version: [1, 1, 2, 3, 3, 4][n],
            min_security_version: [0, 1, 1, 2, 3, 3][n],
        })
        .collect();
    let mut draw = Draw::new(seed);
    let mut disk = SimulatedDisk::new(outside(&models));
    let (mut floor, mut n_started) = (0, 0);
    for step in 0..n_steps {
        let model = models[usize::try_from(draw.below(6)).unwrap()].clone();
        let act = match draw.below(9) {
            0 => Act::Install(model),
            1 | 2 => Act::Activate(model, if draw.below(2) == 0 { ALLOW } else { REFUSE }),
            3 => Act::Attempt(HEARTS),
            4 => Act::Pass(HEARTS),
            5 => Act::FallBack(HEARTS),
            6 => Act::Commit(HEARTS),
            7 => Act::Rollback(HEARTS, Downgrade::Allow),
            _ => Act::Collect,
        };
        let broken = Faulty::at(disk.clone(), draw.below(60), Fault::Killed);
        let outcome = act.on(&broken, step);
        if outcome.as_ref().is_err_and(|error| error.code() == "E101") {
            disk = disk.after(Cut::Random(draw.below(u64::MAX)));
        }
        let Ok(found) = state(&disk) else {
            assert_eq!(n_started, 0, "step {step}: the state is gone");
            continue;
        };
        n_started += 1;
        let now = found.floor(&models[0].id());
        assert!(now >= floor, "step {step}: {act:?} lowered the floor from {floor} to {now}");
        floor = now;
        if let Ok(active) = found.active(&models[0].id()) {
            let release = &found.installed[&active.manifest_sha256];
            assert!(release.security_version >= floor, "step {step}: the active bundle is below the floor");
        }
        // The log grows with every step; a new life begins before reading it takes the time.
        if step % 200 == 199 {
            Act::Collect.on(&disk, step).unwrap();
            sound(&disk, "a long life");
            disk = SimulatedDisk::new(outside(&models));
            (floor, n_started) = (0, 0);
        }
    }
}

#[test]
fn the_floor_never_falls_in_random_lives_with_crashes() {
    live(20_000, 1);
}

#[test]
#[ignore = "takes minutes: a million steps, for a release"]
fn the_floor_never_falls_in_a_million_steps() {
    live(1_000_000, 2);
}
