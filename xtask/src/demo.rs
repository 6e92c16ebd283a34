//! `cargo xtask demo`: the main job, from raw images to a selected fold.
//!
//! The two released programs are called as a user would call them, and every
//! command line is printed, so that this is both the proof that the parts fit
//! and the shortest tutorial. Without `--dataset` it draws phantom hearts and
//! holds itself to a Dice and a time; on real data it only reports.

mod budget;
pub(crate) mod gpu_check;
mod job;
pub(crate) mod material;
pub(crate) mod results;
mod side_by_side;
mod table;
mod workplace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};

use self::budget::{Budget, BudgetArgs};
use self::job::Job;
use self::material::Material;
use self::results::Results;
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// What the phantom demo must reach: mean Dice of the selected fold.
const MIN_DICE: f64 = 0.85;
/// What the phantom demo may take, once both programs are built.
const MAX_SECONDS: f64 = 300.0;

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A raw nnU-Net data set to run on instead of phantom hearts; it is only read
    #[arg(long, value_name = "DIR")]
    dataset: Option<PathBuf>,
    /// Configuration to train
    #[arg(long, default_value = "2d", value_parser = ["2d", "3d_fullres"])]
    configuration: String,
    /// Predict only this many of the unseen cases, evenly spaced over their sorted list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cases: Option<u64>,
    /// Work folder; must be absent, empty, or made by an earlier demo [default: demo/DATASET]
    #[arg(long, visible_alias = "base-work", value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.dataset.is_some() || args.configuration == "2d", "the phantom hearts are 2D; name a --dataset");
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;

    let start = Instant::now();
    let material = match &args.dataset {
        Some(folder) => Material::real(folder)?,
        None => Material::phantom(),
    };
    let budget = Budget::resolve(&args.budget, material.kind, &args.configuration)?;
    let work = args.output.clone().unwrap_or_else(|| workspace::root().join("demo").join(&material.name));
    workplace::prepare(&work)?;
    let job = Job { material, configuration: args.configuration.clone(), budget, device: "cpu", work };
    let prediction = job.run(args.cases)?;

    let results = Results::read(&prediction, &job.budget.folds)?;
    console::say(&table::render(&results));
    let seconds = start.elapsed().as_secs_f64();
    console::say(&format!("demo: done in {seconds:.0} s, outputs in `{}`", job.work.display()));
    if args.dataset.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(verdict(results.mean_dice_of_selected(), seconds))
}

/// Says whether the phantom demo kept its promises; exit status 1 if not.
fn verdict(dice: Option<f64>, seconds: f64) -> ExitCode {
    let is_accurate = dice.is_some_and(|dice| dice >= MIN_DICE);
    let is_quick = seconds <= MAX_SECONDS;
    let word = |kept: bool| if kept { "pass" } else { "FAIL" };
    let dice = dice.map_or_else(|| "undefined".to_owned(), |dice| format!("{dice:.3}"));
    console::say(&format!("demo: mean Dice {dice} (at least {MIN_DICE}): {}", word(is_accurate)));
    console::say(&format!("demo: {seconds:.0} s (at most {MAX_SECONDS:.0} s): {}", word(is_quick)));
    if is_accurate && is_quick { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
