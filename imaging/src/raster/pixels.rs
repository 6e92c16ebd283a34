//! What a file holds before it is an image or a label map: values with channels, and whether it is a stack.

use std::path::Path;

use ndarray::{Array3, Array4, Axis};

use super::{PixelError, RasterError, sidecar, unit_spacing};
use crate::nifti::VoxelError;
use crate::{Dimensionality, Geometry};

/// Most pixels of one picture or page: the limit above which Pillow, and so nnU-Net, sees an attack, rounded up.
pub(super) const MAX_PIXELS: u64 = 1 << 28;

/// Decoded values, not yet known to be finite.
#[derive(Debug)]
pub(super) struct Pixels {
    /// `[channel, z, y, x]`, as real numbers, not scaled.
    voxels: Array4<f32>,
    /// Two for a picture, three for a stack.
    pub(super) dimensionality: Dimensionality,
}

impl Pixels {
    /// A picture from samples in the order `[y, x, channel]`, as files have them.
    ///
    /// `samples` holds `y * x * channels` values.
    pub(super) fn picture([y, x]: [usize; 2], channels: usize, samples: Vec<f32>) -> Result<Self, PixelError> {
        if !matches!(channels, 1 | 3 | 4) {
            return Err(PixelError::Channels { found: channels });
        }
        let voxels = if channels == 1 {
            Array4::from_shape_vec((1, 1, y, x), samples)
        } else {
            let interleaved = Array3::from_shape_vec((y, x, channels), samples);
            interleaved
                .map(|array| array.permuted_axes([2, 0, 1]).insert_axis(Axis(1)).as_standard_layout().into_owned())
        };
        let voxels = voxels.expect("a decoder returns as many samples as it declares");
        Ok(Self { voxels, dimensionality: Dimensionality::Two })
    }

    /// A stack of one channel from samples in the order `[z, y, x]`.
    pub(super) fn stack([z, y, x]: [usize; 3], samples: Vec<f32>) -> Self {
        let voxels = Array4::from_shape_vec((1, z, y, x), samples);
        let voxels = voxels.expect("a decoder returns as many samples as it declares");
        Self { voxels, dimensionality: Dimensionality::Three }
    }

    pub(super) fn shape(&self) -> [usize; 4] {
        self.voxels.dim().into()
    }

    /// The grid; `spacing_file` is where the spacing of a stack is written.
    pub(super) fn geometry(&self, spacing_file: &Path) -> Result<Geometry, RasterError> {
        let [_, z, y, x] = self.shape();
        let spacing = match self.dimensionality {
            Dimensionality::Two => unit_spacing(),
            Dimensionality::Three => sidecar::read(spacing_file)?.unwrap_or_else(unit_spacing),
        };
        Ok(Geometry::axis_aligned([z, y, x], spacing, self.dimensionality))
    }

    /// The values, every one finite.
    pub(super) fn finite(self, path: &Path) -> Result<Array4<f32>, RasterError> {
        let found = self.voxels.indexed_iter().find(|(_, value)| !value.is_finite());
        if let Some(((_, z, y, x), &value)) = found {
            let source = VoxelError::NotFinite { voxel: [z, y, x], value: f64::from(value) };
            return Err(RasterError::Voxels { path: path.to_owned(), source });
        }
        Ok(self.voxels)
    }

    /// The values as labels.
    pub(super) fn labels(self, path: &Path) -> Result<Array3<u8>, RasterError> {
        let channels = self.voxels.dim().0;
        if channels != 1 {
            let source = VoxelError::LabelChannels { found: channels };
            return Err(RasterError::Voxels { path: path.to_owned(), source });
        }
        let values = self.voxels.index_axis_move(Axis(0), 0);
        let mut labels = Array3::zeros(values.dim());
        for (voxel, &value) in values.indexed_iter() {
            if value.fract() != 0.0 || !(0.0..=255.0).contains(&value) {
                let source = VoxelError::NotALabel { voxel: voxel.into(), value: f64::from(value) };
                return Err(RasterError::Voxels { path: path.to_owned(), source });
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number from 0 to 255, checked above"
            )]
            {
                labels[voxel] = value as u8;
            }
        }
        Ok(labels)
    }
}
