//! Writing: the header of the input's grid, then the voxels, whole or not at all.
//!
//! The layout is the one of the file that the geometry came from, so that
//! every orientation field goes back bit by bit; an extent that NIfTI-1
//! cannot hold takes NIfTI-2. Files are little-endian,
//! without extensions and without scaling. They are written to a temporary
//! name in the same folder and renamed when complete and on disk.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;

use super::NiftiError;
use super::layout::{Layout, NIFTI_1, NIFTI_2};
use crate::geometry::NiftiVersion;
use crate::gzip::GzipWriter;
use crate::{Dimensionality, Geometry, Volume, atomic_file};

/// A voxel type that we write.
pub(super) trait Voxel: Copy {
    const DATATYPE: i16;
    const COMPRESSION: Compression;

    fn append(self, bytes: &mut Vec<u8>);
}

impl Voxel for u8 {
    const DATATYPE: i16 = 2;
    const COMPRESSION: Compression = Compression::new(6);

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Voxel for i16 {
    const DATATYPE: i16 = 4;
    const COMPRESSION: Compression = Compression::new(6);

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Voxel for f32 {
    const DATATYPE: i16 = 16;
    /// Noise in the low bits leaves little to gain from more effort.
    const COMPRESSION: Compression = Compression::new(1);

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Writes `volume` to `path`, compressed if the name says so.
pub(super) fn volume<T: Voxel>(path: &Path, volume: &Volume<T>) -> Result<(), NiftiError> {
    let (z, y, x) = volume.voxels.dim();
    let geometry = volume.geometry.shape();
    if [z, y, x] != geometry {
        let voxels = [z, y, x];
        return Err(NiftiError::Shape { path: path.to_owned(), voxels, geometry });
    }
    let compressed = is_compressed(path).ok_or_else(|| NiftiError::Extension { path: path.to_owned() })?;
    atomic_file::write_with(path, |file| {
        if compressed {
            let mut writer = GzipWriter::new(file, T::COMPRESSION)?;
            write_to(&mut writer, volume)?;
            writer.finish()?.flush()
        } else {
            write_to(file, volume)
        }
    })
    .map_err(|source| NiftiError::Write { path: path.to_owned(), source })
}

/// Whether the file's name asks for compression; `None` if it is no NIfTI file's name.
fn is_compressed(path: &Path) -> Option<bool> {
    let name = path.file_name()?.to_string_lossy();
    let plain = name.strip_suffix(".gz");
    let stem = plain.unwrap_or(&name).strip_suffix(".nii")?;
    (!stem.is_empty()).then_some(plain.is_some())
}

fn write_to<T: Voxel>(stream: &mut impl Write, volume: &Volume<T>) -> io::Result<()> {
    stream.write_all(&header(&volume.geometry, T::DATATYPE, size_of::<T>()))?;
    let mut bytes = Vec::new();
    for row in volume.voxels.rows() {
        bytes.clear();
        for &voxel in row {
            voxel.append(&mut bytes);
        }
        stream.write_all(&bytes)?;
    }
    Ok(())
}

/// The header of `geometry`'s layout and the four bytes behind it.
fn header(geometry: &Geometry, datatype: i16, bytes_per_voxel: usize) -> Vec<u8> {
    let orientation = geometry.orientation();
    let fits = geometry.shape().iter().all(|&extent| i16::try_from(extent).is_ok());
    let layout = match orientation.version {
        NiftiVersion::One if fits => &NIFTI_1,
        _ => &NIFTI_2,
    };
    let mut writer = FieldWriter { bytes: vec![0; layout.size + 4], layout };
    writer.put(0, &u32::try_from(layout.size).unwrap_or_default().to_le_bytes());
    writer.put(layout.magic, layout.single_file_magic);
    writer.put(layout.datatype, &datatype.to_le_bytes());
    let bitpix = i16::try_from(8 * bytes_per_voxel).unwrap_or_default();
    writer.put(layout.bitpix, &bitpix.to_le_bytes());
    writer.dim(geometry);
    writer.reals(layout.pixdim, &orientation.pixdim);
    writer.vox_offset();
    writer.reals(layout.scl_slope, &[1.0]);
    writer.reals(layout.scl_inter, &[0.0]);
    writer.bytes[layout.xyzt_units] = orientation.xyzt_units;
    writer.code(layout.qform_code, orientation.qform_code);
    writer.code(layout.sform_code, orientation.sform_code);
    writer.reals(layout.quaternion, &orientation.quaternion);
    writer.reals(layout.offset, &orientation.offset);
    writer.reals(layout.srow, orientation.srow.as_flattened());
    writer.bytes
}

/// Puts fields at the offsets of a layout, little-endian.
struct FieldWriter {
    bytes: Vec<u8>,
    layout: &'static Layout,
}

impl FieldWriter {
    fn put(&mut self, offset: usize, field: &[u8]) {
        self.bytes[offset..offset + field.len()].copy_from_slice(field);
    }

    fn code(&mut self, offset: usize, code: i16) {
        match self.layout.version {
            NiftiVersion::One => self.put(offset, &code.to_le_bytes()),
            NiftiVersion::Two => self.put(offset, &i32::from(code).to_le_bytes()),
        }
    }

    fn reals(&mut self, offset: usize, values: &[f64]) {
        for (index, &value) in values.iter().enumerate() {
            match self.layout.version {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "NIfTI-1 has 32-bit reals, and these were read from some"
                )]
                NiftiVersion::One => self.put(offset + 4 * index, &(value as f32).to_le_bytes()),
                NiftiVersion::Two => self.put(offset + 8 * index, &value.to_le_bytes()),
            }
        }
    }

    /// A grid without z axis is written with two axes.
    fn dim(&mut self, geometry: &Geometry) {
        let [z, y, x] = geometry.shape();
        let axes = match geometry.dimensionality() {
            Dimensionality::Two => 2,
            Dimensionality::Three => 3,
        };
        for (index, extent) in [axes, x, y, z, 1, 1, 1, 1].into_iter().enumerate() {
            let offset = self.layout.dim;
            match self.layout.version {
                // The low half is all there is: `header` takes this layout for extents of 16 bits only.
                NiftiVersion::One => self.put(offset + 2 * index, &extent.to_le_bytes()[..2]),
                NiftiVersion::Two => {
                    self.put(offset + 8 * index, &(extent as u64).to_le_bytes());
                }
            }
        }
    }

    fn vox_offset(&mut self) {
        let offset = self.layout.size + 4;
        match self.layout.version {
            NiftiVersion::One => self.reals(self.layout.vox_offset, &[offset as f64]),
            NiftiVersion::Two => {
                self.put(self.layout.vox_offset, &(offset as u64).to_le_bytes());
            }
        }
    }
}
