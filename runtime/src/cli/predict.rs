//! `unnunet predict`: a folder of images through a verified bundle.

mod args;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bundle_format::BundleContents as _;
use fs_err as fs;
use imaging::atomic_file;
use nnunet::calibration::{Decision, Expectation};
use nnunet::fold::Fold;
use nnunet::mirroring::Mirroring;
use nnunet::sliding_window::SlidingWindow;

pub(super) use args::Args;

use super::source::count_run;
use super::{Outcome, output};
use crate::batch::Batch;
use crate::choice;
use crate::expectation::Calibrated;
use crate::host;
use crate::members::{Members, Networks};
use crate::model::Model;
use crate::predict::Predictor;
use crate::predict::cases::{self, Found};
use crate::predict::report::{CaseOutcome, Outcome as CaseResult, Report, scores_csv};
use crate::predict::trace::{FORMAT, OptionFacts, RunFacts, Seconds};
use crate::progress::{Display, Progress};

/// Runs `unnunet predict`.
///
/// # Errors
///
/// If the bundle is refused or cannot run here, or the folders cannot be used. A failed case is an outcome.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (bundle, engine, counted) = args.source.open(args.device, || args.engine.engine())?.into_parts();
    let model = Model::read(&bundle).context("cannot run the bundle")?;
    let cases = list_cases(args, &model)?;
    let engine = engine.map_or_else(|| args.engine.engine(), Ok)?;
    host::check(&bundle, &engine).context("this machine cannot run the bundle")?;
    let networks = Networks { engine: &engine, bundle: &bundle, model: &model };
    let choice = choice::choose(networks, args.device.provider(), args.precision.into())?;

    let folds = model.folds(&args.folds())?;
    let options = options(args, &model);
    let predictor = predictor(args, &model, &folds, &options)?;
    predictor.check_members().context("a fold cannot be measured as asked for")?;
    let facts = RunFacts::new(&bundle, &engine, choice, options, &predictor);
    let target = facts.device.target;
    let mut members = Members::new(networks, target, folds.iter().flat_map(|(_, members)| members));
    // A provider that cannot be used fails the run here, and not every case.
    members.with(&folds[0].1[0].id, |_| ()).context("cannot run the bundle")?;
    if let Calibrated::No(reason) = &predictor.calibrated {
        output::note(format_args!("warning: no case gets an expected Dice or a decision: {reason}"));
    }
    for warning in bundle.warnings() {
        output::note(format_args!("warning: {warning}"));
    }
    let outcome = predict(args, &predictor, &facts, &mut members, cases)?;
    if outcome == Outcome::Done {
        count_run(counted);
    }
    Ok(outcome)
}

fn list_cases(args: &Args, model: &Model) -> anyhow::Result<Vec<Found>> {
    let is_same =
        |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    ensure!(!is_same(&args.input, &args.output), "`{}` is both input and output", args.input.display());
    let cases = cases::list(&args.input, &model.file_ending, model.n_channels).context("cannot read the input")?;
    let (folder, ending) = (args.input.display(), &model.file_ending);
    ensure!(!cases.is_empty(), "`{folder}` has no case; expected files such as `<case>_0000{ending}`");
    Ok(cases)
}

fn predictor<'a>(
    args: &Args,
    model: &'a Model,
    folds: &'a [(Fold, Vec<crate::model::ModelMember>)],
    options: &OptionFacts,
) -> anyhow::Result<Predictor<'a>> {
    let mirroring = if args.mirrors() { model.mirroring.clone() } else { Mirroring::none() };
    let patch = model.configuration.patch_zyx();
    Ok(Predictor {
        model,
        folds,
        window: SlidingWindow::new(patch, model.labels.n_outputs(), args.step, &mirroring)?,
        temperature: options.temperature,
        methods: options.uncertainty.clone(),
        calibrated: Calibrated::new(model.calibration.as_ref(), options, model.mirroring.axes()),
        keeps_probabilities: args.save_probabilities,
        keeps_folds: args.save_folds,
    })
}

fn options(args: &Args, model: &Model) -> OptionFacts {
    OptionFacts {
        step: args.step,
        mirrored_axes: if args.mirrors() { model.mirroring.axes().to_vec() } else { Vec::new() },
        temperature: args.temperature.unwrap_or(model.pipeline.temperature),
        uncertainty: args.methods(),
    }
}

