//! PNG files, as Pillow gives them to nnU-Net.
//!
//! Gray of 1 bit holds 0 and 1; of 2 and 4 bits it is spread over 0 to 255; of 16 bits it is kept. Colors of 16 bits
//! keep their high byte only. A palette becomes its colors, and transparency that is no channel is dropped.

use std::io::{self, Cursor, Write};

use ndarray::ArrayView2;
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Limits, Transformations};

use super::PixelError;
use super::bits::Depth;
use super::pixels::{MAX_PIXELS, Pixels};

/// Most bytes that the decoder may hold beside the pixels.
const MAX_BUFFERS: usize = 64 << 20;

/// The most bytes that one byte of a deflate stream can stand for.
const MAX_EXPANSION: u64 = 1032;

pub(super) fn decode(bytes: &[u8]) -> Result<Pixels, PixelError> {
    let failed = |source| PixelError::Png { source };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_BUFFERS });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(failed)?;

    let info = reader.info();
    let expected = [info.height, info.width];
    let (color, depth) = (info.color_type, depth(info.bit_depth));
    let palette = info.palette.as_deref().unwrap_or_default().to_vec();
    let stored_bytes = info.raw_bytes() as u64;
    let limit = (bytes.len() as u64).saturating_mul(MAX_EXPANSION);
    if stored_bytes > limit {
        return Err(PixelError::TooLarge { declared: stored_bytes, limit });
    }
    let n_pixels = u64::from(info.width) * u64::from(info.height);
    if n_pixels > MAX_PIXELS {
        return Err(PixelError::TooLarge { declared: n_pixels, limit: MAX_PIXELS });
    }
    let size = reader.output_buffer_size().ok_or(PixelError::TooLarge { declared: u64::MAX, limit })?;
    let mut packed = vec![0; size];
    let frame = reader.next_frame(&mut packed).map_err(failed)?;
    if [frame.height, frame.width] != expected {
        return Err(PixelError::Frame { expected, found: [frame.height, frame.width] });
    }
    let shape = expected.map(|extent| extent as usize);
    let rows = packed.chunks_exact(frame.line_size.max(1)).take(shape[0]);
    unpack(rows, shape, color, depth, &palette)
}

fn depth(depth: BitDepth) -> Depth {
    match depth {
        BitDepth::One => Depth::One,
        BitDepth::Two => Depth::Two,
        BitDepth::Four => Depth::Four,
        BitDepth::Eight => Depth::Eight,
        BitDepth::Sixteen => Depth::Sixteen,
    }
}

fn unpack<'a>(
    rows: impl Iterator<Item = &'a [u8]>,
    shape: [usize; 2],
    color: ColorType,
    depth: Depth,
    palette: &[u8],
) -> Result<Pixels, PixelError> {
    let n_samples = color.samples();
    let mut samples = Vec::with_capacity(shape[0] * shape[1] * n_samples);
    for row in rows {
        for index in 0..shape[1] * n_samples {
            let sample = depth.sample(row, index);
            match color {
                ColorType::Grayscale => samples.push(gray(sample, depth)),
                ColorType::Indexed => {
                    let colors = palette.len() / 3;
                    let start = 3 * usize::from(sample);
                    let color =
                        palette.get(start..start + 3).ok_or(PixelError::PaletteIndex { index: sample, colors })?;
                    samples.extend(color.iter().map(|&value| f32::from(value)));
                }
                // The high byte, which is all that Pillow keeps of a color.
                _ if depth == Depth::Sixteen => samples.push(f32::from(sample >> 8)),
                _ => samples.push(f32::from(sample)),
            }
        }
    }
    let channels = if color == ColorType::Indexed { 3 } else { n_samples };
    Pixels::picture(shape, channels, samples)
}

fn gray(sample: u16, depth: Depth) -> f32 {
    let step = match depth {
        Depth::Two => 85.0,
        Depth::Four => 17.0,
        Depth::One | Depth::Eight | Depth::Sixteen => 1.0,
    };
    step * f32::from(sample)
}

/// Writes gray of 8 bits. The same pixels give the same bytes.
pub(super) fn write(file: &mut impl Write, pixels: &ArrayView2<'_, u8>) -> io::Result<()> {
    let (height, width) = pixels.dim();
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let (width, height) = (u32::try_from(width).map_err(too_large)?, u32::try_from(height).map_err(too_large)?);
    let mut encoder = Encoder::new(file, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header()?;
    let samples: Vec<u8> = pixels.iter().copied().collect();
    writer.write_image_data(&samples)?;
    Ok(writer.finish()?)
}
