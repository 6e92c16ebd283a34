//! From a model folder of nnU-Net v2 to a run that can be exported.
//!
//! Every chosen `fold_<f>/checkpoint_<name>.pth` becomes a member. Its epoch is nnU-Net's `current_epoch` less one,
//! because nnU-Net saves the number of finished epochs; its cycle is 0 unless the length of a cycle is given. Two
//! checkpoints of one epoch with equal weights (`final` and the numbered one of the last epoch) are one member, for
//! one network must not vote twice; with other weights they are refused. `checkpoint_latest` is for resuming and is
//! passed over. `fold_all` is not a fold of a cross-validation and is passed over, too.
//!
//! The run is put together in a folder beside its place and appears there by rename, and never over another.

mod error;
mod probe;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use imaging::atomic_file;
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::fold::Fold;
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::topology::UNet;

pub use error::ImportError;
pub use probe::PROBE_FILE;
pub(crate) use probe::read as read_probe;
pub use record::{IMPORT_FILE, ImportRecord, ImportedCheckpoint};

use crate::checkpoint::CheckpointFolder;
use crate::journal::EpochRecord;
use crate::pth::PthCheckpoint;
use crate::raw_dataset::read_text;
use crate::run_record::RunRecord;

/// nnU-Net's description of the training set, which it leaves beside the plans.
pub const FINGERPRINT: &str = "dataset_fingerprint.json";

/// What to import.
#[derive(Debug, Clone)]
pub struct Request {
    /// nnU-Net's folder `<trainer>__<plans>__<configuration>`.
    pub model_folder: PathBuf,
    /// Folds; empty for all.
    pub folds: Vec<Fold>,
    /// Names of checkpoints, such as `final`; empty for all but `latest`.
    pub checkpoints: Vec<String>,
    /// Epochs of one cycle, where the training had several.
    pub cycle_length: Option<u32>,
    /// Channel files of an image for the probe case; empty for a made-up patch.
    pub probe: Vec<PathBuf>,
}

/// A model folder whose plans have been read and checked.
#[derive(Debug)]
pub struct Model {
    /// The plans.
    pub plans: Plans,
    /// Name of the configuration.
    pub name: ConfigurationName,
    plans_text: String,
    dataset_text: String,
    fingerprint: Option<String>,
    configuration: Configuration,
    labels: LabelSet,
    network: UNet,
    folds: BTreeMap<Fold, Vec<String>>,
}

/// What one fold gave.
#[derive(Debug)]
struct Imported {
    records: Vec<ImportedCheckpoint>,
    mirror_axes: Option<Vec<usize>>,
    trainer_name: String,
}

impl Model {
    /// Reads plans, data set and the names of the checkpoints.
    ///
    /// # Errors
    ///
    /// [`ImportError`] if a file is missing or wrong, the network is not one that is built here, or a fold or
    /// checkpoint that is asked for is not there.
    pub fn read(request: &Request) -> Result<Self, ImportError> {
        let folder = &request.model_folder;
        let (plans_path, dataset_path) = (folder.join("plans.json"), folder.join("dataset.json"));
        let plans_text = read_text(&plans_path)?;
        let refuse = |source| ImportError::Plans { path: plans_path.clone(), source };
        let plans = Plans::parse(&plans_text).map_err(refuse)?;
        let dataset_text = read_text(&dataset_path)?;
        let refuse_dataset = |source| ImportError::Dataset { path: dataset_path.clone(), source };
        let dataset = DatasetJson::parse(&dataset_text).map_err(refuse_dataset)?;
        let folds = folds(request)?;
        let name = configuration_name(folder, &folds)?;
        let configuration = plans.configuration(&name).map_err(refuse)?;
        let n_channels = dataset.channels().map_err(refuse_dataset)?.len();
        let labels = dataset.structures().map_err(refuse_dataset)?;
        let n_channels = configuration.n_input_channels(n_channels, &labels);
        let network = UNet::new(&configuration, n_channels, labels.n_outputs())?;
        let fingerprint = folder.join(FINGERPRINT);
        let fingerprint = fingerprint.is_file().then(|| read_text(&fingerprint)).transpose()?;
        Ok(Self { plans, name, plans_text, dataset_text, fingerprint, configuration, labels, network, folds })
    }

