//! Where the fields of the two header layouts lie, and how they are encoded.
//!
//! NIfTI-1 has 348 bytes with 16-bit and 32-bit fields, NIfTI-2 has 540 with
//! 32-bit and 64-bit ones and another order. Both are given by their C
//! structs; this table is the only place that knows the numbers.

use crate::geometry::NiftiVersion;

/// Byte order of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

/// Byte offsets of the fields that we read or write.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) version: NiftiVersion,
    pub(super) size: usize,
    pub(super) intent_code: usize,
    pub(super) datatype: usize,
    pub(super) bitpix: usize,
    pub(super) dim: usize,
    pub(super) pixdim: usize,
    pub(super) vox_offset: usize,
    pub(super) scl_slope: usize,
    pub(super) scl_inter: usize,
    pub(super) xyzt_units: usize,
    pub(super) qform_code: usize,
    pub(super) sform_code: usize,
    pub(super) quaternion: usize,
    pub(super) offset: usize,
    pub(super) srow: usize,
    pub(super) magic: usize,
    pub(super) single_file_magic: &'static [u8],
    pub(super) pair_magic: &'static [u8],
}

/// The 348-byte header.
pub(super) static NIFTI_1: Layout = Layout {
    version: NiftiVersion::One,
    size: 348,
    intent_code: 68,
    datatype: 70,
    bitpix: 72,
    dim: 40,
    pixdim: 76,
    vox_offset: 108,
    scl_slope: 112,
    scl_inter: 116,
    xyzt_units: 123,
    qform_code: 252,
    sform_code: 254,
    quaternion: 256,
    offset: 268,
    srow: 280,
    magic: 344,
    single_file_magic: b"n+1\0",
    pair_magic: b"ni1\0",
};

/// The 540-byte header. Its magic ends in bytes that a text transfer breaks.
pub(super) static NIFTI_2: Layout = Layout {
    version: NiftiVersion::Two,
    size: 540,
    intent_code: 504,
    datatype: 12,
    bitpix: 14,
    dim: 16,
    pixdim: 104,
    vox_offset: 168,
    scl_slope: 176,
    scl_inter: 184,
    xyzt_units: 500,
    qform_code: 344,
    sform_code: 348,
    quaternion: 352,
    offset: 376,
    srow: 400,
    magic: 4,
    single_file_magic: b"n+2\0\r\n\x1a\n",
    pair_magic: b"ni2\0\r\n\x1a\n",
};

/// Finds layout and byte order from `sizeof_hdr`, the first four bytes.
pub(super) fn recognize(first: [u8; 4]) -> Option<(&'static Layout, ByteOrder)> {
    for layout in [&NIFTI_1, &NIFTI_2] {
        if u32::from_le_bytes(first) as usize == layout.size {
            return Some((layout, ByteOrder::Little));
        }
        if u32::from_be_bytes(first) as usize == layout.size {
            return Some((layout, ByteOrder::Big));
        }
    }
    None
}

/// Fields of a header's bytes, in the byte order of its file.
///
/// Offsets come from a [`Layout`], never from the file.
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) layout: &'static Layout,
    pub(super) order: ByteOrder,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[offset..offset + N]);
        if self.order == ByteOrder::Big {
            field.reverse();
        }
        field
    }

    /// A 16-bit integer in both layouts.
    pub(super) fn short(&self, offset: usize) -> i16 {
        i16::from_le_bytes(self.array(offset))
    }

    /// An integer that is 16 bits wide in NIfTI-1 and 32 in NIfTI-2; `None`
    /// if it does not fit 16 bits.
    pub(super) fn code(&self, offset: usize) -> Option<i16> {
        match self.layout.version {
            NiftiVersion::One => Some(self.short(offset)),
            NiftiVersion::Two => i32::from_le_bytes(self.array(offset)).try_into().ok(),
        }
    }

    /// The low byte of `xyzt_units`, the only one in NIfTI-1.
    pub(super) fn units(&self) -> u8 {
        match self.layout.version {
            NiftiVersion::One => self.bytes[self.layout.xyzt_units],
            NiftiVersion::Two => self.array::<4>(self.layout.xyzt_units)[0],
        }
    }

    /// Entry `index` of `dim`.
    pub(super) fn extent(&self, index: usize) -> i64 {
        match self.layout.version {
            NiftiVersion::One => i64::from(self.short(self.layout.dim + 2 * index)),
            NiftiVersion::Two => i64::from_le_bytes(self.array(self.layout.dim + 8 * index)),
        }
    }

    /// Entry `index` of the reals that start at `offset`.
    pub(super) fn real(&self, offset: usize, index: usize) -> f64 {
        match self.layout.version {
            NiftiVersion::One => f64::from(f32::from_le_bytes(self.array(offset + 4 * index))),
            NiftiVersion::Two => f64::from_le_bytes(self.array(offset + 8 * index)),
        }
    }

    /// The `N` reals that start at `offset`.
    pub(super) fn reals<const N: usize>(&self, offset: usize) -> [f64; N] {
        std::array::from_fn(|index| self.real(offset, index))
    }

    /// `vox_offset`: a real in NIfTI-1, an integer in NIfTI-2.
    pub(super) fn vox_offset(&self) -> f64 {
        match self.layout.version {
            NiftiVersion::One => self.real(self.layout.vox_offset, 0),
            NiftiVersion::Two => i64::from_le_bytes(self.array(self.layout.vox_offset)) as f64,
        }
    }
}
