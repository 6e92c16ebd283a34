//! Bundles as an engineer sees them: `unnunet bundle inspect | verify | diff | extract | attach`, keys with a
//! passphrase, and other tools on an unpacked bundle.
//!
//! Every refusal asserts exit status and message, and that every file is as it was. Where `openssl` or
//! `model_signing` are missing, the tests that need them say so on stderr.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use serde_json::Value;
use tempfile::TempDir;

#[path = "../../bundle-format/examples/phantom_bundle.rs"]
#[expect(dead_code, reason = "its `main` is not called here")]
mod phantom_bundle;

const VERIFY: [&str; 5] = ["bundle", "verify", "model.unb", "--public-key", "key.pub"];
const EXTRACT: [&str; 7] = ["bundle", "extract", "model.unb", "--public-key", "key.pub", "--output", "out"];

/// A folder with a signed bundle and its key.
struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A bundle of `n_members` small networks.
    fn new(n_members: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom_bundle::write(folder.path(), n_members, 4096).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program).args(args).current_dir(self.folder.path()).output().unwrap()
    }

    fn unnunet(&self, args: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_unnunet"), args)
    }

    #[track_caller]
    fn succeed(&self, args: &[&str]) -> String {
        let output = self.unnunet(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.succeed(&[args, &["--json"]].concat())).unwrap()
    }

    /// Asserts exit status and words of a refusal, and that nothing in the folder changed.
    #[track_caller]
    fn refuse(&self, args: &[&str], status: i32, words: &[&str]) {
        let before = self.files("");
        let output = self.unnunet(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "`{word}` is not in\n{stderr}");
        }
        assert!(self.files("") == before, "{args:?} changed a file");
    }

    /// Every file below `name` with its content.
    fn files(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path(name)]);
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    /// Makes the key pair `<name>.pem`, `<name>.pub`.
    fn keygen(&self, name: &str) {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        self.succeed(&["bundle", "keygen", "--no-passphrase", "--private-key", &private, "--public-key", &public]);
    }

    /// Unpacks the bundle to `out`; returns its signature file.
    fn extract(&self) -> PathBuf {
        self.succeed(&EXTRACT);
        fs::read_dir(self.path("out/signatures")).unwrap().next().unwrap().unwrap().path()
    }
}

/// The numbers of the steps in a report of `verify`.
fn steps(report: &Value) -> Vec<u64> {
    report["checks"].as_array().unwrap().iter().map(|check| check["step"].as_u64().unwrap()).collect()
}

