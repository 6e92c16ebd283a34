//! Voxels together with the grid they lie on.

use ndarray::{Array3, Array4};

use crate::Geometry;

/// A label map or another scalar field: voxels `[z, y, x]` and their grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    /// `[z, y, x]`, of the geometry's shape.
    pub voxels: Array3<T>,
    /// Where the voxels lie.
    pub geometry: Geometry,
}

/// All channels of a case on their common grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `[channel, z, y, x]`; every value is finite.
    pub voxels: Array4<f32>,
    /// Where the voxels lie.
    pub geometry: Geometry,
}

impl Image {
    /// Number of channels.
    pub fn n_channels(&self) -> usize {
        self.voxels.dim().0
    }
}
