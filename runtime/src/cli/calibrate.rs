//! `unnunet calibrate`: from a finished prediction and references to `calibration.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use imaging::{atomic_file, file};
use nnunet::calibration::{Calibration, Promise, ScoredCase};
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::correlation::{Correlation, pearson, spearman};
use nnunet::evaluation::reliability::aurc;
use nnunet::evaluation::{mean_defined, overlaps};
use nnunet::mt19937::Mt19937;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Deserialize;

use super::{Outcome, output};

/// Seeds the bootstrap, so that the same cases print the same interval.
const SEED: u32 = 1;

/// Fit expected Dice, its interval and a threshold for review to the scores of predicted cases
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet calibrate --predictions predictions --reference labels --dataset-json dataset.json --output calibration.json

PREDICTIONS is a finished `unnunet predict`. Its cases must be ones that no member trained on, and resemble those to come.
Half of them fit the curve, the other half the interval; the threshold of acceptance rests on all.")]
pub(super) struct Args {
    /// Output folder of `unnunet predict`
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
    /// Folder of reference segmentations
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// The data set's `dataset.json`, which names the structures
    #[arg(long, value_name = "FILE")]
    dataset_json: PathBuf,
    /// The calibration to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Probability that the interval holds the Dice of a new case
    #[arg(long, value_name = "P", default_value_t = 0.9)]
    level: f64,
    /// Mean Dice below which a case should have been reviewed
    #[arg(long, value_name = "DICE", default_value_t = 0.7)]
    minimum_dice: f64,
    /// Probability that a new case is accepted although its Dice is lower
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    risk: f64,
}

/// What is read of `report.json`.
#[derive(Deserialize)]
struct Report {
    options: ReportOptions,
}

#[derive(Deserialize)]
struct ReportOptions {
    temperature: f32,
    uncertainty: Vec<UncertaintyMethod>,
}

/// Runs `unnunet calibrate`.
///
/// # Errors
///
/// If a file cannot be read, a case has no reference, or the cases are too few for the level.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(&args.dataset_json)?;
    let parse = || DatasetJson::parse(&text).and_then(|dataset| Ok((dataset.structures()?, dataset.file_ending)));
    let (labels, ending) = parse().with_context(|| format!("cannot use `{}`", args.dataset_json.display()))?;
    let report_path = args.predictions.join("report.json");
    let report: Report = serde_json::from_str(&fs::read_to_string(&report_path)?)
        .with_context(|| format!("cannot use `{}`", report_path.display()))?;
    let Some(&method) = report.options.uncertainty.first() else {
        bail!("`{}` names no uncertainty method", report_path.display());
    };
    let mut cases = Vec::new();
    for (case, score) in scores(&args.predictions.join("scores.csv"), method)? {
        let name = format!("{case}{ending}");
        let dice = mean_dice(&args.reference.join(&name), &args.predictions.join(&name), &labels)?;
        cases.push(ScoredCase { case, score, dice });
    }
    let promise = Promise {
        method,
        temperature: report.options.temperature,
        level: args.level,
        minimum_dice: args.minimum_dice,
        risk: args.risk,
    };
    let calibration = Calibration::fit(&cases, promise).context("cannot calibrate")?;
    atomic_file::write(&args.output, &serde_json::to_vec_pretty(&calibration)?)?;
    print(&calibration, &cases);
    Ok(Outcome::Done)
}

/// Case → score by `method`, of the cases that are done.
fn scores(path: &Path, method: UncertaintyMethod) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
    let context = || format!("cannot use `{}`", path.display());
    let mut reader = csv::Reader::from_reader(fs::File::open(path)?);
    let headers = reader.headers().with_context(context)?.clone();
    let column = |name: &str| {
        let found = headers.iter().position(|header| header == name);
        found.with_context(|| format!("`{}` has no column `{name}`", path.display()))
    };
    let [case, score, of_method, status] = [column("case")?, column("score")?, column("method")?, column("status")?];
    let mut scores = BTreeMap::new();
    for record in reader.records() {
        let record = record.with_context(context)?;
        if &record[status] != "done" || &record[of_method] != method.name() {
            continue;
        }
        let value = match &record[score] {
            "" => None,
            text => Some(text.parse().with_context(|| format!("{}: score `{text}`", context()))?),
        };
        ensure!(
            scores.insert(record[case].to_owned(), value).is_none(),
            "`{}` names case `{}` twice",
            path.display(),
            &record[case]
        );
    }
    Ok(scores)
}

fn mean_dice(reference: &Path, prediction: &Path, labels: &LabelSet) -> anyhow::Result<Option<f64>> {
    let context = || format!("cannot compare `{}` with its reference", prediction.display());
    let [reference, prediction] = [file::read_labels(reference)?, file::read_labels(prediction)?];
    reference.geometry.same_grid(&prediction.geometry).with_context(context)?;
    let overlaps = overlaps(&reference.voxels, &prediction.voxels, labels).with_context(context)?;
    Ok(mean_defined(overlaps.iter().map(|overlap| overlap.dice)))
}

fn print(calibration: &Calibration, cases: &[ScoredCase]) {
    let pairs: Vec<_> = cases.iter().filter_map(|case| case.score.zip(case.dice)).collect();
    let threshold = calibration.accept_at_most.map_or("none: review every case".to_owned(), |most| most.to_string());
    let Calibration { n_fit, n_conformal, n_without_score, half_width, .. } = calibration;
    output::line(format_args!("cases      {n_fit} + {n_conformal}, {n_without_score} without score"));
    output::line(format_args!("interval   expected Dice ± {half_width:.4}"));
    output::line(format_args!("accept     scores at most {threshold}"));
    let interval = |interval: Option<[f64; 2]>| {
        interval.map_or("no interval".to_owned(), |[low, high]| format!("{low:.4} to {high:.4}"))
    };
    let correlation = |name: &str, found: Option<Correlation>| match found {
        Some(Correlation { coefficient, interval: ends, n }) => {
            output::line(format_args!("{name}{coefficient:.4} ({}, n = {n})", interval(ends)));
        }
        None => output::line(format_args!("{name}undefined")),
    };
    correlation("Pearson    ", pearson(&pairs));
    correlation("Spearman   ", spearman(&pairs));
    if let Some(Estimate { value, interval: ends, n }) = aurc(&pairs, &mut Mt19937::new(SEED)) {
        output::line(format_args!("AURC       {value:.4} ({}, n = {n})", interval(ends)));
    }
}
