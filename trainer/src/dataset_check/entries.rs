//! What lies in a folder of a data set: names, sizes, and where links lead.

use std::io;
use std::path::{Path, PathBuf};

use nnunet::dataset_check::listing::{Entry, EntryKind};

use crate::raw_dataset::RawDatasetError;

/// What a folder of a data set holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Sorted by name.
    pub(super) entries: Vec<Entry>,
    /// Where the folder itself leads, if it is a link out of the data set.
    pub(super) link_out: Option<String>,
}

/// The content of the folder `name` of a data set; `None` if there is no such folder.
pub(super) fn of(dataset: &Path, name: &str) -> Result<Option<Content>, RawDatasetError> {
    let folder = dataset.join(name);
    if !folder.is_dir() {
        return Ok(None);
    }
    let unreadable = |source: io::Error| RawDatasetError::Read { path: folder.clone(), source };
    let dataset = fs_err::canonicalize(dataset).map_err(unreadable)?;
    let real = fs_err::canonicalize(&folder).map_err(unreadable)?;
    let link_out = (!real.starts_with(&dataset)).then(|| real.display().to_string());
    let mut entries = Vec::new();
    for entry in fs_err::read_dir(&folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let path = folder.join(&name);
        let (kind, target) = kind(&path);
        let target = target.filter(|target| !target.starts_with(&dataset) && !target.starts_with(&real));
        let link_out = target.map(|target| target.display().to_string());
        entries.push(Entry { name: name.to_string_lossy().into_owned(), kind, link_out });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(Content { entries, link_out }))
}

/// The file that `dataset.json` lists as `path`. Where it lies is the user's choice, links included.
pub(super) fn listed(dataset: &Path, path: &str) -> Entry {
    Entry { name: path.to_owned(), kind: kind(&dataset.join(path)).0, link_out: None }
}

/// What is at `path`, and where it leads if it is a link to something.
fn kind(path: &Path) -> (EntryKind, Option<PathBuf>) {
    let Ok(own) = fs_err::symlink_metadata(path) else {
        return (EntryKind::Missing, None);
    };
    let Ok(metadata) = fs_err::metadata(path) else {
        return (EntryKind::BrokenLink, None);
    };
    let target = own.is_symlink().then(|| fs_err::canonicalize(path).ok()).flatten();
    let kind = if metadata.is_file() { EntryKind::File { n_bytes: metadata.len() } } else { EntryKind::NoFile };
    (kind, target)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_said_to_leave_only_if_they_do() {
        let root = tempfile::tempdir().unwrap();
        let dataset = root.path().join("dataset");
        fs_err::create_dir_all(dataset.join("imagesTr/folder")).unwrap();
        fs_err::write(root.path().join("outside"), "12345").unwrap();
        fs_err::write(dataset.join("imagesTr/a"), "123").unwrap();
        symlink("a", dataset.join("imagesTr/b")).unwrap();
        symlink(root.path().join("outside"), dataset.join("imagesTr/c")).unwrap();
        symlink("nowhere", dataset.join("imagesTr/d")).unwrap();
        let Content { entries, link_out } = of(&dataset, "imagesTr").unwrap().unwrap();
        assert_eq!(link_out, None);
        let outside = fs_err::canonicalize(root.path().join("outside")).unwrap().display().to_string();
        let expected = [
            ("a", EntryKind::File { n_bytes: 3 }, None),
            ("b", EntryKind::File { n_bytes: 3 }, None),
            ("c", EntryKind::File { n_bytes: 5 }, Some(outside)),
            ("d", EntryKind::BrokenLink, None),
            ("folder", EntryKind::NoFile, None),
        ];
        let expected = expected.map(|(name, kind, link_out)| Entry { name: name.into(), kind, link_out });
        assert_eq!(entries, expected);
        assert!(of(&dataset, "labelsTr").unwrap().is_none());
        assert_eq!(listed(&dataset, "imagesTr/x").kind, EntryKind::Missing);
    }

    #[test]
    fn a_folder_that_is_a_link_out_is_one_finding_and_not_one_per_file() {
        let root = tempfile::tempdir().unwrap();
        let dataset = root.path().join("dataset");
        fs_err::create_dir_all(&dataset).unwrap();
        fs_err::create_dir_all(root.path().join("elsewhere")).unwrap();
        fs_err::write(root.path().join("elsewhere/a"), "123").unwrap();
        symlink(root.path().join("elsewhere"), dataset.join("imagesTr")).unwrap();
        let Content { entries, link_out } = of(&dataset, "imagesTr").unwrap().unwrap();
        assert!(link_out.is_some_and(|target| target.ends_with("elsewhere")));
        assert_eq!(entries[0].link_out, None);
    }
}
