//! The same bytes, whatever feeds a training and wherever it was interrupted.

use bundle_format::Digest;
use trainer::checkpoint::CheckpointFolder;
use trainer::training::Start;

use super::tiny::{Setup, Snapshot, VARIANTS, Variant, checkpoints, run};

const BEST: &str = "checkpoint_best.safetensors";

fn check(variant: &Variant) {
    let root = tempfile::tempdir().unwrap();
    let (data, path) = (root.path().join("data"), |name: &str| root.path().join(name));
    let train = |name: &str, setup: Setup, start, snapshot| {
        run(&variant.training(&data, path(name), setup), start, snapshot);
        checkpoints(&path(name))
    };
    let snapshot = Snapshot { epoch: 0, from: path("one"), to: path("resumed") };
    let expected = train("one", Setup::default(), Start::Afresh, Some(snapshot));
    let names: Vec<_> = expected.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["checkpoint_2.safetensors", "checkpoint_best.safetensors", "checkpoint_latest.safetensors"] {
        assert!(names.contains(&name), "{}: {names:?}", variant.name);
    }
    // Whole cases in memory, parts from the disk, and some of each.
    for (n_workers, room) in [(2, 0), (3, 30_000)] {
        let setup = Setup { n_workers, room, ..Setup::default() };
        let found = train(&n_workers.to_string(), setup, Start::Afresh, None);
        assert!(found == expected, "{}: {n_workers} workers give other bytes", variant.name);
    }
    let setup = Setup { n_workers: 3, room: 0, ..Setup::default() };
    assert!(train("resumed", setup, Start::Resume, None) == expected, "{}: resumed", variant.name);
    let another = train("another", Setup { seed: 6, ..Setup::default() }, Start::Afresh, None);
    assert!(another != expected, "{}: the seed does not matter", variant.name);
}

#[test]
fn a_best_checkpoint_of_which_a_kill_left_half_is_made_again() {
    let (root, variant) = (tempfile::tempdir().unwrap(), &VARIANTS[0]);
    let (data, path) = (root.path().join("data"), |name: &str| root.path().join(name));
    let snapshot = Snapshot { epoch: 0, from: path("whole"), to: path("torn") };
    run(&variant.training(&data, path("whole"), Setup::default()), Start::Afresh, Some(snapshot));
    let record = CheckpointFolder::new(path("whole")).record("best").unwrap();
    assert!(record.epoch > 0, "the first epoch stayed the best");
    // The weights of the next best epoch, the description of the first.
    fs_err::copy(path("whole").join(BEST), path("torn").join(BEST)).unwrap();
    assert!(CheckpointFolder::new(path("torn")).load("best").is_err());
    run(&variant.training(&data, path("torn"), Setup::default()), Start::Resume, None);
    assert!(checkpoints(&path("torn")) == checkpoints(&path("whole")));

    // On a GPU the repeated epoch may be none that beats what was best.
    fs_err::copy(path("torn").join("checkpoint_2.safetensors"), path("torn").join(BEST)).unwrap();
    let mut record = record;
    record.weights = Digest::of(b"others");
    fs_err::write(path("torn").join("checkpoint_best.json"), serde_json::to_vec(&record).unwrap()).unwrap();
    let folder = CheckpointFolder::new(path("torn"));
    let mut latest = folder.load_latest().unwrap();
    (latest.state.epoch, latest.state.best_ema_pseudo_dice) = (1, Some(2.0));
    folder.save_latest(&latest).unwrap();
    run(&variant.training(&data, path("torn"), Setup::default()), Start::Resume, None);
    assert_eq!(folder.load("best").unwrap().0.epoch, 2);
}

#[test]
fn slices_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[0]);
}

#[test]
fn volumes_with_a_masked_channel_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[1]);
}

#[test]
fn volumes_turned_in_their_plane_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[2]);
}

#[test]
fn slices_with_an_ignore_label_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[3]);
}

#[test]
fn regions_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[4]);
}

#[test]
fn regions_with_an_ignore_label_are_repeated_and_resumed_bit_by_bit() {
    check(&VARIANTS[5]);
}
