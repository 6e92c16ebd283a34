//! `unnunet calibrate`: from a finished prediction and references to `calibration.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use imaging::{atomic_file, file};
use nnunet::calibration::{Calibration, PrecisionError, Promise, ReducedPrecision, ScoredCase};
use nnunet::dataset::{DatasetJson, LabelSet};
use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::correlation::{Correlation, pearson, spearman};
use nnunet::evaluation::reliability::aurc;
use nnunet::evaluation::{mean_defined, overlaps};
use nnunet::mt19937::Mt19937;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Deserialize;

use super::{Outcome, output};
use crate::engine::Precision;
use crate::expectation;

/// Seeds the bootstrap, so that the same cases print the same interval.
const SEED: u32 = 1;

/// Fit expected Dice, its interval and a threshold for review to the scores of predicted cases
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet calibrate --predictions predictions --reference labels --dataset-json dataset.json --output calibration.json
  unnunet calibrate --predictions f32 --also bf16 --reference labels --dataset-json dataset.json --output calibration.json

PREDICTIONS is a finished `unnunet predict` with all members, mirroring, and the default step and rules. Its cases must be ones that no member trained on, and resemble those to come. \
Half of them fit the curve, the other half the interval; the threshold of acceptance rests on all.

--also names a prediction of the same cases with `--precision bf16`. If the calibration holds there, too (mean Dice within 0.001, \
as many cases inside their intervals, no more accepted wrongly), it says so, and `predict --precision auto` may use it.

`unnunet-train export` takes a `calibration.json` in the training's folder into the bundle.")]
pub(super) struct Args {
    /// Output folder of `unnunet predict`
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
    /// The same cases predicted below single precision, for which the calibration is checked
    #[arg(long, value_name = "DIR")]
    also: Option<PathBuf>,
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
    bundle: ReportBundle,
    device: ReportDevice,
    options: ReportOptions,
    /// Why no calibration can speak of these scores.
    deviation: Option<String>,
}

#[derive(Deserialize)]
struct ReportBundle {
    manifest_sha256: String,
}

#[derive(Deserialize)]
struct ReportDevice {
    precision: Precision,
}

#[derive(PartialEq, Deserialize)]
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
    let report = Report::read(&args.predictions)?;
    let method = report.method(&args.predictions)?;
    let read = |predictions: &Path| read_cases(predictions, method, &args.reference, &labels, &ending);
    let cases = read(&args.predictions)?;
    let promise = Promise {
        method,
        temperature: report.options.temperature,
        level: args.level,
        minimum_dice: args.minimum_dice,
        risk: args.risk,
    };
    let mut calibration = Calibration::fit(&cases, promise).context("cannot calibrate")?;
    let checked = args.also.as_ref().map(|also| check(&mut calibration, &report, &cases, also, &read)).transpose()?;
    atomic_file::write(&args.output, &serde_json::to_vec_pretty(&calibration)?)?;
    print(&calibration, &cases);
    if let Some((precision, checked)) = checked {
        let verdict = checked.map_or_else(
            |reason| format!("the calibration does not hold: {reason}"),
            |()| "the calibration holds".to_owned(),
        );
        output::line(format_args!("{precision:<11}{verdict}"));
    }
    Ok(Outcome::Done)
}

impl Report {
    fn read(predictions: &Path) -> anyhow::Result<Self> {
        let path = predictions.join("report.json");
        let context = || format!("cannot use `{}`", path.display());
        let report: Self = serde_json::from_str(&fs::read_to_string(&path)?).with_context(context)?;
        match &report.deviation {
            Some(deviation) => bail!("{}: {deviation}", context()),
            None => Ok(report),
        }
    }

    fn method(&self, predictions: &Path) -> anyhow::Result<UncertaintyMethod> {
        let first = self.options.uncertainty.first().copied();
        first.with_context(|| format!("`{}` names no uncertainty method", predictions.join("report.json").display()))
    }
}

fn read_cases(
    predictions: &Path,
    method: UncertaintyMethod,
    reference: &Path,
    labels: &LabelSet,
    ending: &str,
) -> anyhow::Result<Vec<ScoredCase>> {
    let scored = |(case, score): (String, Option<f64>)| {
        let name = format!("{case}{ending}");
        let dice = mean_dice(&reference.join(&name), &predictions.join(&name), labels)?;
        Ok(ScoredCase { case, score, dice })
    };
    scores(&predictions.join("scores.csv"), method)?.into_iter().map(scored).collect()
}

/// Holds the calibration against the same cases below single precision.
fn check(
    calibration: &mut Calibration,
    report: &Report,
    cases: &[ScoredCase],
    also: &Path,
    read: &dyn Fn(&Path) -> anyhow::Result<Vec<ScoredCase>>,
) -> anyhow::Result<(ReducedPrecision, Result<(), PrecisionError>)> {
    let other = Report::read(also)?;
    let path = also.display();
    ensure!(
        expectation::reduced(report.device.precision).is_none(),
        "`--predictions` was not made in single precision"
    );
    let precision = expectation::reduced(other.device.precision);
    let precision = precision.with_context(|| format!("`{path}` was made in single precision"))?;
    ensure!(other.bundle.manifest_sha256 == report.bundle.manifest_sha256, "`{path}` was made with another bundle");
    ensure!(other.options == report.options, "`{path}` was made with another method or temperature");
    Ok((precision, calibration.check_at(precision, cases, &read(also)?)))
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
