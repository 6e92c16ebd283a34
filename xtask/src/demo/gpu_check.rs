//! `cargo xtask gpu-check`: does a GPU train what the CPU trains?
//!
//! The main job on phantom hearts twice, trained on the CPU and on the first
//! CUDA device. Both bundles are signed, for which the self-test compares
//! every member of the GPU with libtorch's logits on the CPU; then both are
//! predicted on the CPU and their Dice compared. Sums on a GPU round in
//! another order, so weights differ and only what they find can be compared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::budget::{Budget, BudgetArgs};
use super::job::Job;
use super::material::{Kind, Material};
use super::results::Results;
use super::workplace;
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// Exists where the system drives an NVIDIA device.
const DRIVER: &str = "/proc/driver/nvidia/version";
/// How far apart the mean Dice may lie; two seeds on one device differ by as much.
const MAX_DIFFERENCE: f64 = 0.05;

/// Options of `cargo xtask gpu-check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Work folder; must be absent, empty, or made by an earlier run [default: demo/gpu-check]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs `cargo xtask gpu-check`.
///
/// # Errors
///
/// When there is a GPU and a step of the job fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !Path::new(DRIVER).exists() {
        console::say(&format!("gpu-check: this machine has no GPU (`{DRIVER}` is missing); nothing was checked"));
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    let work = args.output.clone().unwrap_or_else(|| workspace::root().join("demo/gpu-check"));
    let [cpu, cuda] = ["cpu", "cuda"].map(|device| dice(device, &work.join(device)));
    let (cpu, cuda) = (cpu?, cuda?);
    let agree = (cpu - cuda).abs() <= MAX_DIFFERENCE;
    let word = if agree { "pass" } else { "FAIL" };
    console::say(&format!("gpu-check: mean Dice {cuda:.3} trained on the GPU, {cpu:.3} on the CPU: {word}"));
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Mean Dice of the selected fold, trained on `device`.
fn dice(device: &'static str, work: &Path) -> Result<f64> {
    let budget = Budget::resolve(&BudgetArgs::default(), Kind::Phantom, "2d")?;
    workplace::prepare(work)?;
    let job =
        Job { material: Material::phantom(), configuration: "2d".to_owned(), budget, device, work: work.to_owned() };
    let prediction = job.run(None)?;
    let results = Results::read(&prediction, &job.budget.folds)?;
    results.mean_dice_of_selected().with_context(|| format!("the training on `{device}` found nothing"))
}
