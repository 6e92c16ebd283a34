//! What an export reads: plans, data set, splits and one preprocessed case.

use std::collections::BTreeMap;
use std::path::Path;

use bundle_format::Digest;
use ndarray::Array4;
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::Fold;
use nnunet::pipeline::Pipeline;
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;

use super::{ExportError, Request, checkpoints};
use crate::limits::EarlyEnd;
use crate::raw_dataset::read_text;
use crate::run_record::RunRecord;
use crate::store::Store;

/// Everything about a training but its weights.
#[derive(Debug)]
pub(super) struct Source {
    /// `plans.json` as it is.
    pub(super) plans_text: String,
    /// Its digest.
    pub(super) plans_sha256: Digest,
    /// `dataset.json` as it is.
    pub(super) dataset_text: String,
    /// Digest over `dataset.json` and `dataset_fingerprint.json`.
    pub(super) dataset_sha256: Digest,
    /// The plans.
    pub(super) plans: Plans,
    /// Name of the configuration.
    pub(super) name: ConfigurationName,
    /// The configuration, complete.
    pub(super) configuration: Configuration,
    /// Names of the channels.
    pub(super) channels: Vec<String>,
    /// Structures and outputs.
    pub(super) labels: LabelSet,
    /// The network.
    pub(super) network: UNet,
    /// Settings of each fold's training.
    pub(super) runs: BTreeMap<Fold, RunRecord>,
    /// The folds whose training ended by patience.
    pub(super) early_ends: BTreeMap<Fold, EarlyEnd>,
}

impl Source {
    /// Reads and checks everything.
    pub(super) fn read(request: &Request) -> Result<Self, ExportError> {
        let plans_path = request.run_folder.join("plans.json");
        let plans_text = read_text(&plans_path)?;
        let name = request.configuration.clone();
        let refuse = |source| ExportError::Plans { path: plans_path.clone(), source };
        let plans = Plans::parse(&plans_text).map_err(refuse)?;
        let configuration = plans.configuration(&name).map_err(refuse)?;
        let dataset_path = request.run_folder.join("dataset.json");
        let dataset_text = read_text(&dataset_path)?;
        let refuse = |source| ExportError::Dataset { path: dataset_path.clone(), source };
        let dataset = DatasetJson::parse(&dataset_text).map_err(refuse)?;
        let (channels, labels) = (dataset.channels().map_err(refuse)?, dataset.structures().map_err(refuse)?);
        let network = UNet::new(&configuration, channels.len(), labels.n_outputs())?;
        let fingerprint = read_text(&request.dataset_folder.join("dataset_fingerprint.json"))?;
        let runs = checkpoints::runs(&request.run_folder, &request.folds)?;
        let expected = RunRecord::digest(&plans).map_err(|source| ExportError::PlansDigest { source })?;
        if let Some((&fold, _)) = runs.iter().find(|(_, run)| run.plans != expected || run.configuration != name) {
            return Err(ExportError::OtherPlans { fold, path: plans_path });
        }
        Ok(Self {
            plans_sha256: Digest::of(plans_text.as_bytes()),
            dataset_sha256: dataset_digest(&dataset_text, &fingerprint),
            name,
            plans_text,
            dataset_text,
            plans,
            configuration,
            channels,
            labels,
            network,
            early_ends: checkpoints::early_ends(&request.run_folder, &runs)?,
            runs,
        })
    }

    /// `config/pipeline.json`.
    pub(super) fn pipeline(&self, probe_stride: usize) -> Vec<u8> {
        // Training mirrors along every axis.
        let pipeline = Pipeline::new(self.name.clone(), (0..self.network.n_axes).collect(), probe_stride);
        let mut text = serde_json::to_vec_pretty(&pipeline).expect("a pipeline is plain data");
        text.push(b'\n');
        text
    }

    /// The first validation case of `fold` and the block in its middle that fills a patch.
    pub(super) fn probe_case(&self, dataset_folder: &Path, fold: Fold) -> Result<(CaseId, Array4<f32>), ExportError> {
        let case = self.runs.get(&fold).and_then(|run| run.split.val.first()).ok_or(ExportError::NoCase { fold })?;
        let store = Store::new(dataset_folder.join(&self.configuration.data_identifier));
        let stored = store.open(case)?;
        let (found, expected) = (stored.record.n_channels, self.network.n_channels);
        if found != expected {
            return Err(ExportError::Channels { case: case.clone(), expected, found });
        }
        let (shape, patch) = (stored.record.shape, self.configuration.patch_zyx());
        let lower = [0, 1, 2].map(|axis| shape[axis].saturating_sub(patch[axis]) / 2);
        let upper = [0, 1, 2].map(|axis| lower[axis] + patch[axis].min(shape[axis]));
        let block = stored.read_block(lower, upper)?;
        let [z, y, x] = block.shape;
        let image = Array4::from_shape_vec((found, z, y, x), block.image).expect("a block has the voxels of its shape");
        Ok((case.clone(), image))
    }
}

/// SHA-256 of what `sha256sum dataset.json dataset_fingerprint.json` prints.
fn dataset_digest(dataset: &str, fingerprint: &str) -> Digest {
    let [dataset, fingerprint] = [dataset, fingerprint].map(|text| Digest::of(text.as_bytes()));
    Digest::of(format!("{dataset}  dataset.json\n{fingerprint}  dataset_fingerprint.json\n").as_bytes())
}
