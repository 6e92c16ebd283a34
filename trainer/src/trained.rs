//! A training as its folder describes it: plans, data set, topology, and how every fold was trained.
//!
//! `<results>/<data set>/UnnunetTrainer__<plans>__<configuration>` holds `plans.json`, `dataset.json` and a `run.json`
//! per fold; all of them must speak of the same plans and configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nnunet::dataset::{DatasetError, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Member};
use nnunet::plans::{Configuration, ConfigurationName, Plans, PlansError};
use nnunet::topology::{TopologyError, UNet};

use crate::raw_dataset::{RawDatasetError, read_text};
use crate::run_folder::{self, Run, RunFolderError};
use crate::run_record::{RunRecord, RunRecordError};

/// Everything about a training but its weights.
#[derive(Debug)]
pub struct Trained {
    /// Its folder.
    pub folder: PathBuf,
    /// The plans.
    pub plans: Plans,
    /// Name of the configuration.
    pub name: ConfigurationName,
    /// The configuration, complete.
    pub configuration: Configuration,
    /// Ending of image and segmentation files.
    pub file_ending: String,
    /// Structures and outputs.
    pub labels: LabelSet,
    /// The network.
    pub network: UNet,
    /// Settings of each fold's training.
    pub runs: BTreeMap<Fold, RunRecord>,
}

impl Trained {
    /// Reads the description of a training in `folder`.
    ///
    /// # Errors
    ///
    /// [`TrainedError`] naming the file at fault.
    pub fn read(folder: &Path, name: ConfigurationName) -> Result<Self, TrainedError> {
        let path = folder.join("plans.json");
        let refuse = |source| TrainedError::Plans { path: path.clone(), source };
        let plans = Plans::parse(&read_text(&path)?).map_err(refuse)?;
        let configuration = plans.configuration(&name).map_err(refuse)?;
        let path = folder.join("dataset.json");
        let refuse = |source| TrainedError::Dataset { path: path.clone(), source };
        let dataset = DatasetJson::parse(&read_text(&path)?).map_err(refuse)?;
        let (n_channels, labels) = (dataset.channels().map_err(refuse)?.len(), dataset.structures().map_err(refuse)?);
        let network = UNet::new(&configuration, n_channels, labels.n_outputs())?;
        let ours = |(fold, run)| match run {
            Run::Trained(run, _) => Ok((fold, *run)),
            Run::Imported(_) => Err(TrainedError::Imported { fold, folder: folder.to_owned() }),
        };
        let runs = run_folder::runs(folder, &[])?.into_iter().map(ours).collect::<Result<BTreeMap<_, _>, _>>()?;
        let expected = RunRecord::digest(&plans)?;
        if let Some((&fold, _)) = runs.iter().find(|(_, run)| run.plans != expected || run.configuration != name) {
            return Err(TrainedError::OtherPlans { fold, folder: folder.to_owned() });
        }
        let (folder, file_ending) = (folder.to_owned(), dataset.file_ending);
        Ok(Self { folder, plans, name, configuration, file_ending, labels, network, runs })
    }

    /// How a fold was trained.
    ///
    /// # Errors
    ///
    /// [`TrainedError::NoFold`] if it was not.
    pub fn run(&self, fold: Fold) -> Result<&RunRecord, TrainedError> {
        let available = || self.runs.keys().copied().collect();
        self.runs.get(&fold).ok_or_else(|| TrainedError::NoFold { fold, available: available() })
    }

    /// The members that a fold's training leaves, by epoch.
    ///
    /// # Errors
    ///
    /// [`TrainedError::NoFold`], or [`TrainedError::Checkpoints`] if the training is not finished.
    pub fn members(&self, fold: Fold) -> Result<Vec<Member>, TrainedError> {
        self.run(fold)?;
        let only = run_folder::runs(&self.folder, &[fold])?;
        Ok(run_folder::members(&self.folder, &only, None)?)
    }

    /// Where a fold's validation lies.
    pub fn validation_folder(&self, fold: Fold) -> PathBuf {
        self.folder.join(fold.to_string()).join("validation")
    }
}

/// Why a training cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainedError {
    /// A fold's checkpoints or its record.
    #[error("the checkpoints of the training cannot be used")]
    Checkpoints {
        /// Which, and why.
        source: Box<RunFolderError>,
    },
    /// The description of the data set breaks a rule.
    #[error("`{}` cannot be used", path.display())]
    Dataset {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: DatasetError,
    },
    /// A fold was imported, and nothing says which cases took no part in its training.
    #[error("{fold} in `{}` was imported: which cases validate it is not known", folder.display())]
    Imported {
        /// The fold.
        fold: Fold,
        /// The training's folder.
        folder: PathBuf,
    },
    /// A fold was asked for that was not trained.
    #[error("{fold} was not trained, only {}", available.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NoFold {
        /// The fold asked for.
        fold: Fold,
        /// The folds that were.
        available: Vec<Fold>,
    },
    /// A fold was trained with other plans or for another configuration.
    #[error("{fold} in `{}` was trained with other plans or for another configuration", folder.display())]
    OtherPlans {
        /// The fold.
        fold: Fold,
        /// The training's folder.
        folder: PathBuf,
    },
    /// The plans break a rule.
    #[error("`{}` cannot be used", path.display())]
    Plans {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: PlansError,
    },
    /// A file cannot be read.
    #[error("the description of a training is missing")]
    Read {
        /// Which, and why.
        #[from]
        source: RawDatasetError,
    },
    /// The plans have no digest.
    #[error("the plans cannot be compared with those of the training")]
    Record {
        /// Why.
        #[from]
        source: RunRecordError,
    },
    /// The architecture is unknown.
    #[error("the network of the plans cannot be built")]
    Topology {
        /// Why.
        #[from]
        source: TopologyError,
    },
}

impl From<RunFolderError> for TrainedError {
    fn from(source: RunFolderError) -> Self {
        Self::Checkpoints { source: Box::new(source) }
    }
}
