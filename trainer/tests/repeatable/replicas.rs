//! Several replicas train what one does, and the same bytes whenever they are as many.

use std::path::Path;

use trainer::checkpoint::{CheckpointFolder, Latest};
use trainer::training::{Start, TrainingError};

use super::tiny::{BATCH_SIZE, Setup, Snapshot, VARIANTS, Variant, Witness, checkpoints, run};

/// Gradients are added in another order; weights and clipped gradients are of order 1.
const TOLERANCE: f32 = 1e-5;

fn latest(folder: &Path) -> Latest {
    CheckpointFolder::new(folder).load_latest().unwrap()
}

/// The largest difference of weights, and of momentum.
fn difference(a: &Latest, b: &Latest) -> f32 {
    let pairs = a.weights.iter().zip(b.weights.iter()).chain(a.momentum.iter().zip(b.momentum.iter()));
    pairs.fold(0.0, |largest, ((name_a, a), (name_b, b))| {
        assert_eq!(name_a, name_b);
        a.values.iter().zip(&b.values).fold(largest, |largest: f32, (a, b)| largest.max((a - b).abs()))
    })
}

fn train(variant: &Variant, root: &Path, setup: Setup) -> Latest {
    let folder = root.join(format!("{}-{setup:?}", variant.name));
    run(&variant.training(&root.join("data"), folder.clone(), setup), Start::Afresh, None);
    latest(&folder)
}

#[test]
fn one_step_of_several_replicas_is_the_step_of_one() {
    let root = tempfile::tempdir().unwrap();
    for variant in &VARIANTS {
        let train = |n_replicas| {
            train(variant, root.path(), Setup { n_replicas, n_epochs: 1, n_iterations: 1, ..Setup::default() })
        };
        let one = train(1);
        // After one step the momentum is the gradient, so that none has vanished.
        let largest = one.momentum.iter().flat_map(|(_, tensor)| &tensor.values).fold(0.0, |a: f32, b| a.max(b.abs()));
        assert!(largest > 0.01, "{}: gradients up to {largest}", variant.name);
        for n_replicas in [2, 3, BATCH_SIZE] {
            let difference = difference(&one, &train(n_replicas));
            assert!(difference < TOLERANCE, "{}, {n_replicas} replicas: {difference}", variant.name);
        }
    }
}

#[test]
fn epochs_of_several_replicas_are_those_of_one_and_repeat_bit_by_bit() {
    let root = tempfile::tempdir().unwrap();
    for variant in &VARIANTS {
        let one = train(variant, root.path(), Setup::default());
        let setup = Setup { n_replicas: 3, ..Setup::default() };
        let three = train(variant, root.path(), setup);
        let difference = difference(&one, &three);
        assert!(difference < TOLERANCE, "{}: {difference}", variant.name);
        let (ema, expected) = (three.state.ema_pseudo_dice, one.state.ema_pseudo_dice);
        assert!((ema.unwrap() - expected.unwrap()).abs() < 1e-3, "{}: {ema:?}, {expected:?}", variant.name);
        let again = root.path().join(format!("{}-again", variant.name));
        run(&variant.training(&root.path().join("data"), again.clone(), setup), Start::Afresh, None);
        assert!(latest(&again) == three, "{}: three replicas do not repeat", variant.name);
    }
}

#[test]
fn a_training_goes_on_with_as_many_replicas_bit_by_bit_and_with_others_nearly() {
    let (root, variant) = (tempfile::tempdir().unwrap(), &VARIANTS[0]);
    let (data, path) = (root.path().join("data"), |name: &str| root.path().join(name));
    let setup = |n_replicas| Setup { n_replicas, ..Setup::default() };
    let training = |name: &str, n_replicas| variant.training(&data, path(name), setup(n_replicas));
    for name in ["same", "other"] {
        let snapshot = Snapshot { epoch: 0, from: path("whole"), to: path(name) };
        run(&training("whole", 2), Start::Afresh, Some(snapshot));
        fs_err::remove_dir_all(path("whole")).unwrap();
    }
    run(&training("whole", 2), Start::Afresh, None);
    run(&training("same", 2), Start::Resume, None);
    assert!(checkpoints(&path("same")) == checkpoints(&path("whole")), "resumed with as many replicas");
    run(&training("other", 5), Start::Resume, None);
    let difference = difference(&latest(&path("other")), &latest(&path("whole")));
    assert!(difference < TOLERANCE, "resumed with five instead of two replicas: {difference}");
}

#[test]
fn more_replicas_than_samples_are_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let setup = Setup { n_replicas: BATCH_SIZE + 1, ..Setup::default() };
    let training = VARIANTS[0].training(&root.path().join("data"), root.path().join("fold"), setup);
    let error = training.run(Start::Afresh, &mut Witness(None)).unwrap_err();
    assert!(matches!(error, TrainingError::Shares { n_replicas: 6, batch_size: 5 }), "{error}");
    assert_eq!(error.to_string(), "a batch of 5 samples cannot be shared by 6 devices");
    assert_eq!(fs_err::read_dir(root.path().join("fold")).unwrap().count(), 0);
}
