//! A canonical archive, open for reading.
//!
//! One file handle serves the checks and every later load, so that renaming or
//! replacing the file changes nothing for us.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::layout::{Layout, Place};
use super::open::{OpenFile, Tail};
use super::order::check_names;
use super::{ContainerError, Record};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::limits::Limits;

/// How much is read at once. It stays in the second-level cache between the
/// checksum and the digest, which hashes a quarter faster than a mebibyte does.
pub(crate) const BUFFER_BYTES: usize = 1 << 17;

/// A file whose every byte outside the contents is canonical.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    path: PathBuf,
    limits: Limits,
    places: Vec<Place>,
}

impl Archive {
    /// Compares all headers with their re-encoding (step 2).
    pub(crate) fn read_headers(open: OpenFile) -> Result<Self, BundleError> {
        let tail = Tail::read(&open)?;
        let OpenFile { file, path, n_bytes, limits } = open;
        let records = tail.records()?;
        check_names(&records, &limits)?;
        if records.iter().any(|record| record.size > n_bytes) {
            return Err(ContainerError::DirectoryBounds.into());
        }
        let layout = Layout::new(records);
        let canonical = layout.tail();
        if layout.directory_start() != tail.start || canonical != tail.bytes {
            let equal = canonical.iter().zip(&tail.bytes).take_while(|(a, b)| a == b).count();
            let offset = tail.start + equal as u64;
            return Err(ContainerError::DirectoryBytes { offset }.into());
        }
        let places = layout.into_places();
        let archive = Self { file, path, limits, places };
        archive.check_local_headers()?;
        Ok(archive)
    }

    fn check_local_headers(&self) -> Result<(), BundleError> {
        for place in &self.places {
            let canonical = place.local_header();
            let mut actual = vec![0; canonical.len()];
            self.read_at(&mut actual, place.header_start)?;
            if actual != canonical {
                let path = place.record.path.clone();
                return Err(ContainerError::LocalHeader { path }.into());
            }
        }
        Ok(())
    }

    /// The limits that hold for this archive.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The headers of all entries, in their order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.places.iter().map(|place| &place.record)
    }

    /// The header of the entry at `path`.
    pub(crate) fn record(&self, path: &EntryPath) -> Option<&Record> {
        self.place(path).map(|place| &place.record)
    }

    /// The whole content of the entry at `path`, if it has at most `limit` bytes
    /// and the CRC-32 of its header.
    pub(crate) fn read(&self, path: &EntryPath, limit: u64) -> Result<Option<Vec<u8>>, BundleError> {
        let Some(Place { record, content_start, .. }) = self.place(path) else {
            return Ok(None);
        };
        self.check_size(path, limit)?;
        let size = usize::try_from(record.size);
        let mut content = vec![0; size.expect("limits of loads fit in memory addresses")];
        self.read_at(&mut content, *content_start)?;
        check_crc(record, crc32fast::hash(&content))?;
        Ok(Some(content))
    }

    /// Streams the entry at `path` through SHA-256 and CRC-32 (step 9).
    ///
    /// # Panics
    ///
    /// If there is no such entry; the caller takes `path` from the records.
    pub(crate) fn digest(&self, path: &EntryPath) -> Result<Digest, BundleError> {
        let mut sha256 = Sha256::new();
        self.for_each_chunk(path, &mut |chunk| {
            sha256.update(chunk);
            Ok(())
        })?;
        Ok(Digest::finish(sha256))
    }

    /// Hands the content of the entry at `path` to `sink` piece by piece, then
    /// compares its CRC-32.
    ///
    /// # Panics
    ///
    /// If there is no such entry; the caller takes `path` from the records.
    pub(crate) fn for_each_chunk(
        &self,
        path: &EntryPath,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let place = self.place(path).expect("the path is that of an entry");
        let mut crc32 = crc32fast::Hasher::new();
        let mut left = place.record.size;
        let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(left).unwrap_or(BUFFER_BYTES))];
        while left > 0 {
            let step = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let chunk = &mut buffer[..step];
            self.read_at(chunk, place.content_start + place.record.size - left)?;
            crc32.update(chunk);
            sink(chunk)?;
            left -= step as u64;
        }
        Ok(check_crc(&place.record, crc32.finalize())?)
    }

    /// The entry at `path`, if there is one, has at most `limit` bytes.
    pub(crate) fn check_size(&self, path: &EntryPath, limit: u64) -> Result<(), ContainerError> {
        match self.record(path) {
            Some(record) if record.size > limit => {
                let (path, actual) = (path.clone(), record.size);
                Err(ContainerError::EntrySize { path, actual, limit })
            }
            _ => Ok(()),
        }
    }

    fn place(&self, path: &EntryPath) -> Option<&Place> {
        self.places.iter().find(|place| place.record.path == *path)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), BundleError> {
        (self.file.read_exact_at(buffer, offset)).map_err(BundleError::io(&self.path))
    }
}

fn check_crc(record: &Record, actual: u32) -> Result<(), ContainerError> {
    if actual == record.crc32 {
        return Ok(());
    }
    let (path, expected) = (record.path.clone(), record.crc32);
    Err(ContainerError::Checksum { path, expected, actual })
}
