//! Killed, cut off, full, half written: at every change of a trust folder.
//!
//! After each the folder must hold the old document or the new one, whole and
//! signed; the same operation, or the next, must work, and leave nothing beside
//! the document.

use std::collections::BTreeMap;
use std::path::Path;

use bundle_format::store::{Disk, FileSystem};
use bundle_format::{BundleError, Expiry, SignedTrust, TrustClock, TrustFolder, TrustUpdate};

use crate::faulty::{Fault, Faulty, faults, power_losses};
use crate::simulated_disk::{Cut, SimulatedDisk};
use crate::trust_forge::{ROOTS, chain, clock, draft, next, signed};

const FOLDER: &str = "/trust";

/// One command on a trust folder. Documents are named by their versions.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A first document comes into a folder that is made for it.
    Create,
    /// A chain of documents up to a version is brought.
    Update(u32),
    /// The next document is made on the device itself.
    Replace(u32),
}

impl Act {
    /// The version in force when it is done.
    fn version(self) -> u32 {
        match self {
            Self::Create => 1,
            Self::Update(version) | Self::Replace(version) => version,
        }
    }

    fn on<F: FileSystem + Clone>(self, fs: &F, all: &[SignedTrust]) -> Result<(), BundleError> {
        let folder = Path::new(FOLDER);
        match self {
            Self::Create => TrustFolder::create_on(fs.clone(), folder, &all[0]).map(|_| ()),
            Self::Update(version) => {
                let mut trust = TrustFolder::open_on(fs.clone(), folder)?.lock()?;
                trust.update(Path::new(&update_file(version)), &now()).map(|_: TrustUpdate| ())
            }
            Self::Replace(version) => {
                let mut trust = TrustFolder::open_on(fs.clone(), folder)?.lock()?;
                if trust.current().document().version == version {
                    Ok(())
                } else {
                    trust.replace(document(all, version))
                }
            }
        }
    }
}

/// A folder's life: made, one version further, three at once, the same again, and changed at home.
const LIFE: [Act; 5] = [Act::Create, Act::Update(2), Act::Update(5), Act::Update(5), Act::Replace(6)];

fn now() -> TrustClock {
    clock("2026-12-24T00:00:00Z", Expiry::Warn)
}

fn update_file(version: u32) -> String {
    format!("/outside/{version}")
}

fn document(all: &[SignedTrust], version: u32) -> SignedTrust {
    all[version as usize - 1].clone()
}

/// Versions 1 to 6, and a disk beside which the chains up to each of them lie.
fn world() -> (Vec<SignedTrust>, SimulatedDisk) {
    let mut all = vec![signed(draft(), &ROOTS[..2])];
    while all.len() < 6 {
        all.push(next(&all[all.len() - 1], |_| {}));
    }
    let outside = (1..=6).map(|version| (update_file(version).into(), chain(&all[..version as usize])));
    let disk = SimulatedDisk::new(outside.collect::<BTreeMap<_, _>>());
    (all, disk)
}

/// The version in force, whole and signed; `None` where there is no document yet.
fn in_force<F: FileSystem + Clone>(fs: &F, all: &[SignedTrust], what: &str) -> Option<u32> {
    match TrustFolder::open_on(fs.clone(), Path::new(FOLDER)).and_then(|folder| folder.read()) {
        Ok(found) => {
            let version = found.document().version;
            assert_eq!(found.digest(), document(all, version).digest(), "{what}: another document");
            Some(version)
        }
        Err(error) => {
            assert_eq!(error.code(), "E101", "{what}: {error}");
            None
        }
    }
}

/// One act on one disk, with and without a fault.
struct Case<'a> {
    all: &'a [SignedTrust],
    before: &'a SimulatedDisk,
    act: Act,
    old: Option<u32>,
}

