//! The splits of a data set: its own `splits_final.json`, or five made as nnU-Net makes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nnunet::dataset::CaseId;
use nnunet::fold::{Fold, Split};
use nnunet::grouping::{Grouping, GroupingError};
use nnunet::splits::{self, SplitError};

use crate::raw_dataset::{RawDatasetError, read_text};

/// Name of the file with the splits.
pub const FILE_NAME: &str = "splits_final.json";

/// Reads splits and checks them: every case exists, and none trains and validates the same fold.
///
/// # Errors
///
/// [`SplitsError`] naming the fold and the case at fault.
pub fn read(path: &Path, cases: &BTreeSet<CaseId>) -> Result<Vec<Split>, SplitsError> {
    let splits = parse(path)?;
    for (number, split) in splits.iter().enumerate() {
        let train: BTreeSet<_> = split.train.iter().collect();
        for case in split.train.iter().chain(&split.val) {
            if !cases.contains(case) {
                return Err(SplitsError::Case { path: path.to_owned(), number, case: case.clone() });
            }
        }
        if let Some(case) = split.val.iter().find(|case| train.contains(case)) {
            return Err(SplitsError::Overlap { path: path.to_owned(), number, case: case.clone() });
        }
    }
    Ok(splits)
}

/// The first case that validates a fold; `None` if there is none.
///
/// # Errors
///
/// [`SplitsError`] if the file holds no splits.
pub fn first_validation_case(path: &Path, fold: Fold) -> Result<Option<CaseId>, SplitsError> {
    let splits = parse(path)?;
    Ok(splits.into_iter().nth(usize::from(fold.0)).and_then(|split| split.val.into_iter().next()))
}

fn parse(path: &Path) -> Result<Vec<Split>, SplitsError> {
    serde_json::from_str(&read_text(path)?).map_err(|source| SplitsError::Json { path: path.to_owned(), source })
}

/// The first of these files that is there, checked; else splits made from the cases.
///
/// # Errors
///
/// As [`read`], or [`SplitsError::Make`] if there are too few cases.
pub fn read_or_make(files: &[PathBuf], cases: &BTreeSet<CaseId>) -> Result<Vec<Split>, SplitsError> {
    match files.iter().find(|path| path.is_file()) {
        Some(path) => read(path, cases),
        None => Ok(splits::five_fold(&cases.iter().cloned().collect::<Vec<_>>())?),
    }
}

/// As [`read_or_make`], but with all cases of a group on the same side of every split.
///
/// # Errors
///
/// As [`read_or_make`]; [`SplitsError::Group`] if a file tears a group or names a case without one,
/// [`SplitsError::Grouping`] if the cases cannot be grouped.
pub fn read_or_make_grouped(
    files: &[PathBuf],
    cases: &BTreeSet<CaseId>,
    grouping: &Grouping,
) -> Result<Vec<Split>, SplitsError> {
    let groups = grouping.groups(cases)?;
    let Some(path) = files.iter().find(|path| path.is_file()) else {
        return Ok(splits::five_fold_of_groups(&groups)?);
    };
    let listed = read(path, cases)?;
    for (number, split) in listed.iter().enumerate() {
        grouping.check(split).map_err(|source| SplitsError::Group { path: path.clone(), number, source })?;
    }
    Ok(listed)
}

/// One fold of the splits, with cases on both sides.
///
/// # Errors
///
/// [`SplitsError::Fold`] if there is no such fold, [`SplitsError::Empty`] if a side of it is empty.
pub fn of_fold(splits: &[Split], fold: Fold) -> Result<&Split, SplitsError> {
    let split = splits.get(usize::from(fold.0)).ok_or(SplitsError::Fold { found: fold.0, n_folds: splits.len() })?;
    if split.train.is_empty() || split.val.is_empty() {
        return Err(SplitsError::Empty { fold, n_train: split.train.len(), n_val: split.val.len() });
    }
    Ok(split)
}

