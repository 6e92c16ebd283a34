//! Real model folders of nnU-Net become runs that compute the same and can be exported.
//!
//! The folders in `golden/import` were saved by nnU-Net's own trainer. Where `UNNUNET_ORACLE_PYTHON` names an
//! environment with nnU-Net, the same is checked on folders made on the spot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bundle_format::{BundleContents, Digest, EntryPath, IntactBundle, Limits, UnverifiedBundle};
use nnunet::fold::Fold;
use nnunet::pipeline::Pipeline;
use nnunet::plans::Plans;
use nnunet::topology::UNet;
use serde_json::{Value, json};
use tch::{Device, Tensor};
use trainer::checkpoint::CheckpointFolder;
use trainer::import::{ImportError, ImportRecord, Model, Request};
use trainer::network::Network;
use trainer::weights::Weights;

/// Largest difference of a logit over the range of the logits: single precision in another order of sums.
const TOLERANCE: f64 = 1e-4;
const MODELS: [(&str, &str, &str); 2] =
    [("Plain", "2d", "PlainConvUNet"), ("Residual", "3d_fullres", "ResidualEncoderUNet")];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import")
}

fn model_folder(root: &Path, name: &str, configuration: &str) -> PathBuf {
    root.join("Dataset001_Tiny").join(format!("{name}__nnUNetPlans__{configuration}"))
}

fn request(model_folder: PathBuf) -> Request {
    Request { model_folder, folds: vec![], checkpoints: vec![], cycle_length: None, probe: vec![] }
}

fn import(model_folder: PathBuf, run: &Path) -> Result<Vec<ImportRecord>, ImportError> {
    let request = request(model_folder);
    Model::read(&request)?.import(&request, run)
}

/// Imports a model and compares the logits of every decoder stage with PyTorch's.
fn check_logits(root: &Path, name: &str, configuration: &str, class: &str) {
    let work = tempfile::tempdir().unwrap();
    let run = work.path().join("run");
    let records = import(model_folder(root, name, configuration), &run).unwrap();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!((record.fold, record.trainer.as_str(), &record.probe), (Fold(0), "nnUNetTrainer", &None));
    assert_eq!(*record, ImportRecord::read(&run.join("fold_0")).unwrap());
    let plans = Plans::parse(&fs_err::read_to_string(run.join("plans.json")).unwrap()).unwrap();
    let topology = UNet::new(&plans.configuration(&record.configuration).unwrap(), 2, 3).unwrap();
    assert_eq!(topology.class_name(), class);
    assert_eq!(record.mirror_axes, (0..topology.n_axes).collect::<Vec<_>>());
    let epoch = record.checkpoints[0].epoch;
    let (saved, weights) = CheckpointFolder::new(run.join("fold_0")).load(&epoch.to_string()).unwrap();
    assert_eq!((saved.epoch, saved.weights), (epoch, record.checkpoints[0].weights));

    let golden = Weights::read(&root.join(format!("logits_{name}.safetensors"))).unwrap();
    let tensor = |name: &str| {
        let tensor = golden.get(name).unwrap();
        let shape: Vec<_> = tensor.shape.iter().map(|&extent| i64::try_from(extent).unwrap()).collect();
        Tensor::from_slice(&tensor.values).reshape(shape)
    };
    let network = Network::new(&topology, &weights, Device::Cpu).unwrap();
    let heads = network.heads(&tensor("image"), network.n_heads()).unwrap();
    for (i, head) in heads.iter().enumerate() {
        let expected = tensor(&format!("logits.{i}"));
        let range = (expected.max() - expected.min()).double_value(&[]);
        let difference = (head - expected).abs().max().double_value(&[]);
        assert!(range > 0.1 && difference <= TOLERANCE * range, "{name}, head {i}: {difference} of {range}");
    }
}

#[test]
fn imported_weights_compute_the_logits_of_pytorch() {
    for (name, configuration, class) in MODELS {
        check_logits(&golden(), name, configuration, class);
    }
}

#[test]
fn imported_weights_compute_the_logits_of_pytorch_on_models_made_on_the_spot() {
    let Some(python) = std::env::var_os("UNNUNET_ORACLE_PYTHON") else { return };
    let root = tempfile::tempdir().unwrap();
    let mut generate = Command::new(python);
    generate.arg(golden().join("generate.py")).arg(root.path()).arg("12").env("nnUNet_compile", "f");
    let output = generate.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, configuration, class) in MODELS {
        check_logits(root.path(), name, configuration, class);
    }
}

