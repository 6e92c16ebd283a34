//! Reading and writing PNG, BMP and TIFF files.
//!
//! Pictures have no place in the world: a PNG, a BMP or a TIFF of one page is a volume without z axis whose pixels are
//! 1 mm wide, which planning sees as `(999, 1, 1)`; color becomes channels. A TIFF of several pages is a stack, whose
//! spacing lies in a `.json` file beside it: `case.json` for the channels `case_0000.tif`, `case_0001.tif` and for the
//! labels `case.tif`. Without that file the spacing is 1 mm, as nnU-Net assumes with a warning; [`has_spacing`] lets
//! the caller warn.
//!
//! Follows nnU-Net v2.8.1 `NaturalImage2DIO` (through skimage, which asks Pillow and tifffile) and `Tiff3DIO`, down to
//! the values: colors of 16 bits in PNG files lose their low byte as in Pillow, a palette in PNG and BMP becomes its
//! colors but in TIFF stays an index, and images of one bit hold 0 and 1. Departs from them in this:
//!
//! - one file decides for itself whether it is a picture or a stack; nnU-Net decides for a data set after one example,
//!   and takes stacks named `.tif` of 3 or 4 pages for color;
//! - a file named `.tiff` is always a stack, be it of one page, and is refused if it holds color;
//! - gray with alpha, labels in color and TIFF files whose zero is white are refused.
//!
//! Files are hostile: the declared size is compared with the most that the file can inflate to before anything is
//! allocated. Crates decode PNG and TIFF; BMP is simple enough for a reader of our own.

mod bits;
mod bmp;
mod error;
mod pixels;
mod png;
mod sidecar;
mod tiff;

use std::path::Path;

use ndarray::{Array4, Axis, concatenate};

pub use error::{BmpError, PixelError, RasterError, SidecarError};
use pixels::Pixels;

use crate::file::Format;
use crate::{Dimensionality, Geometry, Image, Spacing, Volume, atomic_file};

/// Reads the files of one case in the order given; each yields one channel, or three or four if it holds color.
///
/// # Errors
///
/// [`RasterError`] with the path if a file cannot be read or decoded, or holds values that are not finite; with both
/// paths if two files differ in extent or number of channels, as nnU-Net asks of them.
pub fn read_image(files: &[impl AsRef<Path>]) -> Result<Image, RasterError> {
    let (first, rest) = files.split_first().ok_or(RasterError::NoChannels)?;
    let first = first.as_ref();
    let pixels = read(first)?;
    let shape = pixels.shape();
    let geometry = pixels.geometry(&sidecar::of_image(first))?;
    let mut channels = vec![pixels.finite(first)?];
    for file in rest {
        let second = file.as_ref();
        let pixels = read(second)?;
        if pixels.shape() != shape {
            let (first, second) = (first.to_owned(), second.to_owned());
            return Err(RasterError::Grid { first, second, expected: shape, actual: pixels.shape() });
        }
        channels.push(pixels.finite(second)?);
    }
    Ok(Image { voxels: stacked(channels), geometry })
}

/// Reads a label map.
///
/// # Errors
///
/// As [`read_image`], and [`RasterError::Voxels`] if a value is not a whole number from 0 to 255 or the file holds
/// color.
pub fn read_labels(path: &Path) -> Result<Volume<u8>, RasterError> {
    let pixels = read(path)?;
    let geometry = pixels.geometry(&sidecar::of_labels(path))?;
    Ok(Volume { voxels: pixels.labels(path)?, geometry })
}

/// Reads where the voxels of a file lie. The whole file is decoded for it, for a stack is as long as its pages.
///
/// # Errors
///
/// As [`read_image`], but values need not be finite.
pub fn read_geometry(path: &Path) -> Result<Geometry, RasterError> {
    read(path)?.geometry(&sidecar::of_file(path))
}

/// Decodes a file that is already in memory. `name` says by its ending what it is; no file of a spacing is looked for.
///
/// # Errors
///
/// As [`read_image`].
pub fn decode_image(name: &Path, bytes: &[u8]) -> Result<Image, RasterError> {
    let pixels = decode(name, bytes)?;
    let [_, z, y, x] = pixels.shape();
    let geometry = Geometry::axis_aligned([z, y, x], unit_spacing(), pixels.dimensionality);
    Ok(Image { voxels: pixels.finite(name)?, geometry })
}

/// Whether a spacing is given for the stack `path`, a channel or labels; pictures need none.
pub fn has_spacing(path: &Path) -> bool {
    sidecar::of_file(path).is_file()
}

