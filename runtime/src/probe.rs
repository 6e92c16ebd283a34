//! The probe case of a bundle: a patch, and the logits that training saw for it.
//!
//! A trainer writes it, so that another machine can show that it computes the same. Both files are safetensors; their
//! headers are checked before any value is used.

use bundle_format::{BundleContents, BundleError, EntryPath};
use ndarray::Array5;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::model::Model;

/// Name of the tensor in the input file.
const IMAGE: &str = "image";

/// The patch, and every how many-th of its logits is expected.
pub(crate) struct Probe {
    /// `[1, channel, z, y, x]`.
    pub(crate) patch: Array5<f32>,
    expected: Vec<u8>,
    expected_path: EntryPath,
}

impl Probe {
    /// Reads the probe case.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] if a file is malformed or the patch is not one of the model's.
    pub(crate) fn read(bundle: &dyn BundleContents, model: &Model) -> Result<Self, ProbeError> {
        let paths = &bundle.manifest().selftest;
        let read = |path| bundle.read(path).map_err(|source| ProbeError::Read { source });
        let (input, expected) = (read(&paths.input)?, read(&paths.expected)?);
        let values = values(&parse(&input, &paths.input)?, IMAGE, &paths.input)?;
        let [z, y, x] = model.configuration.patch_zyx();
        let shape = [1, model.unet.n_channels, z, y, x];
        let (actual, wanted) = (values.len(), shape.iter().product());
        let patch = Array5::from_shape_vec(shape, values).map_err(|_| ProbeError::Size {
            path: paths.input.clone(),
            name: IMAGE.to_owned(),
            actual,
            wanted,
        })?;
        Ok(Self { patch, expected, expected_path: paths.expected.clone() })
    }

    /// The expected logits of a member: every `probe_stride`-th of `n_logits`.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] if there are none of this member or they are not as many as that.
    pub(crate) fn expected(&self, member: &str, n_logits: usize, stride: usize) -> Result<Vec<f32>, ProbeError> {
        let values = values(&parse(&self.expected, &self.expected_path)?, member, &self.expected_path)?;
        let (actual, wanted) = (values.len(), n_logits.div_ceil(stride));
        if actual != wanted {
            return Err(ProbeError::Size { path: self.expected_path.clone(), name: member.to_owned(), actual, wanted });
        }
        Ok(values)
    }
}

fn parse<'a>(bytes: &'a [u8], path: &EntryPath) -> Result<SafeTensors<'a>, ProbeError> {
    SafeTensors::deserialize(bytes).map_err(|source| ProbeError::Format { path: path.clone(), source })
}

fn values(tensors: &SafeTensors<'_>, name: &str, path: &EntryPath) -> Result<Vec<f32>, ProbeError> {
    let missing = |source| ProbeError::Format { path: path.clone(), source };
    let tensor: TensorView<'_> = tensors.tensor(name).map_err(missing)?;
    let (chunks, rest) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if tensor.dtype() != Dtype::F32 || !rest.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return Err(ProbeError::Values { path: path.clone(), name: name.to_owned() });
    }
    Ok(values)
}

/// Why a probe case cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProbeError {
    /// A file is no safetensors, or a tensor is missing.
    #[error("`{path}` of the bundle is malformed")]
    Format {
        /// The file.
        path: EntryPath,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A file cannot be read.
    #[error("cannot read the bundle's probe case")]
    Read {
        /// Why.
        source: BundleError,
    },
    /// A tensor has another size.
    #[error("`{name}` in `{path}` of the bundle has {actual} values, expected {wanted}")]
    Size {
        /// The file.
        path: EntryPath,
        /// The tensor.
        name: String,
        /// Values found.
        actual: usize,
        /// Values of the patch, or of its thinned logits.
        wanted: usize,
    },
    /// A tensor is not of finite 32-bit floats.
    #[error("`{name}` in `{path}` of the bundle does not hold finite 32-bit floats")]
    Values {
        /// The file.
        path: EntryPath,
        /// The tensor.
        name: String,
    },
}
