//! The validated header: only what passes here is ever allocated or decoded.
//!
//! `bitpix` is not looked at: `datatype` says the same, and the two disagree
//! in files that every reader accepts.

use ::nifti::NiftiType;

use super::HeaderError;
use super::affine;
use super::layout::{ByteOrder, Fields, Layout};
use crate::geometry::{NiftiVersion, Orientation};
use crate::{Dimensionality, Geometry, Spacing};

/// Largest extent of an axis: the crate `nifti` counts voxels in 16 bits.
const MAX_EXTENT: i64 = u16::MAX as i64;

/// A header that can be trusted: sizes multiply without overflow, the
/// geometry is finite, the type is one that we decode.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) geometry: Geometry,
    pub(super) datatype: NiftiType,
    pub(super) order: ByteOrder,
    pub(super) scale: Scale,
    pub(super) placement: Placement,
    /// First byte of the voxels, from the start of the file that holds them.
    pub(super) vox_offset: u64,
    /// Bytes of the voxels.
    pub(super) n_bytes: u64,
}

/// Which file of one or two holds the voxels, as `magic` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placement {
    /// The voxels follow the header.
    SameFile,
    /// The voxels lie in an `.img` file of their own.
    ImageFile,
}

/// `value = slope * stored + intercept`, or the stored value as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Identity,
    Linear { slope: f64, intercept: f64 },
}

impl Scale {
    /// A slope that is zero or not finite means that there is no scaling.
    fn parse(slope: f64, intercept: f64) -> Result<Self, HeaderError> {
        if !slope.is_finite() || slope == 0.0 {
            return Ok(Self::Identity);
        }
        if !intercept.is_finite() {
            return Err(HeaderError::Intercept);
        }
        #[expect(clippy::float_cmp, reason = "exactly one and zero change nothing")]
        let identity = slope == 1.0 && intercept == 0.0;
        Ok(if identity { Self::Identity } else { Self::Linear { slope, intercept } })
    }
}

/// Parses and validates the bytes of a header.
///
/// `bytes` holds at least `layout.size` bytes.
pub(super) fn parse(bytes: &[u8], layout: &'static Layout, order: ByteOrder) -> Result<Header, HeaderError> {
    let fields = Fields { bytes, layout, order };
    let placement = placement(&fields)?;
    check_intent(&fields)?;
    let (shape, dimensionality) = shape(&fields)?;
    let datatype = datatype(fields.short(layout.datatype))?;
    let n_bytes =
        shape.iter().try_fold(datatype.size_of() as u64, |product, &extent| product.checked_mul(extent as u64));
    let n_bytes = n_bytes.ok_or(HeaderError::TooLarge { declared: u64::MAX, available: 0 })?;
    let scale = Scale::parse(fields.real(layout.scl_slope, 0), fields.real(layout.scl_inter, 0))?;
    Ok(Header {
        geometry: geometry(&fields, shape, dimensionality)?,
        datatype,
        order,
        scale,
        placement,
        vox_offset: vox_offset(&fields, placement)?,
        n_bytes,
    })
}

fn placement(fields: &Fields<'_>) -> Result<Placement, HeaderError> {
    let found = &fields.bytes[fields.layout.magic..];
    if found.starts_with(fields.layout.single_file_magic) {
        Ok(Placement::SameFile)
    } else if found.starts_with(fields.layout.pair_magic) {
        Ok(Placement::ImageFile)
    } else if is_analyze(fields) {
        Err(HeaderError::Analyze)
    } else {
        Err(HeaderError::NotNifti)
    }
}

/// ANALYZE 7.5 has the size of NIfTI-1, the letter `r` in `regular`, and its smallest value where NIfTI has its magic.
fn is_analyze(fields: &Fields<'_>) -> bool {
    const REGULAR: usize = 38;
    let magic = &fields.bytes[fields.layout.magic..fields.layout.magic + 4];
    fields.layout.version == NiftiVersion::One && (fields.bytes[REGULAR] == b'r' || magic == [0; 4])
}

/// CIFTI-2 stores connectivity of surfaces under a NIfTI-2 header, with intents of its own.
fn check_intent(fields: &Fields<'_>) -> Result<(), HeaderError> {
    match fields.code(fields.layout.intent_code) {
        Some(intent @ 3000..=3099) => Err(HeaderError::Cifti { intent }),
        _ => Ok(()),
    }
}