#[test]
fn verify_lists_the_checks_in_their_order_also_when_one_fails() {
    let desk = Desk::new(2);
    let report = desk.json(&VERIFY);
    let all = steps(&report);
    assert!(all.is_sorted() && all.len() >= 6 && report["valid"] == true, "{report}");

    let mut bytes = fs::read(desk.path("model.unb")).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(desk.path("model.unb"), bytes).unwrap();
    desk.refuse(&VERIFY, 10, &["error [E209]", "model.unb", "CRC-32"]);
    let output = desk.unnunet(&[&VERIFY[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let until = steps(&report);
    assert_eq!(until, all[..until.len()]);
    let last = report["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((last["name"].as_str(), last["code"].as_str()), (Some("payload"), Some("E209")));
    assert_eq!(report["valid"], false);
}

#[test]
fn inspect_shows_the_bundle_and_that_nobody_vouches_for_it() {
    let desk = Desk::new(2);
    let output = desk.unnunet(&["bundle", "inspect", "model.unb"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        stdout.contains("phantom/noise 1.0.0") && stdout.contains("fold 1             1 members            4096 bytes"),
        "{stdout}"
    );
    assert!(stdout.lines().count() < 24, "{stdout}");
    assert!(stderr.contains("no signature of the bundle was checked"), "{stderr}");
    for line in ["license     docs/license.txt: phantom", "provenance  none"] {
        assert!(stdout.lines().any(|found| found == line), "{stdout}");
    }
    let json = desk.json(&["bundle", "inspect", "model.unb"]);
    assert_eq!((json["id"].as_str(), json["members"].as_array().map(Vec::len)), (Some("phantom/noise"), Some(2)));
}

#[test]
fn diff_names_what_was_added_and_removed() {
    let (desk, other) = (Desk::new(1), Desk::new(2));
    fs::copy(other.path("model.unb"), desk.path("new.unb")).unwrap();
    let json = desk.json(&["bundle", "diff", "model.unb", "new.unb"]);
    assert!(json["files"]["added"].as_object().unwrap().keys().eq(["models/fold_1/checkpoint_9.onnx"]), "{json}");
    assert!(json["fields"]["added"]["members.fold_1/checkpoint_9.model"].is_string(), "{json}");
    assert_eq!(json["files"]["changed"], serde_json::json!({}));
    let lines = desk.succeed(&["bundle", "diff", "new.unb", "model.unb"]);
    let removed = "- file models/fold_1/checkpoint_9.onnx  4096 bytes ";
    assert!(lines.lines().any(|line| line.starts_with(removed)), "{lines}");
    assert_eq!(desk.succeed(&["bundle", "diff", "model.unb", "model.unb"]), "");
    fs::write(desk.path("new.unb"), "PK").unwrap();
    desk.refuse(&["bundle", "diff", "model.unb", "new.unb"], 10, &["error [E201]", "new.unb"]);
}

#[test]
fn extract_unpacks_what_is_verified_and_replaces_nothing() {
    let desk = Desk::new(2);
    desk.keygen("other");
    let mut other = EXTRACT;
    other[4] = "other.pub";
    desk.refuse(&other, 11, &["error [E307]", "model.unb"]);
    assert!(!desk.path("out").exists());
    desk.succeed(&EXTRACT);
    // Signature, manifest, six documents and two networks.
    assert_eq!(desk.files("out").len(), 10);
    desk.refuse(&EXTRACT, 20, &["error [E101]", "`out`", "File exists"]);
}

#[test]
fn a_private_key_is_encrypted_with_a_passphrase_that_is_never_an_argument() {
    let desk = Desk::new(1);
    fs::write(desk.path("right"), "a long passphrase\n").unwrap();
    fs::write(desk.path("wrong"), "another\n").unwrap();
    let with_fd = |args: &str, file: &str| {
        let script = format!("'{}' bundle {args} --passphrase-fd 3 3<{file}", env!("CARGO_BIN_EXE_unnunet"));
        desk.run("sh", &["-c", &script])
    };
    let output = with_fd("keygen --private-key key.pem --public-key new.pub", "right");
    assert!(output.status.success(), "{output:?}");
    let pem = desk.path("key.pem");
    assert!(fs::read_to_string(&pem).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o600);

    let before = desk.files("");
    let output = with_fd("sign model.unb --private-key key.pem", "wrong");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("does not open the private key"), "{stderr}");
    assert!(desk.files("") == before);
    let sign = ["bundle", "sign", "model.unb", "--private-key", "key.pem"];
    desk.refuse(&[&sign[..], &["--passphrase", "x"]].concat(), 2, &["--passphrase"]);
    desk.refuse(&sign, 2, &["no terminal to ask at", "--passphrase-fd"]);
}

#[test]
fn openssl_verifies_the_signature_of_an_unpacked_bundle() {
    let desk = Desk::new(1);
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("not run: `openssl` is not here");
        return;
    }
    let signature: Value = serde_json::from_slice(&fs::read(desk.extract()).unwrap()).unwrap();
    let envelope = &signature["dsseEnvelope"];
    let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    let (payload, der) = (decode(&envelope["payload"]), decode(&envelope["signatures"][0]["sig"]));
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len());
    let mut signed = [head.into_bytes(), payload].concat();
    fs::write(desk.path("sig.der"), der).unwrap();
    fs::write(desk.path("signed.bin"), &signed).unwrap();
    let verify = ["dgst", "-sha256", "-verify", "key.pub", "-signature", "sig.der", "signed.bin"];
    assert!(desk.run("openssl", &verify).status.success());
    signed[100] ^= 1;
    fs::write(desk.path("signed.bin"), &signed).unwrap();
    assert!(!desk.run("openssl", &verify).status.success());
}

/// The program `model_signing` beside the reference Python, if there is one.
fn model_signing() -> Option<String> {
    let python = std::env::var_os("UNNUNET_ORACLE_PYTHON").map(PathBuf::from)?;
    let program = python.with_file_name("model_signing");
    program.is_file().then(|| program.to_str().map(str::to_owned)).flatten()
}

#[test]
fn model_signing_verifies_ours_and_its_signature_is_attached_to_ours() {
    let Some(tool) = model_signing() else {
        eprintln!("not run: `model_signing` is not beside the Python of UNNUNET_ORACLE_PYTHON");
        return;
    };
    let desk = Desk::new(2);
    desk.keygen("site");
    let ours = desk.extract();
    let tool = |args: &[&str]| {
        let output = desk.run(&tool, args);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let verify = ["verify", "key", "out", "--signature", ours.to_str().unwrap(), "--public_key", "key.pub"];
    let (passed, stderr) = tool(&verify);
    assert!(passed, "{stderr}");

    let sign = ["sign", "key", "out", "--signature", "site.sig", "--private_key", "site.pem"];
    let (passed, stderr) = tool(&[&sign[..], &["--ignore-paths", "out/signatures"]].concat());
    assert!(passed, "{stderr}");
    let attach = |key| ["bundle", "attach", "model.unb", "site.sig", "--public-key", key, "--output", "both.unb"];
    desk.refuse(&attach("key.pub"), 11, &["error [E308]", "site.sig"]);
    desk.succeed(&attach("site.pub"));
    let json = desk.json(&["bundle", "diff", "model.unb", "both.unb"]);
    assert_eq!(json["signers"]["added"].as_object().unwrap().len(), 1);
    // Both keys signed; who trusts only one refuses what it cannot check.
    desk.refuse(&["bundle", "verify", "both.unb", "--public-key", "key.pub"], 11, &["error [E307]"]);

    fs::write(desk.path("out/docs/license.txt"), "another\n").unwrap();
    assert!(!tool(&verify).0);
}
