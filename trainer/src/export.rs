//! From the checkpoints of a training to one unsigned bundle.
//!
//! Members are written one at a time: weights are checked, become an ONNX file in a staging folder beside the output,
//! and run the probe case in libtorch; then they are dropped, so that memory does not depend on their number. The
//! bundle appears by rename when everything has succeeded. Same checkpoints, same request, same bytes.

mod card;
mod draft;
mod envelope;
mod error;
mod findings;
mod measurement;
mod provenance;
mod sbom;
mod source;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bundle_format::{BundleBuilder, BundleId, Channel, Digest, EntryPath, Role, SemanticVersion, Text, Timestamp};
use nnunet::fold::{Fold, Member};
use nnunet::plans::ConfigurationName;
use tch::Device;

pub use error::ExportError;
pub use findings::Uncalibrated;
pub use measurement::Measurement;

use crate::checkpoint::CheckpointRecord;
use crate::network::Network;
use crate::onnx;
use crate::probe::{Origin, Probe};
use crate::run_folder;
use crate::weights::{WeightFormat, Weights};
use envelope::Envelope;
use findings::Findings;
use measurement::Measured;
use source::Source;

/// The program that made a bundle, as provenance names it.
const TRAINER: &str = concat!("unnunet-train ", env!("CARGO_PKG_VERSION"));

/// What to export.
#[derive(Debug, Clone)]
pub struct Request {
    /// Folder of the preprocessed data set, which holds `dataset_fingerprint.json` and the cases; an imported run can
    /// do without.
    pub dataset_folder: Option<PathBuf>,
    /// Folder of the training, which holds `plans.json`, `dataset.json` and `fold_<f>/`.
    pub run_folder: PathBuf,
    /// The configuration that was trained.
    pub configuration: ConfigurationName,
    /// The folds to export; empty for every one that was trained.
    pub folds: Vec<Fold>,
    /// Most members of each fold; `None` for all.
    pub max_members: Option<NonZeroUsize>,
    /// How weights are stored.
    pub weights: WeightFormat,
    /// Whether the model card says what was measured, by which no two bundles are the same.
    pub measurement: Measurement,
    /// How the bundle presents itself.
    pub identity: Identity,
    /// The file to write.
    pub output: PathBuf,
}

/// How a bundle presents itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Which model this is.
    pub id: BundleId,
    /// Version for people.
    pub version: SemanticVersion,
    /// Version that devices compare with their floor.
    pub security_version: u32,
    /// One line for people.
    pub title: Text,
    /// Who it is meant for.
    pub channel: Channel,
    /// When it was made.
    pub created: Timestamp,
    /// Revision of the source code.
    pub source_revision: Text,
    /// Terms of use.
    pub license: String,
}

/// A step of the export, for whoever shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The members are known.
    Start {
        /// How many there are.
        n_members: usize,
        /// What the probe case is.
        probe: &'a Origin,
    },
    /// A member is written.
    Member {
        /// Which one.
        member: Member,
    },
    /// All members are written; the bundle is being packed.
    Packing,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Identity of the bundle.
    pub manifest_sha256: Digest,
    /// The members, fold by fold, epoch by epoch.
    pub members: Vec<Member>,
    /// What the probe case is.
    pub probe: Origin,
    /// Why no case will get an expected Dice and a decision; `None` if every case will.
    pub uncalibrated: Option<Uncalibrated>,
}

/// A member that has been written.
#[derive(Debug)]
struct Exported {
    member: Member,
    record: CheckpointRecord,
    model: EntryPath,
    staged: PathBuf,
    onnx_sha256: Digest,
    n_bytes: usize,
}