/// Writes a label map without loss, in bytes, whole or not at all.
///
/// A stack gets the file of its spacing beside it, which is written first.
///
/// # Errors
///
/// [`RasterError::Format`] if the ending is none of these formats', [`RasterError::Shape`] if voxels and geometry
/// disagree, [`RasterError::NotFlat`] if a volume with z axis is to become a picture, [`RasterError::Write`] if the
/// disk refuses.
pub fn write_labels(path: &Path, labels: &Volume<u8>) -> Result<(), RasterError> {
    check_shape(path, labels)?;
    let failed = |source| RasterError::Write { path: path.to_owned(), source };
    match format(path)? {
        Format::Tif | Format::Tiff => write_tiff::<::tiff::encoder::colortype::Gray8>(path, labels),
        flat => {
            check_flat(path, labels)?;
            let rows = labels.voxels.index_axis(Axis(0), 0);
            atomic_file::write_with(path, |file| match flat {
                Format::Bmp => bmp::write(file, &rows),
                _ => png::write(file, &rows),
            })
            .map_err(failed)
        }
    }
}

/// Writes a map of real numbers as a TIFF of 32-bit floats.
///
/// # Errors
///
/// As [`write_labels`], and [`RasterError::NotReal`] for PNG and BMP, which hold no real numbers.
pub fn write_map(path: &Path, map: &Volume<f32>) -> Result<(), RasterError> {
    check_shape(path, map)?;
    match format(path)? {
        Format::Tif | Format::Tiff => write_tiff::<::tiff::encoder::colortype::Gray32Float>(path, map),
        _ => Err(RasterError::NotReal { path: path.to_owned() }),
    }
}

fn write_tiff<C>(path: &Path, volume: &Volume<C::Inner>) -> Result<(), RasterError>
where
    C: ::tiff::encoder::colortype::ColorType,
    C::Inner: Copy,
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    match volume.geometry.dimensionality() {
        Dimensionality::Three => sidecar::write(&sidecar::of_labels(path), volume.geometry.spacing())
            .map_err(|source| RasterError::Write { path: sidecar::of_labels(path), source })?,
        // Only a name that ends in `.tif` can hold what is no stack.
        Dimensionality::Two if format(path)? == Format::Tiff => {
            return Err(RasterError::NotAStack { path: path.to_owned() });
        }
        Dimensionality::Two => {}
    }
    atomic_file::write_with(path, |file| tiff::write::<C>(file, volume))
        .map_err(|source| RasterError::Write { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Pixels, RasterError> {
    format(path)?;
    let bytes = fs_err::read(path).map_err(|source| RasterError::Read { path: path.to_owned(), source })?;
    decode(path, &bytes)
}

/// The channels of all files, one after the other; the files have equal shapes.
fn stacked(mut files: Vec<Array4<f32>>) -> Array4<f32> {
    if files.len() == 1 {
        return files.remove(0);
    }
    let views: Vec<_> = files.iter().map(|file| file.view()).collect();
    concatenate(Axis(0), &views).expect("all files have the shape of the first")
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Pixels, RasterError> {
    let decoded = match format(path)? {
        Format::Bmp => bmp::decode(bytes).map_err(|source| PixelError::Bmp { source }),
        Format::Tif => tiff::decode(bytes, tiff::Pages::OneIsAPicture),
        Format::Tiff => tiff::decode(bytes, tiff::Pages::AlwaysAStack),
        _ => png::decode(bytes),
    };
    decoded.map_err(|source| RasterError::Pixels { path: path.to_owned(), source })
}

fn format(path: &Path) -> Result<Format, RasterError> {
    let found = Format::of_path(path).filter(|&format| format != Format::Nifti);
    found.ok_or_else(|| RasterError::Format { path: path.to_owned() })
}

fn unit_spacing() -> Spacing {
    Spacing::new([1.0; 3]).expect("1 mm is a length")
}

fn check_shape<T>(path: &Path, volume: &Volume<T>) -> Result<(), RasterError> {
    let (z, y, x) = volume.voxels.dim();
    let (voxels, geometry) = ([z, y, x], volume.geometry.shape());
    if voxels == geometry { Ok(()) } else { Err(RasterError::Shape { path: path.to_owned(), voxels, geometry }) }
}

fn check_flat<T>(path: &Path, volume: &Volume<T>) -> Result<(), RasterError> {
    let flat = volume.geometry.dimensionality() == Dimensionality::Two && volume.geometry.shape()[0] == 1;
    let shape = volume.geometry.shape();
    if flat { Ok(()) } else { Err(RasterError::NotFlat { path: path.to_owned(), shape }) }
}
