//! The one order of entries: signatures, manifest, then the rest by name.
//!
//! Signatures come first so that a reader meets them before what they cover.

use std::collections::BTreeSet;

use super::{ContainerError, Record};
use crate::entry_path::EntryPath;
use crate::limits::Limits;
use crate::manifest::{MANIFEST_PATH, SIGNATURES_FOLDER};

/// Entries sort by this key.
pub(crate) fn sort_key(path: &EntryPath) -> (u8, &EntryPath) {
    let rank = match path.as_str() {
        _ if is_signature(path) => 0,
        MANIFEST_PATH => 1,
        _ => 2,
    };
    (rank, path)
}

/// Whether `path` is that of a signature file.
pub(crate) fn is_signature(path: &EntryPath) -> bool {
    let inner = path.as_str().strip_prefix(SIGNATURES_FOLDER).and_then(|rest| rest.strip_prefix('/'));
    inner.and_then(|name| name.strip_suffix(".sig")).is_some_and(|stem| !stem.contains('/'))
}

/// Checks order, uniqueness, nesting, the manifest's presence and the number
/// of signatures (step 2).
pub(super) fn check_names(records: &[Record], limits: &Limits) -> Result<(), ContainerError> {
    for pair in records.windows(2) {
        let (first, second) = (&pair[0].path, &pair[1].path);
        if sort_key(first) >= sort_key(second) {
            let (first, second) = (first.clone(), second.clone());
            return Err(ContainerError::EntryOrder { first, second });
        }
    }
    let names: BTreeSet<&str> = records.iter().map(|record| record.path.as_str()).collect();
    for record in records {
        let path = record.path.as_str();
        let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        if folders.any(|folder| names.contains(folder)) {
            return Err(ContainerError::EntryNesting { path: record.path.clone() });
        }
    }
    if !names.contains(MANIFEST_PATH) {
        return Err(ContainerError::ManifestMissing);
    }
    let actual = records.iter().filter(|record| is_signature(&record.path)).count();
    let limit = limits.n_signatures;
    if actual > limit {
        return Err(ContainerError::SignatureCount { actual, limit });
    }
    Ok(())
}
