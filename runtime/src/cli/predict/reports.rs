//! What `unnunet predict` says: a line per case, and the reports of the run.

use imaging::atomic_file;
use nnunet::calibration::{Decision, Expectation};
use nnunet::fold::Fold;

use super::Args;
use crate::cli::{Outcome, output};
use crate::expectation::Calibrated;
use crate::predict::Predictor;
use crate::predict::report::{CaseOutcome, MemoryFacts, Outcome as CaseResult, Report, scores_csv};
use crate::predict::trace::{FORMAT, RunFacts, Seconds};

/// What is known when a run has ended.
pub(super) struct Run<'a> {
    pub(super) predictor: &'a Predictor<'a>,
    pub(super) facts: &'a RunFacts,
    pub(super) memory: MemoryFacts,
    pub(super) wall_seconds: f64,
}

/// Prints a case.
pub(super) fn print(args: &Args, case: &CaseOutcome) {
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

impl Run<'_> {
    /// Writes `scores.csv` and `report.json` about all cases, those of earlier runs among them.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(super) fn write_reports(&self, args: &Args, outcomes: &[CaseOutcome]) -> anyhow::Result<Outcome> {
        let predictor = self.predictor;
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
            run: self.facts,
            members: predictor.member_names(),
            n_done: outcomes.len() - n_failed,
            n_failed,
            n_accepted,
            n_to_review,
            stage_seconds,
            wall_seconds: self.wall_seconds,
            memory: self.memory,
            cases: outcomes,
        };
        atomic_file::write(&args.output.join("report.json"), &serde_json::to_vec_pretty(&report)?)?;
        Ok(if n_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
    }
}