/// Extents `[z, y, x]`; axes beyond the third must have extent 1.
fn shape(fields: &Fields<'_>) -> Result<([usize; 3], Dimensionality), HeaderError> {
    let axes = fields.extent(0);
    if !(2..=7).contains(&axes) {
        return Err(HeaderError::Rank { axes });
    }
    let mut extents = [1_usize; 3];
    for axis in (1..=7).take_while(|&axis| (axis as u64) <= axes.unsigned_abs()) {
        let extent = fields.extent(axis);
        if axis > 3 && extent > 1 {
            return Err(HeaderError::Volumes { axis, extent });
        }
        let limit = MAX_EXTENT;
        if !(1..=limit).contains(&extent) {
            return Err(HeaderError::Extent { axis, extent, limit });
        }
        if axis <= 3 {
            extents[3 - axis] = usize::try_from(extent).map_err(|_| HeaderError::Extent { axis, extent, limit })?;
        }
    }
    let dimensionality = if axes == 2 { Dimensionality::Two } else { Dimensionality::Three };
    Ok((extents, dimensionality))
}

fn datatype(code: i16) -> Result<NiftiType, HeaderError> {
    Ok(match code {
        2 => NiftiType::Uint8,
        4 => NiftiType::Int16,
        8 => NiftiType::Int32,
        16 => NiftiType::Float32,
        64 => NiftiType::Float64,
        256 => NiftiType::Int8,
        512 => NiftiType::Uint16,
        768 => NiftiType::Uint32,
        1024 => NiftiType::Int64,
        1280 => NiftiType::Uint64,
        _ => return Err(HeaderError::Datatype { code }),
    })
}

fn geometry(fields: &Fields<'_>, shape: [usize; 3], dimensionality: Dimensionality) -> Result<Geometry, HeaderError> {
    let layout = fields.layout;
    let srow: [f64; 12] = fields.reals(layout.srow);
    let orientation = Orientation {
        version: layout.version,
        pixdim: fields.reals(layout.pixdim),
        xyzt_units: fields.units(),
        // A code beyond the standard's few is no known space: read as unset.
        qform_code: fields.code(layout.qform_code).unwrap_or(0),
        sform_code: fields.code(layout.sform_code).unwrap_or(0),
        quaternion: fields.reals(layout.quaternion),
        offset: fields.reals(layout.offset),
        srow: std::array::from_fn(|row| std::array::from_fn(|column| srow[4 * row + column])),
    };
    let mm = millimeters_per_unit(orientation.xyzt_units);
    let [_, x, y, z, ..] = orientation.pixdim.map(|step| step.abs() * mm);
    let z = if dimensionality == Dimensionality::Two { 1.0 } else { z };
    let spacing = Spacing::new([z, y, x]).map_err(HeaderError::Spacing)?;
    let mut affine = affine::of(&orientation);
    for row in affine.iter_mut().take(3) {
        for entry in row {
            *entry *= mm;
            if !entry.is_finite() {
                return Err(HeaderError::Affine);
            }
        }
    }
    Ok(Geometry::from_parts(shape, spacing, dimensionality, affine, orientation))
}

/// The low three bits of `xyzt_units`: meters, millimeters or micrometers.
/// Unset means millimeters, as every reader has it.
fn millimeters_per_unit(xyzt_units: u8) -> f64 {
    match xyzt_units & 0b111 {
        1 => 1e3,
        3 => 1e-3,
        _ => 1.0,
    }
}

fn vox_offset(fields: &Fields<'_>, placement: Placement) -> Result<u64, HeaderError> {
    let least = match placement {
        // The header, then four bytes that say whether extensions follow.
        Placement::SameFile => fields.layout.size as u64 + 4,
        Placement::ImageFile => 0,
    };
    let offset = fields.vox_offset();
    let valid =
        offset.is_finite() && offset.fract() == 0.0 && (least as f64..=u64::from(u32::MAX) as f64).contains(&offset);
    if valid {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in the range of 32 bits, checked above"
        )]
        Ok(offset as u64)
    } else {
        Err(HeaderError::VoxOffset { offset, least })
    }
}
