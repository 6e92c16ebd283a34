//! Training beside nnU-Net's: the same raw data set, plans, splits and budget, one after the other on all processors.
//!
//! Every fold is trained by nnU-Net and then by `unnunet-train`, and each program validates with what it trained. A
//! figure of seconds per iteration comes from each program's own record of its epochs. What an interrupted run has
//! finished is not made twice, since a fold takes from minutes to days.

mod agreement;
mod peer;
mod program;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use imaging::atomic_file;
use nnunet::evaluation::mean_defined;
use serde::Serialize;

use self::agreement::Comparison;
use self::peer::NnUNet;
use self::program::Program;
use super::Peer;
use super::training_args::TrainingArgs;
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// Validation iterations of an epoch in the peer's trainer file; ours gets as many.
const N_VALIDATION: u32 = 5;

/// Options of `cargo xtask bench train`.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(super) struct Args {
    /// Python environment with nnunetv2, in which `bin/nnUNetv2_train` lies
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    peer: PathBuf,
    /// Python file of the class `PeerTrainer`, which takes its budget from `PEER_EPOCHS`, `PEER_ITERATIONS` and so on
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    trainer: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    training: TrainingArgs,
    /// Folds to train, one after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0")]
    folds: Vec<u16>,
    /// Cycles of the learning rate; must divide the epochs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
}

/// The folder of this benchmark.
fn folder() -> PathBuf {
    workspace::target().join("bench/train")
}

/// A raw data set and where what is made of it lies.
#[derive(Debug)]
struct Subject {
    /// Folder name, `DatasetNNN_Name`.
    name: String,
    /// Folder that holds the data set's.
    raw: PathBuf,
    /// How its files end.
    file_ending: String,
    work: PathBuf,
}

impl Subject {
    fn new(args: &Args) -> Result<Self> {
        let folder = fs::canonicalize(&args.training.dataset)?;
        let name = folder.file_name().and_then(|name| name.to_str()).context("--dataset has no plain name")?.to_owned();
        let raw = folder.parent().context("--dataset has no parent folder")?.to_path_buf();
        let text = fs::read_to_string(folder.join("dataset.json"))?;
        let file_ending = nnunet::dataset::DatasetJson::parse(&text)?.file_ending;
        let work = std::path::absolute(args.training.work("train", &name, &format!("c{}", args.cycles)))?;
        Ok(Self { name, raw, file_ending, work })
    }

    /// Folder of our preprocessed data set, whose plans and splits are everyone's.
    fn plans_folder(&self) -> PathBuf {
        self.work.join("ours/preprocessed").join(&self.name)
    }
}

/// What one program's training of a fold came to.
#[derive(Debug)]
struct Trained {
    /// Wall time of every epoch.
    epochs_s: Vec<f64>,
    /// `summary.json` of the validation cases.
    summary: PathBuf,
}

impl Trained {
    /// Mean over the epochs after the first, whose start-up is not training.
    fn seconds_per_iteration(&self, args: &Args) -> Result<f64> {
        let (found, expected) = (self.epochs_s.len(), args.training.epochs);
        ensure!(found == expected as usize, "{found} epochs were recorded for {expected}: {}", self.summary.display());
        let epoch_s = mean_defined(self.epochs_s.iter().skip(1).copied().map(Some)).context("no epoch was timed")?;
        Ok(epoch_s / f64::from(args.training.iterations))
    }
}

/// One fold, trained twice.
#[derive(Debug, Serialize)]
struct Row {
    fold: u16,
    seconds_per_iteration_nnunet: f64,
    seconds_per_iteration_ours: f64,
    comparison: Comparison,
}

/// `result.json`.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    dataset: &'a str,
    n_processors: usize,
    validation_iterations: u32,
    settings: &'a Args,
    folds: &'a [Row],
    all: &'a Comparison,
}

/// Runs the benchmark, prints its table and writes `result.json`.
///
/// # Errors
///
/// When a program fails, or the data set, the plans or a result cannot be read.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.training.epochs.is_multiple_of(args.cycles), "--cycles must divide --epochs");
    let mut distinct = args.folds.clone();
    distinct.sort_unstable();
    distinct.dedup();
    ensure!(distinct.len() == args.folds.len() && !distinct.is_empty(), "--folds names a fold twice, or none");
    let peer = Peer::new(&args.peer)?;
    let subject = Subject::new(args)?;
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;

    let ours = Program::new(args, &subject);
    let theirs = NnUNet::new(args, &subject, &peer);
    ours.prepare()?;
    theirs.prepare()?;
    let rows = args.folds.iter().map(|&fold| row(args, &subject, fold, (&theirs, &ours)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let all = Comparison::pooled(rows.iter().map(|row| &row.comparison))?;
    let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
    let outcome = Outcome {
        dataset: &subject.name,
        n_processors,
        validation_iterations: N_VALIDATION,
        settings: args,
        folds: &rows,
        all: &all,
    };
    write(&subject.work.join("result.json"), &outcome)?;
    write(&folder().join("result.json"), &outcome)?;
    table::print(&outcome);
    Ok(ExitCode::SUCCESS)
}

fn row(args: &Args, subject: &Subject, fold: u16, (theirs, ours): (&NnUNet<'_>, &Program<'_>)) -> Result<Row> {
    console::say(&format!("\n# fold {fold}"));
    let (theirs, ours) = (theirs.train(fold)?, ours.train(fold)?);
    Ok(Row {
        fold,
        seconds_per_iteration_nnunet: theirs.seconds_per_iteration(args)?,
        seconds_per_iteration_ours: ours.seconds_per_iteration(args)?,
        comparison: Comparison::read([&theirs.summary, &ours.summary], &subject.file_ending)?,
    })
}

fn write(path: &Path, outcome: &Outcome<'_>) -> Result<()> {
    Ok(atomic_file::write(path, &serde_json::to_vec_pretty(outcome)?)?)
}
