//! The zip file of a PyTorch checkpoint: one pickle and one stored entry per storage.
//!
//! Every entry lies uncompressed in one folder. Sizes are compared with limits before anything is allocated, and a
//! view must lie within its storage, whatever the pickle says.

use std::io::{self, Read as _};
use std::path::Path;

use fs_err::File;
use zip::ZipArchive;
use zip::result::ZipError;

use super::float::{from_bf16, from_f16};
use super::pickle::{Storage, StorageKind, TensorView};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 16 << 30;
/// Largest pickle; a thousand epochs of records and a large data set's description have a few MiB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Largest storage of one tensor.
const MAX_STORAGE_BYTES: u64 = 1 << 30;
/// What every zip file begins with.
const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";

/// An open checkpoint.
#[derive(Debug)]
pub struct Container {
    archive: ZipArchive<File>,
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
        let archive = ZipArchive::new(file)?;
        let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        let folders = names.iter().filter_map(|name| name.strip_suffix("/data.pkl").map(str::to_owned));
        let [folder] = <[String; 1]>::try_from(folders.collect::<Vec<_>>())
            .map_err(|found| ContainerError::Pickles { found: found.len() })?;
        drop(names);
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
        let width = match kind {
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
        let half = |at: usize| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        let value = |at: usize| match kind {
            StorageKind::F16 => from_f16(half(at)),
            StorageKind::Bf16 => from_bf16(half(at)),
            _ => f32::from_le_bytes([bytes[4 * at], bytes[4 * at + 1], bytes[4 * at + 2], bytes[4 * at + 3]]),
        };
        Ok((0..n).map(|index| value(position(view, index))).collect())
    }

    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ContainerError> {
        let entry = self.archive.by_name(&format!("{}/{name}", self.folder))?;
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

/// Why a file is no checkpoint that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The values are big-endian.
    #[error("byte order is `{found}`, expected `little`")]
    ByteOrder {
        /// The order as the file names it.
        found: String,
    },
    /// The file does not begin like a zip file.
    #[error("the file is no zip file; checkpoints of PyTorch before 1.6 must be saved anew")]
    NoZip,
    /// There is no pickle, or more than one.
    #[error("the file has {found} entries `data.pkl`, expected 1")]
    Pickles {
        /// How many there are.
        found: usize,
    },
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read {
        /// What the system said.
        #[from]
        source: io::Error,
    },
    /// An entry is larger than any checkpoint's.
    #[error("`{entry}` has {found} bytes, at most {limit} are read")]
    Size {
        /// The entry.
        entry: String,
        /// Most bytes that are read.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// A storage has not the size that the pickle says.
    #[error("storage `{key}` has {found} bytes, the pickle says {expected}")]
    Storage {
        /// The storage.
        key: String,
        /// Bytes by the pickle.
        expected: usize,
        /// Bytes of the entry.
        found: usize,
    },
    /// An entry ends early or late.
    #[error("`{entry}` has {found} bytes, its header says {expected}")]
    Truncated {
        /// The entry.
        entry: String,
        /// Bytes by the header.
        expected: u64,
        /// Bytes that were there.
        found: usize,
    },
    /// A parameter is of a type that weights never have.
    #[error(
        "parameter `{parameter}` is stored as `{found}`, expected `FloatStorage`, `HalfStorage` or `BFloat16Storage`"
    )]
    Type {
        /// The parameter.
        parameter: String,
        /// Its type.
        found: &'static str,
    },
    /// A view leaves its storage.
    #[error("parameter `{parameter}` does not lie within its storage of {n_values} values")]
    View {
        /// The parameter.
        parameter: String,
        /// Values of the storage.
        n_values: usize,
    },
    /// The zip file is damaged or lacks an entry.
    #[error("the zip file cannot be used")]
    Zip {
        /// Why.
        #[from]
        source: ZipError,
    },
}
