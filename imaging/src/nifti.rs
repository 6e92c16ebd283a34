//! Reading and writing NIfTI files.
//!
//! One door for every voxel: [`read_image`] and [`read_labels`] in,
//! [`write_labels`], [`write_intensities`] and [`write_map`] out. NIfTI-1 and NIfTI-2, both byte
//! orders, plain or gzip (told by content, not by name), one file or a pair
//! of `.hdr` and `.img` of which either is given, every integer and real
//! type. [`read_geometry`] reads the header alone. Files are hostile until shown otherwise: the header is
//! validated and the declared size compared with the file before a voxel is
//! allocated, and no more is ever inflated than the header declares.
//!
//! The crate `nifti` decodes the voxels (types, byte order). It does not see
//! the file itself, and these things are done here instead:
//!
//! - the header: the crate has no NIfTI-2, and panics on a negative `pixdim`
//!   or a quaternion longer than one when asked for the affine;
//! - scaling by `scl_slope`: the crate computes in the output's type, and
//!   takes a slope that is not a number for a slope;
//! - writing: the crate mangles names with dots, drops write errors of its
//!   buffer, and cannot write to a temporary name.
//!
//! Follows the NIfTI-1 and NIfTI-2 headers' own comments; spacing is the
//! absolute `pixdim`, as in nnU-Net's default reader, converted to
//! millimeters from the header's unit.

pub(crate) mod affine;
mod error;
mod header;
mod layout;
mod pair;
mod scan;
mod source;
mod volumes;
mod voxels;
mod write;

use std::path::Path;

use ndarray::{Array3, Array4, Axis};

pub use error::{HeaderError, NiftiError, VoxelError};
use header::Header;
pub use scan::scan;
use source::VoxelBytes;
pub use volumes::Volumes;

use crate::{Geometry, Image, Volume};

/// Reads the channels of one case, in the order given.
///
/// # Errors
///
/// [`NiftiError`] with the path if a file cannot be read, is not NIfTI, is
/// cut short or holds values that are not finite; with both paths if two
/// channels do not lie on the same grid; [`NiftiError::NoChannels`] if no
/// path is given.
pub fn read_image(channels: &[impl AsRef<Path>]) -> Result<Image, NiftiError> {
    let (first, rest) = channels.split_first().ok_or(NiftiError::NoChannels)?;
    let (voxels, geometry) = read_channel(first.as_ref())?;
    if rest.is_empty() {
        return Ok(Image { voxels: voxels.insert_axis(Axis(0)), geometry });
    }
    let [z, y, x] = geometry.shape();
    let mut all = Array4::zeros((channels.len(), z, y, x));
    all.index_axis_mut(Axis(0), 0).assign(&voxels);
    drop(voxels);
    for (index, path) in rest.iter().enumerate() {
        let (voxels, other) = read_channel(path.as_ref())?;
        geometry.same_grid(&other).map_err(|source| NiftiError::Grid {
            first: first.as_ref().to_owned(),
            second: path.as_ref().to_owned(),
            source,
        })?;
        all.index_axis_mut(Axis(0), index + 1).assign(&voxels);
    }
    Ok(Image { voxels: all, geometry })
}

/// Reads a label map.
///
/// # Errors
///
/// As [`read_image`], and [`VoxelError::NotALabel`] if a value is not a whole
/// number from 0 to 255. Real-valued files whose values are whole are fine.
pub fn read_labels(path: &Path) -> Result<Volume<u8>, NiftiError> {
    let (header, bytes) = source::load(path)?;
    let values = voxels::labels(&header, bytes)?;
    let geometry = header.geometry;
    Ok(Volume { voxels: shaped(&geometry, values), geometry })
}

/// Reads where the voxels of a file lie, from the header alone.
///
/// What the header says is validated as by [`read_image`]; the voxels are
/// not looked at, so a file that holds values which are not finite has a
/// geometry all the same.
///
/// # Errors
///
/// [`NiftiError`] if the header cannot be read or used, or if the file is
/// too short for the voxels that it declares.
pub fn read_geometry(path: &Path) -> Result<Geometry, NiftiError> {
    Ok(source::load_header(path)?.geometry)
}

/// Decodes the one channel of a file that is already in memory; `name` is for errors.
///
/// # Errors
///
/// As [`read_image`]; the header of a pair is refused, for its voxels are elsewhere.
pub fn decode_image(name: &Path, bytes: &[u8]) -> Result<Image, NiftiError> {
    let (voxels, geometry) = intensities(source::decode(name, bytes)?)?;
    Ok(Image { voxels: voxels.insert_axis(Axis(0)), geometry })
}

/// Writes a label map as unsigned bytes on the grid of its geometry.
///
/// The file appears whole or not at all. A name that ends in `.nii.gz` is
/// compressed, and the same labels give the same bytes.
///
/// # Errors
///
/// [`NiftiError::Extension`] if the name ends neither in `.nii` nor in
/// `.nii.gz`, [`NiftiError::Shape`] if voxels and geometry disagree,
/// [`NiftiError::Write`] if the disk refuses.
pub fn write_labels(path: &Path, labels: &Volume<u8>) -> Result<(), NiftiError> {
    write::volume(path, labels)
}

/// Writes a map of real numbers, such as an uncertainty, as 32-bit floats.
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_map(path: &Path, map: &Volume<f32>) -> Result<(), NiftiError> {
    write::volume(path, map)
}

/// Writes whole intensities as 16-bit integers, as scanners store them.
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_intensities(path: &Path, intensities: &Volume<i16>) -> Result<(), NiftiError> {
    write::volume(path, intensities)
}

fn read_channel(path: &Path) -> Result<(Array3<f32>, Geometry), NiftiError> {
    intensities(source::load(path)?)
}

fn intensities((header, bytes): (Header, VoxelBytes<'_>)) -> Result<(Array3<f32>, Geometry), NiftiError> {
    let values = voxels::intensities(&header, bytes)?;
    Ok((shaped(&header.geometry, values), header.geometry))
}

fn at(path: &Path, source: VoxelError) -> NiftiError {
    NiftiError::Voxels { path: path.to_owned(), source }
}

/// NIfTI stores x fastest, which is C order for `[z, y, x]`.
fn shaped<T>(geometry: &Geometry, values: Vec<T>) -> Array3<T> {
    Array3::from_shape_vec(geometry.shape(), values).expect("the decoder returns as many values as the header declares")
}
