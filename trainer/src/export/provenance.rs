//! The provenance of a bundle: an in-toto Statement v1 with a predicate of SLSA Provenance v1.
//!
//! Says which networks were made (subject), of which checkpoints, plans and data set (resolved dependencies), at whose
//! wish (external parameters) and by what (builder). Digests are those of the files as they lie in the bundle and in the
//! folder of the training, so that whoever has both can compare. The end of the export is left out: only the date that
//! the bundle is given enters, else no two exports would be equal.

use bundle_format::Digest;
use nnunet::fold::{Fold, Member};
use serde_json::{Value, json};

use super::source::Source;
use super::{Exported, Identity, Request};
use crate::import::FINGERPRINT;
use crate::run_folder::Run;
use crate::weights::WeightFormat;

/// What the parameters below mean; another meaning gets another number.
const BUILD_TYPE: &str = "urn:unnunet:export:1";
/// Who ran the export: this program, wherever it was started.
const BUILDER: &str = "urn:unnunet:unnunet-train";

/// The content of `provenance/slsa.json`.
pub(super) fn statement(request: &Request, source: &Source, members: &[Exported]) -> Vec<u8> {
    let subject: Vec<_> =
        members.iter().map(|exported| resource(exported.model.as_str(), exported.onnx_sha256)).collect();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters(request, source),
                "internalParameters": { "members": made_of(members) },
                "resolvedDependencies": dependencies(source, members),
            },
            "runDetails": run_details(&request.identity),
        },
    });
    let mut text = format!("{statement:#}").into_bytes();
    text.push(b'\n');
    text
}

/// What the person who exported chose.
fn parameters(request: &Request, source: &Source) -> Value {
    let identity = &request.identity;
    let folds: Vec<_> = source.runs.keys().map(|Fold(fold)| fold).collect();
    json!({
        "dataset": source.plans.dataset_name,
        "plans": source.plans.plans_name,
        "configuration": source.name.0,
        "folds": folds,
        "max_members_per_fold": request.max_members,
        "weights": match request.weights {
            WeightFormat::F32 => "f32",
            WeightFormat::F16 => "f16",
        },
        "id": identity.id.as_str(),
        "version": identity.version.as_str(),
        "security_version": identity.security_version,
        "channel": identity.channel.to_string(),
        "title": identity.title.as_str(),
        "license_sha256": Digest::of(identity.license.as_bytes()).to_string(),
    })
}

/// Which checkpoint became which network.
fn made_of(members: &[Exported]) -> Value {
    members.iter().map(|exported| (exported.model.to_string(), json!(checkpoint(exported)))).collect()
}

/// What was read, as names in the folder of the training or, of the fingerprint, of the preprocessed data set; of imported
/// members also nnU-Net's files that they came from, as names in its model folder.
fn dependencies(source: &Source, members: &[Exported]) -> Value {
    let files = [("plans.json", source.plans_sha256), ("dataset.json", source.dataset_json_sha256)];
    let fingerprint = source.fingerprint_sha256.map(|digest| (FINGERPRINT, digest));
    let files = files.into_iter().chain(fingerprint).map(|(name, digest)| resource(name, digest));
    let weights = members.iter().map(|exported| resource(&checkpoint(exported), exported.record.weights));
    files.chain(weights).chain(members.iter().flat_map(|exported| origins(source, exported.member))).collect()
}

/// nnU-Net's files of an imported member.
fn origins(source: &Source, Member { fold, epoch }: Member) -> impl Iterator<Item = Value> {
    let checkpoints = match source.runs.get(&fold) {
        Some(Run::Imported(import)) => import.checkpoints.as_slice(),
        Some(Run::Trained(..)) | None => &[],
    };
    let of_member = checkpoints.iter().filter(move |checkpoint| checkpoint.epoch == epoch);
    of_member.map(move |origin| resource(&format!("{fold}/checkpoint_{}.pth", origin.name), origin.file))
}

fn run_details(identity: &Identity) -> Value {
    json!({
        "builder": {
            "id": BUILDER,
            "version": {
                "unnunet-train": env!("CARGO_PKG_VERSION"),
                "source_revision": identity.source_revision.as_str(),
            },
        },
        "metadata": { "startedOn": identity.created.as_str() },
    })
}

/// The file of a member's weights.
fn checkpoint(exported: &Exported) -> String {
    format!("{}.safetensors", exported.member)
}

/// What in-toto calls a resource descriptor.
fn resource(name: &str, digest: Digest) -> Value {
    json!({ "name": name, "digest": { "sha256": digest.to_string() } })
}
