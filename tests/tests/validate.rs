//! From a training to what is expected of a new case: validate, postprocess, calibrate, export, predict.
#![cfg(feature = "with-trainer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bundle_format::{
    BundleBuilder, BundleContents as _, EntryPath, Limits, ManifestDraft, Role, SigningKey, UnverifiedBundle,
};
use fs_err as fs;
use imaging::nifti;
use nnunet::calibration::Calibration;
use phantoms::balls::Balls;
use phantoms::programs::{outcome, succeed, unnunet, unnunet_train};
use phantoms::trial::Trial;
use serde_json::{Value, json};

const BUDGET: [&str; 8] = ["--epochs", "2", "--cycles", "2", "--iterations", "6", "--late", "1"];

/// Two folds of balls, trained a little, with two members each; two cases validate each.
fn train(work: &Path, configuration: &'static str) -> Trial {
    let trial = Trial::new(work, Balls::ISOTROPIC.name, configuration);
    trial.plan_and_preprocess(&["--features", "4", "--batch-size", "2"]);
    for fold in [0, 1] {
        succeed(&mut trial.train(fold, &BUDGET));
    }
    trial
}

fn run_folder(trial: &Trial) -> PathBuf {
    trial.fold_folder(0).parent().unwrap().to_owned()
}

/// A command on a training.
fn after_training(trial: &Trial, arguments: &[&str]) -> Command {
    let mut after = unnunet_train();
    after.args(arguments);
    after.arg("--raw").arg(trial.path("raw")).arg("--results").arg(trial.path("results"));
    after
}

/// Four cases allow for an interval of level one half; the networks are too bad for a higher Dice.
fn validate(trial: &Trial, configuration: &str) -> Command {
    let mut validate = after_training(trial, &["validate", Balls::ISOTROPIC.name, configuration, "--json"]);
    validate.args(["--level", "0.5", "--risk", "0.5", "--minimum-dice", "0.01"]);
    validate
}

fn determine_postprocessing(trial: &Trial) {
    let command = ["determine-postprocessing", Balls::ISOTROPIC.name, "3d_fullres", "--json"];
    succeed(&mut after_training(trial, &command));
}

fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn written(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn a_validated_training_says_what_to_expect_of_a_new_case() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let trial = train(folder.path(), "3d_fullres");
    let printed = lines(&succeed(&mut validate(&trial, "3d_fullres")));
    assert_eq!(printed.len(), 5);
    assert!(printed[..4].iter().all(|line| line["status"] == "done" && line["Dice"].is_f64()), "{printed:?}");
    assert_eq!(printed[4]["folds"], json!([0, 1]));
    check_the_temperature_was_fitted(&trial, &printed[4]);
    check_validation_lies_on_the_images(&trial, &printed);

    determine_postprocessing(&trial);
    let text = fs::read_to_string(run_folder(&trial).join("calibration.json")).unwrap();
    let calibration = Calibration::parse(&text).unwrap();
    assert_eq!((calibration.n_fit, calibration.n_conformal), (2, 2));
    trial.export();
    trial.sign();

    let images = trial.raw_dataset().join("imagesTs");
    let output = trial.path("predictions");
    let text = succeed(&mut trial.predict(&images, &output));
    assert!(text.lines().all(|line| line.contains("  expected Dice 0.")), "{text}");
    let report = read_json(&output.join("report.json"));
    assert_eq!(report["calibration"]["promise"]["method"], "class-entropy");
    assert_eq!(report["options"]["temperature"], printed[4]["temperature"]);
    let counts = ["n_accepted", "n_to_review"].map(|field| report[field].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 2);
    for case in report["cases"].as_array().unwrap() {
        let expected = serde_json::to_value(calibration.expect(case["score"].as_f64())).unwrap();
        assert_eq!(case["expectation"], expected);
        assert_eq!(
            read_json(&output.join(format!("{}.json", case["case"].as_str().unwrap())))["expectation"],
            expected
        );
    }
    check_runtime_repeats_the_validation(&trial);
    check_scores_made_otherwise_promise_nothing(&trial, &images);
    check_lies_in_the_bundle_are_refused(&trial, &images);
    check_half_precision_labels_alike(&trial, &images);
    check_an_imported_run_is_validated_alike(&trial, &printed);
    check_fewer_members_are_validated_as_they_are_exported(&trial);
}

