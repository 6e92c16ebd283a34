//! What a medical image is: volumes, geometry, files, orientation, resampling.
//!
//! Arrays are `[z, y, x]` in C order, or `[channel, z, y, x]`; spacing and
//! every shape follow the array order. The world frame is RAS+, in
//! millimeters, as in NIfTI. A file with two axes is a volume with one slice
//! that remembers that it had no third axis.
//!
//! [`mod@file`] is the only door through which voxels enter and leave, in front
//! of [`nifti`] and [`raster`]; [`resample`] is the only place where they
//! change grids, and [`orientation`] where axes change places. [`npz`] holds the
//! probabilities behind a label map.

pub mod atomic_file;
pub mod components;
pub mod distance;
pub mod file;
pub mod geometry;
mod gzip;
pub mod nifti;
pub mod npz;
pub mod orientation;
mod range;
pub mod raster;
pub mod resample;
pub mod volume;

pub use geometry::{Dimensionality, Geometry, GridMismatch, Spacing, SpacingError};
pub use range::range;
pub use volume::{Image, Volume};
