//! Puts an unsigned bundle together.

use std::path::{Path, PathBuf};

use crate::container::{Measured, Source, write_archive};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::limits::Limits;
use crate::manifest::{FileEntry, Manifest, ManifestDraft, Role};
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

    /// A source changed between measuring and copying.
    #[error("the source of `{path}` changed while it was packed")]
    Changed {
        /// The entry.
        path: EntryPath,
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
///
/// The same draft and files give the same bytes everywhere.
#[derive(Debug)]
pub struct BundleBuilder {
    draft: ManifestDraft,
    files: Vec<(EntryPath, Role, Source<'static>)>,
}

impl BundleBuilder {
    /// Starts a bundle.
    pub fn new(draft: ManifestDraft) -> Self {
        Self { draft, files: Vec::new() }
    }

    /// Adds a file whose content is in memory.
    ///
    /// # Errors
    ///
    /// [`BuildError::Duplicate`] if `path` is taken.
    pub fn add_bytes(&mut self, path: EntryPath, role: Role, content: Vec<u8>) -> Result<(), BundleError> {
        self.add(path, role, Source::Bytes(content))
    }

    /// Adds a file whose content lies on disk; it is streamed, never loaded.
    ///
    /// # Errors
    ///
    /// [`BuildError::Duplicate`] if `path` is taken.
    pub fn add_file(&mut self, path: EntryPath, role: Role, source: PathBuf) -> Result<(), BundleError> {
        self.add(path, role, Source::File(source))
    }

    fn add(&mut self, path: EntryPath, role: Role, source: Source<'static>) -> Result<(), BundleError> {
        if self.files.iter().any(|(taken, ..)| *taken == path) {
            return Err(BuildError::Duplicate { path }.into());
        }
        self.files.push((path, role, source));
        Ok(())
    }

    /// Writes the bundle to `output`, replacing it by a rename, and returns the
    /// digest of the manifest.
    ///
    /// # Errors
    ///
    /// [`crate::ManifestError`] if draft and files do not make a manifest;
    /// [`crate::ContainerError`] if a limit or the nesting of names would be
    /// broken; [`BuildError::Changed`]; [`BundleError::Io`].
    pub fn write(self, output: &Path) -> Result<Digest, BundleError> {
        let mut files = Vec::with_capacity(self.files.len());
        let mut entries = Vec::with_capacity(self.files.len() + 1);
        for (path, role, source) in self.files {
            let (measured, sha256) = Measured::new(path.clone(), source)?;
            files.push(FileEntry { path, role, sha256, size: measured.record.size });
            entries.push(measured);
        }
        let text = Manifest::new(self.draft, files)?.to_json();
        let path = EntryPath::manifest();
        let (manifest, sha256) = Measured::new(path, Source::Bytes(text))?;
        entries.push(manifest);
        write_archive(output, entries, &Limits::default())?;
        Ok(sha256)
    }
}
