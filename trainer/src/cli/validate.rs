//! `unnunet-train validate`: every fold's validation cases by its members, and what follows for new cases.

mod temperature;

use std::collections::BTreeMap;

use anyhow::Context as _;
use indicatif::ProgressBar;
use nnunet::calibration::{Calibration, CalibrationError, Promise};
use nnunet::dataset::CaseId;
use nnunet::evaluation::summary::{MeanMetrics, Summary, key};
use nnunet::evaluation::surface::Tolerance;
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Serialize;
use serde_json::json;

use crate::cli::training_args::TrainingArgs;
use crate::cli::{Outcome, device, openmp, output, progress};
use crate::raw_dataset::RawDataset;
use crate::trained::Trained;
use crate::validation::results::{CaseResult, Results};
use crate::validation::{DoneCases, Options, Probabilities, Validated, ValidationError, Validator};
use temperature::{Ready, Temperature};

/// Predicts the validation cases of trained folds with their members, and calibrates their scores.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet-train validate 4 3d_fullres
  unnunet-train validate 4 3d_fullres --folds 0,1 --npz --minimum-dice 0.8

Every case is read from the raw data set and predicted as `unnunet predict` would, by the members of the one fold that \
never saw it. A case that is done is not predicted again, unless the temperature has changed: it is fitted once, to a \
sample of the folds that are validated first, and anew with --overwrite. An imported training needs --preprocessed, whose \
`splits_final.json` says which cases validate which fold. Below the training's folder are written
  fold_<f>/validation/<case>.nii.gz      the prediction, on the case's own grid
  fold_<f>/validation/summary.json       agreement as nnU-Net's, with HD95, ASSD and NSD
  fold_<f>/validation/scores.json, .csv  score and Dice per case and structure, by every method
  predicted_next_stage/<configuration>/  of a cascade's first stage, what the second sees: the mean over the members
  crossval_results_folds_…/summary.json  agreement over all validated folds
  temperature.json                       by what logits are divided, and how it was found
  calibration.json                       expected Dice, interval and threshold; `export` puts it into the bundle

--json prints a line per case: `case`, `fold`, `status` (`done` or `failed`), of a done case `Dice` and `score` (null if \
undefined), of a failed one `error`; and a last line with `folds`, `Dice`, `temperature`, `calibration` (null if there is \
none) and `reason`.")]
pub struct Args {
    #[command(flatten)]
    training: TrainingArgs,
    /// Folds to validate; all that were trained if not given.
    #[arg(long, value_delimiter = ',', value_name = "FOLD,…")]
    folds: Vec<u16>,
    /// Also keep probabilities as `<case>.npz`, for ensembles of configurations.
    #[arg(long)]
    npz: bool,
    /// Predict cases again that are done.
    #[arg(long)]
    overwrite: bool,
    /// Distance in mm within which surfaces agree, for NSD.
    #[arg(long, value_name = "MM", default_value_t = 1.0, value_parser = tolerance)]
    tolerance: f64,
    #[command(flatten)]
    promise: PromiseArgs,
    /// Where to predict: `auto`, `cpu`.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: device::Wanted,
    /// Threads of libtorch [default: all processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print a JSON object per case, and one for all.
    #[arg(long)]
    json: bool,
}

/// What the calibration promises.
#[derive(Debug, Clone, clap::Args)]
struct PromiseArgs {
    /// Whose scores are calibrated; the runtime must select by the same.
    #[arg(long, value_name = "METHOD", default_value = "class-entropy")]
    uncertainty: UncertaintyMethod,
    /// Softmax temperature, or `fit` it to a dozen cases of each fold, which are then predicted twice.
    #[arg(long, value_name = "T", default_value = "fit", value_parser = temperature::parse)]
    temperature: Temperature,
    /// Probability that the interval holds the Dice of a new case.
    #[arg(long, value_name = "P", default_value_t = 0.9, value_parser = probability)]
    level: f64,
    /// Mean Dice below which a case should have been reviewed.
    #[arg(long, value_name = "DICE", default_value_t = 0.7, value_parser = dice)]
    minimum_dice: f64,
    /// Probability that a new case is accepted although its Dice is lower.
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = probability)]
    risk: f64,
}

