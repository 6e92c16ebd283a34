//! `unnunet-train plan-and-preprocess`: from raw data sets to plans and preprocessed cases.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nnunet::fingerprint::Fingerprint;
use nnunet::planner::{PlanOptions, plan};
use nnunet::plans::{ConfigurationName, Plans};
use serde::Serialize;

use crate::cli::split_args::SplitArgs;
use crate::cli::{Outcome, folders, output, progress, verify_dataset};
use crate::cross_validation;
use crate::preparation::{self, Prepared};
use crate::raw_dataset::RawDataset;
use crate::store::Store;
use imaging::atomic_file;

/// Plans data sets as nnU-Net does and preprocesses their training cases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number or folder name of a data set; several may follow.
    #[arg(short, long = "dataset", required = true, num_args = 1.., value_name = "DATASET")]
    dataset: Vec<String>,
    /// Configurations to preprocess for [default: all that are planned, but for cascades].
    #[arg(short, long = "configuration", num_args = 1.., value_name = "CONFIGURATION")]
    configuration: Vec<String>,
    /// Only plan.
    #[arg(long)]
    no_preprocess: bool,
    /// Check the whole data set before planning, as `verify-dataset` does, and stop if it has errors. Without it,
    /// planning stops at the first case that cannot be used.
    #[arg(long)]
    verify_dataset_integrity: bool,
    /// Name of the plans.
    #[arg(long, default_value = "nnUNetPlans", value_name = "NAME")]
    plans_name: String,
    #[command(flatten)]
    splits: SplitArgs,
    #[command(flatten)]
    size: SizeArgs,
    /// Cases at a time [default: one per processor].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Folder of raw data sets.
    #[arg(long, env = "nnUNet_raw", value_name = "DIR")]
    raw: PathBuf,
    /// Folder of preprocessed data sets.
    #[arg(long, env = "nnUNet_preprocessed", value_name = "DIR")]
    preprocessed: PathBuf,
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

/// Plans and preprocesses every data set asked for.
///
/// # Errors
///
/// If a data set cannot be planned; a case that cannot be preprocessed is reported and leaves
/// [`Outcome::SomeFailed`].
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    if let Some(jobs) = args.jobs {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs);
        builder.build_global().context("cannot start as many threads as `--jobs` asks for")?;
    }
    let mut outcome = Outcome::Done;
    for dataset in &args.dataset {
        if one_dataset(args, dataset)? == Outcome::SomeFailed {
            outcome = Outcome::SomeFailed;
        }
    }
    Ok(outcome)
}

fn one_dataset(args: &Args, dataset: &str) -> anyhow::Result<Outcome> {
    let folder = folders::dataset(&args.raw, dataset)?;
    if args.verify_dataset_integrity {
        verify_dataset::before_planning(&folder)?;
    }
    let raw = RawDataset::open(&folder)?;
    let name = raw.folder.file_name().and_then(|name| name.to_str()).context("a data set has a name")?.to_owned();
    let folder = args.preprocessed.join(&name);
    let splits = args.splits.of(&raw, &folder)?;
    fs_err::create_dir_all(&folder)?;

    let bar = progress::cases("measuring", raw.cases.len());
    let fingerprint = preparation::fingerprint(&raw, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let options = PlanOptions {
        plans_name: args.plans_name.clone(),
        features: args.size.features,
        max_features: args.size.max_features,
        patch_size: args.size.patch_size.clone(),
        batch_size: args.size.batch_size,
        ..PlanOptions::new(&name)
    };
    let plans = plan(&fingerprint, &raw.json, &options).with_context(|| format!("`{name}` cannot be planned"))?;
    write_plans(&folder, &raw, &fingerprint, &plans)?;
    write_json(&folder.join(cross_validation::FILE_NAME), &splits)?;
    let names = configurations(&plans, &args.configuration)?;
    for name in &names {
        let configuration = plans.configuration(name)?;
        let (patch, batch) = (&configuration.patch_size, configuration.batch_size);
        output::line(format_args!("{name}: patch {patch:?}, batch {batch}, spacing {:?}", configuration.spacing));
    }
    if args.no_preprocess {
        return Ok(Outcome::Done);
    }
    let mut outcome = Outcome::Done;
    for name in &names {
        if preprocess_for(&raw, &plans, name, &folder)? == Outcome::SomeFailed {
            outcome = Outcome::SomeFailed;
        }
    }
    Ok(outcome)
}

fn write_plans(folder: &Path, raw: &RawDataset, fingerprint: &Fingerprint, plans: &Plans) -> anyhow::Result<()> {
    write_json(&folder.join("dataset.json"), &raw.json)?;
    write_json(&folder.join("dataset_fingerprint.json"), fingerprint)?;
    write_json(&folder.join(format!("{}.json", plans.plans_name)), plans)
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(atomic_file::write(path, &serde_json::to_vec_pretty(value)?)?)
}

fn configurations(plans: &Plans, wanted: &[String]) -> anyhow::Result<Vec<ConfigurationName>> {
    let all = || plans.configurations.keys().filter(|name| !name.contains("cascade")).cloned().collect();
    let names: Vec<String> = if wanted.is_empty() { all() } else { wanted.to_vec() };
    let names: Vec<_> = names.into_iter().map(ConfigurationName).collect();
    for name in &names {
        plans.configuration(name)?;
    }
    Ok(names)
}

fn preprocess_for(raw: &RawDataset, plans: &Plans, name: &ConfigurationName, folder: &Path) -> anyhow::Result<Outcome> {
    let configuration = plans.configuration(name)?;
    let store = Store::new(folder.join(&configuration.data_identifier));
    let bar = progress::cases("preprocessing", raw.cases.len());
    let results = preparation::prepare(raw, plans, &configuration, &store, &|| bar.inc(1));
    bar.finish_and_clear();
    let count =
        |wanted: Prepared| results.iter().filter(|(_, result)| result.as_ref().is_ok_and(|&r| r == wanted)).count();
    let (anew, already) = (count(Prepared::Anew), count(Prepared::Already));
    let n_failed = results.len() - anew - already;
    for (_, result) in results {
        if let Err(error) = result {
            output::report(&error.into());
        }
    }
    output::line(format_args!("{name}: {anew} cases preprocessed, {already} already there, {n_failed} failed"));
    Ok(if n_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
}
