//! Where data sets, preprocessed cases and trainings lie: nnU-Net's folders.

use std::io;
use std::path::{Path, PathBuf};

use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;

/// Name of our trainer in the folders of results, where nnU-Net has `nnUNetTrainer`.
const TRAINER: &str = "UnnunetTrainer";

/// Finds a data set's folder by its number (`4`) or its whole name (`Dataset004_Hippocampus`).
///
/// # Errors
///
/// [`FolderError`] if `root` cannot be listed, or no folder or more than one is meant.
pub fn dataset(root: &Path, wanted: &str) -> Result<PathBuf, FolderError> {
    let unreadable = |source| FolderError::Read { root: root.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs_err::read_dir(root).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if name.to_str().is_some_and(|name| name == wanted || is_numbered(name, wanted)) {
            found.push(root.join(name));
        }
    }
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(FolderError::Missing { root: root.to_owned(), wanted: wanted.to_owned() }),
        _ => Err(FolderError::Ambiguous { wanted: wanted.to_owned(), found }),
    }
}

/// Whether a folder `Dataset<three digits>_<name>` has this number.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let number = name.strip_prefix("Dataset").and_then(|rest| rest.split_once('_')).map(|(number, _)| number);
    let number = number.filter(|digits| digits.len() == 3).and_then(|digits| digits.parse::<u16>().ok());
    number.is_some() && wanted.parse() == Ok(number.unwrap_or_default())
}

/// Folder of all folds of a configuration below a data set's results.
pub fn training(results: &Path, plans_name: &str, configuration: &ConfigurationName) -> PathBuf {
    results.join(format!("{TRAINER}__{plans_name}__{configuration}"))
}

/// Folder of one fold.
pub fn fold(training: &Path, fold: Fold) -> PathBuf {
    training.join(fold.to_string())
}

/// Why a data set's folder was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// More than one folder has the number.
    #[error("`{wanted}` is the number of {} folders: {}", found.len(), list(found))]
    Ambiguous {
        /// Number or name.
        wanted: String,
        /// The folders.
        found: Vec<PathBuf>,
    },
    /// There is no such data set.
    #[error("`{}` has no data set `{wanted}`; expected a number such as `4` or a name such as `Dataset004_Heart`", root.display())]
    Missing {
        /// Where it was looked for.
        root: PathBuf,
        /// Number or name.
        wanted: String,
    },
    /// The folder of data sets cannot be listed.
    #[error("cannot list `{}`", root.display())]
    Read {
        /// The folder.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_found_by_number_or_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["Dataset004_A", "Dataset400_B", "Dataset401_C", "Dataset401_D", "notes"] {
            fs_err::create_dir(root.path().join(name)).unwrap();
        }
        let check = |wanted: &str, expected: &str| {
            assert_eq!(dataset(root.path(), wanted).unwrap(), root.path().join(expected));
        };
        check("4", "Dataset004_A");
        check("004", "Dataset004_A");
        check("Dataset400_B", "Dataset400_B");
        assert!(matches!(dataset(root.path(), "401"), Err(FolderError::Ambiguous { .. })));
        assert!(matches!(dataset(root.path(), "5"), Err(FolderError::Missing { .. })));
        assert!(matches!(dataset(&root.path().join("none"), "5"), Err(FolderError::Read { .. })));
    }
}
