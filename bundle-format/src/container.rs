//! The container: a zip archive with exactly one encoding.
//!
//! `docs/bundle-format.md` section 1 fixes every byte that is not content, as
//! a function of the entries' names, sizes and checksums. The reader takes
//! those three from the file, encodes the headers anew and compares, so that
//! nothing that a zip reader would tolerate or ignore can hide here.

mod archive;
mod layout;
mod open;
mod order;
mod source;
mod writer;

pub(crate) use archive::{Archive, BUFFER_BYTES};
pub(crate) use layout::Record;
pub(crate) use open::{OpenFile, open_regular};
pub(crate) use order::{is_signature, sort_key};
pub(crate) use source::{Measured, Source};
pub(crate) use writer::write_archive;

use crate::entry_path::{EntryPath, EntryPathError};
use crate::rule::Rule;

/// Why a container was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The file is larger than the limit.
    #[error("the archive has {actual} bytes, the limit is {limit}")]
    ArchiveSize {
        /// Size of the file.
        actual: u64,
        /// Largest size.
        limit: u64,
    },

    /// There are too many entries.
    #[error("the archive has {actual} entries, the limit is {limit}")]
    EntryCount {
        /// Number of entries.
        actual: u64,
        /// Largest number.
        limit: usize,
    },

    /// There are too many signatures.
    #[error("the archive has {actual} signatures, the limit is {limit}")]
    SignatureCount {
        /// Number of signatures.
        actual: usize,
        /// Largest number.
        limit: usize,
    },

    /// An entry is too large for its purpose.
    #[error("`{path}` has {actual} bytes, the limit is {limit}")]
    EntrySize {
        /// The entry.
        path: EntryPath,
        /// Its size.
        actual: u64,
        /// Largest size.
        limit: u64,
    },

    /// The file does not end like a zip archive.
    #[error("the file does not end with the end record of an archive")]
    EndRecord,

    /// The central directory does not fill its place.
    #[error("the central directory does not reach to the end record")]
    DirectoryBounds,

    /// A central record is cut off or has no signature.
    #[error("central record {index} cannot be read")]
    CentralRecord {
        /// Position in the directory.
        index: usize,
    },

    /// A name breaks the grammar.
    #[error("entry {index} has no valid name")]
    EntryName {
        /// Position in the directory.
        index: usize,
        /// What the name is; `None` if it is not UTF-8.
        source: Option<EntryPathError>,
    },

    /// Two entries are in the wrong order, or have the same name.
    #[error("`{second}` must not follow `{first}`")]
    EntryOrder {
        /// The earlier entry.
        first: EntryPath,
        /// The entry after it.
        second: EntryPath,
    },

    /// An entry is the folder of another.
    #[error("`{path}` lies inside an entry that is a file")]
    EntryNesting {
        /// The inner entry.
        path: EntryPath,
    },

    /// The directory is not the canonical encoding of what it says.
    #[error("the central directory differs from its canonical form at byte {offset} of the file")]
    DirectoryBytes {
        /// First byte that differs.
        offset: u64,
    },

    /// A local header is not the canonical one.
    #[error("the local header of `{path}` is not canonical")]
    LocalHeader {
        /// The entry.
        path: EntryPath,
    },

    /// The content does not have the checksum of its header.
    #[error("`{path}` has the CRC-32 {actual:08x}, its header states {expected:08x}")]
    Checksum {
        /// The entry.
        path: EntryPath,
        /// What the header states.
        expected: u32,
        /// What was read.
        actual: u32,
    },

    /// There is no manifest.
    #[error("the archive has no `manifest.json`")]
    ManifestMissing,
}

impl ContainerError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::ArchiveSize { .. } => Rule::ArchiveSize,
            Self::EntryCount { .. } => Rule::EntryCount,
            Self::SignatureCount { .. } => Rule::SignatureCount,
            Self::EntrySize { .. } => Rule::EntrySize,
            Self::EndRecord => Rule::EndRecord,
            Self::DirectoryBounds => Rule::DirectoryBounds,
            Self::CentralRecord { .. } => Rule::CentralRecord,
            Self::EntryName { .. } => Rule::EntryName,
            Self::EntryOrder { .. } => Rule::EntryOrder,
            Self::EntryNesting { .. } => Rule::EntryNesting,
            Self::DirectoryBytes { .. } => Rule::DirectoryBytes,
            Self::LocalHeader { .. } => Rule::LocalHeader,
            Self::Checksum { .. } => Rule::Checksum,
            Self::ManifestMissing => Rule::ManifestEntry,
        }
    }
}

#[cfg(test)]
mod zip64;
