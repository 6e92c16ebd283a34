//! What an export reads: plans, data set, splits and one preprocessed case.

use std::io::Read;
use std::path::Path;

use bundle_format::Digest;
use fs_err::File;
use ndarray::Array4;
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Split};
use nnunet::pipeline::Pipeline;
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;

use super::{ExportError, Request};
use crate::store::Store;

/// Largest text file that is read; plans and data sets have some ten kilobytes.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// Everything about a training but its checkpoints.
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
    /// Training and validation cases per fold.
    pub(super) splits: Vec<Split>,
}

impl Source {
    /// Reads and checks everything.
    pub(super) fn read(request: &Request) -> Result<Self, ExportError> {
        let plans_path = request.run_folder.join("plans.json");
        let plans_text = text(&plans_path)?;
        let refuse = |source| ExportError::Plans { path: plans_path.clone(), source };
        let plans = Plans::parse(&plans_text).map_err(refuse)?;
        let configuration = plans.configuration(&request.configuration).map_err(refuse)?;
        let dataset_path = request.run_folder.join("dataset.json");
        let dataset_text = text(&dataset_path)?;
        let refuse = |source| ExportError::Dataset { path: dataset_path.clone(), source };
        let dataset = DatasetJson::parse(&dataset_text).map_err(refuse)?;
        let (channels, labels) = (dataset.channels().map_err(refuse)?, dataset.structures().map_err(refuse)?);
        let network = UNet::new(&configuration, channels.len(), labels.n_outputs())?;
        let fingerprint = text(&request.dataset_folder.join("dataset_fingerprint.json"))?;
        let splits_path = request.dataset_folder.join("splits_final.json");
        let splits = serde_json::from_str(&text(&splits_path)?)
            .map_err(|source| ExportError::Json { path: splits_path, source })?;
        Ok(Self {
            plans_sha256: Digest::of(plans_text.as_bytes()),
            dataset_sha256: dataset_digest(&dataset_text, &fingerprint),
            name: request.configuration.clone(),
            plans_text,
            dataset_text,
            plans,
            configuration,
            channels,
            labels,
            network,
            splits,
        })
    }

    /// Cases of a fold; `None` for the fold that trains on everything.
    pub(super) fn split(&self, fold: Fold) -> Option<&Split> {
        self.splits.get(usize::from(fold.0))
    }

    /// `config/pipeline.json`.
    pub(super) fn pipeline(&self, probe_stride: usize) -> Vec<u8> {
        // Training mirrors along every axis.
        let pipeline = Pipeline::new(self.name.clone(), (0..self.network.n_axes).collect(), probe_stride);
        let mut text = serde_json::to_vec_pretty(&pipeline).expect("a pipeline is plain data");
        text.push(b'\n');
        text
    }

    /// The first validation case of `fold`, or without one the first case of all, and the block in its middle that
    /// fills a patch.
    pub(super) fn probe_case(&self, dataset_folder: &Path, fold: Fold) -> Result<(CaseId, Array4<f32>), ExportError> {
        let unseen = self.split(fold).and_then(|split| split.val.first());
        let any = || self.splits.iter().flat_map(|split| split.train.iter().chain(&split.val)).min();
        let case = unseen.or_else(any).ok_or(ExportError::NoCase)?;
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

/// Reads a text file of bounded size.
pub(super) fn text(path: &Path) -> Result<String, ExportError> {
    let unreadable = |source| ExportError::Read { source };
    let mut text = String::new();
    File::open(path).map_err(unreadable)?.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        return Err(ExportError::Size { path: path.to_owned(), limit: MAX_TEXT_BYTES });
    }
    Ok(text)
}
