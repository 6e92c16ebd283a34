//! `unnunet evaluate`: segmentations against references, as nnU-Net's `summary.json` with surfaces, and as a table.

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use imaging::{atomic_file, file};
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::evaluation::summary::{self, CaseMetrics, Summary, SurfaceRule};
use nnunet::evaluation::surface::Tolerance;
use rayon::prelude::*;

use super::{Outcome, output};

/// Compare segmentations with references by Dice and surfaces, per case and structure
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet evaluate --reference labelsTs --prediction predictions --dataset-json dataset.json

  unnunet evaluate --reference labelsTs --prediction predictions --dataset-json dataset.json --tolerance 2

Writes PREDICTION/summary.json as nnU-Net does, with HD95 and ASSD in mm and NSD beside its own fields, and the same per \
case and structure as summary.csv; prints a table. Every `<case>.nii.gz` of PREDICTION that has a reference of the same \
name is compared; a reference without prediction is an error of that case.

A structure in neither segmentation has no Dice, no distance and no NSD. One in only one of them has Dice and NSD 0 and \
no distance; how many there were stands beside the means.")]
pub(super) struct Args {
    /// Folder of reference segmentations
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// Folder of predicted segmentations
    #[arg(long, value_name = "DIR")]
    prediction: PathBuf,
    /// The data set's `dataset.json`, which names the structures
    #[arg(long, value_name = "FILE")]
    dataset_json: PathBuf,
    /// Where to write the summary; PREDICTION/summary.json by default
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to write the table as CSV; beside the summary by default
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Distance in mm within which surfaces agree, for NSD
    #[arg(long, value_name = "MM", default_value_t = 1.0, value_parser = tolerance)]
    tolerance: f64,
    /// Print the summary as JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs `unnunet evaluate`.
///
/// # Errors
///
/// If a folder or `dataset.json` cannot be read, or there is nothing to compare.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(&args.dataset_json)?;
    let parse = || DatasetJson::parse(&text).and_then(|dataset| Ok((dataset.structures()?, dataset.file_ending)));
    let (labels, ending) = parse().with_context(|| format!("cannot use `{}`", args.dataset_json.display()))?;
    let path = args.output.clone().unwrap_or_else(|| args.prediction.join("summary.json"));
    let csv = args.csv.clone().unwrap_or_else(|| path.with_extension("csv"));
    ensure!(csv != path, "`{}` cannot hold both the summary and the CSV", csv.display());
    let tolerance = Tolerance::new(args.tolerance)?;
    let references = files(&args.reference, &ending)?;
    ensure!(!references.is_empty(), "`{}` has no file ending in `{ending}`", args.reference.display());
    let compared: Vec<_> = references
        .par_iter()
        .map(|(name, reference)| compare(reference, &args.prediction.join(name), &labels, tolerance))
        .collect();
    let mut cases = Vec::new();
    let mut outcome = Outcome::Done;
    for result in compared {
        match result {
            Ok(case) => cases.push(case),
            Err(error) => {
                outcome = Outcome::SomeFailed;
                output::report(&error);
            }
        }
    }
    if cases.is_empty() {
        bail!("no case could be compared");
    }
    let summary = Summary::of(cases, &labels, Some(SurfaceRule { tolerance_mm: tolerance }));
    atomic_file::write(&path, serde_json::to_string_pretty(&summary)?.as_bytes())?;
    atomic_file::write(&csv, &table::csv(&summary, &labels)?)?;
    if args.json {
        output::json(&summary)?;
    } else {
        table::print(&summary, &labels);
    }
    Ok(outcome)
}

fn tolerance(text: &str) -> Result<f64, String> {
    let mm: f64 = text.parse().map_err(|_| "expected a number of millimeters".to_owned())?;
    Tolerance::new(mm).map(Tolerance::mm).map_err(|error| error.to_string())
}

/// Name → path of every file of `folder` that ends in `ending`, sorted.
fn files(folder: &Path, ending: &str) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        if let Some(name) = name.filter(|name| name.ends_with(ending)) {
            files.insert(name, path);
        }
    }
    Ok(files)
}

fn compare(
    reference_path: &Path,
    prediction_path: &Path,
    labels: &LabelSet,
    tolerance: Tolerance,
) -> anyhow::Result<CaseMetrics> {
    let reference = file::read_labels(reference_path)?;
    let prediction = file::read_labels(prediction_path)?;
    let context = || format!("cannot compare `{}` with its reference", prediction_path.display());
    reference.geometry.same_grid(&prediction.geometry).with_context(context)?;
    let spacing = reference.geometry.spacing();
    let (reference, prediction) = (reference.voxels, prediction.voxels);
    let metrics = summary::compare(&reference, &prediction, labels, spacing, tolerance).with_context(context)?;
    Ok(CaseMetrics {
        metrics,
        prediction_file: prediction_path.display().to_string(),
        reference_file: reference_path.display().to_string(),
    })
}