/// Four cases were sampled; what was found is in the calibration and, by the next lines of the test, in the bundle.
fn check_the_temperature_was_fitted(trial: &Trial, last: &Value) {
    let found = read_json(&run_folder(trial).join("temperature.json"));
    assert_eq!(found["temperature"], last["temperature"]);
    assert_eq!(found["temperature"], last["calibration"]["promise"]["temperature"]);
    assert_ne!(found["temperature"], json!(1.0));
    assert_eq!(found["cases"].as_array().unwrap().len(), 4);
    assert_eq!(found["members"]["1"].as_array().unwrap().len(), 2);
    assert!(found["bits_after"].as_f64().unwrap() < found["bits_before"].as_f64().unwrap(), "{found}");
    let scores = read_json(&trial.fold_folder(1).join("validation/scores.json"));
    assert_eq!(scores["temperature"], found["temperature"]);
}

fn export(trial: &Trial, weights: &str) -> Command {
    let mut export = unnunet_train();
    export.args(["export", Balls::ISOTROPIC.name, "3d_fullres", "--id", "test/trial", "--version", "1.0.0"]);
    export.arg("--preprocessed").arg(trial.path("preprocessed")).arg("--results").arg(trial.path("results"));
    export.args(["--weights", weights]).arg("--output").arg(trial.path("unsigned.unb"));
    export
}

/// Exported with `--weights f16`, a model is about half as large, passes its self-test when it is signed, keeps its
/// calibration and labels voxels as before.
fn check_half_precision_labels_alike(trial: &Trial, images: &Path) {
    let mut predicted = Vec::new();
    for weights in ["f32", "f16"] {
        let printed = succeed(&mut export(trial, weights));
        assert!(printed.contains("calibrated\tyes"), "{printed}");
        let n_bytes = fs::metadata(trial.path("unsigned.unb")).unwrap().len();
        trial.sign();
        let output = trial.path(&format!("predictions-{weights}"));
        succeed(&mut trial.predict(images, &output));
        predicted.push((n_bytes, output));
    }
    let [(n_single, single), (n_half, half)] = &predicted[..] else { panic!("two bundles") };
    assert!(n_half < n_single, "{n_half} {n_single}");
    let report = read_json(&single.join("report.json"));
    for case in report["cases"].as_array().unwrap() {
        let name = format!("{}.nii.gz", case["case"].as_str().unwrap());
        let [one, other] = [single, half].map(|folder| nifti::read_labels(&folder.join(&name)).unwrap().voxels);
        let n_equal = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(n_equal as f64 >= 0.995 * one.len() as f64, "{name}: {n_equal} of {}", one.len());
    }
}

/// A run as `import` leaves it, with an `import.json` in the place of every `run.json`.
fn check_an_imported_run_is_validated_alike(trial: &Trial, printed: &[Value]) {
    for fold in [0, 1] {
        let folder = trial.fold_folder(fold);
        let run = read_json(&folder.join("run.json"));
        let checkpoint = |name: &str| {
            let record = read_json(&folder.join(format!("checkpoint_{name}.json")));
            json!({"name": name, "epoch": record["epoch"], "cycle": record["cycle"],
                "file": record["weights"], "weights": record["weights"]})
        };
        let checkpoints = ["0", "1"].map(checkpoint);
        let import = json!({"format": 1, "program": "unnunet-train 0", "dataset": run["dataset"],
            "configuration": run["configuration"], "plans": run["plans"], "fold": fold, "trainer": "nnUNetTrainer",
            "mirror_axes": [0, 1, 2], "probe": null, "checkpoints": checkpoints});
        fs::write(folder.join("import.json"), import.to_string()).unwrap();
        fs::remove_file(folder.join("run.json")).unwrap();
        fs::remove_dir_all(folder.join("validation")).unwrap();
    }
    let refused = outcome(&mut validate(trial, "3d_fullres"));
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("was imported: `--preprocessed` must name the folder"), "{stderr}");
    // Dice is that after postprocessing, which was determined since.
    fs::remove_file(run_folder(trial).join("postprocessing.json")).unwrap();
    let again = lines(&succeed(validate(trial, "3d_fullres").arg("--preprocessed").arg(trial.path("preprocessed"))));
    assert_eq!(again, printed, "the same weights on the same cases at the same temperature");
    let noted = String::from_utf8_lossy(&outcome(&mut export(trial, "f32")).stderr).into_owned();
    let probe = format!("the middle of case `{}`", printed[0]["case"].as_str().unwrap());
    assert!(noted.contains(&probe), "{noted}");
}

