//! A training as its folder describes it: plans, data set, topology, and how every fold was trained.
//!
//! `<results>/<data set>/UnnunetTrainer__<plans>__<configuration>` holds `plans.json`, `dataset.json` and a `run.json`
//! per fold; all of them must speak of the same plans and configuration. An imported fold has no record of its split, which
//! then comes from nnU-Net's own `splits_final.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use nnunet::dataset::{CaseId, DatasetError, DatasetJson, LabelSet};
use nnunet::fold::{Fold, Member, Split};
use nnunet::plans::{Configuration, ConfigurationName, Plans, PlansError};
use nnunet::topology::{TopologyError, UNet};

use crate::cross_validation::{self, SplitsError};
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
    /// What every fold left out and how it mirrored.
    pub runs: BTreeMap<Fold, FoldRun>,
    /// Most members of each fold that count, spread evenly over its checkpoints as an export spreads them; all if `None`.
    pub max_members: Option<NonZeroUsize>,
}

/// What a validation must know of a fold's training.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldRun {
    /// Its cases.
    pub split: Split,
    /// Axes along which it mirrored.
    pub mirror_axes: Vec<usize>,
}

/// Where the split of an imported fold comes from.
#[derive(Debug)]
pub struct SplitSource<'a> {
    /// `splits_final.json` of the preprocessed data set, if that is known.
    pub file: Option<&'a Path>,
    /// All cases of the data set.
    pub cases: &'a BTreeSet<CaseId>,
}

impl Trained {
    /// Reads the description of a training in `folder`; `splits` serves imported folds.
    ///
    /// # Errors
    ///
    /// [`TrainedError`] naming the file at fault.
    pub fn read(folder: &Path, name: ConfigurationName, splits: &SplitSource<'_>) -> Result<Self, TrainedError> {
        let path = folder.join("plans.json");
        let refuse = |source| TrainedError::Plans { path: path.clone(), source };
        let plans = Plans::parse(&read_text(&path)?).map_err(refuse)?;
        let configuration = plans.configuration(&name).map_err(refuse)?;
        let path = folder.join("dataset.json");
        let refuse = |source| TrainedError::Dataset { path: path.clone(), source };
        let dataset = DatasetJson::parse(&read_text(&path)?).map_err(refuse)?;
        let (n_channels, labels) = (dataset.channels().map_err(refuse)?.len(), dataset.structures().map_err(refuse)?);
        let n_channels = configuration.n_input_channels(n_channels, &labels);
        let network = UNet::new(&configuration, n_channels, labels.n_outputs())?;
        let runs = run_folder::runs(folder, &[])?;
        let expected = RunRecord::digest(&plans)?;
        if let Some((&fold, _)) = runs.iter().find(|(_, run)| !run.is_of(expected, &name)) {
            return Err(TrainedError::OtherPlans { fold, folder: folder.to_owned() });
        }
        let of_fold = |(fold, run): (Fold, Run)| {
            let mirror_axes = run.mirror_axes(network.n_axes);
            let split = match run {
                Run::Trained(run, _) => run.split,
                Run::Imported(_) => splits.of(fold, folder)?,
            };
            Ok((fold, FoldRun { split, mirror_axes }))
        };
        let runs = runs.into_iter().map(of_fold).collect::<Result<BTreeMap<_, _>, TrainedError>>()?;
        let (folder, file_ending) = (folder.to_owned(), dataset.file_ending);
        Ok(Self { folder, plans, name, configuration, file_ending, labels, network, runs, max_members: None })
    }

    /// The folder of another configuration's training, under the same plans.
    pub fn folder_of(&self, configuration: &ConfigurationName) -> PathBuf {
        run_folder::of_configuration(&self.folder, &self.name, configuration)
    }

    /// What a fold left out.
    ///
    /// # Errors
    ///
    /// [`TrainedError::NoFold`] if it was not.
    pub fn run(&self, fold: Fold) -> Result<&FoldRun, TrainedError> {
        let available = || self.runs.keys().copied().collect();
        self.runs.get(&fold).ok_or_else(|| TrainedError::NoFold { fold, available: available() })
    }

    /// The members of a fold that count, by epoch.
    ///
    /// # Errors
    ///
    /// [`TrainedError::NoFold`], or [`TrainedError::Checkpoints`] if the training is not finished.
    pub fn members(&self, fold: Fold) -> Result<Vec<Member>, TrainedError> {
        self.run(fold)?;
        let only = run_folder::runs(&self.folder, &[fold])?;
        Ok(run_folder::members(&self.folder, &only, self.max_members)?)
    }

    /// Where a fold's validation lies.
    pub fn validation_folder(&self, fold: Fold) -> PathBuf {
        self.folder.join(fold.to_string()).join("validation")
    }
}

impl SplitSource<'_> {
    fn of(&self, fold: Fold, folder: &Path) -> Result<Split, TrainedError> {
        let file = self.file.ok_or_else(|| TrainedError::Imported { fold, folder: folder.to_owned() })?;
        let splits = cross_validation::read(file, self.cases)?;
        Ok(cross_validation::of_fold(&splits, fold)?.clone())
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
    #[error(
        "{fold} in `{}` was imported: `--preprocessed` must name the folder whose `splits_final.json` says which cases \
         validate it", folder.display()
    )]
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
    /// The splits do not say which cases validate an imported fold.
    #[error("which cases validate an imported fold is not known")]
    Splits {
        /// Why.
        #[from]
        source: SplitsError,
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
