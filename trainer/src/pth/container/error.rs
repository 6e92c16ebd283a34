//! Why a file is no checkpoint that can be read.

use std::io;

use zip::result::ZipError;

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
    /// An entry is compressed, which PyTorch never does.
    #[error("`{entry}` is compressed; `torch.save` stores every entry as it is")]
    Compressed {
        /// The entry.
        entry: String,
    },
    /// Two entries have one name, so that it would depend on the reader which one counts.
    #[error("two entries of the zip file have the same name")]
    Duplicate,
    /// The entries do not lie in one plain folder.
    #[error("the entries lie in `{found}`, expected one folder without a path")]
    Folder {
        /// The folder as the file names it.
        found: String,
    },
    /// A view shows a value twice, and may so have more values than there are.
    #[error("parameter `{parameter}` with strides {strides:?} overlaps itself")]
    Overlap {
        /// The parameter.
        parameter: String,
        /// The strides.
        strides: Vec<usize>,
    },
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
        "parameter `{parameter}` is stored as `{found}`, expected `FloatStorage`, `HalfStorage`, `BFloat16Storage`, \
         `DoubleStorage` or `LongStorage`"
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
