//! A killed training that is continued ends where an uninterrupted one ends.
//!
//! Bit-equal on the CPU: weights, momentum, the random generators and the
//! order of cases all have to come back from the checkpoint.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fs_err as fs;
use phantoms::hearts::Hearts;
use phantoms::programs::succeed;
use phantoms::trial::Trial;

/// Six epochs in two cycles; the checkpoints of epochs 2 and 5 are kept.
const BUDGET: [&str; 10] =
    ["--epochs", "6", "--cycles", "2", "--iterations", "8", "--checkpoints", "late", "--late", "1"];
/// Kept in the middle of the run, which is then killed.
const MIDDLE: &str = "checkpoint_2.safetensors";
const LAST: &str = "checkpoint_5.safetensors";
/// Far more than three epochs take.
const PATIENCE: Duration = Duration::from_mins(5);

fn preprocessed_trial(work: &Path) -> Trial {
    Hearts { n_training: 10, n_test: 0, seed: 1 }.write(&work.join("raw")).unwrap();
    let trial = Trial::new(work, Hearts::NAME, "2d");
    trial.plan_and_preprocess(&["--features", "4", "--batch-size", "2", "--patch-size", "64,64"]);
    trial
}

#[test]
fn a_killed_training_continues_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let trial = preprocessed_trial(folder.path());
    succeed(&mut trial.train(0, &BUDGET));
    let expected = fs::read(trial.fold_folder(0).join(LAST)).unwrap();
    fs::remove_dir_all(trial.path("results")).unwrap();

    let mut child = trial.train(0, &BUDGET).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !trial.fold_folder(0).join(MIDDLE).exists() {
        assert!(start.elapsed() < PATIENCE, "no checkpoint after {PATIENCE:?}");
        assert_eq!(child.try_wait().unwrap(), None, "training ended early");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "training was not killed but done");
    assert!(!trial.fold_folder(0).join(LAST).exists(), "training was killed too late");

    let mut continued = BUDGET.to_vec();
    continued.push("--continue");
    succeed(&mut trial.train(0, &continued));
    let actual = fs::read(trial.fold_folder(0).join(LAST)).unwrap();
    assert!(actual == expected, "the continued run's last checkpoint differs");
}
