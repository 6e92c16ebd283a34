//! The second stage of a cascade: the segmentations of the first, or what must be run to have them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use nnunet::dataset::CaseId;
use nnunet::fold::{Fold, Split};
use nnunet::plans::ConfigurationName;

use super::Inputs;
use crate::cases::Cases;
use crate::cli::folders;
use crate::error_line;
use crate::previous_stage::{self, PreviousStage, Unusable};
use crate::raw_dataset::RawDatasetError;
use crate::stage_predictions::{PredictionError, StagePredictions};

/// The name of plans that need not be given.
const USUAL_PLANS: &str = "nnUNetPlans";

/// Puts the previous stage's segmentation beside every case to train on and to validate with, if there is such a stage.
///
/// # Errors
///
/// If a segmentation is missing or does not fit its case; the message names all of them and how they are made.
pub(super) fn with_previous_stage(
    inputs: &Inputs,
    results: &Path,
    [training, validation]: [Cases; 2],
) -> anyhow::Result<([Cases; 2], Option<PreviousStage>)> {
    let Some(configuration) = inputs.configuration.previous_stage() else {
        return Ok(([training, validation], None));
    };
    let folder = folders::run(results, &inputs.plans.dataset_name, &inputs.plans.plans_name, &configuration);
    let predictions = StagePredictions::new(&folder, &inputs.name);
    let opened = [&training, &validation].map(|cases| previous_stage::open(&predictions, cases.iter()));
    match opened {
        [Ok(of_training), Ok(of_validation)] => {
            let stage = PreviousStage {
                configuration,
                n_channels: inputs.labels.foreground().len(),
                predictions: previous_stage::digest(of_training.iter().chain(&of_validation)),
            };
            let cases = [training.with_previous_stage(of_training), validation.with_previous_stage(of_validation)];
            Ok((cases, Some(stage)))
        }
        both => {
            let unusable: Vec<Unusable> = both.into_iter().filter_map(Result::err).flatten().collect();
            bail!("{}", refusal(inputs, (&configuration, &folder), &unusable))
        }
    }
}

fn refusal(inputs: &Inputs, (previous, folder): (&ConfigurationName, &Path), unusable: &[Unusable]) -> String {
    let n_cases = inputs.split.train.len() + inputs.split.val.len();
    let (name, n) = (&inputs.name, unusable.len());
    let mut text = format!("`{name}` sees the segmentations of `{previous}`; {n} of {n_cases} cases have none:");
    for Unusable { path, reason, .. } in unusable {
        let _ = match reason {
            PredictionError::Read { source } if matches!(**source, RawDatasetError::Read { .. }) => {
                write!(text, "\n  `{}` is missing", path.display())
            }
            other => write!(text, "\n  {}", error_line::of(other)),
        };
    }
    let cases: BTreeSet<&CaseId> = unusable.iter().map(|unusable| &unusable.case).collect();
    let (folds, nowhere) = folds_of(&inputs.all_splits, cases);
    if !folds.is_empty() {
        text.push_str("\nthey are made by");
        let plans = Some(&inputs.plans.plans_name).filter(|plans| *plans != USUAL_PLANS);
        let plans = plans.map(|plans| format!(" --plans {plans}")).unwrap_or_default();
        let dataset = &inputs.plans.dataset_name;
        for fold in folds.iter().filter(|fold| !folder.join(fold.to_string()).join("run.json").is_file()) {
            let _ = write!(text, "\n  unnunet-train train {dataset} {previous} {}{plans}", fold.0);
        }
        let numbers: Vec<String> = folds.iter().map(|fold| fold.0.to_string()).collect();
        let _ = write!(text, "\n  unnunet-train validate {dataset} {previous} --folds {}{plans}", numbers.join(","));
    }
    if !nowhere.is_empty() {
        let cases: Vec<&str> = nowhere.iter().map(|case| case.as_str()).collect();
        let _ = write!(text, "\nno split validates {}, so that `{previous}` predicts them for none", cases.join(", "));
    }
    text
}

/// The folds that predict these cases, and the cases that none does.
fn folds_of<'a>(splits: &[Split], mut cases: BTreeSet<&'a CaseId>) -> (Vec<Fold>, BTreeSet<&'a CaseId>) {
    let mut folds = Vec::new();
    for (number, split) in (0..).zip(splits) {
        let n_before = cases.len();
        cases.retain(|case| !split.val.contains(case));
        if cases.len() < n_before {
            folds.push(Fold(number));
        }
    }
    (folds, cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_predicted_by_the_fold_that_validates_it() {
        let cases = |names: &[&str]| names.iter().map(|name| CaseId::new(*name).unwrap()).collect::<Vec<_>>();
        let splits = [("a", "b"), ("b", "c"), ("c", "a")]
            .map(|(train, val)| Split { train: cases(&[train]), val: cases(&[val]) });
        let wanted = cases(&["a", "b", "d"]);
        let (folds, nowhere) = folds_of(&splits, wanted.iter().collect());
        assert_eq!(folds, [Fold(0), Fold(2)]);
        assert_eq!(nowhere, BTreeSet::from([&wanted[2]]));
    }
}
