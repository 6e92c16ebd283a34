//! A device that can be put back to what it was: a trust folder, a store, and what is brought to them.

use std::path::{Path, PathBuf};
use std::process::Command;

use bundle_format::store::{Activation, DeviceState, DeviceStore, Downgrade, Moment, Release, verify_with};
use bundle_format::{
    BundleBuilder, BundleContents as _, Digest, Limits, ManifestDraft, PublicKey, SigningKey, Timestamp, TrustFolder,
    TrustedKeys, UnverifiedBundle, sign,
};
use fs_err as fs;

use crate::phantom_bundle;

/// 2026-11-24, what counts as now when a trust document is made.
const NOW: &str = "1795478400";

/// A folder `before`, copies of it named `after`, and what lies outside of both.
pub(crate) struct Device {
    work: tempfile::TempDir,
    key: SigningKey,
}

impl Device {
    pub(crate) fn new() -> Self {
        let device = Self { work: tempfile::tempdir().unwrap(), key: SigningKey::generate() };
        fs::write(device.path("key.pub"), device.key.public_key().to_pem()).unwrap();
        fs::create_dir(device.path("before")).unwrap();
        device
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// A trust folder at version 1, and `chain.json`, which leads to version 3.
    pub(crate) fn with_trust(self) -> Self {
        let trust = self.path("office");
        let keygen = ["bundle", "keygen", "--no-passphrase", "--private-key"];
        office(&keygen, &[&self.path("root.pem"), Path::new("--public-key"), &self.path("root.pub")]);
        let root = [Path::new("--root-key"), &self.path("root.pem"), Path::new("--trust"), &trust];
        let mut documents = Vec::new();
        for words in [&["init"][..], &["set", "--floor", "test/a=1"], &["set", "--floor", "test/a=2"]] {
            office(&[&["bundle", "trust"], words].concat(), &root);
            documents.push(fs::read(trust.join("trust.dsse.json")).unwrap());
        }
        fs::write(self.path("first.json"), &documents[0]).unwrap();
        fs::write(self.path("chain.json"), documents[1..].concat()).unwrap();
        let first = bundle_format::read_trust_file(&self.path("first.json")).unwrap().verify().unwrap();
        TrustFolder::create(&self.path("before/trust"), &first).unwrap();
        self
    }

    /// A signed bundle of two networks that are noise: it installs, and does not pass its self-test.
    pub(crate) fn bundle(&self, version: &str, security_version: u32) -> PathBuf {
        let phantom = self.path("phantom");
        phantom_bundle::write(&phantom, 2, 4096).unwrap();
        let bundle = UnverifiedBundle::open(&phantom.join("model.unb"), &Limits::default()).unwrap().check().unwrap();
        let draft: &ManifestDraft = bundle.manifest();
        let mut draft = draft.clone();
        draft.version = version.parse().unwrap();
        (draft.security_version, draft.min_security_version) = (security_version, security_version);
        let mut builder = BundleBuilder::new(draft);
        for file in bundle.manifest().files() {
            builder.add_bytes(file.path.clone(), file.role, bundle.read(&file.path).unwrap()).unwrap();
        }
        let output = self.path(&format!("{version}.unb"));
        builder.write(&output).unwrap();
        sign(&output, &self.key, &output).unwrap();
        output
    }

    /// Installs a bundle before everything; `Proven` is as if it had passed its self-test.
    pub(crate) fn installed(&self, version: &str, security_version: u32, place: Place) -> Digest {
        let bundle = self.bundle(version, security_version);
        let store = DeviceStore::at(&self.path("before/store"));
        let moment = Moment { now: Timestamp::from_unix(1_790_000_000).unwrap(), trust_version: Some(0) };
        let mut locked = store.lock(moment).unwrap();
        let keys = self.keys();
        let verify = verify_with(&keys);
        let digest = locked.install(&bundle, &verify).unwrap();
        if place == Place::Proven {
            let activation = Activation { downgrade: Downgrade::Allow, runs_to_commit: None };
            let id = locked.activate(digest, activation, &verify).unwrap();
            locked.pass(&id).unwrap();
        }
        digest
    }

    fn keys(&self) -> TrustedKeys {
        let pem = fs::read_to_string(self.path("key.pub")).unwrap();
        TrustedKeys::single(PublicKey::from_pem(&pem).unwrap())
    }

    /// Puts `after` back to `before`.
    pub(crate) fn reset(&self) {
        let after = self.path("after");
        if after.exists() {
            fs::remove_dir_all(&after).unwrap();
        }
        copy_folder(&self.path("before"), &after);
    }

    /// What lies in a folder, by name.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The version of the trust document in force, which is whole and signed.
    pub(crate) fn trust_version(&self) -> u32 {
        TrustFolder::open(&self.path("after/trust")).unwrap().read().unwrap().document().version
    }

    /// What the store remembers, if there is one. Everything that it names verifies.
    pub(crate) fn state(&self) -> Option<DeviceState> {
        let store = DeviceStore::at(&self.path("after/store"));
        let state = match store.state() {
            Ok(state) => state,
            Err(error) => {
                assert_eq!(error.code(), "E702", "{error}");
                return None;
            }
        };
        for digest in state.installed.keys() {
            let file = self.path("after/store/store").join(digest.to_string()).join("bundle.unb");
            let bundle = UnverifiedBundle::open(&file, &Limits::default()).unwrap().verify(&self.keys()).unwrap();
            assert_eq!((bundle.manifest_sha256(), &Release::of(&bundle)), (digest, &state.installed[digest]));
        }
        store.verify_audit(&mut |_| ()).unwrap();
        Some(state)
    }
}

/// Where an installed bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Installed,
    Proven,
}

/// Runs a command of those who make trust documents.
fn office(words: &[&str], paths: &[&Path]) {
    let output = unnunet(words).args(paths).env("SOURCE_DATE_EPOCH", NOW).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// `unnunet <words>`.
pub(crate) fn unnunet(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unnunet"));
    command.args(words);
    command
}

/// A copy of folders, files and their modes.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
