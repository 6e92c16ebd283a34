//! The main job as a list of command lines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use super::budget::Budget;
use super::material::{Material, Unseen};
use super::side_by_side;
use crate::console;
use crate::workspace;

/// One run of the main job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) material: Material,
    pub(super) configuration: String,
    pub(super) budget: Budget,
    /// Where to train, as `--device` takes it.
    pub(super) device: &'static str,
    pub(super) work: PathBuf,
}

impl Job {
    /// Runs every phase on at most `limit` unseen cases; returns the folder of predictions.
    ///
    /// # Errors
    ///
    /// When a command fails or the unseen cases cannot be laid out.
    pub(super) fn run(&self, limit: Option<u64>) -> Result<PathBuf> {
        let raw = self.material.raw(&self.work)?;
        let mut phases = Phases::default();
        phases.time("plan and preprocess", || self.plan_and_preprocess(&raw))?;
        let unseen = self.material.hold_out(&raw, &self.work, limit)?;
        phases.time(&format!("train folds {}", self.folds()), || self.train())?;
        phases.time("export and sign", || self.export_and_sign())?;
        phases.time("verify and self-test", || self.check_bundle())?;
        let prediction = self.work.join("predictions");
        phases.time("predict", || self.predict(&unseen, &prediction))?;
        phases.time("evaluate", || self.evaluate(&raw, &unseen, &prediction))?;
        phases.time("report", || self.report(&raw, &unseen, &prediction))?;
        console::say(&phases.line());
        Ok(prediction)
    }

    fn plan_and_preprocess(&self, raw: &Path) -> Result<()> {
        let mut command = trainer("plan-and-preprocess");
        command.args(["-d", &self.material.name, "-c", &self.configuration]);
        command.arg("--raw").arg(raw).arg("--preprocessed").arg(self.preprocessed());
        option(&mut command, "--features", self.budget.features);
        option(&mut command, "--batch-size", self.budget.batch_size);
        if let Some(patch_size) = &self.budget.patch_size {
            command.args(["--patch-size", patch_size]);
        }
        run(command)
    }

    /// Trains all folds side by side, each on its share of the processors: the threads of one training wait for each
    /// other at every layer, those of two trainings never do.
    fn train(&self) -> Result<()> {
        let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let n_threads = (n_processors / self.budget.folds.len()).max(1);
        let commands = self.budget.folds.iter().map(|&fold| (format!("fold {fold}"), self.train_fold(fold, n_threads)));
        side_by_side::run(commands.collect())
    }

    fn train_fold(&self, fold: u16, n_threads: usize) -> Command {
        let mut command = trainer("train");
        command.args([&self.material.name, &self.configuration, &fold.to_string()]);
        option(&mut command, "--epochs", self.budget.epochs);
        option(&mut command, "--cycles", self.budget.cycles);
        option(&mut command, "--iterations", self.budget.iterations);
        command.args(["--checkpoints", "late"]);
        option(&mut command, "--late", self.budget.late);
        command.args(["--schedule", &self.budget.schedule, "--seed", "1", "--device", self.device]);
        command.args(["--threads", &n_threads.to_string()]);
        command.arg("--preprocessed").arg(self.preprocessed()).arg("--results").arg(self.results());
        command
    }

    fn export_and_sign(&self) -> Result<()> {
        let mut export = trainer("export");
        export.args([&self.material.name, &self.configuration]);
        export.arg("--preprocessed").arg(self.preprocessed()).arg("--results").arg(self.results());
        export.arg("--folds").arg(self.folds());
        let name = self.material.name.to_lowercase().replace('_', "-");
        export.args(["--id", &format!("demo/{name}"), "--version", "1.0.0", "--channel", "research"]);
        export.arg("--output").arg(self.unsigned());
        run(export)?;

        let mut keygen = runtime(&["bundle", "keygen"]);
        keygen.arg("--private-key").arg(self.private_key()).arg("--public-key").arg(self.public_key());
        keygen.arg("--no-passphrase");
        run(keygen)?;

        let mut sign = runtime(&["bundle", "sign"]);
        sign.arg(self.unsigned()).arg("--private-key").arg(self.private_key());
        sign.arg("--output").arg(self.bundle());
        run(sign)
    }

