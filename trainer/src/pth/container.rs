//! The zip file of a PyTorch checkpoint: one pickle and one stored entry per storage.
//!
//! Every entry lies uncompressed in one folder; a compressed one, two of one name or two folders are refused, and so
//! nothing can unfold. Sizes are compared with limits before anything is allocated. A view must lie within its storage
//! and show every value at most once, so that it never has more values than were read. Nothing is ever unpacked to a
//! disk, so that names lead nowhere.

mod error;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::Read as _;
use std::path::Path;
use std::rc::Rc;

use fs_err::File;
use zip::{CompressionMethod, ZipArchive};

pub use error::ContainerError;

use super::float::{from_bf16, from_f16};
use super::metered::Metered;
use super::pickle::{Storage, StorageKind, TensorView};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 16 << 30;
/// Largest pickle; a thousand epochs of records and a large data set's description have a few MiB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Largest storage of one tensor.
const MAX_STORAGE_BYTES: u64 = 1 << 30;
/// Most bytes that are read to find the entries; a checkpoint of a thousand tensors needs a tenth of a MiB.
const MAX_DIRECTORY_BYTES: u64 = 16 << 20;
/// What every zip file begins with.
const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";

/// An open checkpoint.
#[derive(Debug)]
pub struct Container {
    archive: ZipArchive<Metered<File>>,
    folder: String,
}

impl Container {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`ContainerError`] if it cannot be read, is too large, or is no checkpoint of PyTorch 1.6 or later.
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        let mut file = File::open(path)?;
        let found = file.metadata()?.len();
        if found > MAX_FILE_BYTES {
            return Err(ContainerError::Size { entry: "file".into(), limit: MAX_FILE_BYTES, found });
        }
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic)?;
        if magic != ZIP_MAGIC {
            return Err(ContainerError::NoZip);
        }
        let budget = Rc::new(Cell::new(MAX_DIRECTORY_BYTES));
        let archive = ZipArchive::new(Metered::new(file, Rc::clone(&budget)))?;
        budget.set(u64::MAX);
        if archive.has_duplicate_names() {
            return Err(ContainerError::Duplicate);
        }
        let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        let folders = names.iter().filter_map(|name| name.strip_suffix("/data.pkl").map(str::to_owned));
        let [folder] = <[String; 1]>::try_from(folders.collect::<Vec<_>>())
            .map_err(|found| ContainerError::Pickles { found: found.len() })?;
        drop(names);
        if folder.is_empty() || folder.contains(['/', '\\', '\0']) || folder.chars().all(|c| c == '.') {
            return Err(ContainerError::Folder { found: folder });
        }
        let mut container = Self { archive, folder };
        let name = format!("{}/byteorder", container.folder);
        if container.archive.index_for_name(&name).is_some() {
            let found = container.entry("byteorder", 16)?;
            if found != b"little" {
                return Err(ContainerError::ByteOrder { found: String::from_utf8_lossy(&found).into_owned() });
            }
        }
        Ok(container)
    }

    /// The pickle.
    pub(super) fn pickle(&mut self) -> Result<Vec<u8>, ContainerError> {
        self.entry("data.pkl", MAX_PICKLE_BYTES)
    }

    /// The values of a view in C order.
    pub(super) fn values(&mut self, parameter: &str, view: &TensorView) -> Result<Vec<f32>, ContainerError> {
        let Storage { kind, key, n_values } = &view.storage;
        let refuse = || ContainerError::View { parameter: parameter.to_owned(), n_values: *n_values };
        let (n, end) = extent(view).ok_or_else(refuse)?;
        if end > *n_values {
            return Err(refuse());
        }
        if overlaps(view) {
            return Err(ContainerError::Overlap { parameter: parameter.to_owned(), strides: view.strides.clone() });
        }
        let width = match kind {
            StorageKind::F64 | StorageKind::I64 => 8,
            StorageKind::F32 => 4,
            StorageKind::F16 | StorageKind::Bf16 => 2,
            StorageKind::Other(found) => {
                return Err(ContainerError::Type { parameter: parameter.to_owned(), found });
            }
        };
        let bytes = self.entry(&format!("data/{key}"), MAX_STORAGE_BYTES)?;
        if n_values.checked_mul(width) != Some(bytes.len()) {
            let (expected, found) = (n_values.saturating_mul(width), bytes.len());
            return Err(ContainerError::Storage { key: key.clone(), expected, found });
        }
        let stored = single_precision(*kind, &bytes);
        Ok((0..n).filter_map(|index| stored.get(position(view, index)).copied()).collect())
    }

    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ContainerError> {
        let entry = self.archive.by_name(&format!("{}/{name}", self.folder))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(ContainerError::Compressed { entry: name.to_owned() });
        }
        let found = entry.size();
        if found > limit {
            return Err(ContainerError::Size { entry: name.to_owned(), limit, found });
        }
        let mut content = Vec::new();
        // The header may lie about the size.
        entry.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 != found {
            return Err(ContainerError::Truncated { entry: name.to_owned(), expected: found, found: content.len() });
        }
        Ok(content)
    }
}

/// Number of values of a view, and one more than the highest position of any in the storage.
fn extent(view: &TensorView) -> Option<(usize, usize)> {
    let mut n = 1_usize;
    let mut last = view.offset;
    for (&extent, &stride) in view.shape.iter().zip(&view.strides) {
        n = n.checked_mul(extent)?;
        last = last.checked_add(extent.checked_sub(1)?.checked_mul(stride)?)?;
    }
    (view.shape.len() == view.strides.len()).then_some((n, last.checked_add(1)?))
}

/// Whether two indices of a view may mean one value: a stride does not step over all that the smaller ones reach.
fn overlaps(view: &TensorView) -> bool {
    let axes = view.shape.iter().zip(&view.strides).filter(|(extent, _)| **extent > 1);
    let mut axes: Vec<_> = axes.map(|(&extent, &stride)| (stride, extent)).collect();
    axes.sort_unstable();
    let mut reach = 0_usize;
    axes.into_iter().any(|(stride, extent)| {
        let is_short = stride <= reach;
        reach = reach.saturating_add(stride.saturating_mul(extent - 1));
        is_short
    })
}

/// All values of a storage in single precision, as PyTorch rounds them when a network of that precision loads them.
#[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
fn single_precision(kind: StorageKind, bytes: &[u8]) -> Vec<f32> {
    match kind {
        StorageKind::F64 => bytes.as_chunks().0.iter().map(|&value| f64::from_le_bytes(value) as f32).collect(),
        StorageKind::I64 => bytes.as_chunks().0.iter().map(|&value| i64::from_le_bytes(value) as f32).collect(),
        StorageKind::F16 => bytes.as_chunks().0.iter().map(|&value| from_f16(u16::from_le_bytes(value))).collect(),
        StorageKind::Bf16 => bytes.as_chunks().0.iter().map(|&value| from_bf16(u16::from_le_bytes(value))).collect(),
        StorageKind::F32 => bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect(),
        StorageKind::Other(_) => Vec::new(),
    }
}

/// Where the value of a C-order index lies in the storage.
fn position(view: &TensorView, index: usize) -> usize {
    let mut rest = index;
    let mut position = view.offset;
    for (&extent, &stride) in view.shape.iter().zip(&view.strides).rev() {
        position += rest % extent * stride;
        rest /= extent;
    }
    position
}
