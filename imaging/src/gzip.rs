//! Gzip by all threads.
//!
//! Blocks of a fixed size are deflated each by itself and put behind one another as one member, which every reader
//! expects; a block costs a few bytes, and what it could have repeated of the one before. The bytes do not depend on the
//! number of threads. A block of noise, as the last bits of a map are, is stored as it is, which a sample of it tells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress};
use rayon::prelude::*;

/// Bytes that are deflated at a time.
const BLOCK: usize = 1 << 20;
/// Bytes in a row of a block's sample, and how far apart they begin: not at the same place of every slice.
const SAMPLE: (usize, usize) = (1 << 12, 61_441);
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
    let (length, distance) = SAMPLE;
    let sample: Vec<u8> = block.chunks(distance).flat_map(|part| &part[..length.min(part.len())]).copied().collect();
    let is_noise = deflated(&sample, level)?.len() >= sample.len();
    let bytes = deflated(block, if is_noise { Compression::none() } else { level })?;
    let mut crc = Crc::new();
    crc.update(block);
    Ok((bytes, crc))
}

thread_local! {
    /// By their level, and kept: a compressor is an aligned piece of memory, and glibc before 2.38 does not find the place of
    /// such a piece again once it is free, so that every file would leave a hole behind.
    static COMPRESSORS: RefCell<BTreeMap<u32, Compress>> = const { RefCell::new(BTreeMap::new()) };
}

/// Blocks of which none is the last, up to a whole byte.
fn deflated(bytes: &[u8], level: Compression) -> io::Result<Vec<u8>> {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let compressor = compressors.entry(level.level()).or_insert_with(|| Compress::new(level, false));
        compressor.reset();
        let mut found = Vec::with_capacity(bytes.len() / 4 + 64);
        let mut left = bytes;
        // It is at its end as soon as it leaves room.
        while !left.is_empty() || found.len() == found.capacity() {
            found.reserve(bytes.len() / 4 + 64);
            let before = compressor.total_in();
            compressor.compress_vec(left, &mut found, FlushCompress::Sync)?;
            let n_taken = usize::try_from(compressor.total_in() - before).map_err(io::Error::other)?;
            left = &left[n_taken..];
        }
        Ok(found)
    })
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

    #[test]
    fn noise_takes_no_more_than_itself_and_what_is_half_noise_is_compressed() {
        // The high bits of a linear congruential generator (Knuth, MMIX).
        let step = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(state.to_le_bytes()[7])
        };
        let noise: Vec<u8> = std::iter::repeat_n((), BLOCK).scan(1, |state, ()| step(state)).collect();
        assert!(gzip(&noise, 1).len() < BLOCK + 200);
        let rows = noise.chunks(512).enumerate();
        let half: Vec<u8> = rows.flat_map(|(i, row)| if i % 64 < 32 { row.to_vec() } else { vec![0; 512] }).collect();
        assert!(gzip(&half, 1).len() < BLOCK / 10 * 6);
    }
}
