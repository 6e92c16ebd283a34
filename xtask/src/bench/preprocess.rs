//! Preprocessing beside nnU-Net's: the same files, the same plans, one core each, and then ours on all cores.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use nnunet::plans::{ConfigurationName, Plans};
use phantoms::balls::Balls;
use phantoms::dataset::{Part, RawDataset};
use serde::Deserialize;

use super::measure::{self, Cost};
use super::{Peer, on_one_core, resampling};
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// A CT-sized case in thick slices.
const LARGE: Balls = Balls {
    name: "Dataset903_Large",
    n_training: 5,
    n_test: 0,
    shape: [100, 512, 512],
    spacing_mm: [3.0, 0.8, 0.8],
    seed: 3,
};
/// To which it is resampled, mm.
const LARGE_TARGET: &str = "1.5,1.5,1.5";

/// Options of `cargo xtask bench preprocess`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Python environment with nnunetv2, in which `bin/python` lies
    #[arg(long, value_name = "DIR")]
    peer: PathBuf,
    /// Raw nnU-Net data sets to preprocess beside the CT-sized phantoms; they are only read
    #[arg(long, value_name = "DIR")]
    dataset: Vec<PathBuf>,
}

/// What the peer's script prints of a timed run.
#[derive(Debug, Deserialize)]
struct Timed {
    n: usize,
    seconds: f64,
}

/// What it prints of a comparison.
#[derive(Debug, Deserialize)]
struct Compared {
    n: usize,
    difference: f64,
    labels: u64,
    voxels: u64,
    locations: u64,
}

/// One data set, measured.
struct Row {
    name: String,
    configuration: String,
    peer: Timed,
    peer_cost: Cost,
    ours: Cost,
    all_cores: Cost,
    compared: Compared,
    volume_bytes: u64,
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

    let raw = work.join("raw");
    write_large(&raw)?;
    let large = Subject { raw: raw.join(LARGE.name), plan_flags: &["--overwrite-target-spacing", LARGE_TARGET] };
    let given = args.dataset.iter().map(|dataset| Ok(Subject { raw: fs::canonicalize(dataset)?, plan_flags: &[] }));
    let subjects = std::iter::once(Ok(large)).chain(given).collect::<Result<Vec<_>>>()?;
    let rows = subjects.iter().map(|subject| subject.measure(&peer, &work)).collect::<Result<Vec<_>>>()?;
    print_table(&rows, start_s()?);
    Ok(ExitCode::SUCCESS)
}

/// Seconds that our program takes to start, which is mostly libtorch's registration of its operators: the middle one
/// of three runs on one core.
fn start_s() -> Result<f64> {
    let start = || {
        let mut command = Command::new(workspace::target().join("release/unnunet-train"));
        command.arg("--version");
        Ok(measure::run(on_one_core(&command))?.wall_s)
    };
    let mut seconds = (0..3).map(|_| start()).collect::<Result<Vec<_>>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[1])
}

/// Draws the CT-sized cases; their values are whole, as scanners store them.
fn write_large(raw: &Path) -> Result<()> {
    let dataset = RawDataset::create(raw, LARGE.name, &["background", "large", "small"])?;
    for case in 0..LARGE.n_training {
        let (mut image, reference) = LARGE.draw(case);
        image.voxels.mapv_inplace(f32::round);
        dataset.add(Part::Training, &format!("balls_{case:03}"), &image, &reference)?;
    }
    dataset.finish(LARGE.n_training)?;
    Ok(())
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
    fn measure(&self, peer: &Peer, work: &Path) -> Result<Row> {
        let name = self.raw.file_name().and_then(|name| name.to_str()).context("a data set has a plain name")?;
        let preprocessed = work.join("ours");
        let program = |verb: &str| {
            let mut command = Command::new(workspace::target().join("release/unnunet-train"));
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

        let preprocess = || {
            let mut command = program("preprocess");
            command.args(["-c", configuration]);
            command
        };
        let mut single = preprocess();
        single.args(["--jobs", "1"]);
        let ours = measure::run(on_one_core(&single))?;
        fs::remove_dir_all(&store)?;
        let all_cores = measure::run(preprocess())?;

        let output = work.join("peer").join(name);
        let script = || {
            let mut command = peer.script("peer_preprocess.py");
            command.arg(&self.raw).arg(&plans_file).arg(configuration).arg(&output);
            command
        };
        let peer_cost = measure::run(on_one_core(&script()))?;
        let mut comparison = script();
        comparison.arg("--ours").arg(&store);
        let compared: Compared = serde_json::from_str(&measure::run(comparison)?.stdout)?;
        let peer = serde_json::from_str(&peer_cost.stdout)?;
        let (name, configuration) = (name.to_owned(), configuration.to_owned());
        let volume_bytes = largest_volume(&self.raw, &store)?;
        Ok(Row { name, configuration, peer, peer_cost, ours, all_cores, compared, volume_bytes })
    }
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

fn print_table(rows: &[Row], start_s: f64) {
    console::say(&format!(
        "\npreprocessing, seconds on one core; nnU-Net's without starting Python, ours of the whole program, of which \
         {start_s:.2} s are its start"
    ));
    console::say(
        "| data set | n | nnU-Net | ours | times as fast | without both starts | ours, all cores | peak, nnU-Net | peak, ours | largest difference | other labels | other locations |",
    );
    console::say("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    for row in rows {
        let volumes = row.ours.own as f64 / row.volume_bytes as f64;
        let work_s = row.ours.wall_s - start_s;
        // Where there is hardly any work, the difference is noise.
        let without_starts =
            if work_s > start_s { format!("{:.1}", row.peer.seconds / work_s) } else { "–".to_owned() };
        console::say(&format!(
            "| {} {} | {} | {:.1} | {:.2} | {:.1} | {without_starts} | {:.2} | {:.0} MB | {:.0} MB, data {:.0} MB = {volumes:.1} volumes | {:.1e} | {} of {} | {} |",
            row.name,
            row.configuration,
            row.peer.n.min(row.compared.n),
            row.peer.seconds,
            row.ours.wall_s,
            row.peer.seconds / row.ours.wall_s,
            row.all_cores.wall_s,
            megabytes(row.peer_cost.resident),
            megabytes(row.ours.resident),
            megabytes(row.ours.own),
            row.compared.difference,
            row.compared.labels,
            row.compared.voxels,
            row.compared.locations,
        ));
    }
}
