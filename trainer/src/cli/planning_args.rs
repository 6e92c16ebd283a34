//! Arguments that fingerprinting, planning and preprocessing share, under nnU-Net's names.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use nnunet::planner::{PlanOptions, Preset};

use crate::cli::{Outcome, folders, verify_dataset};
use crate::planning::{Reuse, Workplace};

/// Which data sets, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct DatasetArgs {
    /// Number or folder name of a data set; several may follow.
    #[arg(short, long = "dataset", required = true, num_args = 1.., value_name = "DATASET")]
    dataset: Vec<String>,
    /// Folder of raw data sets.
    #[arg(long, env = "nnUNet_raw", value_name = "DIR")]
    raw: PathBuf,
    /// Folder of preprocessed data sets.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    preprocessed: PathBuf,
}

impl DatasetArgs {
    /// Checks every data set as `verify-dataset` does, before anything is computed.
    ///
    /// # Errors
    ///
    /// If a data set has an error, or cannot be checked.
    pub fn verify(&self) -> anyhow::Result<()> {
        let folders = self.dataset.iter().map(|dataset| folders::dataset(&self.raw, dataset));
        folders.collect::<Result<Vec<_>, _>>()?.iter().try_for_each(|folder| verify_dataset::before_planning(folder))
    }

    /// Runs a command on every data set, in order.
    ///
    /// # Errors
    ///
    /// The first error, of opening a data set or of `run`.
    pub fn each(&self, run: impl Fn(&Workplace) -> anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::Done;
        for dataset in &self.dataset {
            let workplace = Workplace::open(&folders::dataset(&self.raw, dataset)?, &self.preprocessed)?;
            if run(&workplace)? == Outcome::SomeFailed {
                outcome = Outcome::SomeFailed;
            }
        }
        Ok(outcome)
    }
}

/// How data sets are measured.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct MeasureArgs {
    /// Check the whole data set before measuring, as `verify-dataset` does, and stop if it has errors. Without it,
    /// measuring stops at the first case that cannot be used.
    #[arg(long)]
    verify_dataset_integrity: bool,
    /// Measure again even what has not changed.
    #[arg(long)]
    clean: bool,
}

impl MeasureArgs {
    /// Checks the data sets if that is asked for.
    ///
    /// # Errors
    ///
    /// As [`DatasetArgs::verify`].
    pub fn verify(self, datasets: &DatasetArgs) -> anyhow::Result<()> {
        if self.verify_dataset_integrity { datasets.verify() } else { Ok(()) }
    }

    /// Whether a fingerprint that is there may be taken.
    pub fn reuse(self) -> Reuse {
        if self.clean { Reuse::Never } else { Reuse::Unchanged }
    }
}

/// How many cases at a time.
#[derive(Debug, Clone, clap::Args)]
pub struct JobsArgs {
    /// Cases at a time [default: one per processor].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl JobsArgs {
    /// Starts the threads; once per process.
    ///
    /// # Errors
    ///
    /// If the system refuses so many.
    pub fn start(&self) -> anyhow::Result<()> {
        if let Some(jobs) = self.jobs {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs);
            builder.build_global().context("cannot start as many threads as `--jobs` asks for")?;
        }
        Ok(())
    }
}

/// How to plan.
#[derive(Debug, Clone, clap::Args)]
pub struct PlanArgs {
    /// Planner: `ExperimentPlanner`, `ResEncUNetPlanner`, or a preset `nnUNetPlannerResEncM`, `…L` or `…XL` with a
    /// residual encoder.
    #[arg(long, default_value_t, value_name = "PLANNER")]
    planner: Preset,
    /// GPU memory to plan for, GB; patch and batch grow with it [default: the planner's: 8, 24 for L, 40 for XL].
    #[arg(long, value_name = "GB")]
    gpu_memory_target: Option<f64>,
    /// Spacing of the full resolution, mm, in the order of the array's axes, instead of the training set's.
    #[arg(long, num_args = 1..=3, value_delimiter = ',', value_name = "Z Y X")]
    overwrite_target_spacing: Option<Vec<f64>>,
    /// nnU-Net's class that preprocesses; a name for nnU-Net, since this program has the default one only.
    #[arg(long, default_value = "DefaultPreprocessor", value_name = "CLASS")]
    preprocessor_name: String,
    /// Name of the plans [default: the planner's, such as `nnUNetPlans` or `nnUNetResEncUNetLPlans`].
    #[arg(long, alias = "overwrite-plans-name", value_name = "NAME")]
    plans_name: Option<String>,
    #[command(flatten)]
    size: SizeArgs,
}

/// Departures from nnU-Net's own plan, for machines without its reference card.
#[derive(Debug, Clone, clap::Args)]
struct SizeArgs {
    /// Feature maps of the first stage [default: 32].
    #[arg(long, value_name = "N")]
    features: Option<usize>,
    /// Most feature maps of a stage [default: 512 in 2D, 320 in 3D].
    #[arg(long, value_name = "N")]
    max_features: Option<usize>,
    /// Patch, `[z,]y,x`, for the configurations with as many axes.
    #[arg(long, value_delimiter = ',', value_name = "N,N[,N]")]
    patch_size: Option<Vec<usize>>,
    /// Patches per batch.
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
}

impl PlanArgs {
    /// The planner's options for a data set.
    ///
    /// # Errors
    ///
    /// If the target spacing is not three numbers.
    pub fn options(&self, dataset_name: &str) -> anyhow::Result<PlanOptions> {
        let target_spacing = match self.overwrite_target_spacing.as_deref() {
            None => None,
            Some(&[z, y, x]) => Some([z, y, x]),
            Some(found) => bail!("`--overwrite-target-spacing` takes three numbers, z y x, found {found:?}"),
        };
        Ok(PlanOptions {
            preset: self.planner,
            plans_name: self.plans_name.clone(),
            gpu_memory_target_gb: self.gpu_memory_target,
            target_spacing,
            preprocessor_name: self.preprocessor_name.clone(),
            features: self.size.features,
            max_features: self.size.max_features,
            patch_size: self.size.patch_size.clone(),
            batch_size: self.size.batch_size,
            ..PlanOptions::new(dataset_name)
        })
    }

    /// Whether the plans are other than the planner's own and yet bear its name.
    pub fn hides_the_usual_plans(&self) -> bool {
        let departs = self.gpu_memory_target.is_some() || self.overwrite_target_spacing.is_some();
        self.plans_name.is_none() && departs
    }
}
