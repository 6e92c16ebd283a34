//! What a fingerprint was measured from: the digest of every file, in a file beside it.
//!
//! nnU-Net keeps a fingerprint until told otherwise, and so plans on with the old one after a case was added or
//! corrected. Here it stands for as long as every file is what it was, which costs reading the files once and no more.

use std::collections::BTreeMap;

use bundle_format::Digest;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::PlanningError;
use crate::raw_dataset::RawDataset;

/// Name of the record's file, beside the fingerprint.
pub(super) const FILE_NAME: &str = "dataset_fingerprint.source.json";

/// Version of how cases are measured: a fingerprint of another version is not kept.
const VERSION: u32 = 1;

/// Path inside the data set to the digest of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Source(BTreeMap<String, Digest>);

/// A fingerprint and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Digest of the fingerprint's file.
    fingerprint: Digest,
    files: Source,
}

impl Source {
    /// Reads all files that bear on a fingerprint: `dataset.json`, and images and labels of the training cases.
    ///
    /// # Errors
    ///
    /// [`PlanningError::Read`] if a file cannot be read.
    pub(super) fn of(raw: &RawDataset) -> Result<Self, PlanningError> {
        let cases = raw.cases.values().flat_map(|case| case.channels.iter().chain([&case.labels]).cloned());
        let files: Vec<_> = cases.chain([raw.folder.join("dataset.json")]).collect();
        let digest = |path: std::path::PathBuf| {
            let content = fs_err::File::open(&path).and_then(Digest::of_reader);
            let content = content.map_err(|source| PlanningError::Read { source })?;
            let inside = path.strip_prefix(&raw.folder).unwrap_or(&path).display().to_string();
            Ok((inside, content))
        };
        files.into_par_iter().map(digest).collect::<Result<_, _>>().map(Self)
    }
}

impl Record {
    /// Records that the fingerprint of this digest was measured from these files.
    pub(super) fn new(fingerprint: Digest, files: Source) -> Self {
        Self { version: VERSION, fingerprint, files }
    }

    /// Whether it says that this fingerprint was measured, as is done today, from these files.
    pub(super) fn is_of(&self, fingerprint: Digest, files: &Source) -> bool {
        (self.version, self.fingerprint) == (VERSION, fingerprint) && self.files == *files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_one_fingerprint_one_version_and_one_set_of_files() {
        let source = |content: &[u8]| Source([("imagesTr/a_0000.nii".to_owned(), Digest::of(content))].into());
        let (fingerprint, files) = (Digest::of(b"fingerprint"), source(b"a"));
        let record = Record::new(fingerprint, files.clone());
        assert!(record.is_of(fingerprint, &files));
        assert!(!record.is_of(Digest::of(b"another"), &files));
        assert!(!record.is_of(fingerprint, &source(b"b")));
        assert!(!record.is_of(fingerprint, &Source(BTreeMap::new())));
        assert!(!Record { version: VERSION + 1, ..record }.is_of(fingerprint, &files));
    }
}
