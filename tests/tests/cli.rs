//! What a user sees when something is wrong: one message that names the file
//! and the reason, the promised exit status, and no half-written output.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use phantoms::programs::{outcome, succeed, unnunet};

/// The program could not run.
const COULD_NOT_RUN: i32 = 2;
/// The bundle is invalid.
const INVALID_BUNDLE: i32 = 10;
/// A file could not be read or written.
const IO: i32 = 20;

/// Runs `command`, which must end with `status` and name every one of `words` on stderr.
fn check(command: &mut Command, status: i32, words: &[&str]) {
    let output = outcome(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
    // `error: …`, or `error [E209]: …` with a bundle's own code.
    let is_error = |line: &str| line.starts_with("error: ") || line.starts_with("error [E");
    assert!(stderr.lines().any(is_error), "{command:?} gives no error\n{stderr}");
    assert!(!stderr.contains("panicked"), "{command:?} panicked\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{command:?} does not name `{word}`\n{stderr}");
    }
}

/// Asserts that `folder` is absent or holds nothing.
fn assert_nothing_in(folder: &Path) {
    let n_entries = if folder.exists() { fs::read_dir(folder).unwrap().count() } else { 0 };
    assert_eq!(n_entries, 0, "`{}` has half-written output", folder.display());
}

/// `unnunet bundle keygen` into `folder`.
fn make_key(folder: &Path) -> Command {
    let mut keygen = unnunet();
    keygen.args(["bundle", "keygen", "--no-passphrase"]);
    keygen.arg("--private-key").arg(folder.join("key.pem")).arg("--public-key").arg(folder.join("pub.pem"));
    keygen
}

/// `unnunet predict` in `folder` with the bundle `bundle.unb`.
fn predict(folder: &Path) -> Command {
    fs::create_dir_all(folder.join("images")).unwrap();
    let mut predict = unnunet();
    predict.arg("predict").arg("--bundle").arg(folder.join("bundle.unb"));
    predict.arg("--public-key").arg(folder.join("pub.pem"));
    predict.arg("--input").arg(folder.join("images")).arg("--output").arg(folder.join("output"));
    predict
}

#[test]
fn a_missing_bundle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&mut make_key(folder.path()));
    check(&mut predict(folder.path()), IO, &["bundle.unb", "No such file"]);
    assert_nothing_in(&folder.path().join("output"));
}

#[test]
fn a_file_that_is_no_bundle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&mut make_key(folder.path()));
    for content in ["", "PK", "this is no bundle, and quite a bit longer than a trailer is"] {
        fs::write(folder.path().join("bundle.unb"), content).unwrap();
        check(&mut predict(folder.path()), INVALID_BUNDLE, &["bundle.unb"]);
    }
    assert_nothing_in(&folder.path().join("output"));
}

#[test]
fn an_unknown_value_of_a_flag_is_answered_with_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    check(predict(folder.path()).args(["--device", "quantum"]), COULD_NOT_RUN, &["quantum", "--device"]);
    check(predict(folder.path()).args(["--step", "2"]), COULD_NOT_RUN, &["--step", "2"]);
    let known = ["guess", "class-entropy", "total-entropy"];
    check(predict(folder.path()).args(["--uncertainty", "guess"]), COULD_NOT_RUN, &known);
    assert_nothing_in(&folder.path().join("output"));
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&mut make_key(folder.path()));
    let key = fs::read(folder.path().join("key.pem")).unwrap();
    let output = outcome(&mut make_key(folder.path()));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("key.pem"));
    assert_eq!(fs::read(folder.path().join("key.pem")).unwrap(), key);
}

#[test]
fn missing_references_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut evaluate = unnunet();
    evaluate.arg("evaluate").arg("--reference").arg(folder.path().join("nowhere"));
    evaluate.arg("--prediction").arg(folder.path());
    evaluate.arg("--dataset-json").arg(folder.path().join("dataset.json"));
    check(&mut evaluate, COULD_NOT_RUN, &["No such file"]);
    assert_nothing_in(folder.path());
}

