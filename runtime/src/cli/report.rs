//! `unnunet report`: a finished prediction as one page of HTML.

use std::path::PathBuf;

use anyhow::Context as _;
use fs_err as fs;
use imaging::atomic_file;
use nnunet::dataset::{DatasetJson, LabelSet};

use super::{Outcome, output};
use crate::report::{self, Pictures, Sources};

/// Make one HTML page of a finished prediction, to be opened in any browser
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet report --output predictions
  unnunet report --output predictions --images images --reference labels --dataset-json dataset.json

The page holds the table of cases, the slices where the least certain cases are least certain, the members and timings; \
with references also how score and expected Dice keep up with Dice: correlation, regression, risk–coverage curve, \
reliability, each with an interval and the number of cases. It needs no network and no other file.

A case that failed in `unnunet predict` is listed. A case of which a file cannot be read is listed with the reason, and \
the exit status is 1.")]
pub(super) struct Args {
    /// Output folder of `unnunet predict`
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Folder of the images that were predicted, to be seen behind the outlines
    #[arg(short, long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of reference segmentations, named `<case>.nii.gz` or as the predictions end
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// The data set's `dataset.json`, which names the structures to compare; every label by itself by default
    #[arg(long, value_name = "FILE", requires = "reference")]
    dataset_json: Option<PathBuf>,
    /// The page to write; OUTPUT/report.html by default
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Slices shown of a case, the least certain ones; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1)]
    slices: usize,
    /// Cases of which slices are shown, the least certain ones
    #[arg(long, value_name = "N", default_value_t = 24)]
    figures: usize,
}

/// Runs `unnunet report`.
///
/// # Errors
///
/// If the folder holds no finished prediction, or the page cannot be written. A case that cannot be read is an outcome.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let labels = labels(args)?;
    let sources = Sources {
        folder: &args.output,
        images: args.images.as_deref(),
        reference: args.reference.as_deref(),
        labels: labels.as_ref(),
    };
    let made = report::make(&sources, Pictures { n_cases: args.figures, n_slices: args.slices })?;
    let path = args.report.clone().unwrap_or_else(|| args.output.join("report.html"));
    atomic_file::write(&path, made.html.as_bytes())?;
    for (case, problem) in &made.problems {
        output::note(format_args!("error: case `{case}`: {problem}"));
    }
    let (n_cases, n_compared) = (made.n_cases, made.n_compared);
    output::note(format_args!("{n_cases} cases, {n_compared} compared with a reference"));
    output::line(path.display());
    Ok(if made.problems.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

fn labels(args: &Args) -> anyhow::Result<Option<LabelSet>> {
    let Some(path) = &args.dataset_json else { return Ok(None) };
    let text = fs::read_to_string(path)?;
    let labels = DatasetJson::parse(&text).and_then(|dataset| dataset.structures());
    Ok(Some(labels.with_context(|| format!("cannot use `{}`", path.display()))?))
}
