//! Opening a file and reading its central directory (steps 1 and 2).

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::layout::{
    CENTRAL_BYTES, CENTRAL_SIGNATURE, CENTRAL_ZIP64_BYTES, END_BYTES, END_SIGNATURE, END64_BYTES, END64_SIGNATURE,
};
use super::{ContainerError, Record};
use crate::entry_path::{EntryPath, MAX_BYTES};
use crate::error::BundleError;
use crate::limits::Limits;

/// A regular file of acceptable size, open for reading.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) n_bytes: u64,
    pub(super) limits: Limits,
}

/// Opens the regular file at `path` without following a link and without waiting for a pipe; `None` if it is none.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

impl OpenFile {
    /// Opens the file and looks at its size (step 1).
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, BundleError> {
        let opened = open_regular(path).map_err(BundleError::io(path))?;
        let (file, metadata) = opened.ok_or_else(|| BundleError::NotRegularFile { path: path.to_path_buf() })?;
        let limits = limits.clamped();
        let (actual, limit) = (metadata.len(), limits.archive_bytes);
        if actual > limit {
            return Err(ContainerError::ArchiveSize { actual, limit }.into());
        }
        Ok(Self { file, path: path.to_path_buf(), n_bytes: actual, limits })
    }
}

/// The end of a file as it was read: the directory and what follows it.
pub(super) struct Tail {
    /// Offset of the central directory.
    pub(super) start: u64,
    /// Everything from there on.
    pub(super) bytes: Vec<u8>,
    n_entries: usize,
    directory_bytes: usize,
}

impl Tail {
    /// Finds the directory from the end record, which is the last 22 bytes.
    ///
    /// Only the three numbers that place the directory are taken from the end
    /// records; the caller compares all their bytes with the canonical ones.
    pub(super) fn read(open: &OpenFile) -> Result<Self, BundleError> {
        let file_bytes = open.n_bytes;
        let read_at =
            |buffer: &mut [u8], offset| open.file.read_exact_at(buffer, offset).map_err(BundleError::io(&open.path));
        let Some(end_start) = file_bytes.checked_sub(END_BYTES as u64) else {
            return Err(ContainerError::EndRecord.into());
        };
        let mut end = [0; END_BYTES];
        read_at(&mut end, end_start)?;
        if end[..4] != END_SIGNATURE {
            return Err(ContainerError::EndRecord.into());
        }
        let n_entries = u64::from(u16_at(&end, 10));
        let mut directory_bytes = u64::from(u32_at(&end, 12));
        let mut start = u64::from(u32_at(&end, 16));
        let mut end_bytes = END_BYTES as u64;
        if u32_at(&end, 12) == u32::MAX || u32_at(&end, 16) == u32::MAX {
            end_bytes = END64_BYTES as u64;
            let mut end64 = [0; END64_BYTES];
            let Some(end64_start) = file_bytes.checked_sub(end_bytes) else {
                return Err(ContainerError::EndRecord.into());
            };
            read_at(&mut end64, end64_start)?;
            if end64[..4] != END64_SIGNATURE {
                return Err(ContainerError::EndRecord.into());
            }
            (directory_bytes, start) = (u64_at(&end64, 40), u64_at(&end64, 48));
        }

        if n_entries > open.limits.n_entries as u64 {
            let (actual, limit) = (n_entries, open.limits.n_entries);
            return Err(ContainerError::EntryCount { actual, limit }.into());
        }
        let longest_record = (CENTRAL_BYTES + MAX_BYTES + CENTRAL_ZIP64_BYTES) as u64;
        let reached = (start.checked_add(directory_bytes)).and_then(|n| n.checked_add(end_bytes));
        if reached != Some(file_bytes) || directory_bytes > n_entries * longest_record {
            return Err(ContainerError::DirectoryBounds.into());
        }
        let as_usize = |n| usize::try_from(n).expect("the directory is at most 1024 records long");
        let mut bytes = vec![0; as_usize(directory_bytes + end_bytes)];
        read_at(&mut bytes, start)?;
        let (n_entries, directory_bytes) = (as_usize(n_entries), as_usize(directory_bytes));
        Ok(Self { start, bytes, n_entries, directory_bytes })
    }

    /// Name, size and CRC-32 of every entry; nothing else is believed.
    pub(super) fn records(&self) -> Result<Vec<Record>, ContainerError> {
        let mut rest = &self.bytes[..self.directory_bytes];
        let mut records = Vec::with_capacity(self.n_entries);
        for index in 0..self.n_entries {
            let (record, length) = read_central(rest, index)?;
            records.push(record);
            rest = &rest[length..];
        }
        match rest {
            [] => Ok(records),
            _ => Err(ContainerError::DirectoryBounds),
        }
    }
}

/// Reads the central record at the start of `bytes`; returns its length as well.
fn read_central(bytes: &[u8], index: usize) -> Result<(Record, usize), ContainerError> {
    let broken = ContainerError::CentralRecord { index };
    if bytes.len() < CENTRAL_BYTES || bytes[..4] != CENTRAL_SIGNATURE {
        return Err(broken);
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(bytes, at)));
    let length = CENTRAL_BYTES + name + extra + comment;
    if bytes.len() < length {
        return Err(broken);
    }
    let (name, after) = bytes[CENTRAL_BYTES..length].split_at(name);
    let mut size = u64::from(u32_at(bytes, 24));
    if u32_at(bytes, 24) == u32::MAX {
        if extra < 12 {
            return Err(broken);
        }
        size = u64_at(after, 4);
    }
    let name = str::from_utf8(name).map_err(|_| ContainerError::EntryName { index, source: None })?;
    let path = EntryPath::new(name).map_err(|source| ContainerError::EntryName { index, source: Some(source) })?;
    Ok((Record { path, size, crc32: u32_at(bytes, 16) }, length))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
