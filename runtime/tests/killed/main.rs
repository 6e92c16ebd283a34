//! The program killed at every system call on a trust folder and on a store, and with calls that fail.
//!
//! After each the folder holds the old state or the new one, everything in it verifies, and the next command works.
//! Where `strace` is missing or may not trace, the tests say so on stderr.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "whoever runs these tests learns what they did")]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use bundle_format::store::{Deployment, DeviceState, Release, Slot};
use bundle_format::{BundleId, Digest};
use device::{Device, Place, unnunet};
use strace::{Fault, Point};

mod device;
#[path = "../../../bundle-format/examples/phantom_bundle.rs"]
#[expect(dead_code, reason = "its `main` is not called here")]
mod phantom_bundle;
mod strace;

const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Full, Fault::Broken];

/// A command of which every call on the device's folder goes wrong.
struct Case {
    device: Device,
    words: Vec<String>,
    /// Its exit status when nothing goes wrong.
    status: i32,
}

/// Whether a test can run; says so if not.
fn can_trace(test: &str) -> bool {
    let can = strace::is_here();
    if !can {
        eprintln!("not run: `{test}` needs `strace`, and leave to trace");
    }
    can
}

impl Case {
    /// `unnunet bundle <words>`; a word that begins with `@` is the path of that name on the device.
    fn new(device: Device, words: &[&str], status: i32) -> Self {
        let path = |name: &str| device.path(name).to_str().unwrap().to_owned();
        let words = words.iter().map(|word| word.strip_prefix('@').map_or_else(|| (*word).to_owned(), path)).collect();
        Self { device, words, status }
    }

    fn command(&self) -> Command {
        let mut command = unnunet(&["bundle"]);
        command.args(&self.words);
        command
    }

    /// Every fault at every point; `check` looks at what is left and gets a name for it.
    fn for_each_point(&self, check: impl Fn(&str)) {
        self.device.reset();
        let points = strace::points(&self.command(), &self.device.path("after"), &self.device.path("log"));
        for point in &points {
            for fault in FAULTS {
                self.device.reset();
                let what = format!("{fault:?} at {point:?} of {:?}", self.words);
                self.run_with(point, fault, &what);
                check(&what);
            }
        }
        eprintln!("{} points, {} faults at each: {:?}", points.len(), FAULTS.len(), self.words);
        assert!(points.len() > 5, "{points:?}");
    }

