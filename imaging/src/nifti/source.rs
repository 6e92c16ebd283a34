//! Brings header and voxels of a file into memory, never more than declared.
//!
//! A plain file must be as long as its header says before its voxels are
//! allocated. Of a compressed one the length is unknown, but deflate cannot
//! expand a byte to more than 1032: that bound stops a small file that
//! declares a huge volume. One byte past the voxels is asked for, so that a
//! stream that ends there has its checksum compared.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use fs_err::File;

use super::header::{self, Header};
use super::layout;
use super::{HeaderError, NiftiError};

/// The most bytes that one byte of a deflate stream can stand for.
const MAX_EXPANSION: u64 = 1032;

/// First bytes of a gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads and validates the header, then reads the bytes of the voxels.
pub(super) fn load(path: &Path) -> Result<(Header, Vec<u8>), NiftiError> {
    let failed = |source| NiftiError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let length = file.get_ref().metadata().map_err(failed)?.len();
    let compressed = io::BufRead::fill_buf(&mut file).map_err(failed)?.starts_with(&GZIP_MAGIC);
    let loaded = if compressed {
        let capacity = length.saturating_mul(MAX_EXPANSION);
        from_stream(&mut MultiGzDecoder::new(file), capacity)
    } else {
        from_stream(&mut file, length)
    };
    loaded.map_err(|error| match error {
        StreamError::Io(source) => failed(source),
        StreamError::Header(source) => NiftiError::Header { path: path.to_owned(), source },
    })
}

enum StreamError {
    Io(io::Error),
    Header(HeaderError),
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

/// `capacity` is the most bytes that the stream can yield.
fn from_stream(stream: &mut impl Read, capacity: u64) -> Result<(Header, Vec<u8>), StreamError> {
    let mut bytes = [0; 540];
    fill(stream, &mut bytes[..4])?;
    let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let (layout, order) = layout::recognize(first).ok_or(HeaderError::NotNifti)?;
    fill(stream, &mut bytes[4..layout.size])?;
    let header = header::parse(&bytes[..layout.size], layout, order)?;

    let available = capacity.saturating_sub(header.vox_offset);
    if header.n_bytes > available {
        return Err(HeaderError::TooLarge { declared: header.n_bytes, available }.into());
    }
    let gap = header.vox_offset - layout.size as u64;
    let skipped = io::copy(&mut stream.take(gap), &mut io::sink())?;
    if skipped < gap {
        return Err(HeaderError::Truncated { found: skipped, expected: gap }.into());
    }
    let voxels = read_exactly(stream, header.n_bytes)?;
    // Reaching the end makes the decoder compare the checksum.
    while let Err(error) = stream.read(&mut [0]) {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
    Ok((header, voxels))
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

fn read_exactly(stream: &mut impl Read, n_bytes: u64) -> Result<Vec<u8>, StreamError> {
    let out_of_memory = |_| io::Error::from(io::ErrorKind::OutOfMemory);
    let length = usize::try_from(n_bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(out_of_memory)?;
    stream.take(n_bytes).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        let found = bytes.len() as u64;
        return Err(HeaderError::Truncated { found, expected: n_bytes }.into());
    }
    Ok(bytes)
}
