//! `unnunet-train import`: the weights of a real nnU-Net v2 model as a run that can be exported.

use std::path::PathBuf;

use anyhow::bail;
use nnunet::fold::Fold;

use crate::cli::{Outcome, folders, output};
use crate::import::{Model, Request};

const EXAMPLES: &str = "Examples:
  unnunet-train import nnUNet_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres --results runs
  unnunet-train import MODEL_FOLDER --results runs --folds 0,4 --checkpoints final,best --name imported
  unnunet-train export 4 3d_fullres --results runs --plans imported --id clinic/hippocampus --version 1.0.0 -o model.unb";

/// Imports checkpoints of nnU-Net v2; no pickle code is executed.
///
/// Every checkpoint but `latest` becomes a member at its epoch; two of one epoch with equal weights are one member.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with `plans.json`, `dataset.json` and `fold_<f>/checkpoint_<name>.pth`.
    #[arg(value_name = "NNUNET_MODEL_FOLDER")]
    model_folder: PathBuf,
    /// Folder of the trainings, to which the run is added.
    #[arg(long, env = "nnUNet_results", value_name = "DIR")]
    results: PathBuf,
    /// Folds to import; all if not given.
    #[arg(long, value_delimiter = ',', value_name = "FOLD,…")]
    folds: Vec<u16>,
    /// Checkpoints to import, such as `final` or `best`; all but `latest` if not given.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    checkpoints: Vec<String>,
    /// Stands in place of the plans' name in the run's folder; `export --plans` takes it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Epochs of one cycle, where the training had several.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cycle_length: Option<u32>,
    /// Image for the probe case, one file per channel; a patch of noise if not given.
    #[arg(long, value_delimiter = ',', value_name = "FILE,…")]
    probe: Vec<PathBuf>,
}

/// Imports and prints a line per checkpoint.
///
/// # Errors
///
/// If a file is missing or refused, or a run lies there already; nothing is left behind then.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if let Some(name) = args.checkpoints.iter().chain(&args.name).find(|name| !plain(name)) {
        bail!("`{name}` cannot be a name; expected letters, digits, `_` and `-`");
    }
    let request = Request {
        model_folder: args.model_folder.clone(),
        folds: args.folds.iter().copied().map(Fold).collect(),
        checkpoints: args.checkpoints.clone(),
        cycle_length: args.cycle_length,
        probe: args.probe.clone(),
    };
    let model = Model::read(&request)?;
    let name = args.name.as_ref().unwrap_or(&model.plans.plans_name);
    let run_folder = folders::run(&args.results, &model.plans.dataset_name, name, &model.name);
    let records = model.import(&request, &run_folder)?;
    for record in &records {
        for checkpoint in &record.checkpoints {
            let (fold, epoch, cycle) = (record.fold, checkpoint.epoch, checkpoint.cycle);
            let name = &checkpoint.name;
            output::line(format_args!("{fold}/checkpoint_{name}.pth\t{fold}/checkpoint_{epoch}\tcycle {cycle}"));
        }
    }
    output::line(format_args!("run\t{}", run_folder.display()));
    if args.probe.is_empty() {
        output::note("no `--probe`: the self-test of a bundle will use a patch of noise");
    }
    Ok(Outcome::Done)
}
