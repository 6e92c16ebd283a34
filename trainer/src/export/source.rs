//! What an export reads: plans, data set, splits and one preprocessed case.

use std::collections::BTreeMap;
use std::path::Path;

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Member};
use nnunet::pipeline::Pipeline;
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::previous_stage::append;
use nnunet::topology::UNet;

use super::{ExportError, Request};
use crate::cross_validation;
use crate::import::{self, FINGERPRINT};
use crate::previous_stage;
use crate::probe::Origin;
use crate::raw_dataset::read_text;
use crate::run_folder::{self, Run};
use crate::run_record::RunRecord;
use crate::stage_predictions::StagePredictions;
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
    /// Its digest.
    pub(super) dataset_json_sha256: Digest,
    /// Digest of `dataset_fingerprint.json`, where it is there.
    pub(super) fingerprint_sha256: Option<Digest>,
    /// Digest over `dataset.json` and, where it is there, `dataset_fingerprint.json`.
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
    /// Axes along which every fold mirrored.
    pub(super) mirror_axes: Vec<usize>,
    /// What is known of each fold's training.
    pub(super) runs: BTreeMap<Fold, Run>,
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
        let n_channels = configuration.n_input_channels(channels.len(), &labels);
        let network = UNet::new(&configuration, n_channels, labels.n_outputs())?;
        let runs = run_folder::runs(&request.run_folder, &request.folds)?;
        let expected = RunRecord::digest(&plans).map_err(|source| ExportError::PlansDigest { source })?;
        if let Some((&fold, _)) = runs.iter().find(|(_, run)| !run.is_of(expected, &name)) {
            return Err(ExportError::OtherPlans { fold, path: plans_path });
        }
        let dataset_json_sha256 = Digest::of(dataset_text.as_bytes());
        let fingerprint_sha256 = fingerprint(request, &runs)?.map(|text| Digest::of(text.as_bytes()));
        Ok(Self {
            plans_sha256: Digest::of(plans_text.as_bytes()),
            dataset_json_sha256,
            fingerprint_sha256,
            dataset_sha256: dataset_digest(dataset_json_sha256, fingerprint_sha256),
            mirror_axes: mirror_axes(&runs, network.n_axes)?,
            name,
            plans_text,
            dataset_text,
            plans,
            configuration,
            channels,
            labels,
            network,
            runs,
        })
    }

    /// `config/pipeline.json`; `best` are those of the members that are their folds' best.
    pub(super) fn pipeline(&self, probe_stride: usize, temperature: f32, best: &[Member]) -> Vec<u8> {
        let mut pipeline = Pipeline::new(self.name.clone(), self.mirror_axes.clone(), probe_stride);
        pipeline.temperature = temperature;
        pipeline.best_epochs = best.iter().map(|member| (member.fold, member.epoch)).collect();
        let mut text = serde_json::to_vec_pretty(&pipeline).expect("a pipeline is plain data");
        text.push(b'\n');
        text
    }

    /// The block that fills a patch, and where it comes from: the middle of the first validation case of `fold`. Of an
    /// imported run the image that was named when it was imported, else such a case where the data set is preprocessed,
    /// else the noise that was put aside. In a cascade, what the previous stage has found there follows; where nothing was
    /// trained here, that is nothing.
    pub(super) fn probe_case(&self, request: &Request, fold: Fold) -> Result<(Origin, Array4<f32>), ExportError> {
        match self.runs.get(&fold) {
            Some(Run::Imported(import)) => {
                if import.probe.is_none()
                    && let Some((case, folder)) = self.stored_case(request, fold)?
                {
                    let image = self.middle(folder, &case, None)?;
                    return Ok((Origin::Case(case), image));
                }
                let image = import::read_probe(&request.run_folder)
                    .map_err(|source| ExportError::Import { fold, source: Box::new(source) })?;
                let (found, expected) = (image.dim().0, self.network.n_channels);
                if found != expected {
                    return Err(ExportError::ProbeChannels { expected, found });
                }
                Ok((import.probe.clone().map_or(Origin::Noise, Origin::Image), image))
            }
            Some(Run::Trained(run, _)) => {
                let case = run.split.val.first().ok_or(ExportError::NoCase { fold })?;
                let folder = request.dataset_folder.as_deref().ok_or(ExportError::NoDataset { fold })?;
                let previous = self.configuration.previous_stage().map(|previous| {
                    let folder = run_folder::of_configuration(&request.run_folder, &self.name, &previous);
                    StagePredictions::new(&folder, &self.name)
                });
                Ok((Origin::Case(case.clone()), self.middle(folder, case, previous.as_ref())?))
            }
            None => Err(ExportError::NoCase { fold }),
        }
    }

    /// The first validation case of a fold, if the data set is preprocessed for this configuration, and by us: nnU-Net's
    /// own files lie in folders of the same name.
    fn stored_case<'r>(&self, request: &'r Request, fold: Fold) -> Result<Option<(CaseId, &'r Path)>, ExportError> {
        let Some(folder) = request.dataset_folder.as_deref() else { return Ok(None) };
        let splits = folder.join(cross_validation::FILE_NAME);
        let store = folder.join(&self.configuration.data_identifier);
        if !splits.is_file() || !store.is_dir() {
            return Ok(None);
        }
        let case = cross_validation::first_validation_case(&splits, fold)?;
        let store = Store::new(store);
        Ok(case.filter(|case| store.open(case).is_ok()).map(|case| (case, folder)))
    }

    /// The middle of a preprocessed case, in a cascade with what `previous` has of it, and nothing if that is `None`.
    fn middle(
        &self,
        dataset_folder: &Path,
        case: &CaseId,
        previous: Option<&StagePredictions>,
    ) -> Result<Array4<f32>, ExportError> {
        let store = Store::new(dataset_folder.join(&self.configuration.data_identifier));
        let stored = store.open(case)?;
        let (found, expected) = (stored.record.n_channels, self.channels.len());
        if found != expected {
            return Err(ExportError::Channels { case: case.clone(), expected, found });
        }
        let (shape, patch) = (stored.record.shape, self.configuration.patch_zyx());
        let lower = [0, 1, 2].map(|axis| shape[axis].saturating_sub(patch[axis]) / 2);
        let upper = [0, 1, 2].map(|axis| lower[axis] + patch[axis].min(shape[axis]));
        let block = stored.read_block(lower, upper)?;
        let [z, y, x] = block.shape;
        let of_its_shape = "a block has the voxels of its shape";
        let image = Array4::from_shape_vec((found, z, y, x), block.image).expect(of_its_shape);
        if self.configuration.previous_stage().is_none() {
            return Ok(image);
        }
        let segmentation = match previous {
            Some(predictions) => {
                let prediction = previous_stage::of_case(predictions, &stored)
                    .map_err(|source| ExportError::Previous { source: Box::new(source) })?;
                let labels = prediction.read_block(lower, upper)?.labels;
                Array3::from_shape_vec((z, y, x), labels).expect(of_its_shape)
            }
            None => Array3::zeros((z, y, x)),
        };
        Ok(append(&image, &segmentation.view(), &self.labels)?)
    }
}