/// Copies a golden folder, so that it can be changed.
fn copy(root: &Path, name: &str, configuration: &str) -> PathBuf {
    let (from, to) = (model_folder(&golden(), name, configuration), model_folder(root, name, configuration));
    fs_err::create_dir_all(to.join("fold_0")).unwrap();
    for file in ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"] {
        fs_err::copy(from.join(file), to.join(file)).unwrap();
    }
    to
}

fn check_refused(change: impl FnOnce(&Path), message: &str) {
    let work = tempfile::tempdir().unwrap();
    let model = copy(work.path(), "Plain", "2d");
    change(&model);
    let results = work.path().join("results");
    let error = import(model, &results.join("run")).unwrap_err();
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    assert!(chain.contains(message), "{chain}");
    let left = fs_err::read_dir(&results).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "nothing is left behind");
}

fn edit(name: &'static str, change: impl FnOnce(&mut Value)) -> impl FnOnce(&Path) {
    move |model| {
        let mut content = serde_json::from_str(&fs_err::read_to_string(model.join(name)).unwrap()).unwrap();
        change(&mut content);
        fs_err::write(model.join(name), content.to_string()).unwrap();
    }
}

const CHECKPOINT: &str = "fold_0/checkpoint_final.pth";

/// Replaces a text of the checkpoint by one of at most the same length.
fn rewrite(from: &'static [u8], to: &'static [u8]) -> impl FnOnce(&Path) {
    move |model| {
        let bytes = fs_err::read(model.join(CHECKPOINT)).unwrap();
        let replace = |name: &str, content: &mut Vec<u8>| {
            let places = || content.windows(from.len()).enumerate().filter(|(_, window)| *window == from);
            let places: Vec<_> = places().map(|(at, _)| at).collect();
            assert!(!name.ends_with("data.pkl") || !places.is_empty());
            for at in places {
                content[at..at + to.len()].copy_from_slice(to);
            }
        };
        fs_err::write(model.join(CHECKPOINT), rewritten(&bytes, replace)).unwrap();
    }
}

/// Writes all entries anew, so that their sums are right.
fn rewritten(bytes: &[u8], change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    use std::io::{Cursor, Read as _, Write as _};
    use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).unwrap();
        let (name, size) = (entry.name().unwrap().into_owned(), entry.size());
        let mut content = Vec::new();
        entry.take(size).read_to_end(&mut content).unwrap();
        change(&name, &mut content);
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name, stored).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_checkpoint_that_asks_for_code_is_refused_by_name() {
    let refused = "the checkpoint's pickle is refused: byte";
    check_refused(rewrite(b"torch._utils\n_rebuild_tensor_v2", b"builtins\neval\n#################"), refused);
    check_refused(rewrite(b"ccollections\nOrderedDict\n", b"cos\nsystem\n(((((((((((((("), "asks for `os.system`");
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_parameter() {
    let features = |plans: &mut Value| {
        let arguments = &mut plans["configurations"]["2d"]["architecture"]["arch_kwargs"];
        arguments["features_per_stage"] = json!([2, 3, 5]);
    };
    check_refused(
        edit("plans.json", features),
        "`encoder.stages.2.0.convs.0.conv.weight` has shape [4, 3, 3, 3], the network of the plans expects [5, 3, 3, 3]",
    );
    let depth = |plans: &mut Value| {
        plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["n_conv_per_stage"] = json!([1, 1, 1]);
    };
    check_refused(edit("plans.json", depth), "no parameter `encoder.stages.1.0.convs.1.conv.weight`");
    let deeper = |plans: &mut Value| {
        plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["n_conv_per_stage"] = json!([2, 2, 1]);
    };
    check_refused(edit("plans.json", deeper), "lack the parameter `encoder.stages.0.0.convs.1.conv.weight`");
    check_refused(rewrite(b"seg_layers.0.weight", b"seg_layers.7.weight"), "`decoder.seg_layers.7.weight`");
}

#[test]
fn a_folder_that_is_incomplete_or_damaged_is_refused() {
    check_refused(|model| fs_err::remove_file(model.join("plans.json")).unwrap(), "plans.json");
    check_refused(|model| fs_err::remove_file(model.join("dataset.json")).unwrap(), "dataset.json");
    check_refused(|model| fs_err::remove_file(model.join(CHECKPOINT)).unwrap(), "holds no `fold_<f>/checkpoint_");
    check_refused(|model| fs_err::write(model.join(CHECKPOINT), b"not a zip").unwrap(), "the file is no zip file");
    let cut = |model: &Path| {
        let bytes = fs_err::read(model.join(CHECKPOINT)).unwrap();
        fs_err::write(model.join(CHECKPOINT), &bytes[..bytes.len() / 2]).unwrap();
    };
    check_refused(cut, "the zip file cannot be used");
}

#[test]
fn one_network_under_two_names_is_one_member_and_two_of_one_epoch_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let model = copy(work.path(), "Plain", "2d");
    fs_err::copy(model.join(CHECKPOINT), model.join("fold_0/checkpoint_best.pth")).unwrap();
    let record = &import(model.clone(), &work.path().join("run")).unwrap()[0];
    let epochs: Vec<_> = record.checkpoints.iter().map(|checkpoint| (&*checkpoint.name, checkpoint.epoch)).collect();
    let epoch = record.checkpoints[0].epoch;
    assert_eq!(epochs, [("best", epoch), ("final", epoch)]);
    assert_eq!(record.checkpoints[0].weights, record.checkpoints[1].weights);
    let error = import(model.clone(), &work.path().join("run")).unwrap_err();
    assert!(matches!(error, ImportError::Exists { .. }), "{error}");

    let bytes = fs_err::read(model.join("fold_0/checkpoint_best.pth")).unwrap();
    // The first storage is the first weight's.
    let flip = |name: &str, content: &mut Vec<u8>| content[0] ^= u8::from(name.ends_with("/data/0"));
    fs_err::write(model.join("fold_0/checkpoint_best.pth"), rewritten(&bytes, flip)).unwrap();
    let error = import(model, &work.path().join("other")).unwrap_err();
    assert!(matches!(error, ImportError::SameEpoch { .. }), "{error}");
}

