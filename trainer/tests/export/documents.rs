//! The documents of a bundle in the words of others: `CycloneDX`, in-toto, SLSA.

use bundle_format::{BundleContents as _, Digest, EntryPath, IntactBundle, Role};
use jsonschema::{Registry, Validator};
use nnunet::fold::Fold;
use serde_json::{Value, json};
use trainer::export::Request;

use super::{Training, open};

/// The schema that ours must keep, and the two that it refers to.
const BOM: &str = include_str!("../golden/cyclonedx/bom-1.6.schema.json");
const OTHERS: [&str; 2] =
    [include_str!("../golden/cyclonedx/spdx.schema.json"), include_str!("../golden/cyclonedx/jsf-0.82.schema.json")];

/// The exported bundle of a small training.
fn exported(training: &Training, change: impl FnOnce(&mut Request)) -> IntactBundle {
    training.export(change).unwrap();
    open(&training.path("out/model.unb"))
}

fn document(bundle: &IntactBundle, path: &str) -> Value {
    serde_json::from_slice(&bundle.read(&EntryPath::new(path).unwrap()).unwrap()).unwrap()
}

/// Calls `check` with what `CycloneDX` 1.6 asks of a bill of materials.
fn with_schema(check: impl FnOnce(&Validator)) {
    let others = OTHERS.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut registry = Registry::new();
    for schema in &others {
        registry = registry.add(schema["$id"].as_str().unwrap(), schema).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let schema = serde_json::from_str(BOM).unwrap();
    check(&jsonschema::options().with_registry(&registry).should_validate_formats(true).build(&schema).unwrap());
}

#[test]
fn the_bill_of_materials_keeps_the_schema_of_cyclonedx() {
    let bundle = exported(&Training::new("2d"), |_| ());
    let bill = document(&bundle, "sbom/model.cdx.json");
    assert_eq!((&bill["specVersion"], &bill["bomFormat"]), (&json!("1.6"), &json!("CycloneDX")));
    with_schema(|schema| {
        let breaches: Vec<_> =
            schema.iter_errors(&bill).map(|breach| format!("{}: {breach}", breach.instance_path())).collect();
        assert!(breaches.is_empty(), "{}\n{bill:#}", breaches.join("\n"));
    });
}

#[test]
fn the_schema_of_cyclonedx_refuses_what_is_wrong() {
    let bundle = exported(&Training::new("2d"), |_| ());
    let bill = document(&bundle, "sbom/model.cdx.json");
    let wrong = [
        ("/bomFormat", json!("SPDX")),
        ("/specVersion", json!(1.6)),
        ("/version", json!(0)),
        ("/metadata/timestamp", json!("yesterday")),
        ("/metadata/component/type", json!("network")),
        ("/components/0/hashes/0/alg", json!("CRC-32")),
        ("/components/0/hashes/0/content", json!("a digest")),
        ("/components/0/modelCard/modelParameters/approach/type", json!("magic")),
        ("/components/0/modelCard/modelParameters/datasets/0", json!({ "reference": "data:x" })),
        ("/components/0/licenses", json!([{ "license": { "id": "no license of SPDX" } }])),
        ("/dependencies/0/dependsOn", json!("fold_0")),
        ("/unknown", json!(true)),
    ];
    with_schema(|schema| {
        for (place, value) in wrong {
            let mut lie = bill.clone();
            let (parent, key) = place.rsplit_once('/').unwrap();
            let parent = lie.pointer_mut(parent).unwrap();
            match key.parse::<usize>() {
                Ok(index) => parent[index] = value,
                Err(_) => parent[key] = value,
            }
            let message = schema.validate(&lie).expect_err(place).to_string();
            assert!(!message.is_empty(), "{place}");
        }
    });
}

/// Name and digest of every resource in a list of in-toto.
fn resources(list: &Value) -> Vec<(String, Digest)> {
    let digest = |resource: &Value| resource["digest"]["sha256"].as_str().unwrap().parse().unwrap();
    let resources = list.as_array().unwrap().iter();
    resources.map(|resource| (resource["name"].as_str().unwrap().to_owned(), digest(resource))).collect()
}

#[test]
fn provenance_names_what_was_made_of_what_by_its_digests() {
    let training = Training::new("2d");
    let bundle = exported(&training, |request| request.folds = vec![Fold(1)]);
    let statement = document(&bundle, "provenance/slsa.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");

    let subjects = resources(&statement["subject"]);
    let networks: Vec<_> = bundle.manifest().files().iter().filter(|file| file.role == Role::Onnx).collect();
    let names: Vec<_> = networks.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(names, ["models/fold_1/checkpoint_19.onnx", "models/fold_1/checkpoint_9.onnx"]);
    for file in networks {
        assert!(subjects.contains(&(file.path.to_string(), file.sha256)), "{}: {subjects:?}", file.path);
    }
    assert_eq!(subjects.len(), 2);

    let definition = &statement["predicate"]["buildDefinition"];
    let made_of = resources(&definition["resolvedDependencies"]);
    let found: Vec<_> = made_of.iter().map(|(name, _)| name.as_str()).collect();
    let (plans, dataset, fingerprint) = ("plans.json", "dataset.json", "dataset_fingerprint.json");
    let checkpoints = ["fold_1/checkpoint_9.safetensors", "fold_1/checkpoint_19.safetensors"];
    assert_eq!(found, [plans, dataset, fingerprint, checkpoints[0], checkpoints[1]]);
    for (name, digest) in &made_of {
        let folder = if name == fingerprint { "data" } else { "run" };
        let content = fs_err::read(training.path(&format!("{folder}/{name}"))).unwrap();
        assert_eq!(Digest::of(&content), *digest, "{name}");
    }
    for (copy, name) in [("config/plans.json", plans), ("config/dataset.json", dataset)] {
        let file = bundle.manifest().file(&EntryPath::new(copy).unwrap()).unwrap();
        assert!(made_of.contains(&(name.to_owned(), file.sha256)), "{copy}");
    }
    assert_eq!(definition["internalParameters"]["members"]["models/fold_1/checkpoint_9.onnx"], checkpoints[0]);
}

#[test]
fn provenance_says_who_exported_what_when_and_how() {
    let training = Training::new("2d");
    let bundle = exported(&training, |request| request.max_members = std::num::NonZeroUsize::new(1));
    let provenance = bundle.manifest().documents.provenance.clone().unwrap();
    assert_eq!(bundle.manifest().file(&provenance).unwrap().role, Role::Provenance);
    let predicate = &document(&bundle, provenance.as_str())["predicate"];
    let definition = &predicate["buildDefinition"];
    assert_eq!(definition["buildType"], "urn:unnunet:export:1");
    let license = bundle.manifest().file(&bundle.manifest().documents.license).unwrap();
    let expected = json!({
        "dataset": "Dataset004_Hippocampus", "plans": "nnUNetPlans", "configuration": "2d", "folds": [0, 1],
        "max_members_per_fold": 1, "weights": "f32",
        "id": "demo/test", "version": "1.2.3", "security_version": 4, "channel": "dev", "title": "A test",
        "license_sha256": license.sha256.to_string(),
    });
    assert_eq!(definition["externalParameters"], expected);
    let details = &predicate["runDetails"];
    assert_eq!(details["builder"]["id"], "urn:unnunet:unnunet-train");
    assert_eq!(details["builder"]["version"]["unnunet-train"], env!("CARGO_PKG_VERSION"));
    assert_eq!(details["metadata"], json!({ "startedOn": bundle.manifest().created.as_str() }));
}

#[test]
fn provenance_is_the_same_for_the_same_export_wherever_it_lies() {
    let statements = [Training::new("2d"), Training::new("2d")].map(|training| {
        let bundle = exported(&training, |_| ());
        bundle.read(&EntryPath::new("provenance/slsa.json").unwrap()).unwrap()
    });
    assert_eq!(statements[0], statements[1]);
    let text = String::from_utf8(statements[0].clone()).unwrap();
    assert!(!text.contains(std::env::temp_dir().to_str().unwrap()), "a path of this machine is in\n{text}");
}
