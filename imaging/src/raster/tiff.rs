//! TIFF files of one page or many, as tifffile gives them to nnU-Net.
//!
//! Every integer and real type of at most 64 bits, and single bits; plain, deflated, LZW or packed. A palette stays an
//! index. Samples that are stored plane by plane are brought together. tifffile marks a stack of a single page by
//! its shape in the description of the image; that mark is read and written here too.

mod directories;

use std::io::{self, Cursor, Seek, Write};

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::colortype::ColorType as Written;
use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::{PhotometricInterpretation, Tag};
use tiff::{ColorType, TiffError};

use super::PixelError;
use super::bits::Depth;
use super::pixels::{MAX_PIXELS, Pixels};
use crate::{Dimensionality, Volume};

/// The most bytes that one byte of a compressed page can stand for: LZW's longest run of growing codes, above deflate.
const MAX_EXPANSION: u64 = 1400;

/// Most pages of a stack, as many as an axis of a NIfTI file may have voxels.
const MAX_PAGES: usize = u16::MAX as usize;

/// Above this many bytes of pixels a file is written with offsets of 64 bits.
const BIG: usize = 3 << 30;

/// What a file of a single page is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pages {
    OneIsAPicture,
    AlwaysAStack,
}

type Source<'a> = Decoder<Cursor<&'a [u8]>>;

/// Decodes all pages of a file.
pub(super) fn decode(bytes: &[u8], pages: Pages) -> Result<Pixels, PixelError> {
    directories::check(bytes)?;
    let mut budget = (bytes.len() as u64).saturating_mul(MAX_EXPANSION);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(budget).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = bytes.len();
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(failed)?.with_limits(limits);
    let first = page(&mut decoder, &mut budget)?;
    let [y, x] = first.shape.map(|extent| extent as usize);
    let is_stack = pages == Pages::AlwaysAStack || decoder.more_images() || is_marked_as_stack(&mut decoder);
    if !is_stack {
        return Pixels::picture([y, x], first.channels, first.samples);
    }
    if first.channels != 1 {
        return Err(PixelError::ColorStack { page: 0 });
    }
    let mut samples = first.samples;
    let mut z = 1;
    while decoder.more_images() {
        if z == MAX_PAGES {
            return Err(PixelError::TooLarge { declared: z as u64 + 1, limit: MAX_PAGES as u64 });
        }
        decoder.next_image().map_err(failed)?;
        let next = page(&mut decoder, &mut budget)?;
        if next.channels != 1 {
            return Err(PixelError::ColorStack { page: z });
        }
        if next.shape != first.shape {
            return Err(PixelError::PageShape { page: z, expected: first.shape, found: next.shape });
        }
        samples.extend(next.samples);
        z += 1;
    }
    Ok(Pixels::stack([z, y, x], samples))
}

fn failed(source: TiffError) -> PixelError {
    PixelError::Tiff { source }
}

struct Page {
    /// Height and width.
    shape: [u32; 2],
    channels: usize,
    /// `[y, x, channel]`.
    samples: Vec<f32>,
}

/// Decodes the current page, which may take `budget` bytes.
fn page(decoder: &mut Source<'_>, budget: &mut u64) -> Result<Page, PixelError> {
    let (width, height) = decoder.dimensions().map_err(failed)?;
    let color = decoder.colortype().map_err(failed)?;
    let photometric = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(failed)?;
    if photometric == Some(PhotometricInterpretation::WhiteIsZero as u16) {
        return Err(PixelError::WhiteIsZero);
    }
    let channels = channels(color)?;
    let bits = color.bit_depth();
    if !matches!(bits, 1 | 8 | 16 | 32 | 64) || (bits == 1 && channels != 1) {
        return Err(PixelError::Depth { bits });
    }
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels == 0 || n_pixels > MAX_PIXELS {
        return Err(PixelError::TooLarge { declared: n_pixels, limit: MAX_PIXELS });
    }
    let layout = decoder.image_buffer_layout().map_err(failed)?;
    let declared = layout.complete_len as u64;
    if declared > *budget {
        return Err(PixelError::TooLarge { declared, limit: *budget });
    }
    *budget -= declared;
    let mut decoded = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut decoded).map_err(failed)?;
    let shape = [height, width];
    let samples = if bits == 1 { single_bits(&decoded, shape) } else { reals(decoded) };
    let n_samples = shape.map(|extent| extent as usize).iter().product::<usize>() * channels;
    if samples.len() != n_samples {
        let (declared, limit) = (n_samples as u64, samples.len() as u64);
        return Err(PixelError::TooLarge { declared, limit });
    }
    let samples = if layout.planes > 1 { interleaved(&samples, channels) } else { samples };
    Ok(Page { shape, channels, samples })
}

