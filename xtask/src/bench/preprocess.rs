//! Preprocessing beside nnU-Net's: the same files, the same plans, one core each in turn, several times, and then ours on
//! all cores.

mod large;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use nnunet::plans::{ConfigurationName, Plans};

use super::measure;
use super::{Peer, again, on_one_core, resampling};
use crate::setup::{self, Component};
use crate::workspace;
use table::{Compared, Row, Spread, Starts, Timed};

/// Options of `cargo xtask bench preprocess`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Python environment with nnunetv2, in which `bin/python` lies
    #[arg(long, value_name = "DIR")]
    peer: PathBuf,
    /// Raw nnU-Net data sets to preprocess beside the CT-sized phantoms; they are only read
    #[arg(long, value_name = "DIR")]
    dataset: Vec<PathBuf>,
    /// Timed runs of each program, in turn; the table has the middle one and the range
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
///
/// When a program fails, or a data set cannot be read.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    build_example()?;
    let peer = Peer::new(&args.peer)?;
    let work = workspace::target().join("bench/preprocess");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    resampling::run(&peer, &work)?;

    let mut subjects = large::write(&work.join("raw"))?;
    for dataset in &args.dataset {
        subjects.push(Subject { raw: fs::canonicalize(dataset)?, plan_flags: &[] });
    }
    let measured = subjects.iter().map(|subject| subject.measure(args.runs, &peer, &work));
    let rows = measured.collect::<Result<Vec<_>>>()?;
    table::print(&rows, &Starts { ours_s: start_s()?, peer_s: peer_start_s(&peer)? });
    Ok(ExitCode::SUCCESS)
}

/// Seconds that our program takes to start, which is mostly libtorch's registration of its operators.
fn start_s() -> Result<f64> {
    let mut command = workspace::program("unnunet-train");
    command.arg("--version");
    middle_of_three(&on_one_core(&command))
}

/// Seconds that Python takes to start and to import what preprocesses.
fn peer_start_s(peer: &Peer) -> Result<f64> {
    let mut command = peer.script("peer_preprocess.py");
    command.arg("--help");
    middle_of_three(&on_one_core(&command))
}

fn middle_of_three(command: &Command) -> Result<f64> {
    let seconds = (0..3).map(|_| Ok(measure::run(again(command))?.wall_s)).collect::<Result<Vec<_>>>()?;
    Ok(Spread::of(seconds.into_iter()).middle)
}

fn build_example() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--package", "imaging", "--example", "resample"]);
    ensure!(command.status()?.success(), "the example `resample` does not build");
    Ok(())
}

/// A data set to preprocess.
struct Subject {
    raw: PathBuf,
    plan_flags: &'static [&'static str],
}

impl Subject {
    fn measure(&self, runs: u32, peer: &Peer, work: &Path) -> Result<Row> {
        let name = self.raw.file_name().and_then(|name| name.to_str()).context("a data set has a plain name")?;
        let preprocessed = work.join("ours");
        let program = |verb: &str| {
            let mut command = workspace::program("unnunet-train");
            command.args([verb, "-d", name]).arg("--preprocessed").arg(&preprocessed);
            command.arg("--raw").arg(self.raw.parent().unwrap_or(&self.raw));
            command
        };
        let mut plan = program("plan-and-preprocess");
        plan.arg("--no-preprocess").args(self.plan_flags);
        measure::run(plan)?;
        let plans_file = preprocessed.join(name).join("nnUNetPlans.json");
        let plans = Plans::parse(&fs::read_to_string(&plans_file)?)?;
        let configuration = if plans.configurations.contains_key("3d_fullres") { "3d_fullres" } else { "2d" };
        let identifier = plans.configuration(&ConfigurationName(configuration.to_owned()))?.data_identifier;
        let store = preprocessed.join(name).join(identifier);
        let output = work.join("peer").join(name);

        let preprocess = || {
            let mut command = program("preprocess");
            command.args(["-c", configuration]);
            command
        };
        let script = || {
            let mut command = peer.script("peer_preprocess.py");
            command.arg(&self.raw).arg(&plans_file).arg(configuration).arg(&output);
            command
        };
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            forget(&store)?;
            forget(&output)?;
            let mut single = preprocess();
            single.args(["--jobs", "1"]);
            ours.push(measure::run(on_one_core(&single))?);
            peers.push(Timed::of(measure::run(on_one_core(&script()))?)?);
        }
        forget(&store)?;
        let all_cores = measure::run(preprocess())?;
        let mut comparison = script();
        comparison.arg("--ours").arg(&store);
        let compared: Compared = serde_json::from_str(&measure::run(comparison)?.stdout)?;
        let (name, configuration) = (name.to_owned(), configuration.to_owned());
        let volume_bytes = largest_volume(&self.raw, &store)?;
        Ok(Row { name, configuration, peers, ours, all_cores, compared, volume_bytes })
    }
}

/// Removes what an earlier run made.
fn forget(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Bytes of the largest case, as 32-bit reals with all channels, on its own grid or preprocessed.
fn largest_volume(raw: &Path, store: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let Some(case) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".image")) else { continue };
        largest = largest.max(fs::metadata(&path)?.len());
        let image = raw.join("imagesTr").join(format!("{case}_0000.nii.gz"));
        if image.is_file() {
            let voxels = imaging::nifti::read_image(&[image])?.voxels.len();
            largest = largest.max(4 * voxels as u64);
        }
    }
    Ok(largest)
}
