//! Cases that belong together, such as the frames of one patient, told by their names.
//!
//! Images of one patient resemble each other. If some are trained on and others validate, the validation praises the
//! network for remembering; so all of a group must be on the same side of every split. nnU-Net leaves this to a
//! `splits_final.json` that the user writes; a pattern is enough where the names say who is who.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use regex_lite::Regex;

use crate::dataset::CaseId;
use crate::fold::Split;
use crate::splits::N_FOLDS;

/// A pattern that names the group of a case.
///
/// The pattern may match anywhere in the name; the first capture group, or the whole match if there is none, is the
/// group.
#[derive(Debug, Clone)]
pub struct Grouping {
    pattern: Regex,
}

impl FromStr for Grouping {
    type Err = GroupingError;

    fn from_str(pattern: &str) -> Result<Self, GroupingError> {
        let refuse = |source| GroupingError::Pattern { found: pattern.to_owned(), source };
        Ok(Self { pattern: Regex::new(pattern).map_err(refuse)? })
    }
}

impl Grouping {
    /// The group of a case, never empty.
    ///
    /// # Errors
    ///
    /// [`GroupingError::NoMatch`] if the pattern does not match, or matches nothing.
    pub fn group_of<'a>(&self, case: &'a CaseId) -> Result<&'a str, GroupingError> {
        let captures = self.pattern.captures(case.as_str());
        let index = usize::from(self.pattern.captures_len() > 1);
        let group = captures.and_then(|captures| captures.get(index)).map(|found| found.as_str());
        let no_match = || GroupingError::NoMatch { case: case.clone(), pattern: self.pattern.as_str().to_owned() };
        group.filter(|group| !group.is_empty()).ok_or_else(no_match)
    }

    /// The cases of every group, the groups in order of their first case.
    ///
    /// The order matters: with a group for each case it is the order of the cases, so that the splits are nnU-Net's.
    ///
    /// # Errors
    ///
    /// [`GroupingError::NoMatch`] of the first case without a group, [`GroupingError::TooFew`] if there are fewer
    /// groups than folds.
    pub fn groups(&self, cases: &BTreeSet<CaseId>) -> Result<Vec<Vec<CaseId>>, GroupingError> {
        let mut groups: Vec<Vec<CaseId>> = Vec::new();
        let mut index_of = BTreeMap::new();
        for case in cases {
            let index = *index_of.entry(self.group_of(case)?).or_insert(groups.len());
            match groups.get_mut(index) {
                Some(group) => group.push(case.clone()),
                None => groups.push(vec![case.clone()]),
            }
        }
        if groups.len() < N_FOLDS {
            let pattern = self.pattern.as_str().to_owned();
            return Err(GroupingError::TooFew { n_groups: groups.len(), pattern });
        }
        Ok(groups)
    }

    /// Checks that no group is on both sides of `split`.
    ///
    /// # Errors
    ///
    /// [`GroupingError::Torn`] naming the group and a case of it on either side, or [`GroupingError::NoMatch`].
    pub fn check(&self, split: &Split) -> Result<(), GroupingError> {
        let mut training = BTreeMap::new();
        for case in &split.train {
            training.entry(self.group_of(case)?).or_insert(case);
        }
        for case in &split.val {
            let group = self.group_of(case)?;
            if let Some(&train) = training.get(group) {
                return Err(GroupingError::Torn { group: group.to_owned(), train: train.clone(), val: case.clone() });
            }
        }
        Ok(())
    }
}

/// Why cases cannot be grouped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupingError {
    /// A case has no group.
    #[error("case `{case}` has no group: `{pattern}` does not match it")]
    NoMatch {
        /// The case.
        case: CaseId,
        /// The pattern.
        pattern: String,
    },
    /// The pattern is malformed.
    #[error("`{found}` is no regular expression")]
    Pattern {
        /// The pattern as given.
        found: String,
        /// Where and why.
        source: regex_lite::Error,
    },
    /// There are fewer groups than folds.
    #[error("`{pattern}` makes {n_groups} groups of the cases, {N_FOLDS} folds need at least {N_FOLDS}")]
    TooFew {
        /// Groups there are.
        n_groups: usize,
        /// The pattern.
        pattern: String,
    },
    /// A group is on both sides of a split.
    #[error("group `{group}` is torn: case `{train}` is trained on, case `{val}` validates")]
    Torn {
        /// The group.
        group: String,
        /// A case of it in training.
        train: CaseId,
        /// A case of it in validation.
        val: CaseId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> CaseId {
        CaseId::new(name).unwrap()
    }

    fn check(pattern: &str, name: &str, expected: Option<&str>) {
        let grouping: Grouping = pattern.parse().unwrap();
        let case = case(name);
        match (grouping.group_of(&case), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected),
            (Err(GroupingError::NoMatch { .. }), None) => {}
            (found, expected) => panic!("{pattern} on {name}: found {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_first_capture_group_or_the_whole_match_is_the_group() {
        check(r"^(.*)-IM-", "SC-HF-I-02-IM-0001-0047", Some("SC-HF-I-02"));
        check(r"^patient\d+", "patient042_frame07", Some("patient042"));
        check(r"p(\d+)_f(\d+)", "p042_f07", Some("042"));
        check(r"(?:a|b)_(\d+)", "a_3", Some("3"));
    }

    #[test]
    fn a_name_that_does_not_match_or_matches_nothing_has_no_group() {
        check(r"^patient\d+", "heart_01", None);
        check(r"x*", "heart_01", None);
        check(r"^(?:(a)|b)", "b_1", None);
        assert!(matches!("(".parse::<Grouping>(), Err(GroupingError::Pattern { .. })));
    }

    #[test]
    fn groups_come_in_the_order_of_their_first_case() {
        let cases = ["1_b", "2_a", "3_b", "4_c", "5_d", "6_e"].map(case).into();
        let groups = "_(.)".parse::<Grouping>().unwrap().groups(&cases).unwrap();
        let names: Vec<Vec<_>> = groups.iter().map(|group| group.iter().map(CaseId::as_str).collect()).collect();
        assert_eq!(names, [vec!["1_b", "3_b"], vec!["2_a"], vec!["4_c"], vec!["5_d"], vec!["6_e"]]);
    }

    #[test]
    fn fewer_groups_than_folds_are_refused_with_their_number() {
        let cases = (0..20).map(|i| case(&format!("{}_{i}", i % 4))).collect();
        let error = "^.".parse::<Grouping>().unwrap().groups(&cases).unwrap_err();
        assert_eq!(error.to_string(), "`^.` makes 4 groups of the cases, 5 folds need at least 5");
    }

    #[test]
    fn a_torn_group_is_named_with_a_case_on_either_side() {
        let grouping: Grouping = "^.".parse().unwrap();
        let whole = Split { train: vec![case("a1"), case("a2")], val: vec![case("b1")] };
        assert!(grouping.check(&whole).is_ok());
        let torn = Split { train: vec![case("a1"), case("b2")], val: vec![case("b1")] };
        let error = grouping.check(&torn).unwrap_err().to_string();
        assert_eq!(error, "group `b` is torn: case `b2` is trained on, case `b1` validates");
    }
}
