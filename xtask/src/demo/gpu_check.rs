//! `cargo xtask gpu-check`: does a GPU train what the CPU trains?
//!
//! The main job on phantom hearts, trained on the first CUDA device, on the
//! first two sharing every batch where there are two, and on the CPU. All
//! bundles are signed, for which the self-test compares every member of the
//! GPU with libtorch's logits on the CPU; then all are predicted on the CPU
//! and their Dice compared. Sums on a GPU round in another order, so weights
//! differ and only what they find can be compared.
//!
//! A GPU is found by its driver and not by libtorch, whose CUDA part cannot
//! be loaded where CUDA's libraries are missing: on a machine with a GPU
//! that is a failure to be told, and no reason to check nothing.

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

/// One of these exists where the system drives an NVIDIA device; the second where Windows lends it to a Linux of its own.
const DRIVERS: [&str; 2] = ["/proc/driver/nvidia/version", "/dev/dxg"];
/// Has a folder per NVIDIA device, where there is the first driver.
const GPUS: &str = "/proc/driver/nvidia/gpus";
/// How far apart the mean Dice may lie; two seeds on one device differ by as much.
const MAX_DIFFERENCE: f64 = 0.05;

/// Options of `cargo xtask gpu-check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 the GPU trains what the CPU trains, or there is no GPU and nothing was checked; \
                        1 it does not; 2 a step failed, such as loading CUDA's libraries, which `setup` does not bring."
)]
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
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let Some(gpus) = gpus(&DRIVERS.map(Path::new), Path::new(GPUS), visible.as_deref()) else {
        console::say(&format!("gpu-check: this machine has no GPU (`{}` is missing); nothing was checked", DRIVERS[0]));
        return Ok(ExitCode::SUCCESS);
    };
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    let work = args.output.clone().unwrap_or_else(|| workspace::root().join("demo/gpu-check"));
    // The GPU first: what is wrong with it shows at once.
    let found = gpus.iter().map(|&device| dice(device, &work.join(folder(device)))).collect::<Result<Vec<_>>>()?;
    let cpu = dice("cpu", &work.join("cpu"))?;
    let mut all_agree = true;
    for (device, dice) in gpus.iter().zip(found) {
        let agree = (cpu - dice).abs() <= MAX_DIFFERENCE;
        let word = if agree { "pass" } else { "FAIL" };
        console::say(&format!("gpu-check: mean Dice {dice:.3} trained on `{device}`, {cpu:.3} on the CPU: {word}"));
        all_agree &= agree;
    }
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What to train on, as `--device` takes it, of the devices that are `visible` where not all are; `None` without a driver.
fn gpus(drivers: &[&Path], listed: &Path, visible: Option<&str>) -> Option<Vec<&'static str>> {
    if !drivers.iter().any(|driver| driver.exists()) {
        return None;
    }
    let n_listed = fs_err::read_dir(listed).map_or(0, Iterator::count);
    let n_visible = visible.map_or(n_listed, |visible| visible.split(',').count());
    Some(if n_listed.min(n_visible) > 1 { vec!["cuda:0", "cuda:0,1"] } else { vec!["cuda:0"] })
}

/// A name for a folder.
fn folder(device: &str) -> String {
    device.replace([':', ','], "-")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_gpu_without_a_driver_and_two_share_batches() {
        let root = tempfile::tempdir().unwrap();
        let (driver, listed) = (root.path().join("version"), root.path().join("gpus"));
        let check = |expected: Option<&[&str]>| {
            assert_eq!(gpus(&[&driver, &root.path().join("dxg")], &listed, None).as_deref(), expected);
        };
        check(None);
        fs_err::write(&driver, "NVRM").unwrap();
        check(Some(&["cuda:0"]));
        for gpu in ["0000:01:00.0", "0000:02:00.0"] {
            fs_err::create_dir_all(listed.join(gpu)).unwrap();
            let expected: &[&str] = if gpu.contains(":01:") { &["cuda:0"] } else { &["cuda:0", "cuda:0,1"] };
            check(Some(expected));
        }
        assert_eq!(gpus(&[&driver], &listed, Some("1")).as_deref(), Some(&["cuda:0"][..]));
        assert_eq!(gpus(&[&driver], &listed, Some("1,0")).as_deref(), Some(&["cuda:0", "cuda:0,1"][..]));
        assert_eq!(folder("cuda:0,1"), "cuda-0-1");
    }
}
