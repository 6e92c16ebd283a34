//! What a medical image is: volumes, geometry, NIfTI, resampling.
//!
//! Arrays are `[z, y, x]` in C order, or `[channel, z, y, x]`; spacing and
//! every shape follow the array order. The world frame is RAS+, in
//! millimeters, as in NIfTI. A file with two axes is a volume with one slice
//! that remembers that it had no third axis.
//!
//! [`nifti`] is the only door through which voxels enter and leave, and
//! [`resample`] the only place where they change grids.

pub mod atomic_file;
pub mod geometry;
pub mod nifti;
pub mod resample;
pub mod volume;

pub use geometry::{Dimensionality, Geometry, GridMismatch, Spacing, SpacingError};
pub use volume::{Image, Volume};
