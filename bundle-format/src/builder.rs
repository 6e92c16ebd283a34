//! Puts an unsigned bundle together.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::manifest::{ManifestDraft, Role};
use crate::rule::Rule;

/// Why a bundle could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two files were added under one name.
    #[error("`{path}` was added twice")]
    Duplicate {
        /// The name.
        path: EntryPath,
    },
    /// A source file changed while it was packed.
    #[error("`{}` changed while it was packed", path.display())]
    Changed {
        /// The source file.
        path: PathBuf,
    },
}

impl BuildError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Duplicate { .. } => Rule::BuildEntry,
            Self::Changed { .. } => Rule::BuildChanged,
        }
    }
}

/// Collects the files of a bundle and writes it, unsigned.
#[derive(Debug)]
pub struct BundleBuilder {
    draft: ManifestDraft,
}

impl BundleBuilder {
    /// Starts a bundle.
    pub fn new(draft: ManifestDraft) -> Self {
        Self { draft }
    }

    /// Adds a file whose content is in memory.
    ///
    /// # Errors
    ///
    /// [`BuildError::Duplicate`].
    pub fn add_bytes(
        &mut self,
        _path: EntryPath,
        _role: Role,
        _content: Vec<u8>,
    ) -> Result<(), BundleError> {
        unimplemented!()
    }

    /// Adds a file whose content lies on disk; it is streamed, never loaded.
    ///
    /// # Errors
    ///
    /// [`BuildError::Duplicate`].
    pub fn add_file(
        &mut self,
        _path: EntryPath,
        _role: Role,
        _source: PathBuf,
    ) -> Result<(), BundleError> {
        unimplemented!()
    }

    /// Writes the bundle by a temporary file and a rename; returns the manifest's digest.
    ///
    /// # Errors
    ///
    /// [`crate::ManifestError`], [`BuildError::Changed`], [`BundleError::Io`].
    pub fn write(self, _output: &Path) -> Result<Digest, BundleError> {
        let _ = self.draft;
        unimplemented!()
    }
}
