//! From stored bytes to intensities or labels.
//!
//! The crate `nifti` turns bytes into numbers of the declared type. Scaling
//! is done in `f64` and rounded once, as nibabel and ITK do. Bytes come in
//! chunks that stay in cache, so that the result is the only thing in memory
//! that is as large as the volume.

use std::io;

use ::nifti::{DataElement, Endianness, InMemNiftiVolume, NiftiType};

use super::header::{Header, Scale};
use super::layout::ByteOrder;
use super::source::VoxelBytes;
use super::{NiftiError, VoxelError, at};

/// Voxels that are decoded at a time.
const CHUNK: u16 = 1 << 14;

/// Intensities in file order, every one finite.
pub(super) fn intensities(header: &Header, bytes: VoxelBytes<'_>) -> Result<Vec<f32>, NiftiError> {
    decode(header, bytes, |index, value| {
        #[expect(clippy::cast_possible_truncation, reason = "the image is kept in f32")]
        let intensity = value as f32;
        if intensity.is_finite() {
            Ok(intensity)
        } else {
            Err(VoxelError::NotFinite { voxel: voxel(header, index), value })
        }
    })
}

/// Labels in file order. A value counts as whole if it is so in `f32`, for a
/// scaled label need not be exact in `f64`.
pub(super) fn labels(header: &Header, bytes: VoxelBytes<'_>) -> Result<Vec<u8>, NiftiError> {
    decode(header, bytes, |index, value| {
        #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
        let single = value as f32;
        if single.fract() == 0.0 && (0.0..=255.0).contains(&single) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number from 0 to 255, checked above"
            )]
            Ok(single as u8)
        } else {
            Err(VoxelError::NotALabel { voxel: voxel(header, index), value })
        }
    })
}

fn voxel(header: &Header, index: usize) -> [usize; 3] {
    let [_, y, x] = header.geometry.shape();
    [index / (y * x), index / x % y, index % x]
}

/// Decodes, scales, and hands each value with its index to `convert`.
pub(super) fn decode<T>(
    header: &Header,
    bytes: VoxelBytes<'_>,
    convert: impl FnMut(usize, f64) -> Result<T, VoxelError>,
) -> Result<Vec<T>, NiftiError> {
    match header.datatype {
        NiftiType::Uint8 => convert_all::<u8, T>(header, bytes, f64::from, convert),
        NiftiType::Int8 => convert_all::<i8, T>(header, bytes, f64::from, convert),
        NiftiType::Uint16 => convert_all::<u16, T>(header, bytes, f64::from, convert),
        NiftiType::Int16 => convert_all::<i16, T>(header, bytes, f64::from, convert),
        NiftiType::Uint32 => convert_all::<u32, T>(header, bytes, f64::from, convert),
        NiftiType::Int32 => convert_all::<i32, T>(header, bytes, f64::from, convert),
        NiftiType::Uint64 => convert_all::<u64, T>(header, bytes, |v| v as f64, convert),
        NiftiType::Int64 => convert_all::<i64, T>(header, bytes, |v| v as f64, convert),
        NiftiType::Float64 => convert_all::<f64, T>(header, bytes, |v| v, convert),
        _ => convert_all::<f32, T>(header, bytes, f64::from, convert),
    }
}

fn convert_all<E: DataElement, T>(
    header: &Header,
    mut bytes: VoxelBytes<'_>,
    to_real: impl Fn(E) -> f64,
    mut convert: impl FnMut(usize, f64) -> Result<T, VoxelError>,
) -> Result<Vec<T>, NiftiError> {
    let n_voxels: usize = header.geometry.shape().iter().product();
    let mut converted = Vec::new();
    converted
        .try_reserve_exact(n_voxels)
        .map_err(|_| NiftiError::Read { path: bytes.path().to_owned(), source: io::ErrorKind::OutOfMemory.into() })?;
    while converted.len() < n_voxels {
        let n = u16::try_from(n_voxels - converted.len()).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = bytes.next(usize::from(n) * size_of::<E>())?;
        let failed = |source| at(bytes.path(), source);
        let stored: Vec<E> = stored_values(header, n, chunk).map_err(|source| failed(VoxelError::Decode { source }))?;
        for value in stored {
            let value = match header.scale {
                Scale::Identity => to_real(value),
                Scale::Linear { slope, intercept } => slope * to_real(value) + intercept,
            };
            converted.push(convert(converted.len(), value).map_err(failed)?);
        }
    }
    Ok(converted)
}

/// `n` values in file order, in the declared type, not scaled.
fn stored_values<E: DataElement>(header: &Header, n: u16, bytes: Vec<u8>) -> ::nifti::Result<Vec<E>> {
    let endianness = match header.order {
        ByteOrder::Big => Endianness::Big,
        ByteOrder::Little => Endianness::Little,
    };
    let dim = [1, n, 1, 1, 1, 1, 1, 1];
    InMemNiftiVolume::from_raw_fields(dim, header.datatype, 0.0, 0.0, bytes, endianness)?.into_nifti_typed_data()
}