/// Half the members vote for other scores; a calibration by them belongs to a bundle of them alone.
fn check_fewer_members_are_validated_as_they_are_exported(trial: &Trial) {
    let mut fewer = validate(trial, "3d_fullres");
    fewer.args(["--members", "1"]).arg("--preprocessed").arg(trial.path("preprocessed"));
    let printed = lines(&succeed(&mut fewer));
    assert!(printed[4]["calibration"].is_object(), "{printed:?}");
    let scores = read_json(&trial.fold_folder(0).join("validation/scores.json"));
    assert_eq!(scores["members"].as_array().unwrap().len(), 1);
    assert_eq!(scores["members"][0]["member"], "fold_0/checkpoint_1");
    let all = succeed(&mut export(trial, "f32"));
    assert!(all.contains("members\t4") && !all.contains("calibrated\tyes"), "{all}");
    let one = succeed(export(trial, "f32").args(["--members", "1"]));
    assert!(one.contains("members\t2") && one.contains("calibrated\tyes"), "{one}");
    let find = |more: &[&str]| {
        let mut find = after_training(trial, &["find-best-configuration", Balls::ISOTROPIC.name]);
        find.args(more).arg("--preprocessed").arg(trial.path("preprocessed"));
        outcome(&mut find)
    };
    let refused = find(&[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("validate again"), "{refused:?}");
    assert!(find(&["--members", "1"]).status.success());
    let commands = trial.path("results").join(Balls::ISOTROPIC.name).join("inference_instructions.txt");
    let commands = fs::read_to_string(commands).unwrap();
    let exports = |line: &str| line.starts_with("unnunet-train export") && line.contains(" --members 1 ");
    assert!(commands.lines().any(exports), "{commands}");
}

fn check_validation_lies_on_the_images(trial: &Trial, printed: &[Value]) {
    let validation = trial.fold_folder(0).join("validation");
    for line in &printed[..2] {
        let case = line["case"].as_str().unwrap();
        let image = trial.raw_dataset().join("imagesTr").join(format!("{case}_0000.nii.gz"));
        let files = [image, validation.join(format!("{case}.nii.gz"))];
        let [image, predicted] = files.map(|path| nifti::read_geometry(&path).unwrap());
        image.same_grid(&predicted).unwrap();
    }
    let summary = read_json(&validation.join("summary.json"));
    assert_eq!(summary["metric_per_case"].as_array().unwrap().len(), 2);
    for field in ["Dice", "IoU", "TP", "n_ref", "HD95", "ASSD", "NSD"] {
        assert!(summary["metric_per_case"][0]["metrics"]["1"].get(field).is_some(), "{field}: {summary}");
    }
    let over_all = read_json(&run_folder(trial).join("crossval_results_folds_0_1/summary.json"));
    assert_eq!(over_all["metric_per_case"].as_array().unwrap().len(), 4);
    let scores = read_json(&validation.join("scores.json"));
    assert_eq!(scores["members"].as_array().unwrap().len(), 2);
    assert_eq!(scores["cases"][0]["dice"], printed[0]["Dice"]);
    assert!(scores["cases"][0]["scores"][0]["structures"]["large"].is_f64() || printed[0]["score"].is_null());
    let csv = fs::read_to_string(validation.join("scores.csv")).unwrap();
    // Three methods, each for all foreground and two structures.
    assert_eq!(csv.lines().count(), 1 + 2 * 3 * 3);
}

/// The runtime scores a validation case as the trainer did, with the members of the same fold.
fn check_runtime_repeats_the_validation(trial: &Trial) {
    let scores = read_json(&trial.fold_folder(0).join("validation/scores.json"));
    let case = scores["cases"][0]["case"].as_str().unwrap();
    let [input, output] = ["again-images", "again"].map(|name| trial.path(name));
    fs::create_dir_all(&input).unwrap();
    let image = format!("{case}_0000.nii.gz");
    fs::copy(trial.raw_dataset().join("imagesTr").join(&image), input.join(&image)).unwrap();
    succeed(trial.predict(&input, &output).args(["--folds", "0", "--uncertainty", "class-entropy,total-entropy"]));
    let trace = read_json(&output.join(format!("{case}.json")));
    for (method, index) in [("class-entropy", 0), ("total-entropy", 1)] {
        let validated = &scores["cases"][0]["scores"][index];
        let found = trace["scores"].as_array().unwrap().iter().find(|scores| scores["method"] == method).unwrap();
        assert_eq!((validated["method"].as_str(), &found["fold"]), (Some(method), &json!(0)));
        let [found, validated] = [found, validated].map(|scores| scores["score"].as_f64().unwrap());
        // Logits differ by 1e-4 of their range at most; a voxel that changes its label changes the contour's length.
        assert!((found / validated - 1.0).abs() < 1e-2, "{method}: {found} {validated}");
    }
}

fn check_scores_made_otherwise_promise_nothing(trial: &Trial, images: &Path) {
    let output = trial.path("otherwise");
    let found = outcome(trial.predict(images, &output).args(["--mirroring", "off"]));
    assert!(String::from_utf8_lossy(&found.stderr).contains("of predictions with mirroring"));
    let report = read_json(&output.join("report.json"));
    assert!(report["cases"][0]["expectation"].is_null() && report["n_accepted"].is_null(), "{report}");
}

/// Rebuilds the unsigned bundle with other content in a file; why it is not signed, and, signed by other means, not run.
fn refused_with(trial: &Trial, images: &Path, path: &str, content: &str) -> String {
    let unsigned = trial.path("unsigned.unb");
    let bundle = UnverifiedBundle::open(&unsigned, &Limits::default()).unwrap().check().unwrap();
    let draft: &ManifestDraft = bundle.manifest();
    let mut builder = BundleBuilder::new(draft.clone());
    for file in bundle.manifest().files() {
        if file.path.to_string() != path {
            builder.add_bytes(file.path.clone(), file.role, bundle.read(&file.path).unwrap()).unwrap();
        }
    }
    builder.add_bytes(EntryPath::new(path).unwrap(), Role::Config, content.as_bytes().to_vec()).unwrap();
    let forged = trial.path("forged.unb");
    builder.write(&forged).unwrap();
    let key = trial.path("test.key.pem");
    let mut sign = unnunet();
    let refused = outcome(sign.args(["bundle", "sign"]).arg(&forged).arg("--private-key").arg(&key));
    assert_eq!(refused.status.code(), Some(10));
    let key = SigningKey::from_pem(&fs::read_to_string(key).unwrap(), None).unwrap();
    bundle_format::sign(&forged, &key, &trial.path("model.unb")).unwrap();
    let refused = outcome(&mut trial.predict(images, &trial.path("none")));
    assert_eq!(refused.status.code(), Some(10));
    assert!(!trial.path("none").exists());
    String::from_utf8_lossy(&refused.stderr).into_owned()
}

fn check_lies_in_the_bundle_are_refused(trial: &Trial, images: &Path) {
    let calibration = run_folder(trial).join("calibration.json");
    let mut lie = read_json(&calibration);
    lie["half_width"] = json!(-1);
    let stderr = refused_with(trial, images, "config/calibration.json", &lie.to_string());
    assert!(stderr.contains("config/calibration.json") && stderr.contains("half_width"), "{stderr}");
    let mut lie = read_json(&run_folder(trial).join("postprocessing.json"));
    lie["postprocessing_fns"] = json!(["remove_all_but_largest_component_from_segmentation"]);
    lie["postprocessing_kwargs"] = json!([{"labels_or_regions": 7}]);
    let stderr = refused_with(trial, images, "config/postprocessing.json", &lie.to_string());
    assert!(stderr.contains("config/postprocessing.json") && stderr.contains("[7]"), "{stderr}");
}

#[test]
fn a_case_that_is_done_is_not_predicted_again_and_a_bad_one_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let trial = train(folder.path(), "3d_fullres");
    let run = read_json(&trial.fold_folder(1).join("run.json"));
    let bad = run["split"]["val"][0].as_str().unwrap().to_owned();
    let image = trial.raw_dataset().join("imagesTr").join(format!("{bad}_0000.nii.gz"));
    let whole = fs::read(&image).unwrap();
    fs::write(&image, &whole[..100]).unwrap();

    let found = outcome(&mut validate(&trial, "3d_fullres"));
    assert_eq!(found.status.code(), Some(1));
    let printed = lines(&String::from_utf8_lossy(&found.stdout));
    let status: Vec<_> = printed[..4].iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["done", "done", "done", "failed"]);
    assert_eq!(printed[3]["case"], bad);
    assert!(String::from_utf8_lossy(&found.stderr).contains(&format!("case `{bad}` of fold_1 failed")));
    assert!(printed[4]["calibration"].is_object(), "three cases are enough for this level");

    let done = trial.fold_folder(0).join("validation").join(format!("{}.nii.gz", printed[0]["case"].as_str().unwrap()));
    let before = written(&done);
    fs::write(&image, &whole).unwrap();
    let again = lines(&succeed(&mut validate(&trial, "3d_fullres")));
    assert!(again[..4].iter().all(|line| line["status"] == "done"), "{again:?}");
    assert_eq!(written(&done), before, "a case that is done is not done again");
    // Nine tenths cannot be promised by four cases: the calibration that was there must go.
    let mut validate = after_training(&trial, &["validate", Balls::ISOTROPIC.name, "3d_fullres"]);
    let text = succeed(&mut validate);
    assert!(text.contains("not calibrated") && text.contains("4 cases"), "{text}");
    assert!(!run_folder(&trial).join("calibration.json").exists());
    trial.export();
    trial.sign();
    let images = trial.raw_dataset().join("imagesTs");
    let found = outcome(&mut trial.predict(&images, &trial.path("predictions")));
    assert!(found.status.success());
    let stderr = String::from_utf8_lossy(&found.stderr);
    assert!(stderr.contains("no case gets an expected Dice or a decision: the bundle has no calibration"), "{stderr}");
}