/// Writes the bundle and returns its identity.
///
/// # Errors
///
/// [`ExportError`] naming the file, the member or the parameter at fault. Nothing is left behind then.
pub fn export(request: &Request, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Summary, ExportError> {
    let source = Source::read(request)?;
    let members = run_folder::members(&request.run_folder, &source.runs, request.max_members)?;
    let (origin, image) = source.probe_case(request, members[0].fold)?;
    let patch = &source.configuration.patch_size;
    let mut probe = Probe::new(&image.view(), patch, source.network.n_outputs);
    drop(image);
    progress(Progress::Start { n_members: members.len(), probe: &origin });

    let staging = staging_folder(&request.output)?;
    let mut exported = Vec::with_capacity(members.len());
    let mut measured = None;
    for &member in &members {
        let (record, weights) = run_folder::load(&request.run_folder, member)?;
        let rounded = weights.check(&source.network).and_then(|()| weights.rounded(request.weights));
        let weights = rounded.map_err(|source| ExportError::Weights { member, source })?;
        let network = Network::new(&source.network, &weights, Device::Cpu)?;
        if request.measurement == Measurement::Take && measured.is_none() {
            measured = Some(Measured::take(&probe, &network)?);
        }
        probe.run(&member.to_string(), &network)?;
        exported.push(export_member(record, (&weights, request.weights), &source, staging.path())?);
        progress(Progress::Member { member });
    }
    progress(Progress::Packing);
    let findings = Findings::read(&request.run_folder, &source.labels, &exported)?;
    let needs = (Envelope::new(&source, &exported), measured);
    let manifest_sha256 = pack(request, &source, (probe, &origin), (&exported, &findings, needs))?;
    Ok(Summary { manifest_sha256, members, probe: origin, uncalibrated: findings.calibration.err() })
}

fn export_member(
    record: CheckpointRecord,
    (weights, format): (&Weights, WeightFormat),
    source: &Source,
    staging: &Path,
) -> Result<Exported, ExportError> {
    let member = Member { fold: record.fold, epoch: record.epoch };
    let onnx = onnx::export(&source.network, weights, &source.configuration.patch_size, format)
        .map_err(|source| ExportError::Onnx { member, source })?;
    let model = EntryPath::new(format!("models/{member}.onnx"))?;
    let staged = staging.join(format!("{}.onnx", member.to_string().replace('/', "-")));
    fs_err::write(&staged, &onnx).map_err(|source| ExportError::Stage { source })?;
    Ok(Exported { member, record, model, staged, onnx_sha256: Digest::of(&onnx), n_bytes: onnx.len() })
}

fn pack(
    request: &Request,
    source: &Source,
    (probe, origin): (Probe, &Origin),
    (members, findings, needs): (&[Exported], &Findings, (Envelope, Option<Measured>)),
) -> Result<Digest, ExportError> {
    let identity = &request.identity;
    let draft = draft::draft(request, source, members, (&findings.steps, needs.0))?;
    let mut builder = BundleBuilder::new(draft);
    for exported in members {
        builder.add_file(exported.model.clone(), Role::Onnx, exported.staged.clone())?;
    }
    let pipeline = source.pipeline(probe.stride(), findings.temperature);
    let (input, expected) = probe.into_files()?;
    for (path, role, content) in [
        (draft::PLANS, Role::Config, source.plans_text.clone().into_bytes()),
        (draft::DATASET, Role::Config, source.dataset_text.clone().into_bytes()),
        (draft::PIPELINE, Role::Config, pipeline),
        (
            draft::MODEL_CARD,
            Role::Document,
            card::model_card(request, source, (members, findings), (origin, needs)).into_bytes(),
        ),
        (draft::LICENSE, Role::Document, identity.license.clone().into_bytes()),
        (draft::SBOM, Role::Sbom, sbom::bill_of_materials(identity, source, members)),
        (draft::PROVENANCE, Role::Provenance, provenance::statement(request, source, members)),
        (draft::INPUT, Role::Selftest, input),
        (draft::EXPECTED, Role::Selftest, expected),
    ] {
        builder.add_bytes(EntryPath::new(path)?, role, content)?;
    }
    if let Ok(calibration) = &findings.calibration {
        let text = serde_json::to_vec_pretty(calibration).expect("a calibration is plain data");
        builder.add_bytes(EntryPath::new(draft::CALIBRATION)?, Role::Config, text)?;
    }
    if let Some(text) = &findings.postprocessing {
        builder.add_bytes(EntryPath::new(draft::POSTPROCESSING)?, Role::Config, text.clone().into_bytes())?;
    }
    Ok(builder.write(&request.output)?)
}

/// A folder beside the output, so that the members lie on the file system that must hold the bundle anyway.
fn staging_folder(output: &Path) -> Result<tempfile::TempDir, ExportError> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".unnunet-export-")
        .tempdir_in(parent)
        .map_err(|source| ExportError::Staging { path: parent.to_owned(), source })
}
