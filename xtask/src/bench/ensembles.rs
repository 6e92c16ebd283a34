//! What makes an ensemble good: one cycle against several at equal epochs, a single checkpoint against all of a fold,
//! one fold against all of them.
//!
//! Every fold is trained twice, in one cycle and in several, and leaves as many checkpoints each time. The unseen cases
//! are the validation cases of fold 0, which no fold trains on. Single checkpoints are the last of each fold. All is
//! done by the released programs, from the raw images to `summary.json`; what an interrupted run has finished is not
//! made twice.

mod models;
mod table;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, ensure};
use fs_err as fs;
use serde::Serialize;

use self::models::Recipe;
use super::steps::Steps;
use crate::console;
use crate::demo::material::{Material, Unseen};
use crate::setup::{self, Component};
use crate::workspace;

/// Options of `cargo xtask bench ensembles`.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(super) struct Args {
    /// Raw nnU-Net data set; it is only read
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    dataset: PathBuf,
    /// Configuration to train
    #[arg(long, default_value = "3d_fullres", value_parser = ["2d", "3d_fullres"])]
    configuration: String,
    /// Folds to train, of which 0 must be one
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,1,2,3,4")]
    folds: Vec<u16>,
    /// Epochs of each training
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..))]
    epochs: u32,
    /// Cycles that one cycle is compared with; must divide the epochs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    cycles: u32,
    /// Checkpoints at the end of each cycle
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    late: u32,
    /// Iterations of an epoch
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Patches of a batch
    #[arg(long, value_name = "N", default_value_t = 4)]
    batch_size: u32,
    /// Features of the network's first stage
    #[arg(long, value_name = "N", default_value_t = 8)]
    features: u32,
    /// Voxels of a patch, as `Y,X` or `Z,Y,X` [default: as planned]
    #[arg(long, value_name = "SIZE")]
    patch_size: Option<String>,
    /// Seed of all trainings
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl Args {
    /// Where everything of this data set and budget lies; another budget has another folder.
    fn work(&self, dataset: &str) -> PathBuf {
        let Self { configuration, features, batch_size, epochs, iterations, cycles, late, seed, .. } = self;
        let patch = self.patch_size.as_deref().map_or_else(String::new, |size| format!("-p{}", size.replace(',', "x")));
        let budget = format!("f{features}-b{batch_size}{patch}-e{epochs}-i{iterations}-c{cycles}-l{late}-s{seed}");
        workspace::target().join("bench/ensembles").join(dataset).join(format!("{configuration}-{budget}"))
    }

    /// One cycle and several, with as many checkpoints of a fold.
    fn recipes(&self) -> [Recipe; 2] {
        let of = |cycles: u32, late: u32| Recipe { name: format!("cycles-{cycles}"), cycles, late };
        [of(1, self.cycles * self.late), of(self.cycles, self.late)]
    }
}

/// A data set on which both recipes are tried.
struct Subject<'a> {
    args: &'a Args,
    material: Material,
    work: PathBuf,
    steps: Steps,
}

/// Runs the benchmark, prints its tables and writes `result.json`.
///
/// # Errors
///
/// When a program fails, or a result cannot be read.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.epochs.is_multiple_of(args.cycles), "--cycles must divide --epochs");
    ensure!(args.folds.contains(&0), "--folds must contain 0, whose validation cases are predicted");
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    let material = Material::real(&args.dataset)?;
    let work = std::path::absolute(args.work(&material.name))?;
    let subject = Subject { args, material, steps: Steps::new(&work), work };

    let unseen = subject.prepare()?;
    subject.train_all()?;
    let outcomes = args.recipes().map(|recipe| subject.predict(&recipe, &unseen));
    let [one_cycle, several] = outcomes;
    table::report(args, &subject.material.name, &[one_cycle?, several?], &subject.work)?;
    Ok(ExitCode::SUCCESS)
}

impl Subject<'_> {
    /// Plans, preprocesses, and sets the unseen cases apart.
    fn prepare(&self) -> Result<Unseen> {
        let Args { configuration, features, batch_size, patch_size, .. } = self.args;
        let raw = self.material.raw(&self.work)?;
        self.steps.once("plan-and-preprocess", || {
            let mut command = program("unnunet-train", &["plan-and-preprocess", "-d", &self.material.name]);
            command.args(["-c", configuration, "--features", &features.to_string()]);
            command.args(["--batch-size", &batch_size.to_string()]);
            if let Some(size) = patch_size {
                command.args(["--patch-size", size]);
            }
            command.arg("--raw").arg(&raw).arg("--preprocessed").arg(self.preprocessed());
            Ok(command)
        })?;
        self.steps.once_with("hold-out", || {
            // What an interrupted run has begun to lay out.
            let begun = self.work.join("unseen");
            if begun.exists() {
                fs::remove_dir_all(begun)?;
            }
            self.material.hold_out(&raw, &self.work, None).map(drop)
        })?;
        Ok(Unseen::below(&self.work))
    }

    /// Trains every fold by both recipes, as many at a time as there are processors and each on one thread: the threads
    /// of one training wait for each other at every layer, those of two trainings never do.
    fn train_all(&self) -> Result<()> {
        let recipes = self.args.recipes();
        let jobs = self.args.folds.iter().flat_map(|&fold| recipes.iter().map(move |recipe| (fold, recipe)));
        let queue = Mutex::new(jobs);
        let n_processors = thread::available_parallelism().map_or(1, usize::from);
        let work = || -> Result<()> {
            loop {
                let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                let Some((fold, recipe)) = next else { return Ok(()) };
                self.train(fold, recipe)?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..n_processors).map(|_| scope.spawn(work)).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().try_for_each(join)
        })
    }

    fn train(&self, fold: u16, recipe: &Recipe) -> Result<()> {
        let Args { configuration, epochs, iterations, seed, .. } = self.args;
        let results = self.results(recipe);
        let folder = results.join(&self.material.name).join(format!("UnnunetTrainer__nnUNetPlans__{configuration}"));
        self.steps.once(&format!("train-{}-fold-{fold}", recipe.name), || {
            let mut command =
                program("unnunet-train", &["train", &self.material.name, configuration, &fold.to_string()]);
            let numbers = [
                ("--epochs", *epochs),
                ("--cycles", recipe.cycles),
                ("--late", recipe.late),
                ("--iterations", *iterations),
                ("--threads", 1),
            ];
            for (option, number) in numbers {
                command.args([option, &number.to_string()]);
            }
            command.args(["--seed", &seed.to_string(), "--device", "cpu"]);
            command.arg("--preprocessed").arg(self.preprocessed()).arg("--results").arg(&results);
            if folder.join(format!("fold_{fold}/checkpoint_latest.safetensors")).is_file() {
                command.arg("--continue");
            }
            Ok(command)
        })
    }

    fn preprocessed(&self) -> PathBuf {
        self.work.join("preprocessed")
    }

    fn results(&self, recipe: &Recipe) -> PathBuf {
        self.work.join("results").join(&recipe.name)
    }

    fn folds(&self) -> String {
        self.args.folds.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
    }
}

/// A released program with its first arguments.
fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::target().join("release").join(name));
    command.current_dir(workspace::root()).args(arguments);
    command
}

/// Says what is about to be compared.
fn announce(what: &str) {
    console::say(&format!("\n# {what}"));
}
