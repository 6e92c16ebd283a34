//! NIfTI files put together byte by byte, so that tests do not read what our own writer wrote.
//!
//! The offsets are those of the C structs `nifti_1_header` and `nifti_2_header`.

#![allow(dead_code, reason = "every test takes what it needs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    Big,
    Little,
}

/// Fields of a header of unsigned bytes; the default is a NIfTI-1 file without codes and with a spacing of 1.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) order: Order,
    /// Extents x, y, z, …
    pub(crate) dim: Vec<i64>,
    /// Handedness, then the spacing x, y, z.
    pub(crate) pixdim: [f64; 4],
    pub(crate) units: u8,
    pub(crate) intent_code: i32,
    pub(crate) qform_code: i16,
    pub(crate) sform_code: i16,
    pub(crate) quaternion: [f64; 3],
    pub(crate) offset: [f64; 3],
    pub(crate) srow: [[f64; 4]; 3],
    /// `scl_slope` and `scl_inter`.
    pub(crate) scale: [f64; 2],
    /// Bytes of an extension behind the header.
    pub(crate) extension: usize,
    /// `vox_offset` of a pair; `None` for a single file.
    pub(crate) pair_offset: Option<usize>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            version: 1,
            order: Order::Little,
            dim: vec![1, 1, 1],
            pixdim: [1.0; 4],
            units: 2,
            intent_code: 0,
            qform_code: 0,
            sform_code: 0,
            quaternion: [0.0; 3],
            offset: [0.0; 3],
            srow: [[0.0; 4]; 3],
            scale: [0.0; 2],
            extension: 0,
            pair_offset: None,
        }
    }
}

impl Header {
    /// The header alone.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let single = self.pair_offset.is_none();
        let one = self.version == 1;
        let mut bytes = Writer { bytes: vec![0; if one { 348 } else { 540 }], order: self.order, one };
        let size = bytes.bytes.len();
        let data = self.pair_offset.unwrap_or(size + 4 + self.extension);
        bytes.put(0, &i32::try_from(size).unwrap().to_le_bytes());
        let mut dim = [1; 8];
        dim[0] = i64::try_from(self.dim.len()).unwrap();
        dim[1..=self.dim.len()].copy_from_slice(&self.dim);
        let pixdim: Vec<f64> = self.pixdim.into_iter().chain([1.0; 4]).collect();
        if one {
            bytes.bytes[344..348].copy_from_slice(if single { b"n+1\0" } else { b"ni1\0" });
            bytes.put(68, &i16::try_from(self.intent_code).unwrap().to_le_bytes());
            for (index, extent) in dim.iter().enumerate() {
                bytes.put(40 + 2 * index, &i16::try_from(*extent).unwrap().to_le_bytes());
            }
            bytes.put(70, &2_i16.to_le_bytes());
            bytes.put(72, &8_i16.to_le_bytes());
            bytes.reals(108, &[data as f64]);
            bytes.bytes[123] = self.units;
            bytes.put(252, &self.qform_code.to_le_bytes());
            bytes.put(254, &self.sform_code.to_le_bytes());
        } else {
            bytes.bytes[4..12].copy_from_slice(if single { b"n+2\0\r\n\x1a\n" } else { b"ni2\0\r\n\x1a\n" });
            bytes.put(504, &self.intent_code.to_le_bytes());
            for (index, extent) in dim.iter().enumerate() {
                bytes.put(16 + 8 * index, &extent.to_le_bytes());
            }
            bytes.put(12, &2_i16.to_le_bytes());
            bytes.put(14, &8_i16.to_le_bytes());
            bytes.put(168, &i64::try_from(data).unwrap().to_le_bytes());
            bytes.put(500, &i32::from(self.units).to_le_bytes());
            bytes.put(344, &i32::from(self.qform_code).to_le_bytes());
            bytes.put(348, &i32::from(self.sform_code).to_le_bytes());
        }
        let at = if one { [76, 112, 256, 268, 280] } else { [104, 176, 352, 376, 400] };
        bytes.reals(at[0], &pixdim);
        bytes.reals(at[1], &self.scale);
        bytes.reals(at[2], &self.quaternion);
        bytes.reals(at[3], &self.offset);
        bytes.reals(at[4], self.srow.as_flattened());
        bytes.bytes
    }

    /// A single file with these voxels.
    pub(crate) fn file(&self, voxels: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.extend([u8::from(self.extension > 0), 0, 0, 0]);
        bytes.extend(vec![0xee; self.extension]);
        bytes.extend(voxels);
        bytes
    }
}

struct Writer {
    bytes: Vec<u8>,
    order: Order,
    one: bool,
}

impl Writer {
    /// Takes a field in little-endian order.
    fn put(&mut self, offset: usize, field: &[u8]) {
        let mut field = field.to_vec();
        if self.order == Order::Big {
            field.reverse();
        }
        self.bytes[offset..offset + field.len()].copy_from_slice(&field);
    }

    #[expect(clippy::cast_possible_truncation, reason = "NIfTI-1 has 32-bit reals")]
    fn reals(&mut self, offset: usize, values: &[f64]) {
        for (index, &value) in values.iter().enumerate() {
            if self.one {
                self.put(offset + 4 * index, &(value as f32).to_le_bytes());
            } else {
                self.put(offset + 8 * index, &value.to_le_bytes());
            }
        }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