impl Case<'_> {
    /// Goes wrong at change `n`, loses power as `cut` says, starts again.
    fn check(&self, n: u64, fault: Fault, cut: Cut) {
        let what = format!("{:?}, {fault:?} at {n}, {cut:?}", self.act);
        let broken = Faulty::at(self.before.after(Cut::None), n, fault);
        let outcome = self.act.on(&broken, self.all);
        let found = broken.inner.after(cut);
        let new = Some(self.act.version());
        let version = in_force(&found, self.all, &what);
        if outcome.is_ok() {
            assert_eq!(version, new, "{what}: said to be done");
        }
        assert!(version == self.old || version == new, "{what}: version {version:?}");

        match self.act.on(&found, self.all) {
            Err(error) if version == Some(1) => assert_eq!(error.code(), "E365", "{what}: again: {error}"),
            again => again.unwrap_or_else(|error| panic!("{what}: again: {error}")),
        }
        // What the second attempt says stays, whatever it found: only a change that is there already is not made again.
        let lost = found.after(Cut::AllLost);
        if matches!(self.act, Act::Update(_)) || version == self.old {
            assert_eq!(in_force(&lost, self.all, &what), new, "{what}: again, and power lost");
        }
        Act::Update(6).on(&found, self.all).unwrap_or_else(|error| panic!("{what}: next: {error}"));
        assert_eq!(in_force(&found, self.all, &what), Some(6));
        assert_eq!(found.names(Path::new(FOLDER)).unwrap(), ["trust.dsse.json"], "{what}");
    }
}

/// Calls `check` with every act of a life and the number of its changes.
fn for_each_act(mut check: impl FnMut(&Case<'_>, u64)) {
    let (all, disk) = world();
    for act in LIFE {
        let whole = Faulty::none(disk.after(Cut::None));
        act.on(&whole, &all).unwrap_or_else(|error| panic!("{act:?}: {error}"));
        let old = in_force(&disk, &all, "before");
        check(&Case { all: &all, before: &disk, act, old }, whole.n_changes());
        act.on(&disk, &all).unwrap();
    }
    assert_eq!(in_force(&disk, &all, "the whole life"), Some(6));
}

#[test]
fn killed_or_failing_at_every_change_leaves_the_old_or_the_new_document() {
    let mut n_points = 0;
    for_each_act(|case, n_changes| {
        for (n, fault, cut) in faults(n_changes) {
            case.check(n, fault, cut);
        }
        n_points += n_changes;
    });
    // Create: folder, its mode and the folder above; then write, mode, flush, rename, flush, and of `Update` twice one.
    assert_eq!(n_points, 3 + 5 + 5 + 5 + 1 + 5);
}

#[test]
fn power_lost_at_every_change_leaves_the_old_or_the_new_document() {
    for_each_act(|case, n_changes| {
        for (n, fault, cut) in power_losses(n_changes) {
            case.check(n, fault, cut);
        }
    });
}

#[test]
fn a_disk_that_stays_full_costs_nothing_but_the_update() {
    let (all, disk) = world();
    Act::Create.on(&disk, &all).unwrap();
    let full = Faulty::at(disk, 0, Fault::Full);
    for _ in 0..3 {
        let refused = Act::Update(2).on(&full, &all).unwrap_err();
        assert_eq!((refused.code(), refused.exit_code()), ("E101", 20));
        assert_eq!(in_force(&full, &all, "full"), Some(1));
        // The half that was written does not take up what little room there is.
        assert_eq!(full.names(Path::new(FOLDER)).unwrap(), ["trust.dsse.json"]);
    }
    Act::Update(2).on(&full.inner, &all).unwrap();
    assert_eq!(in_force(&full.inner, &all, "room was made"), Some(2));
}

#[test]
fn the_machines_own_disk_is_killed_at_every_change() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("trust");
    let (all, _) = world();
    let brought = work.path().join("brought");
    fs_err::write(&brought, chain(&all)).unwrap();
    let version = || TrustFolder::open(&folder).unwrap().read().unwrap().document().version;
    // Each attempt gets one change further than the one before it, on what that one left.
    let until_done = |act: &dyn Fn(&Faulty<Disk>) -> Result<(), BundleError>| {
        let mut n = 0;
        loop {
            let fs = Faulty::at(Disk, n, if n % 2 == 0 { Fault::Killed } else { Fault::KilledHalfway });
            match act(&fs) {
                Ok(()) => return n,
                Err(error) if error.code() == "E365" => return n,
                Err(error) => assert_eq!(error.code(), "E101", "{error}"),
            }
            n += 1;
        }
    };
    let n_attempts = until_done(&|fs| TrustFolder::create_on(fs.clone(), &folder, &all[0]).map(|_| ()));
    assert!(n_attempts > 4, "made after {n_attempts} changes");
    assert_eq!(version(), 1);
    let n_attempts = until_done(&|fs| {
        let update = TrustFolder::open_on(fs.clone(), &folder)?.lock()?.update(&brought, &now());
        assert!([1, 6].contains(&version()));
        update.map(|_| ())
    });
    assert!(n_attempts > 3, "updated after {n_attempts} changes");
    assert_eq!(version(), 6);
    assert_eq!(Disk.names(&folder).unwrap(), ["trust.dsse.json"]);
}