fn program(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unnunet-train"));
    for name in ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"] {
        command.env_remove(name);
    }
    let output = command.current_dir(root).env("SOURCE_DATE_EPOCH", "0").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn open(path: &Path) -> IntactBundle {
    UnverifiedBundle::open(path, &Limits::default()).unwrap().check().unwrap()
}

fn check_exported(name: &str, configuration: &str, class: &str) {
    let work = tempfile::tempdir().unwrap();
    let model = model_folder(&golden(), name, configuration);
    program(work.path(), &["import", model.to_str().unwrap(), "--results", "results", "--name", "theirs"]);
    let export = ["export", "1", configuration, "--results", "results", "--plans", "theirs", "--id", "demo/tiny"];
    let output = program(work.path(), &[&export[..], &["--version", "1.0.0", "-o", "model.unb"]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("seeded noise, not of an image"));
    let bundle = open(&work.path().join("model.unb"));
    let text = |path: &str| String::from_utf8(bundle.read(&EntryPath::new(path).unwrap()).unwrap()).unwrap();
    let record = ImportRecord::read(
        &work.path().join(format!("results/Dataset001_Tiny/UnnunetTrainer__theirs__{configuration}")).join("fold_0"),
    );
    let record = record.unwrap();
    let pipeline = Pipeline::parse(&text("config/pipeline.json")).unwrap();
    assert_eq!(pipeline.mirror_axes, record.mirror_axes);
    let card = text("docs/model_card.md");
    for line in [
        "- Fold 0: not trained by this program. Weights of nnU-Net v2, trainer `nnUNetTrainer`",
        &format!("from `fold_0/checkpoint_final.pth`, SHA-256 `{}`", record.checkpoints[0].file),
        "| 0 | not recorded | not recorded |",
        "- The self-test holds a patch of seeded noise, not of an image.",
        class,
    ] {
        assert!(card.contains(line), "{line} is missing in\n{card}");
    }
    let operators: Vec<_> = bundle.manifest().onnx.operators.iter().map(ToString::to_string).collect();
    assert_eq!(operators.contains(&"Add".to_owned()), class == "ResidualEncoderUNet");
    assert!(text("sbom/model.cdx.json").contains(&format!("\"modelArchitecture\": \"{class}\"")));
    check_provenance(&text("provenance/slsa.json"), &model, &record);
}

/// Checks that the statement names nnU-Net's files by their digests.
fn check_provenance(statement: &str, model: &Path, record: &ImportRecord) {
    let statement: Value = serde_json::from_str(statement).unwrap();
    let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let checkpoint = format!("fold_0/checkpoint_{}.safetensors", record.checkpoints[0].epoch);
    let names: Vec<_> = dependencies.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plans.json", "dataset.json", &checkpoint, "fold_0/checkpoint_final.pth"]);
    let original = Digest::of(&fs_err::read(model.join("fold_0/checkpoint_final.pth")).unwrap());
    assert_eq!(dependencies[3]["digest"]["sha256"], original.to_string());
}

#[test]
fn an_imported_run_becomes_a_bundle_that_says_where_its_weights_come_from() {
    for (name, configuration, class) in MODELS {
        check_exported(name, configuration, class);
    }
}