impl PromiseArgs {
    fn promise(&self, temperature: f32) -> Promise {
        let Self { uncertainty: method, level, minimum_dice, risk, .. } = *self;
        Promise { method, temperature, level, minimum_dice, risk }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let probability = text.parse().ok().filter(|&probability: &f64| probability > 0.0 && probability < 1.0);
    probability.ok_or_else(|| "expected a number between 0 and 1".to_owned())
}

fn dice(text: &str) -> Result<f64, String> {
    let dice = text.parse().ok().filter(|dice| (0.0..=1.0).contains(dice));
    dice.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn tolerance(text: &str) -> Result<f64, String> {
    let mm: f64 = text.parse().map_err(|_| "expected a number of millimeters".to_owned())?;
    Tolerance::new(mm).map(Tolerance::mm).map_err(|error| error.to_string())
}

/// Validates, evaluates and calibrates.
///
/// # Errors
///
/// If the training or the raw data set cannot be used, or a result not be written; a failed case is an outcome.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    openmp::wait_asleep();
    let (raw, trained) = args.training.open()?;
    let device = args.device.open()?;
    let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = args.threads.map_or(n_processors, usize::from);
    tch::set_num_threads(i32::try_from(n_threads).context("so many threads cannot be started")?);
    let options = Options {
        device,
        probabilities: if args.npz { Probabilities::Keep } else { Probabilities::Drop },
        done: if args.overwrite { DoneCases::PredictAgain } else { DoneCases::Keep },
        uncertainty: args.promise.uncertainty,
    };
    let folds = match &args.folds[..] {
        [] => trained.runs.keys().copied().collect(),
        some => some.iter().copied().map(Fold).collect::<Vec<_>>(),
    };
    let validator = Validator::new(&trained, &raw, options)?;
    // A fold that is not trained to its end fails the run before the first case of any.
    let ready = folds.iter().map(|&fold| Ok((fold, validator.fold(fold)?)));
    let mut ready = ready.collect::<Result<Vec<_>, ValidationError>>()?;
    let temperature = args.promise.temperature.find(&trained, &mut ready, options.done)?;
    let failed = predict(&mut ready, temperature);
    evaluate(args, (&trained, &raw), temperature, failed)
}

/// Cases that failed, with the error and its causes.
type Failed = BTreeMap<(Fold, CaseId), Vec<String>>;

fn predict(ready: &mut Ready<'_>, temperature: f32) -> Failed {
    let mut failed = Failed::new();
    let n_predictions: usize = ready.iter().map(|(_, fold)| fold.cases().len() * fold.n_members()).sum();
    let bar = progress::predictions("validating", n_predictions);
    for (fold, of_fold) in ready {
        let fold = *fold;
        for case in of_fold.cases() {
            bar.set_message(format!("{fold}, case {case}"));
            let before = bar.position();
            match of_fold.case(case, temperature, &mut || bar.inc(1)) {
                Ok(Validated::Anew) => {}
                Ok(Validated::Already) => bar.set_position(before + of_fold.n_members() as u64),
                Err(error) => {
                    bar.set_position(before + of_fold.n_members() as u64);
                    failed.insert((fold, case.clone()), report(&bar, fold, case, error.into()));
                }
            }
        }
    }
    bar.finish_and_clear();
    failed
}

fn report(bar: &ProgressBar, fold: Fold, case: &CaseId, error: anyhow::Error) -> Vec<String> {
    let error = error.context(format!("case `{case}` of {fold} failed"));
    bar.suspend(|| output::report(&error));
    error.chain().skip(1).map(ToString::to_string).collect()
}

fn evaluate(
    args: &Args,
    (trained, raw): (&Trained, &RawDataset),
    temperature: f32,
    mut failed: Failed,
) -> anyhow::Result<Outcome> {
    let tolerance = Tolerance::new(args.tolerance)?;
    let mut results = Results::read(trained, raw, tolerance)?;
    for (fold, case, error) in std::mem::take(&mut results.failures) {
        let causes = report(&ProgressBar::hidden(), fold, &case, error.into());
        failed.entry((fold, case)).or_insert(causes);
    }
    results.write_scores()?;
    let (path, summary) = results.write_summaries(tolerance)?;
    let promise = args.promise.promise(temperature);
    let calibration = results.write_calibration(promise)?;
    if args.json {
        print_json(args, temperature, (&results, &summary), (&calibration, &failed))?;
    } else {
        print(trained, &results, &summary, &calibration);
        output::note(format_args!("details: `{}`", path.display()));
    }
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

type Fitted = Result<Calibration, CalibrationError>;

/// A line of `--json`.
#[derive(Serialize)]
struct CaseLine<'a> {
    case: &'a CaseId,
    fold: Fold,
    status: &'static str,
    #[serde(rename = "Dice")]
    dice: Option<f64>,
    score: Option<f64>,
}

/// The last line of `--json`; a `json!` would widen the temperature to digits that no file has.
#[derive(Serialize)]
struct LastLine<'a> {
    folds: Vec<Fold>,
    #[serde(rename = "Dice")]
    dice: Option<f64>,
    temperature: f32,
    calibration: Option<&'a Calibration>,
    reason: Option<String>,
}

