//! Looking at every stored value of a file, whatever it is.
//!
//! [`super::read_image`] and [`super::read_labels`] refuse a file at its first
//! value that cannot be used. Whoever checks a data set wants to know all of
//! them, and the grid besides.

use std::path::Path;

use super::{NiftiError, source, voxels};
use crate::Geometry;

/// Reads a file and hands every value, scaled, to `visit` with its index in
/// C order of `[z, y, x]`; returns the grid.
///
/// # Errors
///
/// As [`super::read_image`], but values that are not finite are handed over
/// like any other.
pub fn scan(path: &Path, visit: &mut dyn FnMut(usize, f64)) -> Result<Geometry, NiftiError> {
    let (header, bytes) = source::load(path)?;
    voxels::visit(&header, bytes, visit)?;
    Ok(header.geometry)
}
