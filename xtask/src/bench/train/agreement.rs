//! Dice of two programs on the same cases, and whether they differ by more than chance.
//!
//! A case counts once, with the mean over its structures, of which only those count that have a Dice in both. The test
//! is the paired permutation test: were both programs equal, every case's difference might as well have the other
//! sign. It speaks of these two sets of networks on further cases, not of further trainings with other seeds, since
//! all cases of a fold share the networks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use fs_err as fs;
use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::mean_defined;
use nnunet::evaluation::summary::Summary;
use nnunet::mt19937::Mt19937;
use serde::Serialize;

/// Assignments of signs that are drawn; the smallest p-value is one in as many.
const N_PERMUTATIONS: u32 = 10_000;
/// Probability below which a difference is called significant.
pub(super) const LEVEL: f64 = 0.05;
/// Of every draw, so that a table is repeatable.
const SEED: u32 = 1;

/// Dice of a case; `None` where no structure has one in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Case {
    name: String,
    nnunet: Option<f64>,
    ours: Option<f64>,
}

/// Dice over cases, side by side.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    /// Cases that have a Dice in both.
    pub(super) n: usize,
    /// Cases that have none.
    pub(super) n_undefined: usize,
    /// Means over the cases that have a Dice; `None` if there is none.
    pub(super) mean_nnunet: Option<f64>,
    pub(super) mean_ours: Option<f64>,
    /// Mean of ours minus nnU-Net's.
    pub(super) difference: Option<f64>,
    /// 95 % bootstrap interval of it; `None` below ten cases.
    pub(super) interval: Option<[f64; 2]>,
    /// Two-sided; `None` if there is no case.
    pub(super) p_value: Option<f64>,
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
        let mean = |of: fn(&(f64, f64)) -> f64| mean_defined(pairs.iter().map(|pair| Some(of(pair))));
        let difference = |pairs: &[(f64, f64)]| mean_defined(pairs.iter().map(|(theirs, ours)| Some(ours - theirs)));
        let estimate = match pairs[..] {
            [] => None,
            _ => Estimate::of(&pairs, difference, &mut Mt19937::new(SEED)),
        };
        let differences: Vec<f64> = pairs.iter().map(|(theirs, ours)| ours - theirs).collect();
        Self {
            n: pairs.len(),
            n_undefined: cases.len() - pairs.len(),
            mean_nnunet: mean(|pair| pair.0),
            mean_ours: mean(|pair| pair.1),
            difference: estimate.map(|estimate| estimate.value),
            interval: estimate.and_then(|estimate| estimate.interval),
            p_value: p_value(&differences),
            cases,
        }
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

/// How often a mean with random signs is as far from 0 as the one found, which counts as one of the draws.
fn p_value(differences: &[f64]) -> Option<f64> {
    let largest = differences.iter().map(|difference| difference.abs()).sum::<f64>();
    if differences.is_empty() {
        return None;
    }
    let found = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in their last bits.
    let at_least = found - 1e-12 * largest;
    let mut random = Mt19937::new(SEED);
    let mut extreme = || {
        let signed = differences.iter().map(|difference| if random.up_to(1) == 0 { *difference } else { -difference });
        signed.sum::<f64>().abs() >= at_least
    };
    let n_extreme = (0..N_PERMUTATIONS).filter(|_| extreme()).count();
    Some((1 + n_extreme) as f64 / f64::from(1 + N_PERMUTATIONS))
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
        assert_eq!((found.n, found.n_undefined), (2, 1));
        assert_eq!((found.mean_nnunet, found.mean_ours), (Some(0.5625), Some(0.75)));
        assert_eq!((found.difference, found.interval), (Some(0.1875), None), "two cases have no interval");
    }

    #[test]
    fn other_cases_are_refused_and_a_case_of_two_folds_too() {
        let read = |name| dice(&summary(&[(name, "1", "1")]), ".nii.gz").unwrap();
        paired(&read("a"), &read("b")).unwrap_err();
        dice(&summary(&[("a", "1", "1")]), ".png").unwrap_err();
        let fold = Comparison::of(paired(&read("a"), &read("a")).unwrap());
        Comparison::pooled([&fold, &fold].into_iter()).unwrap_err();
        assert_eq!(Comparison::pooled([&fold].into_iter()).unwrap().n, 1);
    }

    #[test]
    fn p_is_one_for_no_difference_and_that_of_all_signs_for_one_direction() {
        assert_eq!(p_value(&[]), None);
        assert_eq!(p_value(&[0.0, 0.0]), Some(1.0));
        assert_eq!(p_value(&[0.1, -0.1]), Some(1.0), "the mean is 0, and none is nearer");
        // All ten signs equal: 2 of 1024 assignments; four standard errors of 10 000 draws.
        let p = p_value(&[0.1; 10]).unwrap();
        let expected = 2.0 / 1024.0;
        assert!((p - expected).abs() < 4.0 * (expected / 1e4_f64).sqrt(), "{p}");
    }
}
