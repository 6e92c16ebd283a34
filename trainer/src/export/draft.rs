//! The manifest of an export, before its files are known.

use bundle_format::{
    Arch, Documents, EntryPath, ExecutionProvider, ManifestDraft, MemberId, OnnxProfile, Provenance, Requirements,
    SelfTest, Text, Token,
};
use nnunet::postprocessing::Postprocessing;

use super::envelope::Envelope;
use super::source::Source;
use super::{ExportError, Exported, Identity, Request, TRAINER};
use crate::onnx;

/// nnU-Net's plans.
pub(super) const PLANS: &str = "config/plans.json";
/// nnU-Net's description of the data set.
pub(super) const DATASET: &str = "config/dataset.json";
/// What the runtime must know besides.
pub(super) const PIPELINE: &str = "config/pipeline.json";
/// From scores to expected Dice.
pub(super) const CALIBRATION: &str = "config/calibration.json";
/// What is done to segmentations, in nnU-Net's words.
pub(super) const POSTPROCESSING: &str = "config/postprocessing.json";
/// What a runtime must be able to do if there are such steps.
const POSTPROCESSING_FEATURE: &str = "postprocessing";
/// What the networks are.
pub(super) const MODEL_CARD: &str = "docs/model_card.md";
/// Terms of use.
pub(super) const LICENSE: &str = "docs/license.txt";
/// Bill of materials.
pub(super) const SBOM: &str = "sbom/model.cdx.json";
/// Of what the networks were made.
pub(super) const PROVENANCE: &str = "provenance/slsa.json";
/// The probe patch.
pub(super) const INPUT: &str = "selftest/input.bin";
/// Its logits.
pub(super) const EXPECTED: &str = "selftest/expected.bin";

/// Allowed difference of a logit in millionths of the logits' range; kernels that sum in another order differ by a few.
const MAX_ABS_MICRO: u32 = 100;
/// Smallest Dice of the labels made of the probe's logits, in thousandths.
const MIN_DICE_MILLI: u32 = 999;
/// Every member counts alike.
const WEIGHT_MILLI: u32 = 1000;

/// Puts the manifest together.
pub(super) fn draft(
    request: &Request,
    source: &Source,
    members: &[Exported],
    (steps, envelope): (&Postprocessing, Envelope),
) -> Result<ManifestDraft, ExportError> {
    let identity = &request.identity;
    Ok(ManifestDraft {
        channel: identity.channel,
        created: identity.created.clone(),
        documents: Documents {
            license: EntryPath::new(LICENSE)?,
            model_card: EntryPath::new(MODEL_CARD)?,
            provenance: Some(EntryPath::new(PROVENANCE)?),
            release_notes: None,
            sbom: EntryPath::new(SBOM)?,
        },
        id: identity.id.clone(),
        members: members.iter().map(member).collect::<Result<_, _>>()?,
        min_security_version: 0,
        onnx: OnnxProfile {
            ir_version: onnx::IR_VERSION,
            operators: onnx::operators(&source.network, &source.configuration.patch_size, request.weights)
                .into_iter()
                .map(Token::new)
                .collect::<Result<_, _>>()?,
            opset: onnx::OPSET,
        },
        pipeline: EntryPath::new(PIPELINE)?,
        provenance: provenance(identity, source, members)?,
        requires: requirements(steps, envelope)?,
        security_version: identity.security_version,
        selftest: SelfTest {
            expected: EntryPath::new(EXPECTED)?,
            input: EntryPath::new(INPUT)?,
            max_abs_micro: MAX_ABS_MICRO,
            min_dice_milli: MIN_DICE_MILLI,
        },
        supersedes: Vec::new(),
        title: identity.title.clone(),
        version: identity.version.clone(),
    })
}

fn member(exported: &Exported) -> Result<bundle_format::Member, ExportError> {
    Ok(bundle_format::Member {
        cycle: Some(exported.record.cycle),
        epoch: Some(exported.member.epoch),
        external: Vec::new(),
        fold: Some(exported.member.fold.0.into()),
        id: MemberId::new(exported.member.to_string())?,
        model: exported.model.clone(),
        weight_milli: WEIGHT_MILLI,
    })
}

fn provenance(identity: &Identity, source: &Source, members: &[Exported]) -> Result<Provenance, ExportError> {
    Ok(Provenance {
        checkpoints_sha256: members.iter().map(|exported| exported.record.weights).collect(),
        dataset_sha256: source.dataset_sha256,
        plan_sha256: source.plans_sha256,
        source_revision: identity.source_revision.clone(),
        trainer: Text::new(TRAINER)?,
    })
}

fn requirements(steps: &Postprocessing, envelope: Envelope) -> Result<Requirements, ExportError> {
    let range = |text: &str| text.parse().map_err(|source| ExportError::Range { source });
    let features = if steps.is_empty() { vec![] } else { vec![Token::new(POSTPROCESSING_FEATURE)?] };
    Ok(Requirements {
        arch: vec![Arch::Aarch64, Arch::X86_64],
        compatible: vec![Token::new("generic")?],
        device_memory_mib: 0,
        execution_providers: vec![ExecutionProvider::Cpu, ExecutionProvider::Openvino],
        features,
        memory_mib: envelope.memory_mib(),
        onnxruntime: range(">=1.17, <2")?,
        runtime: range(">=0.1, <2")?,
    })
}