/// `dataset_fingerprint.json`: of the preprocessed data set, or of an imported run its own, if nnU-Net left one.
fn fingerprint(request: &Request, runs: &BTreeMap<Fold, Run>) -> Result<Option<String>, ExportError> {
    let trained = runs.iter().find(|(_, run)| matches!(run, Run::Trained(..)));
    let path = match (trained, &request.dataset_folder) {
        (Some(_), Some(folder)) => folder.join(FINGERPRINT),
        (Some((&fold, _)), None) => return Err(ExportError::NoDataset { fold }),
        (None, _) => request.run_folder.join(FINGERPRINT),
    };
    let is_needed = trained.is_some() || path.is_file();
    Ok(is_needed.then(|| read_text(&path)).transpose()?)
}

/// The axes of the first fold; a bundle has one list of them.
fn mirror_axes(runs: &BTreeMap<Fold, Run>, n_axes: usize) -> Result<Vec<usize>, ExportError> {
    let mut folds = runs.iter().map(|(&fold, run)| (fold, run.mirror_axes(n_axes)));
    let expected = folds.next().map(|(_, axes)| axes).unwrap_or_default();
    match folds.find(|(_, axes)| *axes != expected) {
        Some((fold, found)) => Err(ExportError::MirrorAxes { fold, expected, found }),
        None => Ok(expected),
    }
}

/// SHA-256 of what `sha256sum dataset.json dataset_fingerprint.json` prints; of one line where there is no fingerprint.
fn dataset_digest(dataset: Digest, fingerprint: Option<Digest>) -> Digest {
    let line = |digest: Digest, name| format!("{digest}  {name}\n");
    let fingerprint = fingerprint.map(|digest| line(digest, FINGERPRINT)).unwrap_or_default();
    Digest::of(format!("{}{fingerprint}", line(dataset, "dataset.json")).as_bytes())
}
