//! From stored bytes to intensities or labels.
//!
//! The crate `nifti` turns bytes into numbers of the declared type. Scaling
//! is done in `f64` and rounded once, as nibabel and ITK do.

use ::nifti::{DataElement, Endianness, InMemNiftiVolume, NiftiType};

use super::VoxelError;
use super::header::{Header, Scale};
use super::layout::ByteOrder;

/// Intensities in file order, every one finite.
pub(super) fn intensities(header: &Header, bytes: Vec<u8>) -> Result<Vec<f32>, VoxelError> {
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
pub(super) fn labels(header: &Header, bytes: Vec<u8>) -> Result<Vec<u8>, VoxelError> {
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
    bytes: Vec<u8>,
    convert: impl Fn(usize, f64) -> Result<T, VoxelError>,
) -> Result<Vec<T>, VoxelError> {
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
    bytes: Vec<u8>,
    to_real: impl Fn(E) -> f64,
    convert: impl Fn(usize, f64) -> Result<T, VoxelError>,
) -> Result<Vec<T>, VoxelError> {
    let stored: Vec<E> = stored_values(header, bytes).map_err(|source| VoxelError::Decode { source })?;
    let values = stored.into_iter().enumerate();
    match header.scale {
        Scale::Identity => values.map(|(i, v)| convert(i, to_real(v))).collect(),
        Scale::Linear { slope, intercept } => values.map(|(i, v)| convert(i, slope * to_real(v) + intercept)).collect(),
    }
}

/// The values in file order, in the declared type, not scaled.
fn stored_values<E: DataElement>(header: &Header, bytes: Vec<u8>) -> ::nifti::Result<Vec<E>> {
    let endianness = match header.order {
        ByteOrder::Big => Endianness::Big,
        ByteOrder::Little => Endianness::Little,
    };
    let mut dim = [1; 8];
    dim[0] = 3;
    for (entry, extent) in dim[1..].iter_mut().zip(header.geometry.shape().iter().rev()) {
        *entry = u16::try_from(*extent).map_err(|_| ::nifti::NiftiError::BadVolumeSize)?;
    }
    InMemNiftiVolume::from_raw_fields(dim, header.datatype, 0.0, 0.0, bytes, endianness)?.into_nifti_typed_data()
}
