//! BMP files without compression, as Pillow gives them to nnU-Net.
//!
//! Read are 1, 4 and 8 bits with a palette, and 24 and 32 bits. A palette that counts from black to white is gray,
//! any other becomes its colors; two colors that are black and white are 0 and 1. The fourth byte of a pixel is a
//! channel only where a mask says so. Written is gray of 8 bits. Follows the headers of the Windows documentation.

use std::io::{self, Write};

use ndarray::ArrayView2;

use super::BmpError;
use super::bits::Depth;
use super::pixels::{MAX_PIXELS, Pixels};

/// Size of the file's header, which the image's follows.
const FILE_HEADER: usize = 14;

/// Size of the image's header that is written.
const INFO_HEADER: usize = 40;

/// Bytes of the palette that is written.
const PALETTE: usize = 4 * 256;

/// What the headers say.
struct Header {
    /// Height and width.
    shape: [usize; 2],
    order: RowOrder,
    bits: u16,
    /// First byte of the pixels.
    start: usize,
    /// Colors, red first.
    palette: Vec<[u8; 3]>,
    has_alpha: Alpha,
}

#[derive(Clone, Copy, PartialEq)]
enum RowOrder {
    BottomUp,
    TopDown,
}

#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    None,
    FourthByte,
}

/// Decodes a whole file.
pub(super) fn decode(bytes: &[u8]) -> Result<Pixels, BmpError> {
    let header = Fields { bytes }.header()?;
    let [height, width] = header.shape;
    let row_bytes = (width * usize::from(header.bits)).div_ceil(32) * 4;
    let end = header.start as u64 + (row_bytes as u64) * (height as u64);
    if end > bytes.len() as u64 {
        return Err(BmpError::Truncated { found: bytes.len() as u64, expected: end });
    }
    let row = |y: usize| {
        let stored = if header.order == RowOrder::BottomUp { height - 1 - y } else { y };
        &bytes[header.start + stored * row_bytes..][..row_bytes]
    };
    let rows = (0..height).map(row);
    let (channels, samples) = match Depth::of_bits(u8::try_from(header.bits).unwrap_or(0)) {
        Some(depth) => indexed(rows, width, depth, &header.palette)?,
        None => colored(rows, width, &header),
    };
    Ok(Pixels::picture(header.shape, channels, samples).expect("one, three or four channels are an image"))
}

fn indexed<'a>(
    rows: impl Iterator<Item = &'a [u8]>,
    width: usize,
    depth: Depth,
    palette: &[[u8; 3]],
) -> Result<(usize, Vec<f32>), BmpError> {
    let two = [[0, 0, 0], [255, 255, 255]];
    let counts = palette.iter().enumerate().all(|(index, color)| color.iter().all(|&c| usize::from(c) == index));
    let is_gray = palette == two || counts;
    let mut samples = Vec::new();
    for row in rows {
        for x in 0..width {
            let index = depth.sample(row, x);
            let color = palette.get(usize::from(index));
            let color = color.ok_or(BmpError::PaletteIndex { index, colors: palette.len() })?;
            if is_gray {
                samples.push(f32::from(index));
            } else {
                samples.extend(color.map(f32::from));
            }
        }
    }
    Ok((if is_gray { 1 } else { 3 }, samples))
}

fn colored<'a>(rows: impl Iterator<Item = &'a [u8]>, width: usize, header: &Header) -> (usize, Vec<f32>) {
    let mut samples = Vec::new();
    for row in rows {
        for pixel in row.chunks_exact(usize::from(header.bits / 8)).take(width) {
            samples.extend([pixel[2], pixel[1], pixel[0]].map(f32::from));
            if header.has_alpha == Alpha::FourthByte {
                samples.push(f32::from(pixel[3]));
            }
        }
    }
    (if header.has_alpha == Alpha::FourthByte { 4 } else { 3 }, samples)
}