    fn run_with(&self, point: &Point, fault: Fault, what: &str) {
        let Some(output) = strace::run_with(&self.command(), point, fault) else {
            assert_eq!(fault, Fault::Kill, "{what}");
            return;
        };
        let (status, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
        assert_ne!(fault, Fault::Kill, "{what}: it was not killed");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        // An error of input or output, or a call that does not matter.
        assert!(status == Some(20) || status == Some(self.status), "{what}: {status:?} {stderr}");
    }

    /// The same command, without a fault.
    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    #[track_caller]
    fn again(&self, what: &str) {
        let output = self.run();
        assert_eq!(output.status.code(), Some(self.status), "{what}: again: {output:?}");
    }
}

#[test]
fn a_trust_update_leaves_the_old_document_or_the_new_one() {
    if !can_trace("a_trust_update_leaves_the_old_document_or_the_new_one") {
        return;
    }
    let device = Device::new().with_trust();
    let case = Case::new(device, &["trust", "update", "@chain.json", "--trust", "@after/trust"], 0);
    case.for_each_point(|what| {
        let version = case.device.trust_version();
        assert!([1, 3].contains(&version), "{what}: version {version}");
        case.again(what);
        assert_eq!(case.device.trust_version(), 3, "{what}");
        assert_eq!(case.device.names("after/trust"), ["trust.dsse.json"], "{what}");
    });
}

#[test]
fn a_first_trust_document_is_there_or_can_be_brought_again() {
    if !can_trace("a_first_trust_document_is_there_or_can_be_brought_again") {
        return;
    }
    let device = Device::new().with_trust();
    let case = Case::new(device, &["trust", "update", "@first.json", "--trust", "@after/new", "--first"], 0);
    case.for_each_point(|what| {
        let again = case.run();
        // There is a document: it is not replaced.
        let stderr = String::from_utf8_lossy(&again.stderr);
        let is_there = again.status.code() == Some(2) && stderr.contains("[E365]");
        assert!(is_there || again.status.success(), "{what}: again: {stderr}");
        let shown = unnunet(&["bundle", "trust", "show", "--trust"]).arg(case.device.path("after/new")).output();
        assert!(shown.unwrap().status.success(), "{what}");
        assert_eq!(case.device.names("after/new"), ["trust.dsse.json"], "{what}");
    });
}

/// What decides what predicts: installed bundles, and the places and the floor of each model.
type Outline = (BTreeMap<Digest, Release>, BTreeMap<BundleId, Slot>);

fn outline(state: Option<&DeviceState>) -> Option<Outline> {
    state.map(|state| (state.installed.clone(), state.models.clone()))
}

/// Every fault at every point of a command on the store.
fn check_store(case: &Case) {
    case.device.reset();
    let old = outline(case.device.state().as_ref());
    case.again("without a fault");
    let new = outline(case.device.state().as_ref());
    case.for_each_point(|what| {
        let state = case.device.state();
        let found = outline(state.as_ref());
        let is_created = old.is_none() && state.as_ref().is_some_and(|state| state.audit.last.n == 0);
        if found == old || is_created {
            case.again(what);
            assert_eq!(outline(case.device.state().as_ref()), new, "{what}: again");
        } else {
            let on_trial = state.as_ref().is_some_and(is_on_trial);
            assert!(found == new || on_trial, "{what}: neither old nor new: {state:?}");
        }
        let collected = unnunet(&["bundle", "gc", "--store"]).arg(case.device.path("after/store")).output().unwrap();
        assert!(collected.status.success(), "{what}: next: {collected:?}");
        let state = case.device.state().unwrap();
        assert_eq!(case.device.names("after/store/store").len(), state.installed.len(), "{what}");
    });
}

/// Whether a bundle waits for its self-test, with another to fall back to.
fn is_on_trial(state: &DeviceState) -> bool {
    state.models.values().any(|slot| {
        let is_tested = |deployment: &Deployment| deployment.attempts.is_none();
        slot.active.as_ref().is_some_and(|active| !is_tested(active)) && slot.previous.as_ref().is_some_and(is_tested)
    })
}

#[test]
fn a_first_install_makes_a_store_that_has_the_bundle_or_can_get_it() {
    if !can_trace("a_first_install_makes_a_store_that_has_the_bundle_or_can_get_it") {
        return;
    }
    let device = Device::new();
    device.bundle("1.0.0", 1);
    check_store(&Case::new(
        device,
        &["install", "@1.0.0.unb", "--store", "@after/store", "--public-key", "@key.pub"],
        0,
    ));
}

#[test]
fn an_install_leaves_the_bundles_from_before_or_one_more() {
    if !can_trace("an_install_leaves_the_bundles_from_before_or_one_more") {
        return;
    }
    let device = Device::new();
    device.installed("1.0.0", 1, Place::Proven);
    device.bundle("2.0.0", 2);
    check_store(&Case::new(
        device,
        &["install", "@2.0.0.unb", "--store", "@after/store", "--public-key", "@key.pub"],
        0,
    ));
}

#[test]
fn an_activation_leaves_a_proven_bundle_active_or_behind_the_one_on_trial() {
    if !can_trace("an_activation_leaves_a_proven_bundle_active_or_behind_the_one_on_trial") {
        return;
    }
    let device = Device::new();
    device.installed("1.0.0", 1, Place::Proven);
    let digest = device.installed("2.0.0", 2, Place::Installed).to_string();
    let words = ["activate", &digest, "--store", "@after/store", "--public-key", "@key.pub", "--device", "cpu"];
    // Its networks are noise: it falls back.
    check_store(&Case::new(device, &words, 10));
}

#[test]
fn a_rollback_leaves_a_proven_bundle_active_or_behind_the_one_on_trial() {
    if !can_trace("a_rollback_leaves_a_proven_bundle_active_or_behind_the_one_on_trial") {
        return;
    }
    let device = Device::new();
    device.installed("1.0.0", 1, Place::Proven);
    device.installed("2.0.0", 2, Place::Proven);
    let flags = ["--allow-downgrade", "--device", "cpu"];
    let words = [&["rollback", "--store", "@after/store", "--public-key", "@key.pub"], &flags[..]].concat();
    check_store(&Case::new(device, &words, 10));
}

#[test]
fn a_commit_raises_the_floor_or_leaves_it() {
    if !can_trace("a_commit_raises_the_floor_or_leaves_it") {
        return;
    }
    let device = Device::new();
    device.installed("1.0.0", 2, Place::Proven);
    check_store(&Case::new(device, &["commit", "--store", "@after/store"], 0));
}

#[test]
fn a_collection_leaves_what_is_used() {
    if !can_trace("a_collection_leaves_what_is_used") {
        return;
    }
    let device = Device::new();
    device.installed("1.0.0", 1, Place::Proven);
    device.installed("2.0.0", 2, Place::Installed);
    check_store(&Case::new(device, &["gc", "--store", "@after/store"], 0));
}
