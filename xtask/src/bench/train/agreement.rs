//! Dice of two programs on the same cases, and whether they differ by more than chance.
//!
//! A case counts once, with the mean over its structures, of which only those count that have a Dice in both.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use fs_err as fs;
use nnunet::evaluation::mean_defined;
use nnunet::evaluation::summary::Summary;
use serde::Serialize;

use crate::bench::paired::Paired;

/// Dice of a case; `None` where no structure has one in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Case {
    name: String,
    nnunet: Option<f64>,
    ours: Option<f64>,
}

/// Dice over cases, nnU-Net's first and ours second.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    pub(super) dice: Paired,
    /// Cases that have no Dice in one of the two.
    pub(super) n_undefined: usize,
    cases: Vec<Case>,
}

impl Comparison {
    /// Compares nnU-Net's `summary.json` with ours.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they are not about the same cases and structures.
    pub(super) fn read(paths: [&Path; 2], file_ending: &str) -> Result<Self> {
        let [theirs, ours] = paths.map(|path| {
            let text = fs::read_to_string(path)?;
            dice(&text, file_ending).with_context(|| format!("cannot use `{}`", path.display()))
        });
        Ok(Self::of(paired(&theirs?, &ours?)?))
    }

    /// The cases of several folds together.
    ///
    /// # Errors
    ///
    /// When a case is in two of them.
    pub(super) fn pooled<'a>(folds: impl Iterator<Item = &'a Self>) -> Result<Self> {
        let mut cases = BTreeMap::new();
        for case in folds.flat_map(|fold| &fold.cases) {
            let before = cases.insert(case.name.clone(), case.clone());
            anyhow::ensure!(before.is_none(), "case `{}` validates two folds", case.name);
        }
        Ok(Self::of(cases.into_values().collect()))
    }

    fn of(cases: Vec<Case>) -> Self {
        let pairs: Vec<(f64, f64)> = cases.iter().filter_map(|case| case.nnunet.zip(case.ours)).collect();
        Self { dice: Paired::of(&pairs), n_undefined: cases.len() - pairs.len(), cases }
    }
}

type DiceOfCases = BTreeMap<String, BTreeMap<String, Option<f64>>>;

/// Case to structure to Dice.
fn dice(text: &str, file_ending: &str) -> Result<DiceOfCases> {
    // What is undefined is NaN in nnU-Net's file, which no JSON parser takes.
    let summary: Summary = serde_json::from_str(&text.replace(": NaN", ": null"))?;
    let cases = summary.metric_per_case.into_iter().map(|case| {
        let file = case.prediction_file.rsplit('/').next().unwrap_or_default();
        let name = file.strip_suffix(file_ending).with_context(|| format!("`{file}` does not end as cases do"))?;
        let structures = case.metrics.into_iter().map(|(structure, metrics)| (structure, metrics.overlap.dice));
        Ok((name.to_owned(), structures.collect()))
    });
    cases.collect()
}

fn paired(theirs: &DiceOfCases, ours: &DiceOfCases) -> Result<Vec<Case>> {
    anyhow::ensure!(theirs.keys().eq(ours.keys()), "nnU-Net validated {} cases, we {}", theirs.len(), ours.len());
    let case = |((name, theirs), ours): ((&String, &BTreeMap<_, _>), &BTreeMap<_, _>)| {
        anyhow::ensure!(theirs.keys().eq(ours.keys()), "case `{name}` has other structures in nnU-Net's summary");
        let both: Vec<(f64, f64)> =
            theirs.values().zip(ours.values()).filter_map(|(a, b)| Option::zip(*a, *b)).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| mean_defined(both.iter().map(|pair| Some(of(pair))));
        Ok(Case { name: name.clone(), nnunet: mean(|pair| pair.0), ours: mean(|pair| pair.1) })
    };
    theirs.iter().zip(ours.values()).map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(cases: &[(&str, &str, &str)]) -> String {
        let overlap = |dice: &str| {
            format!(r#"{{"Dice": {dice}, "FN": 0, "FP": 0, "IoU": {dice}, "TN": 0, "TP": 0, "n_pred": 0, "n_ref": 0}}"#)
        };
        let case = |(name, first, second): &(&str, &str, &str)| {
            let (first, second) = (overlap(first), overlap(second));
            format!(
                r#"{{"metrics": {{"1": {first}, "2": {second}}}, "prediction_file": "a/{name}.nii.gz", "reference_file": "r"}}"#
            )
        };
        let cases = cases.iter().map(case).collect::<Vec<_>>().join(",");
        format!(r#"{{"foreground_mean": {0}, "mean": {{}}, "metric_per_case": [{cases}]}}"#, overlap("NaN"))
    }

    #[test]
    fn a_structure_counts_where_both_have_a_dice() {
        let read = |cases: &[_]| dice(&summary(cases), ".nii.gz").unwrap();
        let theirs = read(&[("a", "0.5", "0.75"), ("b", "NaN", "0.5"), ("c", "NaN", "NaN")]);
        let ours = read(&[("a", "0.75", "0.75"), ("b", "0.0", "0.75"), ("c", "0", "0")]);
        let found = Comparison::of(paired(&theirs, &ours).unwrap());
        assert_eq!((found.dice.n, found.n_undefined), (2, 1));
        assert_eq!(found.dice.means, [Some(0.5625), Some(0.75)]);
    }

    #[test]
    fn other_cases_are_refused_and_a_case_of_two_folds_too() {
        let read = |name| dice(&summary(&[(name, "1", "1")]), ".nii.gz").unwrap();
        paired(&read("a"), &read("b")).unwrap_err();
        dice(&summary(&[("a", "1", "1")]), ".png").unwrap_err();
        let fold = Comparison::of(paired(&read("a"), &read("a")).unwrap());
        Comparison::pooled([&fold, &fold].into_iter()).unwrap_err();
        assert_eq!(Comparison::pooled([&fold].into_iter()).unwrap().dice.n, 1);
    }
}
