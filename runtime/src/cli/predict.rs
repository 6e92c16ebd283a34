//! `unnunet predict`: a folder of images through a verified bundle.

mod args;
mod arrangement;
mod reports;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use bundle_format::BundleContents as _;
use fs_err as fs;
use imaging::atomic_file;
use nnunet::fold::Fold;
use nnunet::mirroring::Mirroring;
use nnunet::sliding_window::SlidingWindow;
use rayon::iter::Either;
use rayon::prelude::*;

pub(super) use args::Args;

use super::source::count_run;
use super::{Outcome, output};
use crate::batch::outputs::Outputs;
use crate::batch::{Batch, CaseFailure};
use crate::choice;
use crate::expectation::Calibrated;
use crate::host;
use crate::member_choice::MemberChoice;
use crate::members::{Members, Networks};
use crate::memory;
use crate::model::{Model, ModelMember};
use crate::predict::Predictor;
use crate::predict::cases::{self, Folders, Found};
use crate::predict::report::{CaseOutcome, DoneCase, MemoryFacts, Outcome as CaseResult};
use crate::predict::rules::Segmentation;
use crate::predict::trace::{FORMAT, OptionFacts, RunFacts};
use crate::progress::{Display, Progress};
use crate::resume::{self, RunKey};
use arrangement::{Arrangement, arrange};
use reports::{Run, print};

/// Runs `unnunet predict`.
///
/// # Errors
///
/// If the bundle is refused or cannot run here, the run would need more memory than it may, or the folders cannot be
/// used. A failed case is an outcome.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (bundle, engine, counted) = args.source.open(args.device, || args.engine.engine())?.into_parts();
    let model = Model::read(&bundle).context("cannot run the bundle")?;
    check_stage(args, &model)?;
    let cases = list_cases(args, &model)?;
    let folds = model.folds(&args.folds(), &args.members)?;
    let options = options(args, &model, &folds);
    let mut predictor = predictor(args, &model, &folds, &options)?;
    predictor.check_members().context("a fold cannot be measured as asked for")?;
    let engine = engine.map_or_else(|| args.engine.engine(), Ok)?;
    host::check(&bundle, &engine).context("this machine cannot run the bundle")?;
    let before = memory::resident().context("cannot measure the memory of a session")?;
    let networks = Networks { engine: &engine, bundle: &bundle, model: &model };
    let first = folds.iter().find_map(|(_, members)| members.first()).context("the bundle has no member")?;
    let (choice, warm) = choice::choose(networks, &first.id, args.device.provider(), args.precision())
        .context("cannot run the bundle")?;
    predictor.calibrated = predictor.calibrated.at(choice.target.precision);
    let facts = RunFacts::new(&bundle, &engine, choice, options, &predictor);
    let outputs =
        Outputs { predictor: &predictor, facts: &facts, key: key(args, &facts, &predictor)?, folder: &args.output };
    let (finished, cases) = if args.resume { finished(&outputs, cases)? } else { (Vec::new(), cases) };
    let arrangement = arrange(args, &predictor, &warm, &cases, before)?;
    let mut members = Members::new(networks, arrangement.schedule.sessions, &first.id, warm);
    if let Calibrated::No(reason) = &predictor.calibrated {
        output::note(format_args!("warning: no case gets an expected Dice or a decision: {reason}"));
    }
    for warning in bundle.warnings() {
        output::note(format_args!("warning: {warning}"));
    }
    let outcome = predict(args, &outputs, arrangement, &mut members, (finished, cases))?;
    if outcome == Outcome::Done {
        count_run(counted);
    }
    Ok(outcome)
}

/// Whether the previous stage is named where there is one, and only there.
fn check_stage(args: &Args, model: &Model) -> anyhow::Result<()> {
    let name = &model.pipeline.configuration;
    match (&model.previous_stage, &args.previous_stage) {
        (Some(previous), None) => bail!(
            "the bundle's configuration `{name}` sees the segmentations of `{previous}`: predict the images with a bundle of \
             that first, and name the folder of its results with --previous-stage"
        ),
        (None, Some(_)) => bail!("--previous-stage: the bundle's configuration `{name}` has no previous stage"),
        _ => Ok(()),
    }
}

fn list_cases(args: &Args, model: &Model) -> anyhow::Result<Vec<Found>> {
    let is_same =
        |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    for input in [Some(&args.input), args.previous_stage.as_ref()].into_iter().flatten() {
        ensure!(!is_same(input, &args.output), "`{}` is both input and output", input.display());
    }
    let folders = Folders { input: &args.input, previous_stage: args.previous_stage.as_deref() };
    let cases = cases::list(folders, &model.file_ending, model.n_channels).context("cannot read the input")?;
    let (folder, ending) = (args.input.display(), &model.file_ending);
    ensure!(!cases.is_empty(), "`{folder}` has no case; expected files such as `<case>_0000{ending}`");
    Ok(cases)
}