#[cfg(feature = "with-trainer")]
mod with_a_bundle {
    //! Needs a bundle, which needs a training.

    use phantoms::hearts::{Hearts, case_name};
    use phantoms::trial::Trial;

    use super::*;

    /// Some cases failed, the others are done.
    const SOME_FAILED: i32 = 1;
    /// The bundle is not signed by the key at hand.
    const UNTRUSTED: i32 = 11;

    /// A signed bundle of two iterations in `work`; its test cases are 10 to 13.
    fn trial_with_bundle(work: &Path) -> Trial {
        Hearts { n_training: 10, n_test: 4, seed: 1 }.write(&work.join("raw")).unwrap();
        let trial = Trial::new(work, Hearts::NAME, "2d");
        trial.plan_and_preprocess(&["--features", "4", "--batch-size", "2", "--patch-size", "64,64"]);
        succeed(&mut trial.train(0, &["--epochs", "2", "--cycles", "2", "--iterations", "1", "--late", "1"]));
        trial.export();
        trial.sign();
        trial
    }

    /// Asserts that no program runs the bundle `bytes`, which differ from the signed ones.
    fn refuse(trial: &Trial, bytes: &[u8]) {
        fs::write(trial.path("model.unb"), bytes).unwrap();
        let output = trial.path("refused");
        let mut verify = unnunet();
        verify.args(["bundle", "verify"]).arg(trial.path("model.unb"));
        verify.arg("--public-key").arg(trial.path("test.pub.pem"));
        check(&mut verify, INVALID_BUNDLE, &["model.unb"]);
        let mut predict = trial.predict(&trial.raw_dataset().join("imagesTs"), &output);
        check(&mut predict, INVALID_BUNDLE, &["model.unb"]);
        assert_nothing_in(&output);
    }

    #[test]
    fn an_altered_bundle_and_a_wrong_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let trial = trial_with_bundle(folder.path());
        let signed = fs::read(trial.path("model.unb")).unwrap();

        for at in [signed.len() / 3, signed.len() / 2, signed.len() - 1] {
            let mut altered = signed.clone();
            altered[at] ^= 1;
            refuse(&trial, &altered);
        }
        refuse(&trial, &signed[..signed.len() - 7]);
        refuse(&trial, &[&signed[..], b"x"].concat());

        fs::write(trial.path("model.unb"), &signed).unwrap();
        trial.make_key("other");
        fs::rename(trial.path("other.pub.pem"), trial.path("test.pub.pem")).unwrap();
        let output = trial.path("untrusted");
        let mut predict = trial.predict(&trial.raw_dataset().join("imagesTs"), &output);
        check(&mut predict, UNTRUSTED, &["model.unb"]);
        assert_nothing_in(&output);
    }

    #[test]
    fn a_bad_case_is_reported_and_the_others_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let trial = trial_with_bundle(folder.path());
        let images = trial.raw_dataset().join("imagesTs");
        let channel = |index, channel| images.join(format!("{}_{channel:04}.nii.gz", case_name(index)));
        fs::write(channel(10, 0), "no image").unwrap();
        fs::copy(channel(11, 0), channel(11, 1)).unwrap();

        let output = trial.path("predictions");
        let (unreadable, two_channels) = (case_name(10), case_name(11));
        let words = [unreadable.as_str(), two_channels.as_str(), "channel"];
        check(&mut trial.predict(&images, &output), SOME_FAILED, &words);
        let is_done = |index| output.join(format!("{}.nii.gz", case_name(index))).exists();
        assert_eq!([10, 11, 12, 13].map(is_done), [false, false, true, true]);
        let scores = fs::read_to_string(output.join("scores.csv")).unwrap();
        assert!(scores.contains(&case_name(12)), "{scores}");

        let mut nowhere = trial.predict(&trial.path("nowhere"), &trial.path("no-output"));
        check(&mut nowhere, COULD_NOT_RUN, &["nowhere"]);
        assert_nothing_in(&trial.path("no-output"));
    }
}
