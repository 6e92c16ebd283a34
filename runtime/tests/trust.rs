//! The trust of a device as its operators see it: `unnunet bundle trust …`, and `--trust` where a bundle is opened.
//!
//! Every refusal asserts exit status and message, and that the document in force is the one from before.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bundle_format::{
    BundleBuilder, BundleId, Channel, Digest, Documents, EntryPath, ExecutionProvider, ManifestDraft, Member, MemberId,
    OnnxProfile, Provenance, Requirements, Role, SelfTest, SemanticVersion, SigningKey, Text, Timestamp, Token, sign,
};
use fs_err as fs;
use serde_json::Value;
use tempfile::TempDir;

/// 2026-11-24, what counts as now in every command here.
const NOW: &str = "1795478400";

/// A folder with keys, a bundle and a trust.
struct Site {
    folder: TempDir,
}

impl Site {
    /// A trust of one root, and a release key that may sign everything of `test/*`.
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["root", "release", "qa"] {
            site.keygen(name);
        }
        site.succeed(&["init", "--root-key", "root.pem"]);
        site.succeed(&add_key("release", "release"));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keygen(&self, name: &str) {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        let args = ["bundle", "keygen", "--no-passphrase", "--private-key", &private, "--public-key", &public];
        let output = self.unnunet(&args);
        assert!(output.status.success(), "{output:?}");
    }

    fn unnunet(&self, args: &[&str]) -> Output {
        let mut unnunet = Command::new(env!("CARGO_BIN_EXE_unnunet"));
        unnunet.args(args).current_dir(self.folder.path()).env("SOURCE_DATE_EPOCH", NOW).output().unwrap()
    }

    /// `unnunet bundle trust`, on the folder `trust` where the command takes one.
    fn trust(&self, args: &[&str]) -> Output {
        let folder: &[&str] = if args[0] == "sign" { &[] } else { &["--trust", "trust"] };
        self.unnunet(&[&["bundle", "trust"], args, folder].concat())
    }