fn predictor<'a>(
    args: &Args,
    model: &'a Model,
    folds: &'a [(Fold, Vec<ModelMember>)],
    options: &OptionFacts,
) -> anyhow::Result<Predictor<'a>> {
    let mirroring = if args.mirrors() { model.mirroring.clone() } else { Mirroring::none() };
    let patch = model.configuration.patch_zyx();
    let best = match options.rules.segmentation {
        Segmentation::Mean => Vec::new(),
        Segmentation::Best => model.best_of(folds)?,
    };
    Ok(Predictor {
        model,
        folds,
        best,
        window: SlidingWindow::new(patch, model.labels.n_outputs(), args.step, &mirroring)?,
        temperature: options.temperature,
        rules: options.rules,
        methods: options.uncertainty.clone(),
        calibrated: Calibrated::new(model.calibration.as_ref(), options, model.mirroring.axes()),
        keeps_probabilities: args.save_probabilities,
        keeps_folds: args.save_folds,
    })
}

fn options(args: &Args, model: &Model, folds: &[(Fold, Vec<ModelMember>)]) -> OptionFacts {
    let of_folds = |member: &&ModelMember| folds.iter().any(|(fold, _)| *fold == member.member.fold);
    let n_all = model.members.iter().filter(of_folds).count();
    let predict_all = folds.iter().map(|(_, members)| members.len()).sum::<usize>() == n_all;
    OptionFacts {
        step: args.step,
        mirrored_axes: if args.mirrors() { model.mirroring.axes().to_vec() } else { Vec::new() },
        temperature: args.temperature.unwrap_or(model.pipeline.temperature),
        uncertainty: args.methods(),
        rules: args.rules(),
        members: if predict_all { MemberChoice::All } else { args.members.clone() },
    }
}

/// The key of everything that decides the results. It has the device as it was asked for: which one `auto` takes depends
/// on the moment, and changes nothing but rounding.
fn key(args: &Args, facts: &RunFacts, predictor: &Predictor<'_>) -> anyhow::Result<RunKey> {
    let programs = (facts.program.unnunet, &facts.program.onnxruntime);
    let device = (args.device.provider(), facts.device.target.precision);
    let outputs = (predictor.keeps_probabilities, predictor.keeps_folds);
    let decisive =
        (FORMAT, &facts.bundle.manifest_sha256, programs, device, &facts.options, predictor.member_names(), outputs);
    Ok(RunKey::of(&decisive)?)
}

type Finished = (String, DoneCase);

/// Divides the cases into those that an earlier run has finished and those that are to be predicted.
fn finished(outputs: &Outputs<'_>, cases: Vec<Found>) -> anyhow::Result<(Vec<Finished>, Vec<Found>)> {
    if outputs.folder.is_dir() {
        atomic_file::sweep(outputs.folder).context("cannot sweep the output folder")?;
    }
    let n_cases = cases.len();
    let find = |(case, files): Found| {
        let names = outputs.names(&case);
        let done = files.as_ref().ok();
        let done = done.and_then(|files| resume::finished(outputs.key, files, (outputs.folder, &case), &names));
        match done {
            Some(done) => Either::Left((case, done)),
            None => Either::Right((case, files)),
        }
    };
    let (finished, cases): (Vec<Finished>, Vec<Found>) = cases.into_par_iter().partition_map(find);
    output::note(format_args!("{} of {n_cases} cases were finished before", finished.len()));
    Ok((finished, cases))
}

fn predict(
    args: &Args,
    outputs: &Outputs<'_>,
    Arrangement { schedule, predicted }: Arrangement,
    members: &mut Members<'_>,
    (finished, cases): (Vec<Finished>, Vec<Found>),
) -> anyhow::Result<Outcome> {
    let display = if args.json { Display::Hidden } else { Display::OnTerminal };
    let progress = Progress::new(cases.len(), display);
    let batch = Batch { predictor: outputs.predictor, outputs, progress: &progress, schedule };
    let start = Instant::now();
    let mut outcomes: Vec<CaseOutcome> = Vec::new();
    let mut over = |case: String, outcome: CaseResult| {
        let outcome = CaseOutcome { case, outcome };
        progress.suspend(|| print(args, &outcome));
        outcomes.push(outcome);
    };
    for (case, done) in finished {
        over(case, CaseResult::Done(done));
    }
    batch
        .run(cases, members, &mut |case, done| {
            let outcome = done.map_or_else(|failure| failed(&case, failure, &progress), CaseResult::Done);
            over(case, outcome);
        })
        .context("cannot make the output folder")?;
    progress.finish();
    outcomes.sort_by(|a, b| a.case.cmp(&b.case));
    let limit_bytes = args.memory.map(|limit| limit.0);
    let memory = MemoryFacts { limit_bytes, predicted_bytes: predicted, peak_bytes: memory::peak()?, schedule };
    let wall_seconds = start.elapsed().as_secs_f64();
    let run = Run { predictor: outputs.predictor, facts: outputs.facts, memory, wall_seconds };
    run.write_reports(args, &outcomes)
}

fn failed(case: &str, failure: CaseFailure, progress: &Progress) -> CaseResult {
    let error = anyhow::Error::new(failure).context(format!("case `{case}` failed"));
    progress.suspend(|| output::report(&error));
    CaseResult::Failed { error: error.chain().skip(1).map(ToString::to_string).collect() }
}
