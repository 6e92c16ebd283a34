//! A device's store through the program: install, activate, fall back, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bundle_format::{
    Arch, BundleBuilder, BundleId, Channel, Digest, Documents, EntryPath, ExecutionProvider, ManifestDraft, Member,
    MemberId, OnnxProfile, Provenance, Requirements, Role, SelfTest, SigningKey, Text, Timestamp, Token, sign,
};
use fs_err as fs;
use phantoms::programs::{outcome, succeed, unnunet};
use serde_json::Value;

/// A folder with a key and a store in it.
struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let device = Self { folder: tempfile::tempdir().unwrap() };
        let mut keygen = unnunet();
        keygen.args(["bundle", "keygen", "--no-passphrase"]);
        keygen.arg("--private-key").arg(device.path("key.pem")).arg("--public-key").arg(device.path("pub.pem"));
        succeed(&mut keygen);
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_pem(&fs::read_to_string(self.path("key.pem")).unwrap(), None).unwrap()
    }

    /// `unnunet bundle <words> --store …`.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = unnunet();
        command.arg("bundle").args(words).arg("--store").arg(self.path("store"));
        command
    }

    /// The same for a command that needs to know whom to trust.
    fn trusting(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.arg("--public-key").arg(self.path("pub.pem"));
        command
    }

    fn install(&self, bundle: &Path) -> String {
        succeed(self.trusting(&["install"]).arg(bundle)).trim().to_owned()
    }

    /// Installed versions with their places, as `list` says.
    fn places(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = succeed(self.command(&["list"]).arg("--json"));
        let rows = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (text(&row["version"]), text(&row["place"]))).collect()
    }

    fn n_records(&self) -> u64 {
        let verified = succeed(self.command(&["audit", "verify"]).arg("--json"));
        serde_json::from_str::<Value>(&verified).unwrap()["records"].as_u64().unwrap()
    }

    /// Everything that a store remembers.
    fn memory(&self) -> Vec<Vec<u8>> {
        ["store/state/device.json", "store/state/audit.jsonl"].map(|name| fs::read(self.path(name)).unwrap()).to_vec()
    }

    /// `command` ends with `status`, names the code and the words, and changes nothing that the store remembers.
    #[track_caller]
    fn refuse(&self, command: &mut Command, status: i32, words: &[&str]) {
        let before = self.memory();
        let output = outcome(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{command:?} does not name `{word}`\n{stderr}");
        }
        assert!(self.memory() == before, "{command:?} changed the store");
    }
}

/// What a bundle says of itself that has one member.
fn draft(version: &str, (security_version, min_security_version): (u32, u32)) -> ManifestDraft {
    let path = |text: &str| EntryPath::new(text).unwrap();
    let digest = Digest::of(b"some input");
    ManifestDraft {
        channel: Channel::Research,
        created: Timestamp::from_unix(1_700_000_000).unwrap(),
        documents: Documents {
            license: path("docs/license.txt"),
            model_card: path("docs/model_card.md"),
            provenance: None,
            release_notes: None,
            sbom: path("sbom/model.cdx.json"),
        },
        id: BundleId::new("test/hearts").unwrap(),
        members: vec![Member {
            cycle: Some(0),
            epoch: Some(9),
            external: Vec::new(),
            fold: Some(0),
            id: MemberId::new("fold_0/checkpoint_9").unwrap(),
            model: path("models/fold_0/checkpoint_9.onnx"),
            weight_milli: 1000,
        }],
        min_security_version,
        onnx: OnnxProfile { ir_version: 8, operators: vec![Token::new("Conv").unwrap()], opset: 17 },
        pipeline: path("config/pipeline.json"),
        provenance: Provenance {
            checkpoints_sha256: vec![digest],
            dataset_sha256: digest,
            plan_sha256: digest,
            source_revision: Text::new("0123abc").unwrap(),
            trainer: Text::new("nobody").unwrap(),
        },
        requires: Requirements {
            arch: vec![Arch::X86_64, Arch::Aarch64],
            compatible: vec![Token::new("generic").unwrap()],
            device_memory_mib: 0,
            execution_providers: vec![ExecutionProvider::Cpu],
            features: Vec::new(),
            memory_mib: 1,
            onnxruntime: ">=1.20, <2".parse().unwrap(),
            runtime: ">=0.1, <2".parse().unwrap(),
        },
        security_version,
        selftest: SelfTest {
            expected: path("selftest/expected.bin"),
            input: path("selftest/input.bin"),
            max_abs_micro: 100,
            min_dice_milli: 999,
        },
        supersedes: Vec::new(),
        title: Text::new("Hearts").unwrap(),
        version: version.parse().unwrap(),
    }
}

