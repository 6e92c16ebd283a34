//! Prediction beside nnU-Net's: the same weights and cases, one program after the other on all processors.
//!
//! A model folder of nnU-Net is imported, exported and signed, and both programs predict a folder of images as a user
//! would start them: from the start of the process to its end, reading and writing included. Every round runs each
//! program once, in turn, and the fastest round of each counts. Labels are compared voxel by voxel; the mean of logits
//! over the folds is taken, as nnU-Net does. With `--member-counts`, the same images are predicted with ensembles of
//! growing size.

mod agreement;
mod members;
mod model;
mod peer;
mod runs;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use imaging::atomic_file;
use serde::Serialize;

use self::agreement::Agreement;
use self::model::Model;
use self::peer::NnUNet;
use self::runs::{Best, Mode};
use super::Peer;
use super::steps::Steps;
use crate::console;
use crate::setup::{self, Component};
use crate::workspace;

/// Options of `cargo xtask bench predict`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Python environment with nnunetv2, in which `bin/nnUNetv2_predict_from_modelfolder` lies
    #[arg(long, value_name = "DIR")]
    peer: PathBuf,
    /// nnU-Net's model folder, with `plans.json`, `dataset.json` and `fold_<f>/checkpoint_final.pth`
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Python file of the model's trainer class, if it is not one of nnU-Net's own
    #[arg(long, value_name = "FILE")]
    trainer: Option<PathBuf>,
    /// Folder of images, as nnU-Net names them
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folds that predict
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0")]
    folds: Vec<u16>,
    /// Leave out mirroring on both sides
    #[arg(long)]
    no_mirroring: bool,
    /// What our program runs with
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',', default_value = "f32,auto")]
    modes: Vec<Mode>,
    /// How often each program runs; the fastest run counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Sizes of further ensembles of the first fold, such as 1,5,10,30, predicted by our program alone
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    member_counts: Vec<u32>,
    /// Memory that those ensembles may take, as `unnunet predict --memory`
    #[arg(long, value_name = "LIMIT", requires = "member_counts")]
    memory: Option<String>,
    /// Name of the comparison's folder below `target/bench/predict`, in which everything lies
    #[arg(long)]
    name: String,
}

/// `result.json`.
#[derive(Debug, Serialize)]
struct Outcome {
    name: String,
    n_cases: usize,
    n_processors: usize,
    folds: Vec<u16>,
    mirroring: bool,
    /// What the ensembles of `members` may take.
    memory: Option<String>,
    nnunet: Best,
    ours: Vec<OursOutcome>,
    members: Vec<members::Point>,
}

/// Our program in one mode.
#[derive(Debug, Serialize)]
struct OursOutcome {
    mode: Mode,
    best: Best,
    /// Provider and precision that ran.
    target: String,
    /// Seconds inside of the sessions over all seconds, of the fastest run.
    share_in_session: Option<f64>,
    agreement: Agreement,
}

/// Runs the benchmark, prints its tables and writes `result.json`.
///
/// # Errors
///
/// When a program fails, or a result cannot be read.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    ensure!(!args.name.is_empty() && args.name.chars().all(plain), "--name takes letters, digits, `_` and `-`");
    let peer = Peer::new(&args.peer)?;
    setup::ensure(&Component::ALL, &workspace::deps())?;
    workspace::build_release()?;
    let work = workspace::target().join("bench/predict").join(&args.name);
    fs::create_dir_all(&work)?;
    let work = std::path::absolute(work)?;
    let steps = Steps::new(&work);
    let nnunet = NnUNet::new(args, &peer, &work);
    nnunet.prepare()?;
    let model = Model { args, work: work.clone(), steps: &steps, source: fs::canonicalize(&args.model)? };
    let bundle = model.bundle("model", None)?;

    let theirs = work.join("nnunet/predictions");
    let (mut their_best, mut our_best) = (None, vec![None; args.modes.len()]);
    for _ in 0..args.rounds {
        runs::keep_best(&mut their_best, runs::measured(nnunet.predict(&theirs), &theirs)?);
        for (mode, best) in args.modes.iter().zip(&mut our_best) {
            let ours = work.join("predictions").join(mode.name());
            runs::keep_best(best, runs::measured(mode.predict(args, &bundle, &ours), &ours)?);
        }
    }
    let mut ours = Vec::new();
    for (&mode, best) in args.modes.iter().zip(our_best) {
        let folder = work.join("predictions").join(mode.name());
        let facts = runs::Facts::read(&folder)?;
        let best: Best = best.context("there is a round")?;
        let agreement = Agreement::between(&theirs, &folder)?;
        let share_in_session = facts.session_s.map(|session_s| session_s / best.wall_s);
        ours.push(OursOutcome { mode, best, target: facts.target, share_in_session, agreement });
    }
    let outcome = Outcome {
        name: args.name.clone(),
        n_cases: ours.first().map_or(0, |outcome| outcome.agreement.n_cases),
        n_processors: std::thread::available_parallelism().map_or(1, usize::from),
        folds: args.folds.clone(),
        mirroring: !args.no_mirroring,
        memory: args.memory.clone(),
        nnunet: their_best.context("there is a round")?,
        ours,
        members: members::measure(args, &model, &peer)?,
    };
    table::print(&outcome);
    atomic_file::write(&work.join("result.json"), &serde_json::to_vec_pretty(&outcome)?)?;
    console::say(&format!("\n`{}`", work.join("result.json").display()));
    Ok(ExitCode::SUCCESS)
}
