//! Splitting a file of several volumes into one file per volume.
//!
//! The Medical Segmentation Decathlon keeps the channels of an image as the
//! fourth axis of one file; nnU-Net's raw layout wants a file per channel.
//!
//! The stored bytes are copied, not decoded: every volume keeps the type, the
//! byte order, the scaling and the placement of its source, so nothing can be
//! lost. Only `dim` and `vox_offset` are rewritten and header extensions are
//! dropped, which speak of the whole file. One volume after the other passes
//! through a buffer of fixed size. Departs there from nnU-Net's
//! `convert_MSD_dataset.py`, which holds all volumes in memory and writes
//! scaled values; both read back the same.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use fs_err::File;

use super::header::{self, Placement};
use super::layout::{self, ByteOrder, Fields, Layout};
use super::source::{GZIP_MAGIC, MAX_EXPANSION};
use super::{HeaderError, NiftiError, pair};
use crate::atomic_file;
use crate::geometry::NiftiVersion;

/// Most volumes of a file: nnU-Net numbers channels with four digits.
const MAX_VOLUMES: i64 = 10_000;

/// Bytes that pass at a time.
const BUFFER: usize = 1 << 16;

/// A file of one or more volumes, its header read and validated.
pub struct Volumes {
    path: PathBuf,
    stream: Box<dyn Read>,
    /// Header of every volume, with the four bytes that say "no extensions".
    header: Vec<u8>,
    /// `dim[0]` of the file.
    n_axes: usize,
    /// Number of volumes.
    count: usize,
    /// Bytes of one volume.
    n_bytes: u64,
}

impl Volumes {
    /// Reads the header of `path`; the fourth axis counts volumes.
    ///
    /// # Errors
    ///
    /// As [`super::read_image`], but for the fourth axis, which may have an
    /// extent of up to 10 000. Axes beyond it must have extent 1.
    pub fn open(path: &Path) -> Result<Self, NiftiError> {
        let failed = |source| NiftiError::Read { path: path.to_owned(), source };
        let mut file = BufReader::with_capacity(BUFFER, File::open(path).map_err(failed)?);
        let length = file.get_ref().metadata().map_err(failed)?.len();
        let compressed = io::BufRead::fill_buf(&mut file).map_err(failed)?.starts_with(&GZIP_MAGIC);
        let (mut stream, capacity): (Box<dyn Read>, _) = if compressed {
            (Box::new(MultiGzDecoder::new(file)), length.saturating_mul(MAX_EXPANSION))
        } else {
            (Box::new(file), length)
        };
        let mut bytes = [0; 540];
        let (layout, order) = read_header(&mut stream, &mut bytes).map_err(|error| error.at(path))?;
        let refused = |source| NiftiError::Header { path: path.to_owned(), source };
        let parsed = parse(&bytes[..layout.size], layout, order).map_err(refused)?;
        if parsed.placement == Placement::ImageFile {
            // Series come as single files; a pair would have to be read from two.
            let voxels = pair::voxels_of(path).unwrap_or_else(|missing| missing);
            return Err(refused(HeaderError::Pair { voxels }));
        }
        let available = capacity.saturating_sub(parsed.vox_offset);
        let declared = parsed.n_bytes.saturating_mul(parsed.n_volumes as u64);
        if declared > available {
            return Err(refused(HeaderError::TooLarge { declared, available }));
        }
        let gap = parsed.vox_offset - layout.size as u64;
        let skipped = io::copy(&mut stream.by_ref().take(gap), &mut io::sink()).map_err(failed)?;
        if skipped < gap {
            return Err(refused(HeaderError::Truncated { found: skipped, expected: gap }));
        }
        let Parsed { header, n_axes, n_volumes, n_bytes, .. } = parsed;
        Ok(Self { path: path.to_owned(), stream, header, n_axes, count: n_volumes, n_bytes })
    }

    /// Number of axes of the file, those of extent 1 included.
    pub fn n_axes(&self) -> usize {
        self.n_axes
    }

    /// Number of volumes, at least 1.
    pub fn n_volumes(&self) -> usize {
        self.count
    }

    /// Writes volume `i` to `targets[i]`, compressed if its name ends in
    /// `.gz`. Every file appears whole or not at all, in order; the last one
    /// only if the source's checksum is right.
    ///
    /// # Errors
    ///
    /// [`NiftiError::VolumeCount`] if there are not as many targets as
    /// volumes; [`NiftiError::Header`] or [`NiftiError::Read`] if the source
    /// ends early or is damaged, [`NiftiError::Write`] if the disk refuses.
    pub fn write(mut self, targets: &[PathBuf]) -> Result<(), NiftiError> {
        if targets.len() != self.count {
            let (found, expected) = (self.count, targets.len());
            return Err(NiftiError::VolumeCount { path: self.path, found, expected });
        }
        for (index, target) in targets.iter().enumerate() {
            let is_last = index + 1 == targets.len();
            let mut source = Source { stream: &mut self.stream, failure: None };
            let written = atomic_file::write_with(target, |file| {
                if target.extension().is_some_and(|ending| ending == "gz") {
                    let mut encoder = GzEncoder::new(file, Compression::new(6));
                    encoder.write_all(&self.header)?;
                    source.copy(self.n_bytes, &mut encoder)?;
                    encoder.finish()?;
                } else {
                    file.write_all(&self.header)?;
                    source.copy(self.n_bytes, file)?;
                }
                if is_last { source.end() } else { Ok(()) }
            });
            if let Some(failure) = source.failure {
                return Err(failure.at(&self.path));
            }
            written.map_err(|source| NiftiError::Write { path: target.clone(), source })?;
        }
        Ok(())
    }
}

