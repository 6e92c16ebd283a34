//! A look at the directories of a TIFF file before the crate `tiff` sees them.
//!
//! The crate multiplies extents and counts of samples before it knows that they are sane, and panics or wraps where the
//! product does not fit. Here the few fields that enter such products are bounded. What else can be wrong with a file
//! is left to the crate: where this walk cannot go on, the crate cannot either, and says why.

use crate::raster::PixelError;
use crate::raster::pixels::MAX_PIXELS;

const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const SAMPLES_PER_PIXEL: u16 = 277;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;

/// More channels than any image that is read.
const MAX_SAMPLES: u64 = 16;

/// Bounds the fields of every directory.
pub(super) fn check(bytes: &[u8]) -> Result<(), PixelError> {
    let Some(file) = File::open(bytes) else { return Ok(()) };
    // Every entry has bytes of its own, unless directories lie on top of each other.
    let limit = bytes.len() as u64 / file.entry_size();
    let mut n_entries = 0_u64;
    let mut next = file.first();
    while let Some(start) = next.filter(|&start| start > 0) {
        // An empty directory counts too, or one that follows itself would be walked forever.
        n_entries = n_entries.saturating_add(file.n_entries(start).unwrap_or(0).max(1));
        if n_entries > limit {
            return Err(PixelError::Directories { entries: n_entries, limit });
        }
        next = file.check_directory(start)?;
    }
    Ok(())
}

/// The two layouts of numbers in a file.
#[derive(Clone, Copy)]
struct File<'a> {
    bytes: &'a [u8],
    order: Order,
    /// Bytes of an offset: 4, or 8 in a file of the larger layout.
    offset_size: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Big,
    Little,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let order = match bytes.get(..2)? {
            b"II" => Order::Little,
            b"MM" => Order::Big,
            _ => return None,
        };
        let file = Self { bytes, order, offset_size: 4 };
        match file.number(2, 2)? {
            42 => Some(file),
            43 => Some(Self { offset_size: 8, ..file }),
            _ => None,
        }
    }

    fn first(self) -> Option<u64> {
        self.number(if self.offset_size == 8 { 8 } else { 4 }, self.offset_size)
    }

    /// The unsigned number of `size` bytes at `offset`.
    fn number(self, offset: u64, size: usize) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let field = self.bytes.get(start..start.checked_add(size)?)?;
        let append = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(match self.order {
            Order::Big => field.iter().fold(0, append),
            Order::Little => field.iter().rev().fold(0, append),
        })
    }

    fn entry_size(self) -> u64 {
        if self.offset_size == 8 { 20 } else { 12 }
    }

    /// Bytes that say how many entries a directory has.
    fn count_size(self) -> usize {
        if self.offset_size == 8 { 8 } else { 2 }
    }

    fn n_entries(self, start: u64) -> Option<u64> {
        self.number(start, self.count_size())
    }

    /// Checks the directory at `start` and returns where the next one is.
    fn check_directory(self, start: u64) -> Result<Option<u64>, PixelError> {
        let Some(n_entries) = self.n_entries(start) else { return Ok(None) };
        let mut largest = [0_u64; 4];
        let mut offset = start.saturating_add(self.count_size() as u64);
        for _ in 0..n_entries {
            let Some(tag) = self.number(offset, 2).and_then(|tag| u16::try_from(tag).ok()) else { return Ok(None) };
            let slot = match tag {
                IMAGE_WIDTH => Some(0),
                IMAGE_LENGTH => Some(1),
                TILE_WIDTH => Some(2),
                TILE_LENGTH => Some(3),
                SAMPLES_PER_PIXEL => {
                    let found = self.value(offset, tag)?;
                    if found > MAX_SAMPLES {
                        return Err(PixelError::Channels { found: usize::try_from(found).unwrap_or(usize::MAX) });
                    }
                    None
                }
                _ => None,
            };
            if let Some(slot) = slot {
                largest[slot] = largest[slot].max(self.value(offset, tag)?);
            }
            offset = offset.saturating_add(self.entry_size());
        }
        for pair in largest.chunks_exact(2) {
            let declared = pair[0].saturating_mul(pair[1]).max(pair[0]).max(pair[1]);
            if declared > MAX_PIXELS {
                return Err(PixelError::TooLarge { declared, limit: MAX_PIXELS });
            }
        }
        Ok(self.number(offset, self.offset_size))
    }

    /// The single number that the entry at `offset` holds itself.
    fn value(self, offset: u64, tag: u16) -> Result<u64, PixelError> {
        const SHORT: u64 = 3;
        const LONG: u64 = 4;
        let count = self.number(offset + 4, self.offset_size);
        let size = match self.number(offset + 2, 2) {
            Some(SHORT) if count == Some(1) => 2,
            Some(LONG) if count == Some(1) => 4,
            _ => return Err(PixelError::Directory { tag }),
        };
        self.number(offset + 4 + self.offset_size as u64, size).ok_or(PixelError::Directory { tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose first directory has these entries of tag, type and value, followed by the one at `next`.
    fn file(entries: &[(u16, u16, u32)], next: u32) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
        for &(tag, kind, value) in entries {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend(next.to_le_bytes());
        bytes
    }

    #[test]
    fn fields_that_enter_products_are_bounded() {
        assert!(check(&file(&[(IMAGE_WIDTH, 4, 1 << 14), (IMAGE_LENGTH, 3, 1 << 14)], 0)).is_ok());
        let too_large = check(&file(&[(IMAGE_WIDTH, 4, 1 << 14), (IMAGE_LENGTH, 4, 1 << 15)], 0));
        assert!(matches!(too_large, Err(PixelError::TooLarge { declared: 0x2000_0000, .. })), "{too_large:?}");
        let tall = check(&file(&[(IMAGE_LENGTH, 4, u32::MAX)], 0));
        assert!(matches!(tall, Err(PixelError::TooLarge { declared: 0xffff_ffff, .. })), "{tall:?}");
        let channels = check(&file(&[(SAMPLES_PER_PIXEL, 3, 17)], 0));
        assert!(matches!(channels, Err(PixelError::Channels { found: 17 })), "{channels:?}");
        let double = check(&file(&[(TILE_WIDTH, 12, 1)], 0));
        assert!(matches!(double, Err(PixelError::Directory { tag: TILE_WIDTH })), "{double:?}");
    }

    #[test]
    fn directories_that_follow_themselves_come_to_an_end() {
        for entries in [&[][..], &[(IMAGE_WIDTH, 3, 1)]] {
            let endless = check(&file(entries, 8));
            assert!(matches!(endless, Err(PixelError::Directories { .. })), "{endless:?}");
        }
    }
}