/// A signed bundle whose network is none: it installs, and cannot run.
fn write_bundle(device: &Device, version: &str, security: (u32, u32)) -> PathBuf {
    let path = |text: &str| EntryPath::new(text).unwrap();
    let files = [
        ("config/pipeline.json", Role::Config),
        ("docs/license.txt", Role::Document),
        ("docs/model_card.md", Role::Document),
        ("models/fold_0/checkpoint_9.onnx", Role::Onnx),
        ("sbom/model.cdx.json", Role::Sbom),
        ("selftest/expected.bin", Role::Selftest),
        ("selftest/input.bin", Role::Selftest),
    ];
    let mut builder = BundleBuilder::new(draft(version, security));
    for (name, role) in files {
        builder.add_bytes(path(name), role, name.as_bytes().to_vec()).unwrap();
    }
    let bundle = device.path(&format!("{version}.unb"));
    builder.write(&bundle).unwrap();
    sign(&bundle, &device.key(), &bundle).unwrap();
    bundle
}

#[test]
fn an_installed_bundle_is_listed_once_and_collected_when_nobody_uses_it() {
    let device = Device::new();
    let bundle = write_bundle(&device, "1.0.0", (1, 0));
    let digest = device.install(&bundle);
    assert_eq!(device.install(&bundle), digest);
    assert_eq!(device.places(), [("1.0.0".to_owned(), "installed".to_owned())]);
    assert_eq!(
        fs::read(device.path("store/store").join(&digest).join("bundle.unb")).unwrap(),
        fs::read(bundle).unwrap()
    );
    assert_eq!(device.n_records(), 3);
    let text = succeed(&mut device.command(&["list"]));
    assert!(text.contains("test/hearts 1.0.0") && text.contains(&digest), "{text}");
    assert!(succeed(device.command(&["gc"]).arg("--dry-run")).contains(&digest));
    assert_eq!(device.places().len(), 1);
    assert!(succeed(&mut device.command(&["gc"])).contains(&digest));
    assert!(device.places().is_empty());
    let history = succeed(&mut device.command(&["audit", "show"]));
    let operations: Vec<_> = history.lines().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(operations, ["create", "install", "install", "remove"]);
}

#[test]
fn what_is_no_bundle_or_signed_by_another_makes_no_store_or_changes_none() {
    let device = Device::new();
    fs::write(device.path("text.unb"), "this is no bundle").unwrap();
    let refused = outcome(device.trusting(&["install"]).arg(device.path("text.unb")));
    assert_eq!(refused.status.code(), Some(10));
    assert!(!device.path("store").exists());
    // A mistyped store is not made by looking for it.
    for words in [&["list"][..], &["gc"], &["commit"], &["audit", "verify"]] {
        let refused = outcome(&mut device.command(words));
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("[E702]"), "{refused:?}");
    }
    assert!(!device.path("store").exists());

    device.install(&write_bundle(&device, "1.0.0", (1, 0)));
    let bundle = write_bundle(&device, "1.1.0", (2, 0));
    let other = Device::new();
    fs::copy(other.path("pub.pem"), device.path("other.pem")).unwrap();
    let mut install = device.command(&["install"]);
    install.arg(&bundle).arg("--public-key").arg(device.path("other.pem"));
    device.refuse(&mut install, 11, &["[E307]", "1.1.0.unb"]);
    let mut changed = fs::read(&bundle).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&bundle, changed).unwrap();
    device.refuse(device.trusting(&["install"]).arg(&bundle), 10, &["1.1.0.unb"]);
    let stored: Vec<_> = fs::read_dir(device.path("store/store")).unwrap().collect();
    assert_eq!(stored.len(), 1, "a refused copy stays");
}

