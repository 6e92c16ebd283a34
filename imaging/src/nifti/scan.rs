//! Looking at every stored value of a file, whatever it is.
//!
//! [`super::read_image`] and [`super::read_labels`] refuse a file at its first
//! value that cannot be used. Whoever checks a data set wants to know all of
//! them, and the grid besides.

use std::cell::RefCell;
use std::path::Path;

use super::{NiftiError, at, source, voxels};
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
    let visit = RefCell::new(visit);
    let seen = voxels::decode(&header, bytes, |index, value| {
        visit.borrow_mut()(index, value);
        Ok(())
    });
    seen.map_err(|source| at(path, source))?;
    Ok(header.geometry)
}