    /// Writes the run to `run_folder`, which must not exist, and returns how every fold was imported.
    ///
    /// # Errors
    ///
    /// [`ImportError`] naming the file at fault. There is no run then.
    pub fn import(&self, request: &Request, run_folder: &Path) -> Result<Vec<ImportRecord>, ImportError> {
        if run_folder.exists() {
            return Err(ImportError::Exists { path: run_folder.to_owned() });
        }
        let parent = run_folder.parent().unwrap_or(Path::new("."));
        let write = |source| ImportError::Write { source };
        fs_err::create_dir_all(parent).map_err(write)?;
        let staging = tempfile::Builder::new().prefix(".unnunet-import-").tempdir_in(parent).map_err(write)?;
        let put = |name: &str, text: &[u8]| atomic_file::write(&staging.path().join(name), text).map_err(write);
        put("plans.json", self.plans_text.as_bytes())?;
        put("dataset.json", self.dataset_text.as_bytes())?;
        self.fingerprint.as_ref().map_or(Ok(()), |text| put(FINGERPRINT, text.as_bytes()))?;
        let probe = probe::write(staging.path(), &request.probe, self)?;
        let mut records = Vec::new();
        for (&fold, names) in &self.folds {
            let target = staging.path().join(fold.to_string());
            fs_err::create_dir_all(&target).map_err(write)?;
            let imported = self.import_fold(request, fold, names, &target)?;
            let record = ImportRecord {
                format: record::FORMAT,
                program: concat!("unnunet-train ", env!("CARGO_PKG_VERSION")).to_owned(),
                dataset: self.plans.dataset_name.clone(),
                configuration: self.name.clone(),
                plans: RunRecord::digest(&self.plans).map_err(|source| ImportError::Digest { source })?,
                fold,
                trainer: imported.trainer_name,
                // A training that says nothing mirrored along every axis, as nnU-Net's default.
                mirror_axes: imported.mirror_axes.unwrap_or_else(|| (0..self.network.n_axes).collect()),
                probe: probe.clone(),
                checkpoints: imported.records,
            };
            record.write(&target)?;
            records.push(record);
        }
        if let Some(pair) = records.windows(2).find(|pair| pair[0].mirror_axes != pair[1].mirror_axes) {
            let [one, other] = [&pair[0], &pair[1]].map(|record| record.mirror_axes.clone());
            return Err(ImportError::MirrorAxes { fold: pair[1].fold, expected: one, found: other });
        }
        fs_err::rename(staging.path(), run_folder).map_err(write)?;
        Ok(records)
    }

    fn import_fold(
        &self,
        request: &Request,
        fold: Fold,
        names: &[String],
        target: &Path,
    ) -> Result<Imported, ImportError> {
        let folder = CheckpointFolder::new(target);
        let mut by_epoch: BTreeMap<u32, (String, Digest)> = BTreeMap::new();
        let mut imported = Imported { records: Vec::new(), mirror_axes: None, trainer_name: String::new() };
        for name in names {
            let path = checkpoint_path(&request.model_folder, fold, name);
            let refuse = |source| ImportError::Checkpoint { path: path.clone(), source: Box::new(source) };
            let mut checkpoint = PthCheckpoint::open(&path).map_err(refuse)?;
            if let Some(found) = checkpoint.configuration.clone().filter(|found| *found != self.name.0) {
                return Err(ImportError::Configuration { path, expected: self.name.clone(), found });
            }
            let axes = checkpoint.mirror_axes.clone();
            if let Some(axis) = axes.iter().flatten().find(|&&axis| axis >= self.network.n_axes) {
                return Err(ImportError::MirrorAxis { path, found: *axis, n_axes: self.network.n_axes });
            }
            if !imported.records.is_empty() && axes != imported.mirror_axes {
                let (expected, found) = (imported.mirror_axes.unwrap_or_default(), axes.unwrap_or_default());
                return Err(ImportError::MirrorAxes { fold, expected, found });
            }
            let weights = checkpoint.weights(&self.network).map_err(refuse)?.to_bytes();
            let digest = Digest::of(&weights);
            let epoch = checkpoint.n_epochs - 1;
            let record = epoch_record(epoch, request.cycle_length);
            let save =
                |name: &str| folder.save(name, &weights, fold, &record).map_err(|source| ImportError::Save { source });
            match by_epoch.get(&epoch) {
                Some((_, earlier)) if *earlier == digest => {}
                Some((earlier, _)) => {
                    return Err(ImportError::SameEpoch { path, other: earlier.clone(), epoch });
                }
                None => save(&epoch.to_string())?,
            }
            if name == "best" {
                save("best")?;
            }
            by_epoch.entry(epoch).or_insert_with(|| (name.clone(), digest));
            imported.records.push(ImportedCheckpoint {
                name: name.clone(),
                epoch,
                cycle: record.cycle,
                file: file_digest(&path)?,
                weights: digest,
            });
            imported.mirror_axes = axes;
            imported.trainer_name.clone_from(&checkpoint.trainer_name);
        }
        Ok(imported)
    }
}

