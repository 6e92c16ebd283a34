//! What is written about a run: `scores.csv` and `report.json`.

use std::io;

use nnunet::calibration::Expectation;
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Serialize;

use super::trace::{FoldScores, RunFacts, Seconds};
use crate::memory::Schedule;

/// How one case ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CaseOutcome {
    pub(crate) case: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// Done with a result, or failed with a reason.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// The outputs are written.
    Done(DoneCase),
    /// Nothing is written.
    Failed {
        /// The error and its causes.
        error: Vec<String>,
    },
}

/// The result of a case, in short.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DoneCase {
    /// `null` if no fold has a score and the mean over the folds was taken.
    pub(crate) selected_fold: Option<Fold>,
    /// Score of the result by the first method.
    pub(crate) score: Option<f64>,
    pub(crate) disagreement: Option<f64>,
    /// Expected Dice, interval and decision; `null` if the run is not calibrated.
    pub(crate) expectation: Option<Expectation>,
    pub(crate) seconds: Seconds,
    pub(crate) warnings: Vec<String>,
    /// Stands in the trace and in `scores.csv`.
    #[serde(skip)]
    pub(crate) scores: Vec<FoldScores>,
}

impl DoneCase {
    /// Score of the result by the first method; the result is of this fold, or the mean.
    pub(crate) fn score_of(scores: &[FoldScores], selected: Option<Fold>) -> Option<f64> {
        scores.iter().find(|scores| scores.fold == selected).and_then(|scores| scores.score)
    }
}

/// `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) format: u32,
    #[serde(flatten)]
    pub(crate) run: &'a RunFacts,
    pub(crate) members: Vec<String>,
    pub(crate) n_done: usize,
    pub(crate) n_failed: usize,
    /// Cases to accept; `null` if the run is not calibrated.
    pub(crate) n_accepted: Option<usize>,
    /// Cases to review; `null` if the run is not calibrated.
    pub(crate) n_to_review: Option<usize>,
    /// Sums over the cases.
    pub(crate) stage_seconds: Seconds,
    /// From the first case to the last.
    pub(crate) wall_seconds: f64,
    pub(crate) memory: MemoryFacts,
    pub(crate) cases: &'a [CaseOutcome],
}

/// How the run was arranged, and what it took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct MemoryFacts {
    /// `--memory`, bytes; `null` if there was no limit.
    pub(crate) limit_bytes: Option<u64>,
    /// What was said before the first case, at most.
    pub(crate) predicted_bytes: u64,
    /// What it was.
    pub(crate) peak_bytes: u64,
    #[serde(flatten)]
    pub(crate) schedule: Schedule,
}

/// The content of `scores.csv`: a line per case and method.
///
/// `selected_fold` is the fold's number or `mean`; an undefined score is an empty field.
///
/// # Errors
///
/// Never in practice: the text is written to memory.
pub(crate) fn scores_csv(
    cases: &[CaseOutcome],
    folds: &[Fold],
    methods: &[UncertaintyMethod],
) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["case", "selected_fold", "score"].map(str::to_owned).into_iter();
    let columns = columns.chain(folds.iter().map(ToString::to_string));
    writer.write_record(columns.chain(["mean", "method", "disagreement", "status"].map(str::to_owned)))?;
    for case in cases {
        match &case.outcome {
            Outcome::Done(done) => {
                for &method in methods {
                    writer.write_record(done_line(&case.case, done, folds, method))?;
                }
            }
            Outcome::Failed { .. } => {
                let empty = std::iter::repeat_n(String::new(), folds.len() + 5);
                writer.write_record([case.case.clone()].into_iter().chain(empty).chain(["failed".to_owned()]))?;
            }
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(io::Error::other(error.to_string())))
}

fn done_line(case: &str, done: &DoneCase, folds: &[Fold], method: UncertaintyMethod) -> Vec<String> {
    let score = |fold: Option<Fold>| {
        let scores = done.scores.iter().find(|scores| scores.fold == fold && scores.method == method);
        number(scores.and_then(|scores| scores.score))
    };
    let selected = done.selected_fold.map_or("mean".to_owned(), |fold| fold.0.to_string());
    let mut line = vec![case.to_owned(), selected, score(done.selected_fold)];
    line.extend(folds.iter().map(|&fold| score(Some(fold))));
    line.extend([score(None), method.to_string(), number(done.disagreement), "done".to_owned()]);
    line
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(fold: Option<Fold>, score: Option<f64>) -> FoldScores {
        FoldScores { fold, method: UncertaintyMethod::ClassEntropy, score, structures: indexmap::IndexMap::new() }
    }

    fn done(selected_fold: Option<Fold>, scores: Vec<FoldScores>) -> Outcome {
        let (disagreement, seconds) = (Some(0.25), Seconds::default());
        let (score, expectation, warnings) = (None, None, Vec::new());
        Outcome::Done(DoneCase { selected_fold, score, disagreement, expectation, seconds, warnings, scores })
    }

    #[test]
    fn a_line_holds_every_folds_score_and_undefined_ones_are_empty() {
        let cases = [
            ("a", done(Some(Fold(4)), vec![scores(Some(Fold(4)), Some(1.5)), scores(None, Some(2.0))])),
            ("b", done(None, vec![scores(Some(Fold(0)), None)])),
            ("c", Outcome::Failed { error: vec!["no".to_owned()] }),
        ];
        let cases = cases.map(|(case, outcome)| CaseOutcome { case: case.to_owned(), outcome });
        let text = scores_csv(&cases, &[Fold(0), Fold(4)], &[UncertaintyMethod::ClassEntropy]).unwrap();
        let expected = "case,selected_fold,score,fold_0,fold_4,mean,method,disagreement,status\n\
                        a,4,1.5,,1.5,2,class-entropy,0.25,done\n\
                        b,mean,,,,,class-entropy,0.25,done\n\
                        c,,,,,,,,failed\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn an_outcome_is_one_flat_object() {
        let failed = CaseOutcome { case: "c".into(), outcome: Outcome::Failed { error: vec!["no".into()] } };
        assert_eq!(serde_json::to_string(&failed).unwrap(), r#"{"case":"c","status":"failed","error":["no"]}"#);
    }
}
