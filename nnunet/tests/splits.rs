//! Grouped splits tear no group, and are nnU-Net's where every case is its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use nnunet::dataset::CaseId;
use nnunet::grouping::Grouping;
use nnunet::splits::{N_FOLDS, five_fold, five_fold_of_groups};
use proptest::prelude::*;

fn cases(names: impl IntoIterator<Item = String>) -> BTreeSet<CaseId> {
    names.into_iter().map(|name| CaseId::new(name).unwrap()).collect()
}

/// Splits `cases` by `pattern` and checks what holds of all splits.
fn check(pattern: &str, cases: &BTreeSet<CaseId>) {
    let grouping: Grouping = pattern.parse().unwrap();
    let splits = five_fold_of_groups(&grouping.groups(cases).unwrap()).unwrap();
    assert_eq!(splits.len(), N_FOLDS);
    for split in &splits {
        grouping.check(split).unwrap();
        assert!(split.train.is_sorted() && split.val.is_sorted());
        let both: BTreeSet<_> = split.train.iter().chain(&split.val).cloned().collect();
        assert_eq!((&both, split.train.len() + split.val.len()), (cases, cases.len()));
    }
    let validated: Vec<_> = splits.iter().flat_map(|split| &split.val).collect();
    assert_eq!(validated.len(), cases.len(), "every case validates once");
}

proptest! {
    #[test]
    fn with_every_case_its_own_group_the_splits_are_nnunets(
        names in proptest::collection::btree_set("[a-z]{1,6}", 5..60)
    ) {
        let cases = cases(names);
        let listed: Vec<_> = cases.iter().cloned().collect();
        let grouping: Grouping = "^.*$".parse().unwrap();
        let splits = five_fold_of_groups(&grouping.groups(&cases).unwrap()).unwrap();
        prop_assert_eq!(splits, five_fold(&listed).unwrap());
    }

    #[test]
    fn no_group_is_torn_and_every_case_validates_once(
        sizes in proptest::collection::vec(1_usize..7, 5..20)
    ) {
        let names = sizes.iter().enumerate().flat_map(|(p, &n)| (0..n).map(move |f| format!("f{f}_p{p:02}")));
        check(r"_(p\d+)$", &cases(names));
    }
}

#[test]
fn groups_whose_names_sort_otherwise_than_their_cases_are_still_split_as_nnunet_splits_cases() {
    // Case 0 has group `p22`, the last case group `p00`.
    let cases = cases((0..23).map(|i| format!("f{i:02}_p{:02}", 22 - i)));
    let listed: Vec<_> = cases.iter().cloned().collect();
    let grouping: Grouping = r"_(p\d+)$".parse().unwrap();
    let splits = five_fold_of_groups(&grouping.groups(&cases).unwrap()).unwrap();
    assert_eq!(splits, five_fold(&listed).unwrap());
}
