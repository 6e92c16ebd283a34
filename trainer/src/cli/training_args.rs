//! Which training is meant: the arguments of every command that works on a finished one.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use nnunet::plans::ConfigurationName;

use crate::cli::folders;
use crate::cross_validation;
use crate::raw_dataset::RawDataset;
use crate::trained::{SplitSource, Trained};

/// Where raw data sets and trainings lie, and the name of the plans.
#[derive(Debug, Clone, clap::Args)]
pub struct RootArgs {
    /// Folder of the raw data sets.
    #[arg(long, env = "nnUNet_raw", value_name = "DIR")]
    pub raw: PathBuf,
    /// Folder of the preprocessed data sets, whose `splits_final.json` imported folds need.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    pub preprocessed: Option<PathBuf>,
    /// Folder of the trainings.
    #[arg(long, env = "nnUNet_results", value_name = "DIR")]
    pub results: PathBuf,
    /// Name of the plans.
    #[arg(long, default_value = "nnUNetPlans", value_name = "NAME")]
    pub plans: String,
    /// Most members of each fold that vote, spread evenly over its checkpoints; `export` must be told the same.
    #[arg(long, value_name = "N")]
    pub members: Option<NonZeroUsize>,
}

impl RootArgs {
    /// Opens a raw data set, by number or folder name; returns its folder's name, too.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not complete.
    pub fn raw(&self, dataset: &str) -> anyhow::Result<(String, RawDataset)> {
        let folder = folders::dataset(&self.raw, dataset)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, RawDataset::open(&folder)?))
    }

    /// Reads what a training's folder says.
    ///
    /// # Errors
    ///
    /// If there is no such training.
    pub fn trained(&self, dataset: &str, configuration: &str, raw: &RawDataset) -> anyhow::Result<Trained> {
        let name = ConfigurationName(configuration.to_owned());
        let folder = folders::run(&self.results, dataset, &self.plans, &name);
        let splits = self.preprocessed.as_ref().map(|root| root.join(dataset).join(cross_validation::FILE_NAME));
        let cases = raw.cases.keys().cloned().collect();
        let splits = SplitSource { file: splits.as_deref().filter(|path| path.is_file()), cases: &cases };
        let trained = Trained::read(&folder, name, &splits)
            .with_context(|| format!("cannot use the training in `{}`", folder.display()))?;
        Ok(Trained { max_members: self.members, ..trained })
    }
}

/// One training.
#[derive(Debug, Clone, clap::Args)]
pub struct TrainingArgs {
    /// Data set, by number or folder name.
    dataset: String,
    /// Configuration, such as `2d` or `3d_fullres`.
    configuration: String,
    #[command(flatten)]
    roots: RootArgs,
}

impl TrainingArgs {
    /// Opens the raw data set and the training.
    ///
    /// # Errors
    ///
    /// As [`RootArgs::raw`] and [`RootArgs::trained`].
    pub fn open(&self) -> anyhow::Result<(RawDataset, Trained)> {
        let (name, raw) = self.roots.raw(&self.dataset)?;
        let trained = self.roots.trained(&name, &self.configuration, &raw)?;
        Ok((raw, trained))
    }
}
