//! Gzip by all threads.
//!
//! Blocks of a fixed size are deflated each by itself and put behind one another as one member, which every reader
//! expects; a block costs a few bytes, and what it could have repeated of the one before. The bytes do not depend on the
//! number of threads.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use rayon::prelude::*;

/// Bytes that are deflated at a time.
const BLOCK: usize = 1 << 20;
/// Deflate, no flags, no time, no word on the effort, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty block that is the last.
const END: [u8; 2] = [3, 0];

/// A stream that compresses what is written to it. Without [`GzipWriter::finish`] its end is missing.
pub(crate) struct GzipWriter<W> {
    stream: W,
    level: Compression,
    /// What is not yet deflated.
    pending: Vec<u8>,
    /// A block for every thread.
    capacity: usize,
    crc: Crc,
}

impl<W: Write> GzipWriter<W> {
    /// Begins a file that has no name and no time.
    ///
    /// # Errors
    ///
    /// Whatever `stream` says.
    pub(crate) fn new(mut stream: W, level: Compression) -> io::Result<Self> {
        stream.write_all(&HEADER)?;
        let capacity = BLOCK * rayon::current_num_threads();
        Ok(Self { stream, level, pending: Vec::new(), capacity, crc: Crc::new() })
    }

    /// Ends the file and returns the stream.
    ///
    /// # Errors
    ///
    /// Whatever the stream says.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.deflate_pending()?;
        self.stream.write_all(&END)?;
        self.stream.write_all(&self.crc.sum().to_le_bytes())?;
        self.stream.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.stream)
    }

    fn deflate_pending(&mut self) -> io::Result<()> {
        let deflated: Vec<_> = self.pending.par_chunks(BLOCK).map(|block| deflate(block, self.level)).collect();
        self.pending.clear();
        for block in deflated {
            let (bytes, crc) = block?;
            self.stream.write_all(&bytes)?;
            self.crc.combine(&crc);
        }
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.len() == self.capacity {
            self.deflate_pending()?;
        }
        let n = bytes.len().min(self.capacity - self.pending.len());
        self.pending.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.deflate_pending()?;
        self.stream.flush()
    }
}

/// A block that ends with a whole byte, and the checksum of what is in it.
fn deflate(block: &[u8], level: Compression) -> io::Result<(Vec<u8>, Crc)> {
    let mut encoder = DeflateEncoder::new(Vec::new(), level);
    encoder.write_all(block)?;
    encoder.flush()?;
    let mut crc = Crc::new();
    crc.update(block);
    Ok((std::mem::take(encoder.get_mut()), crc))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn gzip(bytes: &[u8], n_threads: usize) -> Vec<u8> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let mut writer = GzipWriter::new(Vec::new(), Compression::new(1)).unwrap();
            for part in bytes.chunks(300_001) {
                writer.write_all(part).unwrap();
            }
            writer.finish().unwrap()
        })
    }

    #[test]
    fn one_member_holds_what_was_written_whatever_the_number_of_threads() {
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK, 5 * BLOCK + 7] {
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(i).to_le_bytes()[1]).collect();
            let compressed = gzip(&bytes, 1);
            assert_eq!(gzip(&bytes, 3), compressed, "{n}");
            // It reads one member, checks its checksum and length, and stops there.
            let mut decoder = GzDecoder::new(&compressed[..]);
            let mut found = Vec::new();
            decoder.read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{n}");
            assert!(decoder.into_inner().is_empty(), "{n}");
        }
    }
}
