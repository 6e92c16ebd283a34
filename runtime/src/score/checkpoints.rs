//! The folders of a prediction by several checkpoints, and the cases in them.
//!
//! `unnunet score` takes what nnU-Net and UnnUNet leave when every checkpoint predicts into a folder of its own: either
//! these folders themselves, or one that holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Ending of a file of probabilities.
const ENDING: &str = ".npz";

/// Every member's file of a case, in the order of the members; or the first member that has none.
pub(crate) type Files = Result<Vec<PathBuf>, MissingMember>;

/// The folders of a prediction, one per member.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    members: Vec<(PathBuf, BTreeSet<String>)>,
}

impl Checkpoints {
    /// Finds the members in `folders`: a folder with `.npz` files is one, of another every folder inside that has any, by
    /// name.
    ///
    /// # Errors
    ///
    /// [`CheckpointsError`] naming the folder that has none, or of which it is not clear what it is.
    pub(crate) fn find(folders: &[PathBuf]) -> Result<Self, CheckpointsError> {
        let mut members = Vec::new();
        for folder in folders {
            members.extend(members_of(folder)?);
        }
        let mut seen = BTreeSet::new();
        for (folder, _) in &members {
            if !seen.insert(fs::canonicalize(folder)?) {
                return Err(CheckpointsError::Twice { folder: folder.clone() });
            }
        }
        Ok(Self { members })
    }

    /// Number of members.
    pub(crate) fn n_members(&self) -> usize {
        self.members.len()
    }

    /// Every case that any member has, sorted.
    pub(crate) fn cases(&self) -> Vec<(String, Files)> {
        let names: BTreeSet<_> = self.members.iter().flat_map(|(_, names)| names).collect();
        let file = |case: &String, (folder, names): &(PathBuf, BTreeSet<String>)| {
            let missing = || MissingMember { folder: folder.clone(), case: case.clone() };
            names.contains(case).then(|| folder.join(format!("{case}{ENDING}"))).ok_or_else(missing)
        };
        let files = |case: &String| self.members.iter().map(|member| file(case, member)).collect();
        names.into_iter().map(|case| (case.clone(), files(case))).collect()
    }
}

fn members_of(folder: &Path) -> Result<Vec<(PathBuf, BTreeSet<String>)>, CheckpointsError> {
    let mut inside = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let cases = cases_in(&path)?;
            if !cases.is_empty() {
                inside.insert(path, cases);
            }
        }
    }
    let own = cases_in(folder)?;
    match (own.is_empty(), inside.is_empty()) {
        (true, true) => Err(CheckpointsError::Empty { folder: folder.to_owned() }),
        (false, false) => Err(CheckpointsError::Both { folder: folder.to_owned() }),
        (false, true) => Ok(vec![(folder.to_owned(), own)]),
        (true, false) => Ok(inside.into_iter().collect()),
    }
}

/// Names of the files of probabilities in a folder, without ending; hidden ones are somebody's temporary files.
fn cases_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut cases = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let case = name.to_str().and_then(|name| name.strip_suffix(ENDING));
        cases.extend(case.filter(|case| !case.is_empty() && !case.starts_with('.')).map(str::to_owned));
    }
    Ok(cases)
}

/// A member without a file of a case that others have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` has no `{case}{ENDING}`", folder.display())]
pub(crate) struct MissingMember {
    /// The member's folder.
    folder: PathBuf,
    /// The case.
    case: String,
}

/// Why there are no members.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CheckpointsError {
    /// Files beside folders of files.
    #[error("`{}` has `{ENDING}` files, and so have folders inside it; name the folders of the checkpoints", folder.display())]
    Both {
        /// The folder.
        folder: PathBuf,
    },
    /// No file anywhere.
    #[error("neither `{}` nor a folder inside it has a `{ENDING}` file", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder cannot be read.
    #[error("cannot list the probabilities")]
    List {
        /// Which and why.
        #[from]
        source: io::Error,
    },
    /// One member under two names.
    #[error("`{}` is named twice, and would count as two members", folder.display())]
    Twice {
        /// The folder.
        folder: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn find(folder: &Path, names: &[&str]) -> Result<Checkpoints, CheckpointsError> {
        Checkpoints::find(&names.iter().map(|name| folder.join(name)).collect::<Vec<_>>())
    }

    #[test]
    fn members_are_folders_of_files_or_the_folders_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["run/b/x.npz", "run/a/x.npz", "run/a/y.npz", "run/a/.z.npz", "run/logs/log.txt"]);
        let check = |names: &[&str], expected: &[&str]| {
            let found = find(folder.path(), names).unwrap();
            let expected: Vec<_> = expected.iter().map(|name| folder.path().join(name)).collect();
            assert_eq!(
                found.members.iter().map(|member| &member.0).collect::<Vec<_>>(),
                expected.iter().collect::<Vec<_>>()
            );
        };
        check(&["run"], &["run/a", "run/b"]);
        check(&["run/b", "run/a"], &["run/b", "run/a"]);
    }

    #[test]
    fn a_case_that_one_member_lacks_is_named_with_the_member() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["a/x.npz", "a/y.npz", "b/x.npz"]);
        let cases = find(folder.path(), &["a", "b"]).unwrap().cases();
        assert_eq!(cases[0], ("x".to_owned(), Ok(vec![folder.path().join("a/x.npz"), folder.path().join("b/x.npz")])));
        assert_eq!(cases[1].0, "y");
        assert!(cases[1].1.as_ref().unwrap_err().to_string().ends_with("b` has no `y.npz`"));
    }

    #[test]
    fn folders_that_are_empty_unclear_or_named_twice_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["empty/a/x.txt", "both/x.npz", "both/a/x.npz"]);
        assert!(matches!(find(folder.path(), &["empty"]), Err(CheckpointsError::Empty { .. })));
        assert!(matches!(find(folder.path(), &["both"]), Err(CheckpointsError::Both { .. })));
        assert!(matches!(find(folder.path(), &["both/a", "both/../both/a"]), Err(CheckpointsError::Twice { .. })));
        assert!(matches!(find(folder.path(), &["nowhere"]), Err(CheckpointsError::List { .. })));
    }
}
