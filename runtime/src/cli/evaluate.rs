//! `unnunet evaluate`: segmentations against references, as nnU-Net's `summary.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use imaging::{atomic_file, file};
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::evaluation::overlaps;
use nnunet::evaluation::summary::{CaseOverlap, Summary, key};
use rayon::prelude::*;

use super::{Outcome, output};

/// Compare segmentations with references by Dice per case and structure
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet evaluate --reference labelsTs --prediction predictions --dataset-json dataset.json

Writes PREDICTION/summary.json as nnU-Net does and prints a table. Every `<case>.nii.gz` of PREDICTION that has a
reference of the same name is compared; a reference without prediction is an error of that case.")]
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
    let references = files(&args.reference, &ending)?;
    ensure!(!references.is_empty(), "`{}` has no file ending in `{ending}`", args.reference.display());
    let compared: Vec<_> = references
        .par_iter()
        .map(|(name, reference)| compare(reference, &args.prediction.join(name), &labels))
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
    let summary = Summary::of(cases, &labels);
    let path = args.output.clone().unwrap_or_else(|| args.prediction.join("summary.json"));
    atomic_file::write(&path, serde_json::to_string_pretty(&summary)?.as_bytes())?;
    if args.json {
        output::json(&summary)?;
    } else {
        print(&summary, &labels);
    }
    Ok(outcome)
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

fn compare(reference_path: &Path, prediction_path: &Path, labels: &LabelSet) -> anyhow::Result<CaseOverlap> {
    let reference = file::read_labels(reference_path)?;
    let prediction = file::read_labels(prediction_path)?;
    let context = || format!("cannot compare `{}` with its reference", prediction_path.display());
    reference.geometry.same_grid(&prediction.geometry).with_context(context)?;
    let found = overlaps(&reference.voxels, &prediction.voxels, labels).with_context(context)?;
    Ok(CaseOverlap {
        metrics: labels.structures.iter().map(key).zip(found).collect(),
        prediction_file: prediction_path.display().to_string(),
        reference_file: reference_path.display().to_string(),
    })
}

fn print(summary: &Summary, labels: &LabelSet) {
    let dice = |value: Option<f64>| value.map_or_else(|| format!("{:>10}", "-"), |value| format!("{value:>10.4}"));
    let width = summary.metric_per_case.iter().map(|case| case_name(case).len()).max().unwrap_or(0).max(4);
    let names = labels.structures.iter().map(|s| format!("{:>10.10}", s.name)).collect::<Vec<_>>().concat();
    output::line(format_args!("{:<width$}{names}", "Dice"));
    for case in &summary.metric_per_case {
        let cells: String = labels.structures.iter().map(|s| dice(case.metrics[&key(s)].dice)).collect();
        output::line(format_args!("{:<width$}{cells}", case_name(case)));
    }
    let cells: String = labels.structures.iter().map(|s| dice(summary.mean[&key(s)].dice)).collect();
    output::line(format_args!("{:<width$}{cells}", "mean"));
    let (n, all) = (summary.metric_per_case.len(), dice(summary.foreground_mean.dice));
    output::line(format_args!("mean over structures {} (n = {n})", all.trim()));
}

fn case_name(case: &CaseOverlap) -> &str {
    let file = case.prediction_file.rsplit('/').next().unwrap_or_default();
    file.split('.').next().unwrap_or(file)
}