fn print_json(
    args: &Args,
    temperature: f32,
    (results, summary): (&Results<'_>, &Summary),
    (calibration, failed): (&Fitted, &Failed),
) -> anyhow::Result<()> {
    let line = |case: &CaseResult| {
        let score = case.scores.by(args.promise.uncertainty).and_then(|scores| scores.score);
        let (case, fold, dice) = (&case.scores.case, case.fold, case.dice());
        serde_json::to_string(&CaseLine { case, fold, status: "done", dice, score })
    };
    for case in &results.cases {
        output::line(line(case)?);
    }
    for ((fold, case), error) in failed {
        output::line(json!({"case": case, "fold": fold, "status": "failed", "error": error}));
    }
    let (calibration, reason) = match calibration {
        Ok(calibration) => (Some(calibration), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (folds, dice) = (results.folds(), summary.foreground_mean.dice);
    output::line(serde_json::to_string(&LastLine { folds, dice, temperature, calibration, reason })?);
    Ok(())
}

fn print(trained: &Trained, results: &Results<'_>, summary: &Summary, calibration: &Fitted) {
    let cell = |value: Option<f64>| value.map_or_else(|| format!("{:>10}", "-"), |value| format!("{value:>10.4}"));
    let structures = &trained.labels.structures;
    let names = structures.iter().map(|structure| format!("{:>10.10}", structure.name)).collect::<Vec<_>>().concat();
    output::line(format_args!("{:<10}{names}", "mean"));
    let line = |name: &str, field: fn(&MeanMetrics) -> Option<f64>| {
        let cells: String = structures.iter().map(|structure| cell(field(&summary.mean[&key(structure)]))).collect();
        output::line(format_args!("{name:<10}{cells}"));
    };
    line("Dice", |mean| mean.dice);
    line("HD95 mm", |mean| mean.surface.and_then(|surface| surface.hd95_mm));
    line("ASSD mm", |mean| mean.surface.and_then(|surface| surface.assd_mm));
    line("NSD", |mean| mean.surface.and_then(|surface| surface.nsd));
    let (n_cases, n_folds) = (results.cases.len(), results.folds().len());
    let dice = summary.foreground_mean.dice.map_or("undefined".to_owned(), |dice| format!("{dice:.4}"));
    output::line(format_args!("mean over structures {dice}, {n_cases} cases of {n_folds} folds"));
    print_calibration(calibration);
}

/// Says what is promised, or that nothing is.
pub fn print_calibration(calibration: &Fitted) {
    match calibration {
        Ok(calibration) => {
            let Calibration { promise, half_width, accept_at_most, .. } = calibration;
            let accept = accept_at_most.map_or("none, every case is reviewed".to_owned(), |most| format!("{most:.4}"));
            output::line(format_args!(
                "calibrated: expected Dice ± {half_width:.4} with probability {}; accepted are scores up to {accept}",
                promise.level
            ));
        }
        Err(error) => output::line(format_args!("not calibrated, a bundle will give scores only: {error}")),
    }
}
