//! Where the content of a new entry comes from.

use std::io::Read;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Archive, BUFFER_BYTES, Record};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;

/// The content of an entry that is about to be written.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// A file, read twice: once to measure it and once to copy it.
    File(PathBuf),
    /// The entry of the same name in an archive.
    Entry(&'a Archive),
}

/// A source with its header.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) record: Record,
    pub(crate) source: Source<'a>,
}

impl<'a> Measured<'a> {
    /// Reads `source` once, for its size, CRC-32 and SHA-256.
    pub(crate) fn new(path: EntryPath, source: Source<'a>) -> Result<(Self, Digest), BundleError> {
        let (mut size, mut crc32, mut sha256) = (0, crc32fast::Hasher::new(), Sha256::new());
        source.for_each_chunk(&path, &mut |chunk| {
            size += chunk.len() as u64;
            crc32.update(chunk);
            sha256.update(chunk);
            Ok(())
        })?;
        let record = Record { path, size, crc32: crc32.finalize() };
        Ok((Self { record, source }, Digest::finish(sha256)))
    }
}

impl Source<'_> {
    /// Hands the content to `sink` piece by piece.
    pub(super) fn for_each_chunk(
        &self,
        path: &EntryPath,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        match self {
            Self::Bytes(content) => sink(content),
            Self::Entry(archive) => archive.for_each_chunk(path, sink),
            Self::File(source) => {
                let mut file = fs_err::File::open(source).map_err(BundleError::io(source))?;
                let mut buffer = vec![0; BUFFER_BYTES];
                loop {
                    match file.read(&mut buffer).map_err(BundleError::io(source))? {
                        0 => return Ok(()),
                        n => sink(&buffer[..n])?,
                    }
                }
            }
        }
    }
}
