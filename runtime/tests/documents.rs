//! The documents of a bundle, as `unnunet bundle inspect` shows them and `extract` hands them out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::{Command, Output};

use bundle_format::{BundleBuilder, BundleContents as _, EntryPath, Limits, Role, SigningKey, UnverifiedBundle, sign};
use fs_err as fs;
use serde_json::{Value, json};

#[path = "../../bundle-format/examples/phantom_bundle.rs"]
#[expect(dead_code, reason = "its `main` is not called here")]
mod phantom_bundle;

const PROVENANCE: &str = "provenance/slsa.json";

/// A folder with `model.unb`, which has `license` and `provenance`, and `key.pub`.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// A bundle of two networks; `provenance` is made of their names and digests.
    fn new(license: &str, provenance: impl FnOnce(Vec<(String, String)>) -> Vec<u8>) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let phantom = desk.path("phantom");
        phantom_bundle::write(&phantom, 2, 4096).unwrap();
        let bundle = UnverifiedBundle::open(&phantom.join("model.unb"), &Limits::default()).unwrap().check().unwrap();
        let draft: &bundle_format::ManifestDraft = bundle.manifest();
        let mut draft = draft.clone();
        let path = EntryPath::new(PROVENANCE).unwrap();
        draft.documents.provenance = Some(path.clone());
        let license_path = draft.documents.license.clone();
        let mut builder = BundleBuilder::new(draft);
        let mut networks = Vec::new();
        for file in bundle.manifest().files() {
            let is_license = file.path == license_path;
            let content = if is_license { license.as_bytes().to_vec() } else { bundle.read(&file.path).unwrap() };
            builder.add_bytes(file.path.clone(), file.role, content).unwrap();
            if file.role == Role::Onnx {
                networks.push((file.path.to_string(), file.sha256.to_string()));
            }
        }
        builder.add_bytes(path, Role::Provenance, provenance(networks)).unwrap();
        let output = desk.path("model.unb");
        builder.write(&output).unwrap();
        let key = SigningKey::generate();
        sign(&output, &key, &output).unwrap();
        fs::write(desk.path("key.pub"), key.public_key().to_pem()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn unnunet(&self, args: &[&str]) -> Output {
        let output =
            Command::new(env!("CARGO_BIN_EXE_unnunet")).args(args).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The line of `inspect` that begins with `name`.
    fn line(&self, name: &str) -> String {
        let output = self.unnunet(&["bundle", "inspect", "model.unb"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{text}")).trim().to_owned()
    }
}

/// A statement over networks with these names and digests.
fn statement(networks: Vec<(String, String)>) -> Vec<u8> {
    let subject = networks.into_iter().map(|(name, sha256)| json!({ "name": name, "digest": { "sha256": sha256 } }));
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject.collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": { "buildType": "urn:test:export:1", "externalParameters": {} },
            "runDetails": { "builder": { "id": "urn:test:builder" } },
        },
    });
    statement.to_string().into_bytes()
}

#[test]
fn inspect_shows_license_and_provenance_and_extract_hands_them_out() {
    let desk = Desk::new("\nFree for all\nbut for some\n", statement);
    assert_eq!(desk.line("license"), "docs/license.txt: Free for all");
    let expected = "provenance/slsa.json: 2 of 2 networks, urn:test:export:1 by urn:test:builder";
    assert_eq!(desk.line("provenance"), expected);
    let manifest = desk.unnunet(&["bundle", "inspect", "model.unb", "--json"]);
    let manifest: Value = serde_json::from_slice(&manifest.stdout).unwrap();
    assert_eq!(manifest["documents"]["provenance"], PROVENANCE);
    assert_eq!(manifest["documents"]["license"], "docs/license.txt");

    desk.unnunet(&["bundle", "extract", "model.unb", "--public-key", "key.pub", "--output", "out"]);
    let read = |name: &str| fs::read(desk.path("out").join(name)).unwrap();
    let networks = ["models/fold_0/checkpoint_9.onnx", "models/fold_1/checkpoint_9.onnx"];
    let digests = networks.map(|name| (name.to_owned(), bundle_format::Digest::of(&read(name)).to_string()));
    assert_eq!(read(PROVENANCE), statement(digests.to_vec()));
    assert_eq!(read("docs/license.txt"), b"\nFree for all\nbut for some\n");
}

#[test]
fn a_provenance_of_other_networks_is_told_from_one_of_these() {
    let desk = Desk::new("free", |mut networks| {
        networks[0].1 = "0".repeat(64);
        statement(networks)
    });
    assert!(desk.line("provenance").contains("1 of 2 networks"));
}

#[test]
fn what_cannot_be_shown_is_not_shown() {
    let hostile = |text: &str| text.replace("urn:test:builder", "\\u001b[2J");
    let desk =
        Desk::new("\u{1b}[2Jfree", |networks| hostile(str::from_utf8(&statement(networks)).unwrap()).into_bytes());
    assert_eq!(desk.line("license"), "docs/license.txt (not readable)");
    assert_eq!(desk.line("provenance"), "provenance/slsa.json (not readable)");
    let desk = Desk::new("free", |_| vec![b' '; (1 << 20) + 1]);
    assert_eq!(desk.line("provenance"), "provenance/slsa.json (not readable)");
}