    #[track_caller]
    fn succeed(&self, args: &[&str]) -> String {
        let output = self.trust(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Asserts exit status and words of a refusal, and that the trust is as before.
    #[track_caller]
    fn refuse(&self, args: &[&str], status: i32, words: &[&str]) {
        let before = self.in_force();
        assert_refused(&self.trust(args), status, words);
        assert_eq!(self.in_force(), before);
    }

    /// The files of the trust folder.
    fn in_force(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.path("trust")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    fn show(&self) -> Value {
        serde_json::from_str(&self.succeed(&["show", "--json"])).unwrap()
    }

    fn key_id(&self, name: &str) -> String {
        let pem = fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap();
        SigningKey::from_pem(&pem, None).unwrap().public_key().key_id().to_string()
    }

    /// Writes `model.unb`, signed by the named keys; returns its digest.
    fn bundle(&self, channel: Channel, signers: &[&str]) -> Digest {
        let bundle = self.path("model.unb");
        let digest = write_bundle(&bundle, channel);
        for name in signers {
            let pem = fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap();
            sign(&bundle, &SigningKey::from_pem(&pem, None).unwrap(), &bundle).unwrap();
        }
        digest
    }

    fn verify(&self, trust: &[&str]) -> Output {
        self.unnunet(&[&["bundle", "verify", "model.unb", "--json"], trust].concat())
    }

    /// Asserts that the device admits `model.unb`, and which version of the document did.
    #[track_caller]
    fn admit(&self, version: u64) {
        let output = self.verify(&["--trust", "trust"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["valid"], &report["trust_version"]), (&Value::Bool(true), &Value::from(version)));
    }

    /// Asserts that the device refuses `model.unb` with this exit status and code, in the list of checks too.
    #[track_caller]
    fn refuse_bundle(&self, status: i32, code: &str) {
        let output = self.verify(&["--trust", "trust"]);
        assert_refused(&output, status, &[code, "model.unb"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["valid"], Value::Bool(false));
        assert_eq!(report["checks"].as_array().unwrap().last().unwrap()["code"], code);
    }
}

#[track_caller]
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in\n{stderr}");
    }
}

/// The arguments that add the key `name` for everything of `test/*`.
fn add_key(name: &str, role: &str) -> [&'static str; 13] {
    let public: &str = format!("{name}.pub").leak();
    let role: &str = role.to_owned().leak();
    [
        "add-key",
        "--root-key",
        "root.pem",
        "--public-key",
        public,
        "--role",
        role,
        "--model",
        "test/*",
        "--channel",
        "clinical",
        "--channel",
        "research",
    ]
}

fn entry(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

/// What is said of a bundle whose one network is no network.
fn draft(channel: Channel) -> ManifestDraft {
    let digest = Digest::of(b"some input");
    let token = |text: &str| vec![Token::new(text).unwrap()];
    ManifestDraft {
        channel,
        created: Timestamp::from_unix(1_700_000_000).unwrap(),
        documents: Documents {
            license: entry("docs/license.txt"),
            model_card: entry("docs/model_card.md"),
            provenance: None,
            release_notes: None,
            sbom: entry("sbom/model.cdx.json"),
        },
        id: BundleId::new("test/hearts").unwrap(),
        members: vec![Member {
            cycle: Some(0),
            epoch: Some(9),
            external: Vec::new(),
            fold: Some(0),
            id: MemberId::new("fold_0/checkpoint_9").unwrap(),
            model: entry("models/fold_0/checkpoint_9.onnx"),
            weight_milli: 1000,
        }],
        min_security_version: 0,
        onnx: OnnxProfile { ir_version: 8, operators: token("Conv"), opset: 17 },
        pipeline: entry("config/pipeline.json"),
        provenance: Provenance {
            checkpoints_sha256: vec![digest],
            dataset_sha256: digest,
            plan_sha256: digest,
            source_revision: Text::new("0123abc").unwrap(),
            trainer: Text::new("unnunet-train 0.1.0").unwrap(),
        },
        requires: Requirements {
            arch: Vec::new(),
            compatible: token("generic"),
            device_memory_mib: 0,
            execution_providers: vec![ExecutionProvider::Cpu],
            features: Vec::new(),
            memory_mib: 64,
            onnxruntime: ">=1.20, <2".parse().unwrap(),
            runtime: ">=0.1, <2".parse().unwrap(),
        },
        security_version: 3,
        selftest: SelfTest {
            expected: entry("selftest/expected.bin"),
            input: entry("selftest/input.bin"),
            max_abs_micro: 100,
            min_dice_milli: 999,
        },
        supersedes: Vec::new(),
        title: Text::new("Hearts").unwrap(),
        version: SemanticVersion::new("1.0.0").unwrap(),
    }
}

/// A bundle whose parts fit.
fn write_bundle(output: &Path, channel: Channel) -> Digest {
    let mut builder = BundleBuilder::new(draft(channel));
    for (path, role) in [
        ("config/pipeline.json", Role::Config),
        ("docs/license.txt", Role::Document),
        ("docs/model_card.md", Role::Document),
        ("models/fold_0/checkpoint_9.onnx", Role::Onnx),
        ("sbom/model.cdx.json", Role::Sbom),
        ("selftest/expected.bin", Role::Selftest),
        ("selftest/input.bin", Role::Selftest),
    ] {
        builder.add_bytes(entry(path), role, path.as_bytes().to_vec()).unwrap();
    }
    builder.write(output).unwrap()
}

#[test]
fn a_first_trust_admits_the_release_key_and_nobody_else() {
    let site = Site::new();
    site.bundle(Channel::Research, &["release"]);
    site.admit(2);
    site.bundle(Channel::Research, &["qa"]);
    site.refuse_bundle(11, "E307");
    site.bundle(Channel::Dev, &["release"]);
    site.refuse_bundle(12, "E374");
    let shown = site.show();
    assert_eq!(shown["document"]["version"], 2);
    assert_eq!(shown["signers"], serde_json::json!([site.key_id("root")]));
    assert_eq!(shown["expired"], false);
    let screen = site.succeed(&["show"]);
    for word in [site.key_id("release").as_str(), "test/* on clinical, research", "1 of 1 must sign", "1 × release"] {
        assert!(screen.contains(word), "`{word}` is not in\n{screen}");
    }
}

#[test]
fn exactly_one_of_public_key_and_trust_is_taken() {
    let site = Site::new();
    site.bundle(Channel::Research, &["release"]);
    assert!(site.verify(&["--public-key", "release.pub"]).status.success());
    assert_refused(&site.verify(&[]), 2, &["--public-key"]);
    assert_refused(&site.verify(&["--public-key", "release.pub", "--trust", "trust"]), 2, &["cannot be used with"]);
    assert_refused(&site.verify(&["--trust", "nowhere"]), 20, &["nowhere", "E101"]);
    for command in ["predict", "self-test"] {
        let help = site.unnunet(&[command, "--help"]);
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.contains("--trust <DIR>") && help.contains("--public-key <PEM>"), "{help}");
    }
    let refused = site.unnunet(&["self-test", "--bundle", "model.unb", "--trust", "nowhere"]);
    assert_refused(&refused, 20, &["nowhere"]);
}

#[test]
fn clinical_bundles_need_the_second_person_once_the_policy_says_so() {
    let site = Site::new();
    site.bundle(Channel::Clinical, &["release"]);
    site.admit(2);
    site.succeed(&["set", "--root-key", "root.pem", "--require", "clinical=release:1,qa:1"]);
    site.refuse_bundle(12, "E376");
    site.succeed(&add_key("qa", "qa"));
    site.bundle(Channel::Clinical, &["qa", "release"]);
    site.admit(4);
}

#[test]
fn a_revoked_key_keeps_what_was_listed() {
    let site = Site::new();
    let digest = site.bundle(Channel::Research, &["release"]).to_string();
    let key_id = site.key_id("release");
    site.succeed(&["revoke", "--root-key", "root.pem", "--key", &key_id]);
    site.refuse_bundle(11, "E371");
    site.succeed(&["revoke", "--root-key", "root.pem", "--key", &key_id, "--still-valid", &digest]);
    site.admit(4);
    site.succeed(&["revoke", "--root-key", "root.pem", "--manifest", &digest]);
    site.refuse_bundle(12, "E372");
    let shown = site.show();
    assert_eq!(shown["document"]["revoked"]["manifests"], serde_json::json!([digest]));
    assert!(site.succeed(&["show"]).contains("REVOKED (compromise), 1 bundles stay valid"));
}

#[test]
fn a_floor_refuses_older_security_versions() {
    let site = Site::new();
    site.bundle(Channel::Research, &["release"]); // security version 3
    site.succeed(&["set", "--root-key", "root.pem", "--floor", "test/hearts=3"]);
    site.admit(3);
    site.succeed(&["set", "--root-key", "root.pem", "--floor", "test/hearts=4"]);
    site.refuse_bundle(12, "E377");
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let site = Site::new();
    let id = site.key_id("release");
    site.refuse(&["init", "--root-key", "root.pem"], 2, &["E365", "exists"]);
    site.refuse(&add_key("release", "qa"), 2, &["E366", &id]);
    site.refuse(&["remove-key", &"0".repeat(64), "--root-key", "root.pem"], 2, &["E366", "0000"]);
    site.refuse(&["revoke", "--root-key", "root.pem", "--key", &"0".repeat(64)], 2, &["E366", "0000"]);
    site.refuse(&["revoke", "--root-key", "root.pem", "--key", "short"], 2, &["64 lower-case"]);
    site.refuse(&["revoke", "--root-key", "root.pem", "--key", &site.key_id("root")], 11, &["E355", "is revoked"]);
    site.refuse(&["remove-key", &site.key_id("root"), "--root-key", "root.pem"], 11, &["E353", "roots.threshold"]);
    site.refuse(&["set", "--root-key", "root.pem", "--threshold", "2"], 11, &["E353", "roots.threshold"]);
    site.refuse(&["set", "--root-key", "root.pem", "--require", "clinical=root:1"], 11, &["E353", "policy"]);
    site.refuse(&["set", "--root-key", "root.pem", "--require", "clinical"], 2, &["CHANNEL=ROLE:N"]);
    site.refuse(&["set", "--root-key", "root.pem", "--root-key", "root.pem"], 2, &["is named before"]);
    site.refuse(&add_key("qa", "root"), 2, &["a root has neither"]);
    site.refuse(&add_key("qa", "dev"), 11, &["E355", "role `dev`"]);
    // Signed by a key that is no root.
    site.refuse(&["set", "--root-key", "release.pem"], 11, &["E358", "0 of 1"]);
    site.refuse(&["set", "--root-key", "root.pem", "--root-key", "release.pem"], 11, &["E357", "is no root"]);
}

#[test]
fn two_roots_sign_on_two_machines_and_a_device_follows() {
    let site = Site::new();
    site.keygen("second");
    fs::copy(site.path("trust/trust.dsse.json"), site.path("v2.json")).unwrap();
    let second = ["add-key", "--root-key", "root.pem", "--public-key", "second.pub", "--role", "root"];
    site.succeed(&[&second[..], &["--output", "v3.json"]].concat());
    assert_eq!(site.show()["document"]["version"], 2);
    site.succeed(&["update", "v3.json"]);
    site.succeed(&["set", "--root-key", "root.pem", "--threshold", "2", "--output", "v4.json"]);
    site.refuse(&["update", "v4.json"], 11, &["E358", "1 of 2"]);
    site.succeed(&["sign", "v4.json", "--root-key", "second.pem"]);
    site.succeed(&["update", "v4.json"]);
    site.refuse(&["set", "--root-key", "root.pem"], 11, &["E358", "1 of 2"]);

    // Another device, which was away since version 2: one file with everything that it missed.
    let chain = ["v2.json", "v3.json", "v4.json"].map(|name| fs::read(site.path(name)).unwrap());
    fs::write(site.path("missed.json"), chain.concat()).unwrap();
    fs::write(site.path("gap.json"), [&chain[0][..], &chain[2]].concat()).unwrap();
    let other = |args: &[&str]| site.unnunet(&[&["bundle", "trust"], args, &["--trust", "other"]].concat());
    assert!(other(&["update", "v2.json", "--first"]).status.success());
    let before = fs::read(site.path("other/trust.dsse.json")).unwrap();
    assert_refused(&other(&["update", "gap.json"]), 11, &["E360", "where version 3 must"]);
    assert_refused(&other(&["update", "v4.json"]), 11, &["E360"]);
    assert_refused(&other(&["update", "v3.json", "--first"]), 2, &["E365"]);
    assert_eq!(fs::read(site.path("other/trust.dsse.json")).unwrap(), before);
    let report = other(&["update", "missed.json", "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["changed"], &report["version"]), (&Value::Bool(true), &Value::from(4)));
    let again = other(&["update", "missed.json"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("(as before)"));
    for older in ["v2.json", "v3.json"] {
        assert_refused(&other(&["update", older]), 12, &["E361", "version 4 is installed"]);
    }
    assert_eq!(
        fs::read(site.path("other/trust.dsse.json")).unwrap(),
        fs::read(site.path("trust/trust.dsse.json")).unwrap()
    );
}

#[test]
fn a_fork_of_the_document_is_refused() {
    let site = Site::new();
    site.succeed(&["set", "--root-key", "root.pem", "--floor", "test/a=1", "--output", "fork.json"]);
    site.succeed(&["set", "--root-key", "root.pem", "--floor", "test/b=1"]);
    site.refuse(&["update", "fork.json"], 12, &["E362", "another one is installed"]);
}

#[test]
fn an_expired_document_warns_or_stops_the_device() {
    let site = Site::new();
    site.bundle(Channel::Research, &["release"]);
    // Made in 2020 and valid for a day; the clock of the verifying command is the machine's.
    let old = |args: &[&str]| {
        let args = [&["bundle", "trust"], args, &["--trust", "old", "--created", "1577836800", "--valid-days", "1"]];
        let output = site.unnunet(&args.concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    old(&["init", "--root-key", "root.pem"]);
    old(&add_key("release", "release"));
    let warned = site.verify(&["--trust", "old"]);
    assert!(warned.status.success());
    let report: Value = serde_json::from_slice(&warned.stdout).unwrap();
    assert_eq!(report["warnings"], serde_json::json!(["the trust document has expired; ask for a newer one"]));
    let enforced = site.verify(&["--trust", "old", "--expiry", "enforce"]);
    assert_refused(&enforced, 11, &["E363", "expired on 2020-01-02T00:00:00Z"]);
    let show = site.unnunet(&["bundle", "trust", "show", "--trust", "old", "--expiry", "enforce"]);
    assert_refused(&show, 11, &["E363"]);
    assert!(show.stdout.is_empty());
}

#[test]
fn a_damaged_or_exposed_trust_folder_stops_the_device() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    site.bundle(Channel::Research, &["release"]);
    let document = site.path("trust/trust.dsse.json");
    let sound = fs::read(&document).unwrap();
    for (damaged, status, code) in [
        (sound[..sound.len() - 1].to_vec(), 11, "E351"),
        ([&sound[..], &sound[..]].concat(), 14, "E356"),
        (Vec::new(), 11, "E351"),
    ] {
        fs::write(&document, damaged).unwrap();
        assert_refused(&site.verify(&["--trust", "trust"]), status, &[code]);
    }
    fs::write(&document, &sound).unwrap();
    site.admit(2);
    fs::set_permissions(&document, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_refused(&site.verify(&["--trust", "trust"]), 11, &["E364", "trust.dsse.json"]);
}

#[test]
fn the_same_keys_and_date_give_the_same_document() {
    let site = Site::new();
    for name in ["one", "two"] {
        let output = site.unnunet(&["bundle", "trust", "init", "--root-key", "root.pem", "--trust", name]);
        assert!(output.status.success());
    }
    let read = |name: &str| fs::read(site.path(name).join("trust.dsse.json")).unwrap();
    assert_eq!(read("one"), read("two"));
}