/// What can be wrong with splits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitsError {
    /// A case is not in the data set.
    #[error("`{}`: split {number} names case `{case}`, which the data set has not", path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// Number of the split.
        number: usize,
        /// The case.
        case: CaseId,
    },
    /// A fold cannot be trained or validated.
    #[error("{fold} has {n_train} training and {n_val} validation cases; both are needed")]
    Empty {
        /// The fold.
        fold: Fold,
        /// Training cases.
        n_train: usize,
        /// Validation cases.
        n_val: usize,
    },
    /// There is no such fold.
    #[error("there is no fold {found}, only {n_folds} from 0")]
    Fold {
        /// The fold asked for.
        found: u16,
        /// Folds there are.
        n_folds: usize,
    },
    /// A file contradicts the grouping that was asked for.
    #[error("`{}`: split {number} contradicts the grouping; change one of them", path.display())]
    Group {
        /// The file.
        path: PathBuf,
        /// Number of the split.
        number: usize,
        /// The group at fault.
        source: GroupingError,
    },
    /// The cases cannot be grouped.
    #[error("the cases cannot be grouped")]
    Grouping {
        /// Why.
        #[from]
        source: GroupingError,
    },
    /// The file is malformed.
    #[error("`{}` does not list splits", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Splits could not be made.
    #[error("no splits can be made")]
    Make {
        /// Why.
        #[from]
        source: SplitError,
    },
    /// A case is on both sides.
    #[error("`{}`: split {number} trains and validates case `{case}`", path.display())]
    Overlap {
        /// The file.
        path: PathBuf,
        /// Number of the split.
        number: usize,
        /// The case.
        case: CaseId,
    },
    /// The file cannot be read.
    #[error("the splits cannot be read")]
    Read {
        /// Which, and why.
        #[from]
        source: RawDatasetError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, message: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs_err::write(&path, text).unwrap();
        let cases = ["a", "b"].map(|name| CaseId::new(name).unwrap()).into();
        let error = read(&path, &cases).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }

    #[test]
    fn splits_that_do_not_fit_the_data_set_are_refused() {
        check(r#"[{"train":["a"],"val":["c"]}]"#, "split 0 names case `c`, which the data set has not");
        check(r#"[{"train":["a"],"val":["a"]}]"#, "split 0 trains and validates case `a`");
        check("{}", "does not list splits");
    }

    #[test]
    fn grouped_splits_are_made_or_read_but_never_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let grouping: Grouping = "^.".parse().unwrap();
        let case = |name: &str| CaseId::new(name).unwrap();
        let cases: BTreeSet<_> = ["a1", "a2", "b1", "c1", "d1", "e1", "e2"].map(case).into();
        let files = [path.clone()];

        let made = read_or_make_grouped(&files, &cases, &grouping).unwrap();
        assert_eq!(made.len(), 5);
        assert!(made.iter().all(|split| grouping.check(split).is_ok()));
        fs_err::write(&path, serde_json::to_vec(&made).unwrap()).unwrap();
        assert_eq!(read_or_make_grouped(&files, &cases, &grouping).unwrap(), made);

        fs_err::write(&path, r#"[{"train":["a1","b1"],"val":["c1","a2"]}]"#).unwrap();
        let error = read_or_make_grouped(&files, &cases, &grouping).unwrap_err();
        let SplitsError::Group { number: 0, source: GroupingError::Torn { group, .. }, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(group, "a");
        // Without a grouping the file stands.
        assert_eq!(read_or_make(&files, &cases).unwrap().len(), 1);
    }

    #[test]
    fn a_fold_needs_cases_on_both_sides() {
        let case = |name| CaseId::new(name).unwrap();
        let splits = [Split { train: vec![case("a")], val: vec![] }];
        assert!(matches!(of_fold(&splits, Fold(0)), Err(SplitsError::Empty { .. })));
        assert_eq!(of_fold(&splits, Fold(3)).unwrap_err().to_string(), "there is no fold 3, only 1 from 0");
    }
}