#[test]
fn the_best_of_configurations_and_their_ensemble_is_found() {
    let folder = tempfile::tempdir().unwrap();
    Balls::ISOTROPIC.write(&folder.path().join("raw")).unwrap();
    let trials = ["2d", "3d_fullres"].map(|configuration| (configuration, train(folder.path(), configuration)));
    let trial = &trials[0].1;
    let find = || after_training(trial, &["find-best-configuration", Balls::ISOTROPIC.name, "--json"]);
    let refused = outcome(&mut find());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no case of"), "{refused:?}");
    for (configuration, trial) in &trials {
        succeed(&mut validate(trial, configuration));
    }
    let refused = outcome(&mut find());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("validate with `--npz`"));
    for (configuration, trial) in &trials {
        succeed(validate(trial, configuration).arg("--npz"));
    }
    let found: Value = serde_json::from_str(&succeed(&mut find())).unwrap();
    let results = found["all_results"].as_object().unwrap();
    let pair = "ensemble___UnnunetTrainer__nnUNetPlans__2d___UnnunetTrainer__nnUNetPlans__3d_fullres___0_1";
    assert_eq!(results.keys().next_back().map(String::as_str), Some(pair));
    assert_eq!(results.len(), 3);
    let highest = results.values().map(|dice| dice.as_f64().unwrap()).fold(0.0, f64::max);
    let best = &found["best_model_or_ensemble"];
    assert_eq!(best["result_on_crossval_pre_pp"], highest);
    let postprocessing = read_json(Path::new(best["postprocessing_file"].as_str().unwrap()));
    assert_eq!(postprocessing["input_folder"]["foreground_mean"]["Dice"], highest);
    assert_eq!(postprocessing["postprocessed"]["foreground_mean"]["Dice"], best["result_on_crossval_post_pp"]);
    assert!(best["result_on_crossval_post_pp"].as_f64().unwrap() >= highest);
    check_the_commands_that_come_next(trial, best);
    let ensemble = trial.path("results").join(Balls::ISOTROPIC.name).join("ensembles").join(pair);
    let summary = read_json(&ensemble.join("summary.json"));
    assert_eq!(summary["foreground_mean"]["Dice"], results[pair]);
    assert_eq!(summary["metric_per_case"].as_array().unwrap().len(), 4);
    let table = succeed(&mut after_training(trial, &["find-best-configuration", "901", "--disable-ensembling"]));
    assert_eq!(table.lines().count(), 4, "{table}");
}

/// Of a pair, a bundle cannot be made, and that is said.
fn check_the_commands_that_come_next(trial: &Trial, best: &Value) {
    let folder = trial.path("results").join(Balls::ISOTROPIC.name);
    let commands = fs::read_to_string(folder.join("inference_instructions.txt")).unwrap();
    let models = best["selected_model_or_models"].as_array().unwrap();
    assert_eq!(commands.contains("a bundle holds one configuration"), models.len() == 2, "{commands}");
    let export = commands.lines().find(|line| line.starts_with("unnunet-train export")).unwrap();
    assert!(export.contains(Balls::ISOTROPIC.name) && export.contains(" --folds 0,1 "), "{export}");
    let file = Path::new(best["postprocessing_file"].as_str().unwrap());
    let place = if models.len() == 2 { folder.join("ensembles") } else { folder };
    assert_eq!(file.parent().unwrap().parent().unwrap(), place);
    for command in ["unnunet bundle sign", "unnunet predict"] {
        assert!(commands.contains(command), "{commands}");
    }
}