fn channels(color: ColorType) -> Result<usize, PixelError> {
    match color {
        ColorType::Gray(_) | ColorType::Palette(_) => Ok(1),
        ColorType::RGB(_) => Ok(3),
        ColorType::RGBA(_) => Ok(4),
        ColorType::Multiband { num_samples: found @ (3 | 4), .. } => Ok(usize::from(found)),
        other => Err(PixelError::Channels { found: usize::from(other.num_samples()) }),
    }
}

/// Rows of bits begin at whole bytes.
fn single_bits(decoded: &DecodingResult, [height, width]: [u32; 2]) -> Vec<f32> {
    let DecodingResult::U8(packed) = decoded else { return Vec::new() };
    let width = width as usize;
    let rows = packed.chunks_exact(Depth::One.row_bytes(width)).take(height as usize);
    rows.flat_map(|row| (0..width).map(|x| f32::from(Depth::One.sample(row, x)))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the image is kept in f32")]
fn reals(decoded: DecodingResult) -> Vec<f32> {
    match decoded {
        DecodingResult::U8(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::U16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::U32(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::U64(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::I8(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::I16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::I32(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::I64(values) => values.into_iter().map(|value| value as f32).collect(),
        DecodingResult::F16(values) => values.into_iter().map(f32::from).collect(),
        DecodingResult::F32(values) => values,
        DecodingResult::F64(values) => values.into_iter().map(|value| value as f32).collect(),
    }
}

/// From one plane after the other to `[y, x, channel]`.
fn interleaved(planes: &[f32], channels: usize) -> Vec<f32> {
    let n_pixels = planes.len() / channels;
    (0..n_pixels).flat_map(|pixel| (0..channels).map(move |channel| planes[channel * n_pixels + pixel])).collect()
}

/// Whether the description is tifffile's mark of an array with three axes.
fn is_marked_as_stack(decoder: &mut Source<'_>) -> bool {
    #[derive(serde::Deserialize)]
    struct Mark {
        shape: Vec<u64>,
    }
    let description = decoder.get_tag_ascii_string(Tag::ImageDescription).unwrap_or_default();
    serde_json::from_str::<Mark>(&description).is_ok_and(|mark| matches!(mark.shape[..], [1, _, _]))
}

/// Writes a page for every slice, deflated. The same voxels give the same bytes.
pub(super) fn write<C>(file: impl Write + Seek, volume: &Volume<C::Inner>) -> io::Result<()>
where
    C: Written,
    C::Inner: Copy,
    [C::Inner]: TiffValue,
{
    let written = if volume.voxels.len() * size_of::<C::Inner>() > BIG {
        TiffEncoder::new_big(file).and_then(|encoder| write_pages::<C, _, _>(encoder, volume))
    } else {
        TiffEncoder::new(file).and_then(|encoder| write_pages::<C, _, _>(encoder, volume))
    };
    written.map_err(|error| match error {
        TiffError::IoError(source) => source,
        other => io::Error::other(other),
    })
}

fn write_pages<C, W, K>(encoder: TiffEncoder<W, K>, volume: &Volume<C::Inner>) -> Result<(), TiffError>
where
    C: Written,
    C::Inner: Copy,
    [C::Inner]: TiffValue,
    W: Write + Seek,
    K: TiffKind,
{
    let mut encoder = encoder.with_compression(Compression::Deflate(DeflateLevel::Balanced));
    let (z, y, x) = volume.voxels.dim();
    let extent = |value: usize| u32::try_from(value).map_err(|_| TiffError::LimitsExceeded);
    let (width, height) = (extent(x)?, extent(y)?);
    for slice in volume.voxels.outer_iter() {
        let samples: Vec<C::Inner> = slice.iter().copied().collect();
        let mut page = encoder.new_image::<C>(width, height)?;
        if z == 1 && volume.geometry.dimensionality() == Dimensionality::Three {
            let mark = format!(r#"{{"shape": [1, {y}, {x}]}}"#);
            page.encoder().write_tag(Tag::ImageDescription, mark.as_str())?;
        }
        page.write_data(&samples)?;
    }
    Ok(())
}