fn predict(
    args: &Args,
    predictor: &Predictor<'_>,
    facts: &RunFacts,
    members: &mut Members<'_>,
    cases: Vec<Found>,
) -> anyhow::Result<Outcome> {
    let display = if args.json { Display::Hidden } else { Display::OnTerminal };
    let progress = Progress::new(cases.len(), display);
    let batch = Batch { predictor, facts, output: &args.output, progress: &progress };
    let start = Instant::now();
    let mut outcomes: Vec<CaseOutcome> = Vec::new();
    batch
        .run(cases, members, &mut |case, done| {
            let outcome = match done {
                Ok(done) => CaseResult::Done(done),
                Err(failure) => {
                    let error = anyhow::Error::new(failure).context(format!("case `{case}` failed"));
                    progress.suspend(|| output::report(&error));
                    CaseResult::Failed { error: error.chain().skip(1).map(ToString::to_string).collect() }
                }
            };
            let outcome = CaseOutcome { case, outcome };
            progress.suspend(|| print(args, &outcome));
            outcomes.push(outcome);
        })
        .context("cannot make the output folder")?;
    progress.finish();
    write_reports(args, predictor, facts, &outcomes, start)
}

fn print(args: &Args, case: &CaseOutcome) {
    if args.json {
        // A map with other than text keys is the only failure, and there is none.
        let _ = output::json(case);
    } else if let CaseResult::Done(done) = &case.outcome {
        let fold = done.selected_fold.map_or("mean".to_owned(), |fold| fold.to_string());
        let score = done.score.map_or("undefined".to_owned(), |score| format!("{score:.4}"));
        let expected = done.expectation.map(|expected| format!("  {}", words(&expected))).unwrap_or_default();
        output::line(format_args!("{}  {fold}  score {score}{expected}", case.case));
        for warning in &done.warnings {
            output::note(format_args!("warning: case `{}`: {warning}", case.case));
        }
    }
}

/// `expected Dice 0.91 (0.85 to 0.97)  accept`.
fn words(expected: &Expectation) -> String {
    let decision = match expected.decision {
        Decision::Accept => "accept",
        Decision::Review => "review",
    };
    match expected.dice.zip(expected.interval) {
        Some((dice, [low, high])) => format!("expected Dice {dice:.4} ({low:.4} to {high:.4})  {decision}"),
        None => format!("expected Dice undefined  {decision}"),
    }
}

/// Cases with this decision; `None` if the run is not calibrated.
fn count(outcomes: &[CaseOutcome], calibrated: &Calibrated, decision: Decision) -> Option<usize> {
    let has = |case: &&CaseOutcome| match &case.outcome {
        CaseResult::Done(done) => done.expectation.is_some_and(|expected| expected.decision == decision),
        CaseResult::Failed { .. } => false,
    };
    matches!(calibrated, Calibrated::Yes(_)).then(|| outcomes.iter().filter(has).count())
}

fn write_reports(
    args: &Args,
    predictor: &Predictor<'_>,
    facts: &RunFacts,
    outcomes: &[CaseOutcome],
    start: Instant,
) -> anyhow::Result<Outcome> {
    let folds: Vec<Fold> = predictor.folds.iter().map(|(fold, _)| *fold).collect();
    let scores = scores_csv(outcomes, &folds, &predictor.methods)?;
    atomic_file::write(&args.output.join("scores.csv"), &scores)?;
    let mut stage_seconds = Seconds::default();
    let mut n_failed = 0;
    for case in outcomes {
        match &case.outcome {
            CaseResult::Done(done) => stage_seconds += done.seconds,
            CaseResult::Failed { .. } => n_failed += 1,
        }
    }
    let count = |decision| count(outcomes, &predictor.calibrated, decision);
    let (n_accepted, n_to_review) = (count(Decision::Accept), count(Decision::Review));
    if let Some((accepted, to_review)) = n_accepted.zip(n_to_review).filter(|_| !args.json) {
        output::note(format_args!("{accepted} cases accepted, {to_review} to be reviewed, {n_failed} failed"));
    }
    let report = Report {
        format: FORMAT,
        run: facts,
        members: predictor.member_names(),
        n_done: outcomes.len() - n_failed,
        n_failed,
        n_accepted,
        n_to_review,
        stage_seconds,
        wall_seconds: start.elapsed().as_secs_f64(),
        cases: outcomes,
    };
    atomic_file::write(&args.output.join("report.json"), &serde_json::to_vec_pretty(&report)?)?;
    Ok(if n_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
}