/// The source of a copy; remembers its own failures, so that they are not
/// taken for the target's.
struct Source<'a> {
    stream: &'a mut dyn Read,
    failure: Option<Failure>,
}

impl Source<'_> {
    fn copy(&mut self, n_bytes: u64, target: &mut impl Write) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut left = n_bytes;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            match self.stream.read(&mut buffer[..wanted]) {
                Ok(0) => {
                    let cut = HeaderError::Truncated { found: n_bytes - left, expected: n_bytes };
                    return Err(self.fail(Failure::Header(cut)));
                }
                Ok(n) => {
                    target.write_all(&buffer[..n])?;
                    left -= n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(Failure::Io(error))),
            }
        }
        Ok(())
    }

    /// Reaching the end makes the decoder compare the checksum.
    fn end(&mut self) -> io::Result<()> {
        while let Err(error) = self.stream.read(&mut [0]) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(self.fail(Failure::Io(error)));
            }
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        self.failure = Some(failure);
        io::Error::from(io::ErrorKind::InvalidData)
    }
}

/// What can be wrong with the source, its path not yet known.
enum Failure {
    Header(HeaderError),
    Io(io::Error),
}

impl Failure {
    fn at(self, path: &Path) -> NiftiError {
        let path = path.to_owned();
        match self {
            Self::Header(source) => NiftiError::Header { path, source },
            Self::Io(source) => NiftiError::Read { path, source },
        }
    }
}

/// Fills the first bytes of `bytes` with the header; returns its layout.
fn read_header(stream: &mut dyn Read, bytes: &mut [u8; 540]) -> Result<(&'static Layout, ByteOrder), Failure> {
    let mut fill = |bytes: &mut [u8]| {
        stream.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Header(HeaderError::NotNifti),
            _ => Failure::Io(error),
        })
    };
    fill(&mut bytes[..4])?;
    let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let found = layout::recognize(first).ok_or(Failure::Header(HeaderError::NotNifti))?;
    fill(&mut bytes[4..found.0.size])?;
    Ok(found)
}

struct Parsed {
    header: Vec<u8>,
    n_axes: usize,
    n_volumes: usize,
    n_bytes: u64,
    vox_offset: u64,
    placement: Placement,
}

/// Validates the header of the file as that of one of its volumes.
fn parse(bytes: &[u8], layout: &'static Layout, order: ByteOrder) -> Result<Parsed, HeaderError> {
    let fields = Fields { bytes, layout, order };
    let axes = fields.extent(0);
    let mut header = bytes.to_vec();
    let mut n_volumes = 1;
    if (4..=7).contains(&axes) {
        for axis in (4..=7).take_while(|&axis| axis as u64 <= axes.unsigned_abs()) {
            let extent = fields.extent(axis);
            let limit = if axis == 4 { MAX_VOLUMES } else { 1 };
            if !(1..=limit).contains(&extent) {
                return Err(HeaderError::Extent { axis, extent, limit });
            }
        }
        n_volumes = usize::try_from(fields.extent(4)).map_err(|_| HeaderError::Rank { axes })?;
        put_extent(&mut header, layout, order, (0, 3));
        put_extent(&mut header, layout, order, (4, 1));
    }
    let one = header::parse(&header, layout, order)?;
    put_vox_offset(&mut header, layout, order);
    header.extend([0; 4]);
    let n_axes = usize::try_from(axes).map_err(|_| HeaderError::Rank { axes })?;
    Ok(Parsed { header, n_axes, n_volumes, n_bytes: one.n_bytes, vox_offset: one.vox_offset, placement: one.placement })
}

/// Sets entry `index` of `dim` in the file's own byte order.
fn put_extent(header: &mut [u8], layout: &Layout, order: ByteOrder, (index, extent): (usize, u8)) {
    match layout.version {
        NiftiVersion::One => put(header, layout.dim + 2 * index, order, i16::from(extent).to_le_bytes()),
        NiftiVersion::Two => put(header, layout.dim + 8 * index, order, i64::from(extent).to_le_bytes()),
    }
}

/// The voxels follow the header and four bytes.
fn put_vox_offset(header: &mut [u8], layout: &Layout, order: ByteOrder) {
    let offset = layout.size + 4;
    match layout.version {
        NiftiVersion::One => {
            #[expect(clippy::cast_precision_loss, reason = "352 is exact")]
            put(header, layout.vox_offset, order, (offset as f32).to_le_bytes());
        }
        NiftiVersion::Two => put(header, layout.vox_offset, order, (offset as u64).to_le_bytes()),
    }
}

fn put<const N: usize>(header: &mut [u8], offset: usize, order: ByteOrder, mut field: [u8; N]) {
    if order == ByteOrder::Big {
        field.reverse();
    }
    header[offset..offset + N].copy_from_slice(&field);
}
