//! The bill of materials of a bundle: an ML-BOM of `CycloneDX` 1.6.
//!
//! One component per member with the digest of its ONNX file, the data set they were trained on, and the tool that
//! wrote them. `serialNumber` is left out: it would have to be random, and the bundle has a digest.

use serde_json::{Value, json};

use super::source::Source;
use super::{Exported, Identity};

/// The content of `sbom/model.cdx.json`.
pub(super) fn bill_of_materials(identity: &Identity, source: &Source, members: &[Exported]) -> Vec<u8> {
    let dataset = source.plans.dataset_name.as_str();
    let components = members.iter().map(|exported| component(identity, source, exported));
    let data = json!({ "type": "data", "bom-ref": reference(dataset), "name": dataset });
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": identity.created.as_str(),
            "tools": { "components": [{
                "type": "application", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "machine-learning-model",
                "bom-ref": identity.id.as_str(),
                "name": identity.id.as_str(),
                "version": identity.version.as_str(),
                "description": identity.title.as_str(),
            },
        },
        "components": components.chain([data]).collect::<Vec<_>>(),
        "dependencies": [{
            "ref": identity.id.as_str(),
            "dependsOn": members.iter().map(|exported| exported.member.to_string()).collect::<Vec<_>>(),
        }],
    });
    let mut text = format!("{bill:#}").into_bytes();
    text.push(b'\n');
    text
}

fn component(identity: &Identity, source: &Source, exported: &Exported) -> Value {
    let id = exported.member.to_string();
    json!({
        "type": "machine-learning-model",
        "bom-ref": id,
        "name": id,
        "version": identity.version.as_str(),
        "hashes": [{ "alg": "SHA-256", "content": exported.onnx_sha256.to_string() }],
        "modelCard": { "modelParameters": {
            "approach": { "type": "supervised" },
            "task": "image segmentation",
            "architectureFamily": "convolutional neural network",
            "modelArchitecture": source.network.class_name(),
            "datasets": [{ "ref": reference(&source.plans.dataset_name) }],
        } },
    })
}

fn reference(dataset: &str) -> String {
    format!("data:{dataset}")
}
