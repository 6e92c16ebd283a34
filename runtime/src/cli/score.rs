//! `unnunet score`: uncertainty of cases whose probabilities another program has written.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use fs_err as fs;
use imaging::atomic_file;
use ndarray::Axis;
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::uncertainty::{UncertaintyMethod, UnnunetEnsemble, UnnunetError};

use super::{Outcome, output};
use crate::score::checkpoints::Checkpoints;
use crate::score::table::{self, CaseResult};
use crate::score::{Numbers, ScoreError, Scored, Scorer, jobs};

/// Score the uncertainty of cases from the probabilities of several checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet score --probabilities predictions --output scores.csv
  unnunet score --probabilities predictions --dataset-json dataset.json --uncertainty class-entropy,t-test,pairwise-dice
  unnunet score --probabilities fold_0/checkpoint_9 fold_0/checkpoint_19 fold_0/checkpoint_29 --json
  unnunet score --probabilities predictions --scores unnunet --uncertainty total-entropy

DIR is a folder per checkpoint, or one that holds them, as `nnUNetv2_predict --save_probabilities` fills them: each has \
`<case>.npz` with an array `probabilities` of (class, z, y, x), compressed or not, in f16, f32 or f64. All checkpoints of \
a case are the members of one ensemble; a case that one of them lacks fails, and the others are scored.

Methods:
  class-entropy       entropy of the mean over the members, bits
  total-entropy       mean of the members' entropies, bits
  mutual-information  the first less the second
  t-test              p-value between the two most probable classes, 0 if below 0.05; two members at least
  pairwise-dice       1 - mean Dice of the members, pair by pair; two members at least; has no map

A score is the sum of the map per voxel of the segmentation's contour; of an empty one it is undefined and left empty. \
`--scores unnunet` gives UnnUNet's own numbers instead, of class-entropy, total-entropy and t-test, for two classes in one \
slice: background only, in nats and summed over the members for total-entropy, every p-value, and 100 / 255 of the sum.

Prints the table as CSV, a line per case and method, unless --output takes it. --json prints a line per case: `case`, \
`status` (`done` or `failed`); of a done case `members` and `scores`, each with `method`, `score` (null if undefined) and \
`structures`; of a failed one `error`.")]
pub(super) struct Args {
    /// Folders of the checkpoints, or one that holds them
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    probabilities: Vec<PathBuf>,
    /// The data set's `dataset.json`, which names classes and regions; classes have numbers without it
    #[arg(long, value_name = "FILE")]
    dataset_json: Option<PathBuf>,
    /// How uncertainty is measured: class-entropy, total-entropy, mutual-information, t-test, pairwise-dice
    #[arg(long, value_name = "METHOD,…", value_delimiter = ',', default_value = "class-entropy")]
    uncertainty: Vec<UncertaintyMethod>,
    /// Whose numbers the scores are
    #[arg(long, value_enum, default_value = "design")]
    scores: NumbersArg,
    /// The array's axis with the coarsest voxels; contours lie across it
    #[arg(long, value_enum, default_value = "z")]
    slice_axis: SliceAxis,
    /// Also write `<case>.npz` with a map per method
    #[arg(long, value_name = "DIR")]
    save_maps: Option<PathBuf>,
    /// Where to write the table; stdout by default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Cases at a time; as many as there are cores by default
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Print a JSON object per case
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NumbersArg {
    /// Those of every other command
    Design,
    /// UnnUNet's own
    Unnunet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SliceAxis {
    Z,
    Y,
    X,
}

/// Runs `unnunet score`.
///
/// # Errors
///
/// If there are no probabilities, too few members for a method, or the results cannot be written. A failed case is an
/// outcome.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let scorer = scorer(args)?;
    let checkpoints = Checkpoints::find(&args.probabilities)?;
    for method in &scorer.methods {
        method.check_members(checkpoints.n_members())?;
    }
    if let Some(folder) = &args.save_maps {
        fs::create_dir_all(folder)?;
    }
    let cases = checkpoints.cases();
    let n_jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let score = |index: usize| {
        let (case, files) = &cases[index];
        scorer.score(case, files)
    };
    let mut results: Vec<Option<CaseResult>> = cases.iter().map(|_| None).collect();
    jobs::run(cases.len(), n_jobs, score, |index, scored| results[index] = Some(result(&cases[index].0, scored)))?;
    let results: Vec<_> = results.into_iter().flatten().collect();
    write(args, &results)?;
    let is_done = results.iter().all(|case| case.outcome.is_ok());
    Ok(if is_done { Outcome::Done } else { Outcome::SomeFailed })
}

fn scorer(args: &Args) -> anyhow::Result<Scorer> {
    let mut methods = Vec::new();
    for &method in &args.uncertainty {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let labels = args.dataset_json.as_deref().map(labels).transpose()?;
    let numbers = match args.scores {
        NumbersArg::Design => Numbers::Design,
        NumbersArg::Unnunet => Numbers::Unnunet,
    };
    if numbers == Numbers::Unnunet {
        for &method in &methods {
            ensure!(UnnunetEnsemble::METHODS.contains(&method), UnnunetError::Method { method });
        }
        let is_of_regions = labels.as_ref().is_some_and(LabelSet::has_regions);
        ensure!(!is_of_regions, "UnnUNet's scores are for two classes, the data set has regions");
    }
    let slicing_axis = Axis(match args.slice_axis {
        SliceAxis::Z => 0,
        SliceAxis::Y => 1,
        SliceAxis::X => 2,
    });
    Ok(Scorer { numbers, methods, labels, slicing_axis, maps: args.save_maps.clone() })
}

fn labels(path: &Path) -> anyhow::Result<LabelSet> {
    let text = fs::read_to_string(path)?;
    let parsed = DatasetJson::parse(&text).and_then(|dataset| dataset.structures());
    parsed.with_context(|| format!("cannot use `{}`", path.display()))
}

/// Reports a failure at once.
fn result(case: &str, scored: Result<Scored, ScoreError>) -> CaseResult {
    let outcome = scored.map_err(|failure| {
        let error = anyhow::Error::new(failure).context(format!("case `{case}` failed"));
        output::report(&error);
        error.chain().skip(1).map(ToString::to_string).collect()
    });
    CaseResult { case: case.to_owned(), outcome }
}

fn write(args: &Args, results: &[CaseResult]) -> anyhow::Result<()> {
    let table = table::csv(results)?;
    if let Some(path) = &args.output {
        atomic_file::write(path, &table)?;
    }
    for case in results {
        if args.json {
            output::json(&case.json())?;
        } else if args.output.is_some() && case.outcome.is_ok() {
            output::line(case.words());
        }
    }
    if args.output.is_none() && !args.json {
        output::line(String::from_utf8(table)?.trim_end());
    }
    Ok(())
}
