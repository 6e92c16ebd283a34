//! The five cross-validation splits that nnU-Net makes when a data set brings none.
//!
//! Equals `KFold(n_splits=5, shuffle=True, random_state=12345)` of scikit-learn over the sorted cases: the order is
//! shuffled once and cut into five, the first `n mod 5` folds one longer. Where cases come in groups, the groups are
//! shuffled and cut in the same way, so that folds hold equally many groups, not cases.

use std::collections::BTreeSet;

use crate::dataset::CaseId;
use crate::fold::Split;
use crate::mt19937::Mt19937;

/// Number of folds.
pub const N_FOLDS: usize = 5;

/// nnU-Net's seed.
const SEED: u32 = 12345;

/// Splits the cases, in whatever order they come; every list is sorted.
///
/// # Errors
///
/// [`SplitError`] if there are fewer cases than folds.
pub fn five_fold(cases: &[CaseId]) -> Result<Vec<Split>, SplitError> {
    let cases: Vec<_> = cases.iter().collect::<BTreeSet<_>>().into_iter().map(|case| vec![case.clone()]).collect();
    five_fold_of_groups(&cases).map_err(|_| SplitError { n_cases: cases.len() })
}

/// Splits groups of cases, in the order given, so that none is torn; every list is sorted.
///
/// With one case in each group, in order, this is [`five_fold`].
///
/// # Errors
///
/// [`SplitError`] with the number of cases if there are fewer groups than folds.
pub fn five_fold_of_groups(groups: &[Vec<CaseId>]) -> Result<Vec<Split>, SplitError> {
    let n = groups.len();
    if n < N_FOLDS {
        return Err(SplitError { n_cases: groups.iter().map(Vec::len).sum() });
    }
    let mut order: Vec<usize> = (0..n).collect();
    Mt19937::new(SEED).shuffle(&mut order);
    let mut rest = order.as_slice();
    let mut splits = Vec::with_capacity(N_FOLDS);
    for fold in 0..N_FOLDS {
        let (validation, others) = rest.split_at(n / N_FOLDS + usize::from(fold < n % N_FOLDS));
        rest = others;
        let validation: BTreeSet<_> = validation.iter().collect();
        let (val, train): (Vec<usize>, Vec<usize>) = (0..n).partition(|group| validation.contains(group));
        let named = |list: Vec<usize>| {
            let mut cases: Vec<_> = list.into_iter().flat_map(|group| groups[group].iter().cloned()).collect();
            cases.sort_unstable();
            cases
        };
        splits.push(Split { train: named(train), val: named(val) });
    }
    Ok(splits)
}

/// Too few cases to split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{n_cases} cases cannot be split into {N_FOLDS} folds; bring a `splits_final.json` or more cases")]
pub struct SplitError {
    /// Cases there are.
    pub n_cases: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(n: usize) -> Vec<CaseId> {
        (0..n).map(|i| CaseId::new(format!("case_{i:02}")).unwrap()).collect()
    }

    fn check(n: usize, expected: [&[usize]; 5]) {
        let all = cases(n);
        let mut reversed = all.clone();
        reversed.reverse();
        let splits = five_fold(&reversed).unwrap();
        for (split, expected) in splits.iter().zip(expected) {
            let named: Vec<_> = expected.iter().map(|&i| all[i].clone()).collect();
            assert_eq!(split.val, named);
            let others: Vec<_> = all.iter().filter(|case| !named.contains(case)).cloned().collect();
            assert_eq!(split.train, others);
        }
    }

    #[test]
    fn splits_are_those_of_scikit_learn() {
        check(5, [&[0], &[4], &[3], &[1], &[2]]);
        check(7, [&[3, 6], &[0, 4], &[1], &[5], &[2]]);
        check(23, [&[3, 8, 10, 17, 19], &[0, 7, 12, 15, 16], &[6, 11, 14, 18, 20], &[9, 13, 21, 22], &[1, 2, 4, 5]]);
    }

    #[test]
    fn fewer_cases_than_folds_are_refused() {
        assert_eq!(five_fold(&cases(4)), Err(SplitError { n_cases: 4 }));
    }
}