/// What nnU-Net's checkpoint says of its epoch; losses are not read.
fn epoch_record(epoch: u32, cycle_length: Option<u32>) -> EpochRecord {
    EpochRecord {
        epoch,
        cycle: cycle_length.and_then(|length| epoch.checked_div(length)).unwrap_or(0),
        learning_rate: f64::NAN,
        training_loss: f64::NAN,
        validation_loss: f64::NAN,
        pseudo_dice: Vec::new(),
        ema_pseudo_dice: None,
        seconds: f64::NAN,
        finished: f64::NAN,
    }
}

fn file_digest(path: &Path) -> Result<Digest, ImportError> {
    let file = fs_err::File::open(path).map_err(|source| ImportError::Digesting { source })?;
    Digest::of_reader(file).map_err(|source| ImportError::Digesting { source })
}

fn checkpoint_path(model: &Path, fold: Fold, name: &str) -> PathBuf {
    model.join(fold.to_string()).join(format!("checkpoint_{name}.pth"))
}

/// The folds and their checkpoints, those that are asked for.
fn folds(request: &Request) -> Result<BTreeMap<Fold, Vec<String>>, ImportError> {
    let mut folds = request.folds.clone();
    if folds.is_empty() {
        for name in names(&request.model_folder)? {
            let fold = name.strip_prefix("fold_").and_then(|number| number.parse().ok()).map(Fold);
            folds.extend(fold.filter(|fold| fold.to_string() == name));
        }
    }
    let mut found = BTreeMap::new();
    for fold in folds {
        let mut wanted = request.checkpoints.clone();
        if wanted.is_empty() {
            let files = names(&request.model_folder.join(fold.to_string()))?;
            let checkpoint = |file: &String| Some(file.strip_prefix("checkpoint_")?.strip_suffix(".pth")?.to_owned());
            wanted = files.iter().filter_map(checkpoint).filter(|name| name != "latest").collect();
        }
        wanted.sort_unstable_by_key(|name| (name.parse::<u32>().unwrap_or(u32::MAX), name.clone()));
        wanted.dedup();
        let missing = |name: &&String| !checkpoint_path(&request.model_folder, fold, name).is_file();
        if let Some(name) = wanted.iter().find(missing) {
            return Err(ImportError::Missing { path: checkpoint_path(&request.model_folder, fold, name) });
        }
        if !wanted.is_empty() {
            found.insert(fold, wanted);
        }
    }
    if found.is_empty() {
        return Err(ImportError::NoCheckpoint { folder: request.model_folder.clone() });
    }
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<String>, ImportError> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(|source| ImportError::Folder { source })? {
        let entry = entry.map_err(|source| ImportError::Folder { source })?;
        names.extend(entry.file_name().to_str().map(str::to_owned));
    }
    Ok(names)
}

/// The configuration by the folder's name, or else by the first checkpoint.
fn configuration_name(folder: &Path, folds: &BTreeMap<Fold, Vec<String>>) -> Result<ConfigurationName, ImportError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let [_, _, configuration] = name.split("__").collect::<Vec<_>>()[..] {
        return Ok(ConfigurationName(configuration.to_owned()));
    }
    let unnamed = || ImportError::NoConfiguration { folder: folder.to_owned() };
    let (&fold, names) = folds.first_key_value().ok_or_else(unnamed)?;
    let path = checkpoint_path(folder, fold, names.first().ok_or_else(unnamed)?);
    let checkpoint =
        PthCheckpoint::open(&path).map_err(|source| ImportError::Checkpoint { path, source: Box::new(source) })?;
    checkpoint.configuration.map(ConfigurationName).ok_or_else(unnamed)
}
