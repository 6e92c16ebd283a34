//! Header and voxels of a file as a stream, never more than declared.
//!
//! A plain file must be as long as its header says before its voxels are
//! allocated. Of a compressed one the length is unknown, but deflate cannot
//! expand a byte to more than 1032: that bound stops a small file that
//! declares a huge volume. One byte past the voxels is asked for, so that a
//! stream that ends there has its checksum compared. The same holds for the
//! image file of a pair, whose header lies in a file of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use fs_err::File;

use super::header::{self, Header, Placement};
use super::{HeaderError, NiftiError};
use super::{layout, pair};

/// The most bytes that one byte of a deflate stream can stand for.
pub(super) const MAX_EXPANSION: u64 = 1032;

/// First bytes of a gzip member.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads and validates the header, and opens the bytes of the voxels.
pub(super) fn load(path: &Path) -> Result<(Header, VoxelBytes<'static>), NiftiError> {
    let (stream, header) = open(path)?;
    let voxels = stream.voxels(&header)?;
    Ok((header, voxels))
}

/// Reads and validates the header only, and checks that the voxels have room in their file.
pub(super) fn load_header(path: &Path) -> Result<Header, NiftiError> {
    let (stream, header) = open(path)?;
    stream.check_size(&header).map_err(|error| error.at(&stream.path))?;
    Ok(header)
}

/// As [`load`], of a file in memory; `name` is for errors.
pub(super) fn decode<'a>(name: &Path, bytes: &'a [u8]) -> Result<(Header, VoxelBytes<'a>), NiftiError> {
    let failed = |error: StreamError| error.at(name);
    let mut stream = Stream::new(name.to_owned(), bytes, bytes.len() as u64).map_err(failed)?;
    let header = stream.header().map_err(failed)?;
    if header.placement == Placement::ImageFile {
        let voxels = pair::voxels_of(name).unwrap_or_else(|missing| missing);
        return Err(failed(HeaderError::Detached { voxels }.into()));
    }
    let voxels = stream.voxels(&header)?;
    Ok((header, voxels))
}

/// The header of `path`, and the stream that holds its voxels.
fn open(path: &Path) -> Result<(Stream<'static>, Header), NiftiError> {
    let path = pair::header_of(path);
    let failed = |error: StreamError| error.at(&path);
    let mut stream = Stream::open(path.clone()).map_err(failed)?;
    let header = stream.header().map_err(failed)?;
    match header.placement {
        Placement::SameFile => Ok((stream, header)),
        Placement::ImageFile => {
            let voxels = pair::voxels_of(&path).map_err(|voxels| failed(HeaderError::Detached { voxels }.into()))?;
            let stream = Stream::open(voxels.clone()).map_err(|error| error.at(&voxels))?;
            Ok((stream, header))
        }
    }
}

enum StreamError {
    Io(io::Error),
    Header(HeaderError),
}

impl StreamError {
    fn at(self, path: &Path) -> NiftiError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => NiftiError::Read { path, source },
            Self::Header(source) => NiftiError::Header { path, source },
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HeaderError> for StreamError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// The content of a file, inflated if it is compressed.
struct Stream<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    /// Bytes read or skipped so far.
    position: u64,
    /// The most bytes that the whole stream can yield.
    capacity: u64,
}

impl Stream<'static> {
    fn open(path: PathBuf) -> Result<Self, StreamError> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Self::new(path, BufReader::with_capacity(1 << 16, file), length)
    }
}

impl<'a> Stream<'a> {
    fn new(path: PathBuf, mut file: impl BufRead + 'a, length: u64) -> Result<Self, StreamError> {
        let compressed = file.fill_buf()?.starts_with(&GZIP_MAGIC);
        let (reader, capacity): (Box<dyn Read + 'a>, u64) = if compressed {
            (Box::new(MultiGzDecoder::new(file)), length.saturating_mul(MAX_EXPANSION))
        } else {
            (Box::new(file), length)
        };
        Ok(Self { path, reader, position: 0, capacity })
    }

    fn header(&mut self) -> Result<Header, StreamError> {
        let mut bytes = [0; 540];
        fill(&mut self.reader, &mut bytes[..4])?;
        let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (layout, order) = layout::recognize(first).ok_or(HeaderError::NotNifti)?;
        fill(&mut self.reader, &mut bytes[4..layout.size])?;
        self.position = layout.size as u64;
        Ok(header::parse(&bytes[..layout.size], layout, order)?)
    }

    fn check_size(&self, header: &Header) -> Result<(), StreamError> {
        let available = self.capacity.saturating_sub(header.vox_offset);
        if header.n_bytes > available {
            return Err(HeaderError::TooLarge { declared: header.n_bytes, available }.into());
        }
        Ok(())
    }

    /// The bytes of the voxels; what lies before them, extensions among it, is skipped.
    fn voxels(mut self, header: &Header) -> Result<VoxelBytes<'a>, NiftiError> {
        self.skip_to_voxels(header).map_err(|error| error.at(&self.path))?;
        Ok(VoxelBytes { path: self.path, reader: self.reader, declared: header.n_bytes, found: 0 })
    }

    fn skip_to_voxels(&mut self, header: &Header) -> Result<(), StreamError> {
        self.check_size(header)?;
        let gap = header.vox_offset.saturating_sub(self.position);
        let skipped = io::copy(&mut (&mut self.reader).take(gap), &mut io::sink())?;
        if skipped < gap {
            return Err(HeaderError::Truncated { found: skipped, expected: gap }.into());
        }
        Ok(())
    }
}

/// The bytes of the voxels, handed out from first to last.
pub(super) struct VoxelBytes<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    /// Bytes that the header declares.
    declared: u64,
    /// Bytes handed out so far.
    found: u64,
}

impl VoxelBytes<'_> {
    /// The next `n_bytes`, which the header must have declared; with the last of them the end of the stream is checked.
    pub(super) fn next(&mut self, n_bytes: usize) -> Result<Vec<u8>, NiftiError> {
        self.read(n_bytes).map_err(|error| error.at(&self.path))
    }

    fn read(&mut self, n_bytes: usize) -> Result<Vec<u8>, StreamError> {
        let mut bytes = Vec::with_capacity(n_bytes);
        (&mut self.reader).take(n_bytes as u64).read_to_end(&mut bytes)?;
        self.found += bytes.len() as u64;
        if bytes.len() < n_bytes {
            return Err(HeaderError::Truncated { found: self.found, expected: self.declared }.into());
        }
        if self.found == self.declared {
            // Reaching the end makes the decoder compare the checksum.
            while let Err(error) = self.reader.read(&mut [0]) {
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error.into());
                }
            }
        }
        Ok(bytes)
    }

    /// Where the voxels lie, for errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<(), StreamError> {
    let expected = buffer.len() as u64;
    let mut found = 0;
    while found < buffer.len() {
        match stream.read(&mut buffer[found..]) {
            Ok(0) => {
                return Err(HeaderError::Truncated { found: found as u64, expected }.into());
            }
            Ok(n) => found += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
