//! What a writer says about a bundle before its files are known.

use serde::{Deserialize, Serialize};

use super::value::{BundleId, MemberId, SemanticVersion, Text, Timestamp, Token};
use super::vocabulary::{Channel, Role};
use super::{ManifestError, Requirements};
use crate::digest::Digest;
use crate::entry_path::EntryPath;

const MAX_MEMBERS: usize = 512;
const MAX_SUPERSEDES: usize = 16;
const MAX_EXTERNAL: usize = 16;

/// Every field of the manifest but `format` and `files`.
///
/// The lists may be in any order; [`super::Manifest::new`] sorts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDraft {
    /// Who the bundle is meant for.
    pub channel: Channel,
    /// When it was made; from `SOURCE_DATE_EPOCH`, never from a clock in release mode.
    pub created: Timestamp,
    /// Documents that every bundle carries.
    pub documents: Documents,
    /// Which model this is, in all its versions.
    pub id: BundleId,
    /// The networks of the ensemble.
    pub members: Vec<Member>,
    /// Floor of `security_version` that a device adopts after this bundle has proved itself.
    pub min_security_version: u32,
    /// What the networks are made of.
    pub onnx: OnnxProfile,
    /// The pipeline file: what happens before and after the networks.
    pub pipeline: EntryPath,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// What the device must offer.
    pub requires: Requirements,
    /// Number that a device compares with its floor; at least 1.
    pub security_version: u32,
    /// The probe case and its tolerances.
    pub selftest: SelfTest,
    /// Manifest digests of the bundles that this one replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Digest>,
    /// One line for people.
    pub title: Text,
    /// Version for people; devices compare `security_version`.
    pub version: SemanticVersion,
}

/// Paths of the documents; all have the role `document` unless noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// Terms of use.
    pub license: EntryPath,
    /// Intended use, training data, figures reached.
    pub model_card: EntryPath,
    /// Statement of how the bundle was made; role `provenance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<EntryPath>,
    /// What changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_notes: Option<EntryPath>,
    /// Bill of materials; role `sbom`.
    pub sbom: EntryPath,
}

/// One network of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Cycle of the learning rate that the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<u32>,
    /// Epoch that the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Tensors kept outside the model file; they lie in its folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<EntryPath>,
    /// Fold that the network was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
    /// Name of the member, unique in the bundle.
    pub id: MemberId,
    /// The ONNX file.
    pub model: EntryPath,
    /// Weight in the ensemble, in thousandths.
    pub weight_milli: u32,
}

/// What the networks are made of; the runtime checks it against what it allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxProfile {
    /// `ir_version` of every model file.
    pub ir_version: u32,
    /// Exactly the operators used.
    pub operators: Vec<Token>,
    /// Version of the operator set `ai.onnx`.
    pub opset: u32,
}

/// The probe case: an input and what libtorch made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// The expected logits.
    pub expected: EntryPath,
    /// The input patch.
    pub input: EntryPath,
    /// Largest allowed difference of a logit, in millionths of the logits' range.
    pub max_abs_micro: u32,
    /// Smallest allowed Dice of the labels, in thousandths.
    pub min_dice_milli: u32,
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Digests of the checkpoints, in any order that means something to the trainer.
    pub checkpoints_sha256: Vec<Digest>,
    /// Digest of the data set's description.
    pub dataset_sha256: Digest,
    /// Digest of the plans.
    pub plan_sha256: Digest,
    /// Revision of the source code.
    pub source_revision: Text,
    /// The program that trained, with its version.
    pub trainer: Text,
}

impl ManifestDraft {
    /// The same draft with every ordered list in its order.
    pub(super) fn sorted(mut self) -> Self {
        self.members.sort_by(|a, b| a.id.cmp(&b.id));
        for member in &mut self.members {
            member.external.sort();
        }
        self.onnx.operators.sort();
        self.supersedes.sort();
        self.requires.sort();
        self
    }

    /// Checks ranges and orders; references need the files.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        in_range("security_version", self.security_version >= 1)?;
        in_range("members", (1..=MAX_MEMBERS).contains(&self.members.len()))?;
        in_range("supersedes", self.supersedes.len() <= MAX_SUPERSEDES)?;
        in_range("min_dice_milli", self.selftest.min_dice_milli <= 1000)?;
        in_range("ir_version", self.onnx.ir_version >= 1)?;
        in_range("opset", self.onnx.opset >= 1)?;
        let external = self.members.iter().all(|m| m.external.len() <= MAX_EXTERNAL);
        in_range("external", external)?;

        in_order("members", self.members.is_sorted_by(|a, b| a.id < b.id))?;
        in_order("supersedes", is_strictly_sorted(&self.supersedes))?;
        in_order("operators", is_strictly_sorted(&self.onnx.operators))?;
        let external = self.members.iter().all(|m| is_strictly_sorted(&m.external));
        in_order("external", external)?;
        self.requires.check_form()
    }

    /// Every path with its field and the role it must have.
    pub(super) fn references(&self) -> Vec<(&'static str, &EntryPath, Role)> {
        let documents = &self.documents;
        let mut references = vec![
            ("pipeline", &self.pipeline, Role::Config),
            ("selftest.input", &self.selftest.input, Role::Selftest),
            ("selftest.expected", &self.selftest.expected, Role::Selftest),
            ("documents.model_card", &documents.model_card, Role::Document),
            ("documents.license", &documents.license, Role::Document),
            ("documents.sbom", &documents.sbom, Role::Sbom),
        ];
        let notes = documents.release_notes.iter();
        references.extend(notes.map(|path| ("documents.release_notes", path, Role::Document)));
        let provenance = documents.provenance.iter();
        references.extend(provenance.map(|path| ("documents.provenance", path, Role::Provenance)));
        for member in &self.members {
            references.push(("members.model", &member.model, Role::Onnx));
            let external = member.external.iter();
            references.extend(external.map(|path| ("members.external", path, Role::OnnxData)));
        }
        references
    }
}

pub(super) fn in_range(field: &'static str, holds: bool) -> Result<(), ManifestError> {
    if holds { Ok(()) } else { Err(ManifestError::Range { field }) }
}

pub(super) fn in_order(field: &'static str, holds: bool) -> Result<(), ManifestError> {
    if holds { Ok(()) } else { Err(ManifestError::Order { field }) }
}

pub(super) fn is_strictly_sorted<T: Ord>(items: &[T]) -> bool {
    items.is_sorted_by(|a, b| a < b)
}
