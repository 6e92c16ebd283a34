//! Probabilities from `.npz` files that other programs have written.
//!
//! nnU-Net writes `probabilities` `[output, z, y, x]` as `f32`, compressed; its first version called them `softmax` and
//! wrote `f16`. Whatever a file says of its size is compared with a limit, and with what so many compressed bytes can
//! become, before memory is taken.

use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use fs_err::File;
use half::f16;
use ndarray::{Array4, ShapeBuilder as _};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::npy_header::{Header, Order, Real};

/// What the array may be called, without `.npy`.
const NAMES: [&str; 2] = ["probabilities", "softmax"];
/// Bytes that a byte of a deflate stream can become at most: 258 of two bits.
const MAX_RATIO: u64 = 1032;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// What a file may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Outputs: classes or regions.
    pub max_outputs: usize,
    /// Values of all outputs together.
    pub max_values: usize,
}

impl Default for Limits {
    /// 256 outputs and 2^32 values: 16 GiB, or 61 classes of 512×512 pixels in 268 slices.
    fn default() -> Self {
        Self { max_outputs: 256, max_values: 1 << 32 }
    }
}

/// Reads the probabilities `[output, z, y, x]` of a file; an array of three axes is one slice.
///
/// Values of other precision are rounded to `f32`. They are not looked at: they may be anything.
///
/// # Errors
///
/// [`ForeignNpzError`] naming the file and what is wrong with it.
///
/// # Panics
///
/// Never: as many values are read as the shape has.
pub fn read_foreign(path: &Path, limits: Limits) -> Result<Array4<f32>, ForeignNpzError> {
    let failed = |source: io::Error| ForeignNpzError::Read { path: path.to_owned(), source: source.into() };
    let file = File::open(path).map_err(failed)?;
    let n_file = file.metadata().map_err(failed)?.len();
    decode(path, (io::BufReader::with_capacity(CHUNK, file), n_file), limits)
}

/// As [`read_foreign`], of the content of a file; errors name `path`.
///
/// # Errors
///
/// As [`read_foreign`].
///
/// # Panics
///
/// Never, as [`read_foreign`].
pub fn decode_foreign(path: &Path, bytes: &[u8], limits: Limits) -> Result<Array4<f32>, ForeignNpzError> {
    decode(path, (io::Cursor::new(bytes), bytes.len() as u64), limits)
}

fn decode(
    path: &Path,
    (file, n_file): (impl Read + Seek, u64),
    limits: Limits,
) -> Result<Array4<f32>, ForeignNpzError> {
    let refuse = |source| ForeignNpzError::Read { path: path.to_owned(), source };
    let failed = |source: io::Error| refuse(source.into());
    let mut zip = ZipArchive::new(file).map_err(refuse)?;
    let index = NAMES.iter().find_map(|name| zip.index_for_name(&format!("{name}.npy")));
    let index = index.ok_or_else(|| ForeignNpzError::NoArray { path: path.to_owned() })?;
    let mut entry = zip.by_index(index).map_err(refuse)?;
    let header = Header::read(&mut entry).map_err(failed)?;
    let header = header.ok_or_else(|| ForeignNpzError::Header { path: path.to_owned() })?;
    let shape = shape(&header.shape, limits).ok_or_else(|| ForeignNpzError::Shape {
        path: path.to_owned(),
        found: header.shape.clone(),
        limits,
    })?;
    let n_values: usize = shape.iter().product();
    let expected = (n_values * header.real.n_bytes() + header.n_bytes) as u64;
    let n_packed = entry.compressed_size().min(n_file);
    let possible = match entry.compression() {
        CompressionMethod::Stored => n_packed,
        _ => n_packed.saturating_mul(MAX_RATIO),
    };
    let found = entry.size();
    if found != expected || expected > possible {
        return Err(ForeignNpzError::Size { path: path.to_owned(), expected, found: found.min(possible) });
    }
    let values = values(&mut entry, n_values, header.real).map_err(failed)?;
    // The checksum is compared when the end is read.
    entry.read(&mut [0]).map_err(failed)?;
    let array = match header.order {
        Order::C => Array4::from_shape_vec(shape, values),
        Order::Fortran => {
            Array4::from_shape_vec(shape.f(), values).map(|array| array.as_standard_layout().into_owned())
        }
    };
    Ok(array.expect("as many values were read as the shape has"))
}

/// `[output, z, y, x]`, if it keeps to the limits and no axis is empty.
fn shape(found: &[usize], limits: Limits) -> Option<[usize; 4]> {
    let shape = match *found {
        [outputs, y, x] => [outputs, 1, y, x],
        [outputs, z, y, x] => [outputs, z, y, x],
        _ => return None,
    };
    let n_values = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))?;
    (shape[0] <= limits.max_outputs && (1..=limits.max_values).contains(&n_values)).then_some(shape)
}

#[expect(clippy::cast_possible_truncation, reason = "a probability rounds to the nearest f32")]
fn values(file: &mut impl Read, n: usize, real: Real) -> io::Result<Vec<f32>> {
    let mut values = Vec::with_capacity(n);
    let mut buffer = vec![0; CHUNK];
    while values.len() < n {
        let n_bytes = CHUNK.min((n - values.len()) * real.n_bytes());
        let bytes = &mut buffer[..n_bytes];
        file.read_exact(bytes)?;
        match real {
            Real::F16 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32())),
            Real::F32 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
            Real::F64 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32)),
        }
    }
    Ok(values)
}

/// Why a file holds no probabilities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignNpzError {
    /// The array is not one of floating point.
    #[error("the array in `{}` is not of little-endian f16, f32 or f64", path.display())]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// There is no array of the name.
    #[error("`{}` has no array `{}`", path.display(), NAMES.join("` or `"))]
    NoArray {
        /// The file.
        path: PathBuf,
    },
    /// The file is missing, no archive, or damaged.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the archive's reader said.
        source: ZipError,
    },
    /// Not probabilities of a volume, or more than may be read.
    #[error(
        "the array in `{}` has shape {found:?}, expected (class, z, y, x) of at most {} classes and {} values",
        path.display(), limits.max_outputs, limits.max_values
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array's shape.
        found: Vec<usize>,
        /// What is allowed.
        limits: Limits,
    },
    /// The archive holds less or more than the array takes.
    #[error("the array in `{}` takes {expected} bytes, the archive has {found}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes of header and values.
        expected: u64,
        /// Bytes that the entry has, or can become.
        found: u64,
    },
}

#[cfg(test)]
mod tests;
