//! The names that a checkpoint's pickle may use.
//!
//! Each stands for a shape of plain data and is never looked up or called. The list is what `torch.save` and numpy
//! write for a state of nnU-Net: tensors, ordered dictionaries, and the scalars of its records.

/// Type of a storage's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// Single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Half precision with the exponent of single precision.
    Bf16,
    /// Double precision.
    F64,
    /// Whole numbers of 64 bits.
    I64,
    /// A type that weights never have, by PyTorch's name.
    Other(&'static str),
}

/// An allowed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// A class of storages.
    Storage(StorageKind),
    /// `torch.Size`.
    Size,
    /// `torch.device`.
    Device,
    /// A scalar of numpy.
    NumpyScalar,
    /// A type of numpy.
    NumpyType,
    /// An array of numpy, or its class.
    NumpyArray,
    /// `_codecs.encode`, which numpy's scalars hold bytes in.
    Encode,
}

impl Global {
    /// The name in a module, if it is allowed.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("torch", storage) => Self::Storage(storage_kind(storage)?),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::NumpyScalar,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") | ("numpy", "ndarray") => {
                Self::NumpyArray
            }
            ("numpy", "dtype") => Self::NumpyType,
            ("_codecs", "encode") => Self::Encode,
            _ => return None,
        })
    }
}

fn storage_kind(name: &str) -> Option<StorageKind> {
    const OTHERS: [&str; 5] = ["IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage"];
    match name {
        "FloatStorage" => Some(StorageKind::F32),
        "HalfStorage" => Some(StorageKind::F16),
        "BFloat16Storage" => Some(StorageKind::Bf16),
        "DoubleStorage" => Some(StorageKind::F64),
        "LongStorage" => Some(StorageKind::I64),
        _ => OTHERS.into_iter().find(|&other| other == name).map(StorageKind::Other),
    }
}