    fn check_bundle(&self) -> Result<()> {
        let mut verify = runtime(&["bundle", "verify"]);
        verify.arg(self.bundle()).arg("--public-key").arg(self.public_key());
        run(verify)?;
        let mut self_test = runtime(&["self-test"]);
        self_test.arg("--bundle").arg(self.bundle()).arg("--public-key").arg(self.public_key());
        run(self_test)
    }

    fn predict(&self, unseen: &Unseen, prediction: &Path) -> Result<()> {
        let mut command = runtime(&["predict"]);
        command.arg("--bundle").arg(self.bundle()).arg("--public-key").arg(self.public_key());
        command.arg("--input").arg(&unseen.images).arg("--output").arg(prediction);
        command.args(["--uncertainty", "class-entropy", "--save-folds"]);
        run(command)
    }

    /// Compares the selected fold, every fold and the mean over the folds with the references.
    fn evaluate(&self, raw: &Path, unseen: &Unseen, prediction: &Path) -> Result<()> {
        let dataset_json = self.dataset_json(raw);
        let folds = self.budget.folds.iter().map(|fold| prediction.join(format!("folds/fold_{fold}")));
        let folders = std::iter::once(prediction.to_path_buf()).chain(folds);
        for folder in folders.chain([prediction.join("folds/mean")]) {
            let mut command = runtime(&["evaluate"]);
            command.arg("--reference").arg(&unseen.references).arg("--prediction").arg(&folder);
            command.arg("--dataset-json").arg(&dataset_json);
            run(command)?;
        }
        Ok(())
    }

    fn report(&self, raw: &Path, unseen: &Unseen, prediction: &Path) -> Result<()> {
        let mut command = runtime(&["report"]);
        command.arg("--output").arg(prediction).arg("--images").arg(&unseen.images);
        command.arg("--reference").arg(&unseen.references).arg("--dataset-json").arg(self.dataset_json(raw));
        run(command)
    }

    fn dataset_json(&self, raw: &Path) -> PathBuf {
        raw.join(&self.material.name).join("dataset.json")
    }

    fn folds(&self) -> String {
        self.budget.folds.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
    }

    fn preprocessed(&self) -> PathBuf {
        self.work.join("preprocessed")
    }

    fn results(&self) -> PathBuf {
        self.work.join("results")
    }

    fn unsigned(&self) -> PathBuf {
        self.work.join("unsigned.unb")
    }

    fn bundle(&self) -> PathBuf {
        self.work.join("model.unb")
    }

    fn private_key(&self) -> PathBuf {
        self.work.join("demo.key.pem")
    }

    fn public_key(&self) -> PathBuf {
        self.work.join("demo.pub.pem")
    }
}

/// Seconds of every phase.
#[derive(Debug, Default)]
struct Phases(Vec<(String, f64)>);

impl Phases {
    fn time(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        console::say(&format!("\n# {name}"));
        let start = Instant::now();
        work().with_context(|| format!("the phase `{name}` failed"))?;
        self.0.push((name.to_owned(), start.elapsed().as_secs_f64()));
        Ok(())
    }

    fn line(&self) -> String {
        let phases = self.0.iter().map(|(name, seconds)| format!("{name} {seconds:.0} s"));
        format!("\ntimes: {}", phases.collect::<Vec<_>>().join(", "))
    }
}

fn trainer(subcommand: &str) -> Command {
    let mut command = workspace::program("unnunet-train");
    command.arg(subcommand);
    command
}

fn runtime(subcommand: &[&str]) -> Command {
    let mut command = workspace::program("unnunet");
    command.args(subcommand);
    command
}

fn option(command: &mut Command, name: &str, value: u32) {
    command.arg(name).arg(value.to_string());
}

/// Prints the command line, and runs it to its end.
fn run(mut command: Command) -> Result<()> {
    let line = workspace::line_of(&command);
    console::say(&format!("$ {line}"));
    let program = Path::new(command.get_program()).to_path_buf();
    fs::metadata(&program)?;
    let status = command.status().with_context(|| format!("cannot run `{}`", program.display()))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}
