//! The patch of a probe case, where no preprocessed validation case is at hand.
//!
//! From an image that the user names, preprocessed as in prediction; else from seeded normal noise, which is what a
//! normalized image looks like to a kernel but not to a radiologist. The record says which. In a cascade, the previous
//! stage has found nothing in that image.

use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, s};
use nnunet::fold::Fold;
use nnunet::preprocess::preprocess;
use nnunet::previous_stage;

use super::{ImportError, Model};
use crate::random::{Purpose, Stream, normal};
use crate::weights::{Tensor, Weights};

/// Name of the file in the run's folder.
pub const PROBE_FILE: &str = "probe.safetensors";
/// Name of the tensor in it.
const IMAGE: &str = "image";
/// Noise is the same in every import.
const STREAM: Stream =
    Stream { seed: 0, fold: Fold(0), purpose: Purpose::Validation, epoch: 0, iteration: 0, index: 0 };

/// Writes the patch and returns the name of its image.
pub(super) fn write(folder: &Path, files: &[PathBuf], model: &Model) -> Result<Option<String>, ImportError> {
    let patch = model.configuration.patch_zyx();
    let image = if files.is_empty() { noise(model.network.n_channels, patch) } else { real(files, model)? };
    let (n_channels, z, y, x) = image.dim();
    let found = [z, y, x];
    let lower = [0, 1, 2].map(|axis| found[axis].saturating_sub(patch[axis]) / 2);
    let range = [0, 1, 2].map(|axis| lower[axis]..lower[axis] + patch[axis].min(found[axis]));
    let shape = [n_channels, range[0].len(), range[1].len(), range[2].len()];
    let [z, y, x] = range;
    let values = image.slice(s![.., z, y, x]).iter().copied().collect();
    let mut weights = Weights::default();
    weights.insert(IMAGE, Tensor { shape: shape.to_vec(), values })?;
    weights.write(&folder.join(PROBE_FILE))?;
    let name = files.first().and_then(|path| path.file_name());
    Ok(name.map(|name| name.to_string_lossy().into_owned()))
}

/// Reads the patch, `[channel, z, y, x]`.
pub(crate) fn read(folder: &Path) -> Result<Array4<f32>, ImportError> {
    let path = folder.join(PROBE_FILE);
    let weights = Weights::read(&path)?;
    let image = weights.get(IMAGE).and_then(|tensor| {
        let &[n_channels, z, y, x] = &tensor.shape[..] else { return None };
        Array4::from_shape_vec((n_channels, z, y, x), tensor.values.clone()).ok()
    });
    image.ok_or(ImportError::Probe { path })
}

fn real(files: &[PathBuf], model: &Model) -> Result<Array4<f32>, ImportError> {
    let image = imaging::file::read_image(files).map_err(|source| ImportError::Image { source: Box::new(source) })?;
    let prepared = preprocess(image, None, &model.plans, &model.configuration)
        .map_err(|source| ImportError::Preprocess { source })?;
    if model.configuration.previous_stage().is_none() {
        return Ok(prepared.image);
    }
    let (_, z, y, x) = prepared.image.dim();
    let nothing = Array3::<u8>::zeros((z, y, x));
    previous_stage::append(&prepared.image, &nothing.view(), &model.labels)
        .map_err(|source| ImportError::PreviousStage { source })
}

fn noise(n_channels: usize, [z, y, x]: [usize; 3]) -> Array4<f32> {
    let mut values = normal(&mut STREAM.generator(), 1.0, n_channels * z * y * x).into_iter();
    Array4::from_shape_simple_fn((n_channels, z, y, x), || values.next().unwrap_or_default())
}