#[test]
fn a_bundle_that_cannot_run_falls_back_and_does_not_predict() {
    let device = Device::new();
    let digest = device.install(&write_bundle(&device, "1.0.0", (1, 0)));
    let output = outcome(&mut device.trusting(&["activate", &digest[..8]]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{stderr}");
    assert!(stderr.contains("did not pass its self-test; no bundle of test/hearts is active"), "{stderr}");
    assert_eq!(device.places(), [("1.0.0".to_owned(), "installed".to_owned())]);
    assert!(succeed(&mut device.command(&["audit", "show"])).contains("fall-back test/hearts 1.0.0"));
    fs::create_dir(device.path("images")).unwrap();
    let mut predict = unnunet();
    predict.arg("predict").arg("--store").arg(device.path("store")).arg("--public-key").arg(device.path("pub.pem"));
    predict.arg("-i").arg(device.path("images")).arg("-o").arg(device.path("output"));
    device.refuse(&mut predict, 2, &["[E722]", "no bundle of test/hearts is active"]);
    assert!(!device.path("output").exists());
    device.refuse(&mut device.command(&["commit"]), 2, &["[E722]"]);
    device.refuse(device.trusting(&["rollback"]).arg("--allow-downgrade"), 2, &["[E723]"]);
    device.refuse(&mut device.trusting(&["activate", "0000"]), 2, &["no installed bundle"]);
    device.refuse(&mut device.trusting(&["activate", &"0".repeat(64)]), 2, &["[E721]"]);
}

#[test]
fn an_edited_history_is_refused_and_told() {
    let device = Device::new();
    device.install(&write_bundle(&device, "1.0.0", (1, 0)));
    let bundle = write_bundle(&device, "1.1.0", (2, 0));
    device.install(&bundle);
    let log = device.path("store/state/audit.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    fs::write(&log, [lines[0], lines[2]].concat()).unwrap();
    device.refuse(&mut device.command(&["audit", "verify"]), 12, &["[E705]", "record 1"]);
    device.refuse(&mut device.command(&["audit", "show"]), 12, &["[E705]"]);
    device.refuse(device.trusting(&["install"]).arg(&bundle), 12, &["[E705]"]);
    // Torn in the last line, it is completed.
    fs::write(&log, &whole[..whole.len() - 9]).unwrap();
    device.install(&bundle);
    assert!(fs::read_to_string(&log).unwrap().starts_with(&whole));
    assert_eq!(device.n_records(), 4);
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_store_that_works() {
    let device = Device::new();
    device.install(&write_bundle(&device, "1.0.0", (1, 0)));
    let bundle = write_bundle(&device, "1.1.0", (2, 0));
    for microseconds in (0..20).map(|n| n * n * 60) {
        let mut install = device.trusting(&["install"]);
        let mut child = install.arg(&bundle).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(microseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(device.n_records() >= 2);
        assert!((1..=2).contains(&device.places().len()));
    }
    device.install(&bundle);
    assert_eq!(device.places().len(), 2);
    assert_eq!(fs::read_dir(device.path("store/store")).unwrap().count(), 2);
}

#[test]
fn two_processes_that_install_at_once_lose_nothing() {
    let device = Device::new();
    let bundles = ["1.0.0", "1.1.0", "1.2.0"].map(|version| write_bundle(&device, version, (1, 0)));
    device.install(&bundles[0]);
    let spawn = |bundle: &PathBuf| {
        let mut install = device.trusting(&["install"]);
        install.arg(bundle).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    for _ in 0..5 {
        let mut children = [spawn(&bundles[1]), spawn(&bundles[2])];
        for child in &mut children {
            // Done, or the other had the store.
            assert!(matches!(child.wait().unwrap().code(), Some(0 | 20)));
        }
        device.n_records();
    }
    for bundle in &bundles {
        device.install(bundle);
    }
    assert_eq!(device.places().len(), 3);
}

#[cfg(feature = "with-trainer")]
mod with_a_bundle {
    //! Needs bundles that run, which need a training.

    use bundle_format::{BundleContents as _, Limits, UnverifiedBundle};
    use phantoms::hearts::Hearts;
    use phantoms::trial::Trial;

    use super::*;

    /// The trial's bundle as another version; `expected` replaces the logits of its probe case.
    fn version_of(trial: &Trial, device: &Device, version: &str, floor: u32, expected: Option<&[u8]>) -> PathBuf {
        let bundle = UnverifiedBundle::open(&trial.path("unsigned.unb"), &Limits::default()).unwrap().check().unwrap();
        let draft: &ManifestDraft = bundle.manifest();
        let mut draft = draft.clone();
        draft.version = version.parse().unwrap();
        (draft.security_version, draft.min_security_version) = (floor + 1, floor);
        let probe = draft.selftest.expected.clone();
        let mut builder = BundleBuilder::new(draft);
        for file in bundle.manifest().files() {
            let content = match expected.filter(|_| file.path == probe) {
                Some(content) => content.to_vec(),
                None => bundle.read(&file.path).unwrap(),
            };
            builder.add_bytes(file.path.clone(), file.role, content).unwrap();
        }
        let output = device.path(&format!("{version}.unb"));
        builder.write(&output).unwrap();
        sign(&output, &device.key(), &output).unwrap();
        output
    }

    /// The expected logits, all of them wrong.
    fn wrong_logits(trial: &Trial) -> Vec<u8> {
        let bundle = UnverifiedBundle::open(&trial.path("unsigned.unb"), &Limits::default()).unwrap().check().unwrap();
        let mut content = bundle.read(&bundle.manifest().selftest.expected).unwrap();
        let header = usize::try_from(u64::from_le_bytes(content[..8].try_into().unwrap())).unwrap();
        for (n, value) in content[8 + header..].chunks_exact_mut(4).enumerate() {
            value.copy_from_slice(&(f32::from(u8::try_from(n % 7).unwrap()) * 100.0).to_le_bytes());
        }
        content
    }

    /// A trial of two iterations with its unsigned bundle; it has one test case.
    fn exported(work: &Path) -> Trial {
        Hearts { n_training: 10, n_test: 1, seed: 1 }.write(&work.join("raw")).unwrap();
        let trial = Trial::new(work, Hearts::NAME, "2d");
        trial.plan_and_preprocess(&["--features", "4", "--batch-size", "2", "--patch-size", "64,64"]);
        succeed(&mut trial.train(0, &["--epochs", "2", "--cycles", "2", "--iterations", "1", "--late", "1"]));
        trial.export();
        trial
    }

    #[test]
    fn a_device_activates_predicts_falls_back_commits_and_refuses_what_is_older() {
        let folder = tempfile::tempdir().unwrap();
        let trial = exported(folder.path());
        let device = Device::new();
        let activate = |digest: &str, flags: &[&str]| {
            let mut activate = device.trusting(&["activate", digest, "--device", "cpu"]);
            activate.args(flags);
            activate
        };
        let predict = |name: &str| {
            let mut predict = unnunet();
            predict.arg("predict").arg("--store").arg(device.path("store")).args(["--device", "cpu"]);
            predict.arg("--public-key").arg(device.path("pub.pem"));
            predict.arg("-i").arg(trial.raw_dataset().join("imagesTs")).arg("-o").arg(device.path(name));
            predict
        };
        let digest_of_run = |name: &str| {
            let report = fs::read_to_string(device.path(name).join("report.json")).unwrap();
            serde_json::from_str::<Value>(&report).unwrap()["bundle"]["manifest_sha256"].as_str().unwrap().to_owned()
        };
        let places = |places: [(&str, &str); 2]| places.map(|(version, place)| (version.to_owned(), place.to_owned()));

        let first = device.install(&version_of(&trial, &device, "1.0.0", 0, None));
        succeed(&mut activate(&first, &[]));
        succeed(&mut predict("first"));
        assert_eq!(digest_of_run("first"), first);

        // The next version computes something else here: the first stays.
        let wrong = device.install(&version_of(&trial, &device, "1.1.0", 0, Some(&wrong_logits(&trial))));
        let output = outcome(&mut activate(&wrong, &[]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(13), "{stderr}");
        assert!(stderr.contains("is active again") || stderr.contains("1.0.0 again"), "{stderr}");
        assert_eq!(device.places(), places([("1.0.0", "active"), ("1.1.0", "installed")]));

        // A trial that a crash left is ended by whoever predicts next.
        succeed(&mut device.command(&["gc"]));
        let second = device.install(&version_of(&trial, &device, "2.0.0", 1, None));
        succeed(&mut activate(&second, &["--commit-after", "2"]));
        assert_eq!(device.places(), places([("1.0.0", "previous"), ("2.0.0", "active")]));
        device.refuse(&mut activate(&first, &[]), 12, &["[E713]", "1.0.0", "2.0.0"]);
        succeed(&mut predict("second"));
        assert_eq!(digest_of_run("second"), second);
        succeed(&mut device.command(&["audit", "verify"]));
        succeed(&mut predict("third"));
        let history = succeed(&mut device.command(&["audit", "show"]));
        assert!(history.lines().last().unwrap().contains("commit"), "{history}");
        // The floor is 1 now, and the first version has 1: back it goes, by leave, and is on record.
        device.refuse(&mut device.trusting(&["rollback"]), 12, &["[E713]"]);
        succeed(&mut device.trusting(&["rollback", "--allow-downgrade", "--device", "cpu"]));
        assert_eq!(device.places(), places([("1.0.0", "active"), ("2.0.0", "previous")]));

        // A floor above the first version ends that.
        succeed(&mut activate(&second, &[]));
        let third = device.install(&version_of(&trial, &device, "3.0.0", 2, None));
        succeed(&mut activate(&third, &[]));
        succeed(&mut device.command(&["commit"]));
        device.refuse(&mut activate(&first, &["--allow-downgrade"]), 12, &["[E711]"]);
        let mut install = device.trusting(&["install"]);
        device.refuse(install.arg(device.path("1.0.0.unb")), 12, &["[E711]"]);

        // An installed file that changes does not predict.
        let file = device.path("store/store").join(&third).join("bundle.unb");
        let mut changed = fs::read(&file).unwrap();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&file, changed).unwrap();
        device.refuse(&mut predict("changed"), 10, &["refused the active bundle of test/trial"]);
        assert!(!device.path("changed").exists());
    }
}
