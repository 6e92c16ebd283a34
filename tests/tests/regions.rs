//! Overlapping regions and an ignore label, from raw images to evaluated predictions.
//!
//! The balls of `train_to_predict.rs`, as the region of both balls and that of the small one inside it; a slab of every
//! reference is not annotated.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use fs_err as fs;
use imaging::nifti;
use ndarray::s;
use phantoms::balls::Balls;
use phantoms::programs::{succeed, unnunet};
use phantoms::trial::Trial;
use serde_json::{Value, json};

const BALLS: Balls = Balls { name: "Dataset903_Regions", ..Balls::ISOTROPIC };
/// Slices at the lower end of every reference that are not annotated.
const N_IGNORED: usize = 5;
const IGNORE: u8 = 3;
const BUDGET: [&str; 10] =
    ["--epochs", "4", "--cycles", "2", "--iterations", "15", "--checkpoints", "late", "--late", "1"];

fn write(raw: &Path) {
    let folder = BALLS.write(raw).unwrap();
    let path = folder.join("dataset.json");
    let mut dataset = json(&path);
    dataset["labels"] = json!({"background": 0, "both": [1, 2], "small": 2, "ignore": IGNORE});
    dataset["regions_class_order"] = json!([1, 2]);
    fs::write(&path, dataset.to_string()).unwrap();
    for entry in ["labelsTr", "labelsTs"].iter().flat_map(|part| fs::read_dir(folder.join(part)).unwrap()) {
        let path = entry.unwrap().path();
        let mut reference = nifti::read_labels(&path).unwrap();
        reference.voxels.slice_mut(s![..N_IGNORED, .., ..]).fill(IGNORE);
        nifti::write_labels(&path, &reference).unwrap();
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn regions_are_trained_where_annotated_and_become_labels_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("raw"));
    let trial = Trial::new(folder.path(), BALLS.name, "3d_fullres");
    trial.plan_and_preprocess(&["--features", "8", "--batch-size", "2"]);
    succeed(&mut trial.train(0, &BUDGET));
    trial.export();
    trial.sign();
    let output = trial.path("predictions");
    succeed(&mut trial.predict(&trial.raw_dataset().join("imagesTs"), &output));
    for index in [10, 11] {
        let name = format!("balls_{index:03}");
        let segmentation = nifti::read_labels(&output.join(format!("{name}.nii.gz"))).unwrap();
        assert!(segmentation.voxels.iter().all(|&label| label < IGNORE), "{name}: nobody predicts the ignore label");
        assert!(segmentation.voxels.iter().any(|&label| label == 1), "{name} has no large ball");
        let map = nifti::read_image(&[output.join(format!("{name}_uncertainty.nii.gz"))]).unwrap();
        assert!(map.voxels.iter().all(|bits| (0.0..=2.0).contains(bits)), "two yes-or-no questions have two bits");
    }
    let mut evaluate = unnunet();
    evaluate.arg("evaluate").arg("--reference").arg(trial.raw_dataset().join("labelsTs"));
    evaluate.arg("--prediction").arg(&output);
    succeed(evaluate.arg("--dataset-json").arg(trial.raw_dataset().join("dataset.json")));
    let summary = json(&output.join("summary.json"));
    let dice = summary["mean"]["(1, 2)"]["Dice"].as_f64().unwrap();
    assert!(dice > 0.5, "Dice {dice}");
    let [z, y, x] = BALLS.shape;
    let n_counted = ((z - N_IGNORED) * y * x) as u64;
    for case in summary["metric_per_case"].as_array().unwrap() {
        for metrics in case["metrics"].as_object().unwrap().values() {
            let n = ["TP", "FP", "FN", "TN"].map(|field| metrics[field].as_u64().unwrap());
            assert_eq!(n.iter().sum::<u64>(), n_counted, "ignored voxels are not counted");
        }
    }
}
