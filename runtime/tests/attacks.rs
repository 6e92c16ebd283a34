//! Every attack on entries and container as a device meets it: exit status, message, and nothing changed.
//!
//! The attacks, and the codes that must come back, are those of the tests of `bundle-format`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forge::{Attack, entries};
use fs_err as fs;
use support::Fixture;

#[path = "../../bundle-format/tests/bundle/entry_forgeries.rs"]
mod entry_forgeries;
#[path = "../../bundle-format/tests/bundle/forge.rs"]
#[allow(dead_code, reason = "the tests of the format use all of it")]
mod forge;
#[path = "../../bundle-format/tests/bundle/support.rs"]
#[allow(dead_code, reason = "the tests of the format use all of it")]
mod support;
#[path = "../../bundle-format/tests/bundle/zip_confusions.rs"]
mod zip_confusions;

/// A folder with `model.unb`, `key.pub`, and a store in which the bundle is installed.
struct Device {
    fixture: Fixture,
}

impl Device {
    fn new() -> Self {
        let device = Self { fixture: entry_forgeries::signed_bundle() };
        fs::write(device.path("key.pub"), device.fixture.public.to_pem()).unwrap();
        let installed = device.unnunet(&["install", "model.unb", "--store", "store"]);
        assert!(installed.status.success(), "{installed:?}");
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join(name)
    }

    /// `unnunet bundle <words>`, which trusts the key of the sound bundle.
    fn unnunet(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unnunet"));
        command.arg("bundle").args(words).args(["--public-key", "key.pub"]);
        command.current_dir(self.fixture.folder.path()).output().unwrap()
    }

    /// Everything below the folder but the attacked bundle, with its content.
    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        gather(self.fixture.folder.path(), &mut found);
        found.retain(|(path, _)| !path.ends_with("attacked.unb"));
        found.sort();
        found
    }

    /// Asserts that every command refuses the attack with its exit status and message, and changes nothing.
    fn refuse(&self, attack: &Attack, before: &[(PathBuf, Vec<u8>)]) {
        let Attack { name, code, bytes } = attack;
        fs::write(self.path("attacked.unb"), bytes).unwrap();
        for words in [&["install", "attacked.unb", "--store", "store"], &["extract", "attacked.unb", "--output", "out"]]
        {
            let output = self.unnunet(words);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(exit_status(code)), "{name}: {words:?}: {stderr}");
            let message = format!("error [{code}]: refused the bundle `attacked.unb`\n  caused by: ");
            assert!(stderr.starts_with(&message), "{name}: {words:?}: no `{message}` in\n{stderr}");
            assert!(!stderr.contains("panicked") && output.stdout.is_empty(), "{name}: {words:?}: {output:?}");
            assert!(self.everything() == before, "{name}: {words:?} changed something");
        }
    }
}

/// The documented exit status of a code.
fn exit_status(code: &str) -> i32 {
    match code {
        "E104" => 14,
        _ if code.starts_with("E3") => 11,
        _ => 10,
    }
}

fn gather(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            gather(&path, found);
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

fn check(attacks: &[Attack], at_least: usize) {
    let device = Device::new();
    let before = device.everything();
    assert!(attacks.len() >= at_least, "only {} attacks", attacks.len());
    for attack in attacks {
        device.refuse(attack, &before);
    }
}

#[test]
fn entries_that_lie_are_refused_and_change_nothing() {
    let ours = Device::new().fixture.bytes();
    check(&entry_forgeries::all(&entries(&ours), &entry_forgeries::next_version()), 200);
}

#[test]
fn archives_that_zip_readers_disagree_about_are_refused_and_change_nothing() {
    check(&zip_confusions::all(&Device::new().fixture.bytes()), 60);
}