/// Little-endian fields of a file.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], BmpError> {
        let found = self.bytes.len() as u64;
        let field = self.bytes.get(offset..).and_then(|rest| rest.first_chunk());
        field.copied().ok_or(BmpError::Truncated { found, expected: (offset + N) as u64 })
    }

    fn short(&self, offset: usize) -> Result<u16, BmpError> {
        Ok(u16::from_le_bytes(self.array(offset)?))
    }

    fn word(&self, offset: usize) -> Result<u32, BmpError> {
        Ok(u32::from_le_bytes(self.array(offset)?))
    }

    fn header(&self) -> Result<Header, BmpError> {
        if self.array(0)? != *b"BM" {
            return Err(BmpError::NotBmp);
        }
        let start = self.word(10)? as usize;
        let size = self.word(FILE_HEADER)?;
        let (width, height, bits) = match size {
            12 => (i64::from(self.short(18)?), i64::from(self.short(20)?), self.short(24)?),
            40 | 52 | 56 | 64 | 108 | 124 => {
                let signed = |offset| Ok(i64::from(i32::from_le_bytes(self.array(offset)?)));
                (signed(18)?, signed(22)?, self.short(28)?)
            }
            _ => return Err(BmpError::Header { size }),
        };
        if !matches!(bits, 1 | 4 | 8 | 24 | 32) {
            return Err(BmpError::Bits { bits });
        }
        let order = if height < 0 { RowOrder::TopDown } else { RowOrder::BottomUp };
        Ok(Header {
            shape: extents(width, height)?,
            order,
            bits,
            start,
            palette: self.palette(size, bits)?,
            has_alpha: self.alpha(size, bits)?,
        })
    }

    /// The colors that a pixel can refer to; a file may hold fewer than its bits allow.
    fn palette(&self, size: u32, bits: u16) -> Result<Vec<[u8; 3]>, BmpError> {
        if bits > 8 {
            return Ok(Vec::new());
        }
        let most = 1_usize << bits;
        let (step, declared) = if size == 12 { (3, 0) } else { (4, self.word(46)? as usize) };
        let n_colors = if declared == 0 { most } else { declared.min(most) };
        let masks = if size == 40 && self.word(30)? == 3 { 12 } else { 0 };
        let start = FILE_HEADER + size as usize + masks;
        let color = |index| self.array::<3>(start + step * index).map(|[b, g, r]| [r, g, b]);
        (0..n_colors).map(color).collect()
    }

    fn alpha(&self, size: u32, bits: u16) -> Result<Alpha, BmpError> {
        const PLAIN: u32 = 0;
        const MASKS: u32 = 3;
        let compression = if size == 12 { PLAIN } else { self.word(30)? };
        match compression {
            PLAIN => Ok(Alpha::None),
            MASKS if bits == 32 => {
                let [red, green, blue] = [self.word(54)?, self.word(58)?, self.word(62)?];
                if [red, green, blue] != [0xff_0000, 0xff00, 0xff] {
                    return Err(BmpError::Masks);
                }
                // The oldest header has no fourth mask.
                match if size >= 56 && size != 64 { self.word(66)? } else { 0 } {
                    0 => Ok(Alpha::None),
                    0xff00_0000 => Ok(Alpha::FourthByte),
                    _ => Err(BmpError::Masks),
                }
            }
            code => Err(BmpError::Compression { code }),
        }
    }
}

/// Height and width; a negative height means that the rows begin at the top.
fn extents(width: i64, height: i64) -> Result<[usize; 2], BmpError> {
    let error = BmpError::Extent { width, height, limit: MAX_PIXELS };
    let extent = |value: u64| usize::try_from(value).ok().filter(|&value| value > 0).ok_or(error);
    let shape = [extent(height.unsigned_abs())?, extent(u64::try_from(width).unwrap_or(0))?];
    if (shape[0] as u64).checked_mul(shape[1] as u64).is_some_and(|product| product <= MAX_PIXELS) {
        Ok(shape)
    } else {
        Err(error)
    }
}

/// Writes gray of 8 bits.
pub(super) fn write(file: &mut impl Write, pixels: &ArrayView2<'_, u8>) -> io::Result<()> {
    let (height, width) = pixels.dim();
    let row_bytes = width.div_ceil(4) * 4;
    let start = FILE_HEADER + INFO_HEADER + PALETTE;
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let word = |value: usize| u32::try_from(value).map(u32::to_le_bytes).map_err(too_large);
    let signed = |value: usize| i32::try_from(value).map(i32::to_le_bytes).map_err(too_large);
    file.write_all(b"BM")?;
    file.write_all(&word(start + row_bytes * height)?)?;
    file.write_all(&[0; 4])?;
    file.write_all(&word(start)?)?;
    file.write_all(&word(INFO_HEADER)?)?;
    file.write_all(&signed(width)?)?;
    file.write_all(&signed(height)?)?;
    // One plane of 8 bits, not compressed; size and resolutions may be left to the reader.
    file.write_all(&[1, 0, 8, 0, 0, 0, 0, 0])?;
    file.write_all(&[0; 12])?;
    file.write_all(&word(256)?)?;
    file.write_all(&word(256)?)?;
    for gray in 0..=u8::MAX {
        file.write_all(&[gray, gray, gray, 0])?;
    }
    for row in pixels.rows().into_iter().rev() {
        let mut bytes: Vec<u8> = row.to_vec();
        bytes.resize(row_bytes, 0);
        file.write_all(&bytes)?;
    }
    Ok(())
}
