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
use super::training_args::TrainingArgs;
use crate::console;
use crate::demo::material::{Material, Unseen};
use crate::setup::{self, Component};
use crate::workspace;

/// Options of `cargo xtask bench ensembles`.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    training: TrainingArgs,
    /// Folds to train, of which 0 must be one
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,1,2,3,4")]
    folds: Vec<u16>,
    /// Cycles that one cycle is compared with; must divide the epochs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    cycles: u32,
    /// Checkpoints at the end of each cycle
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    late: u32,
}

impl Args {
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
    ensure!(args.training.epochs.is_multiple_of(args.cycles), "--cycles must divide --epochs");
    ensure!(args.folds.contains(&0), "--folds must contain 0, whose validation cases are predicted");
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    let material = Material::real(&args.training.dataset)?;
    let particular = format!("c{}-l{}", args.cycles, args.late);
    let work = std::path::absolute(args.training.work("ensembles", &material.name, &particular))?;
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
        let raw = self.material.raw(&self.work)?;
        self.steps.once("plan-and-preprocess", || {
            Ok(self.args.training.plan_and_preprocess(&self.material.name, &raw, &self.preprocessed()))
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
        let TrainingArgs { configuration, epochs, iterations, seed, .. } = &self.args.training;
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
    let mut command = workspace::program(name);
    command.args(arguments);
    command
}

/// Says what is about to be compared.
fn announce(what: &str) {
    console::say(&format!("\n# {what}"));
}
