//! What can be wrong with a PNG, BMP or TIFF file.

use std::io;
use std::path::PathBuf;

use crate::SpacingError;
use crate::nifti::VoxelError;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RasterError {
    /// The name says none of the formats.
    #[error("`{}` must end in `.png`, `.bmp`, `.tif` or `.tiff`", path.display())]
    Format {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// Two files of a case differ.
    #[error(
        "`{}` has shape [channel, z, y, x] {actual:?}, `{}` has {expected:?}",
        second.display(), first.display()
    )]
    Grid {
        /// The first file of the case.
        first: PathBuf,
        /// The file that differs.
        second: PathBuf,
        /// Shape of the first.
        expected: [usize; 4],
        /// Shape of the second.
        actual: [usize; 4],
    },
    /// An image without a file.
    #[error("an image needs at least one channel")]
    NoChannels,
    /// A stack cannot hold a volume without z axis.
    #[error("cannot write `{}`: `.tiff` files are stacks, and the volume has no z axis", path.display())]
    NotAStack {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// A picture cannot hold a volume with z axis.
    #[error("cannot write `{}`: a volume of shape {shape:?} with a z axis is no picture", path.display())]
    NotFlat {
        /// The file that was asked for.
        path: PathBuf,
        /// Shape of the volume.
        shape: [usize; 3],
    },
    /// A format of whole numbers cannot hold real ones.
    #[error("cannot write `{}`: PNG and BMP hold no real numbers", path.display())]
    NotReal {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The content cannot be decoded.
    #[error("`{}` cannot be decoded", path.display())]
    Pixels {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PixelError,
    },
    /// The disk refused.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Voxels and geometry of a volume to write disagree.
    #[error("cannot write `{}`: the voxels have shape {voxels:?}, the geometry {geometry:?}", path.display())]
    Shape {
        /// The file that was asked for.
        path: PathBuf,
        /// Shape of the array.
        voxels: [usize; 3],
        /// Shape of the geometry.
        geometry: [usize; 3],
    },
    /// The file of a stack's spacing cannot be used.
    #[error("the spacing in `{}` cannot be used", path.display())]
    Sidecar {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SidecarError,
    },
    /// The values cannot be used.
    #[error("the voxels of `{}` cannot be used", path.display())]
    Voxels {
        /// The file.
        path: PathBuf,
        /// Which value, and where.
        source: VoxelError,
    },
    /// The disk refused.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file that was asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Why the content of a file is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PixelError {
    /// Not a BMP file of a kind that is read.
    #[error("the BMP file cannot be used")]
    Bmp {
        /// Why.
        source: BmpError,
    },
    /// A number of channels that is neither gray nor color.
    #[error("the image has {found} channels, expected 1 (gray), 3 (RGB) or 4 (RGBA)")]
    Channels {
        /// What was found.
        found: usize,
    },
    /// Samples of a width that is not read.
    #[error("the samples have {bits} bits")]
    Depth {
        /// Bits of a sample.
        bits: u8,
    },
    /// The directories of a TIFF file lie on top of each other.
    #[error("the directories of the TIFF file have {entries} entries, its length allows {limit}")]
    Directories {
        /// Entries counted so far.
        entries: u64,
        /// What a file of its length can hold at most.
        limit: u64,
    },
    /// A field that must be one number of 16 or 32 bits is none.
    #[error("tag {tag} of the TIFF file is not one number of 16 or 32 bits")]
    Directory {
        /// Number of the tag.
        tag: u16,
    },
    /// A file of a stack holds color.
    #[error("page {page} holds color, the pages of a stack must be gray")]
    ColorStack {
        /// The page, from 0.
        page: usize,
    },
    /// A frame that does not cover its image.
    #[error("the first frame is {found:?} pixels high and wide, the image {expected:?}")]
    Frame {
        /// Height and width of the image.
        expected: [u32; 2],
        /// Height and width of the frame.
        found: [u32; 2],
    },
    /// A pixel refers to a color that the palette does not have.
    #[error("a pixel has color {index} of a palette of {colors}")]
    PaletteIndex {
        /// The value of the pixel.
        index: u16,
        /// Colors of the palette.
        colors: usize,
    },
    /// Pages of a stack differ.
    #[error("page {page} is {found:?} pixels high and wide, the first page {expected:?}")]
    PageShape {
        /// The page, from 0.
        page: usize,
        /// Height and width of the first page.
        expected: [u32; 2],
        /// Height and width of the page.
        found: [u32; 2],
    },
    /// The crate `png` could not decode the file.
    #[error("the PNG file cannot be decoded")]
    Png {
        /// What the crate says.
        source: png::DecodingError,
    },
    /// The crate `tiff` could not decode the file.
    #[error("the TIFF file cannot be decoded")]
    Tiff {
        /// What the crate says.
        source: tiff::TiffError,
    },
    /// More is declared than the file can hold, or than is ever read.
    #[error("{declared} bytes of pixels are declared, at most {limit} are possible")]
    TooLarge {
        /// What the file declares.
        declared: u64,
        /// What a file of its length can hold at most.
        limit: u64,
    },
    /// Zero means white, which no reader treats alike.
    #[error("zero means white in this TIFF file, expected that it means black")]
    WhiteIsZero,
}

/// What can be wrong with a BMP file.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BmpError {
    /// Bits per pixel.
    #[error("a pixel has {bits} bits, expected 1, 4, 8, 24 or 32")]
    Bits {
        /// What was found.
        bits: u16,
    },
    /// Compressed, or with masks that are not those of red, green, blue.
    #[error("the compression is {code}, only plain pixels are read")]
    Compression {
        /// The code found.
        code: u32,
    },
    /// Width or height.
    #[error(
        "the image is {width} pixels wide and {height} high, both must be positive and the product at most {limit}"
    )]
    Extent {
        /// Width.
        width: i64,
        /// Height.
        height: i64,
        /// Most pixels that are read.
        limit: u64,
    },
    /// The header has a size of no known version.
    #[error("the header has {size} bytes, expected 12, 40, 52, 56, 64, 108 or 124")]
    Header {
        /// What was found.
        size: u32,
    },
    /// The masks of the colors are not those of 8 bits each.
    #[error("the masks of the colors are not one byte each")]
    Masks,
    /// The file does not begin as a BMP.
    #[error("the file does not begin with `BM`")]
    NotBmp,
    /// A pixel refers to a color that the palette does not have.
    #[error("a pixel has color {index} of a palette of {colors}")]
    PaletteIndex {
        /// The value of the pixel.
        index: u16,
        /// Colors of the palette.
        colors: usize,
    },
    /// The file ends too early.
    #[error("the file has {found} bytes, its fields need {expected}")]
    Truncated {
        /// Bytes of the file.
        found: u64,
        /// Bytes needed.
        expected: u64,
    },
}

/// What can be wrong with the file of a spacing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// It is not what it should be.
    #[error("the file is no JSON object with `spacing`, three numbers in the order z, y, x")]
    Json {
        /// Where the text goes wrong.
        source: serde_json::Error,
    },
    /// The disk refused.
    #[error("the file cannot be read")]
    Read {
        /// The cause.
        source: io::Error,
    },
    /// It is far larger than three numbers.
    #[error("the file has {found} bytes, at most {limit} are read")]
    Size {
        /// Bytes found.
        found: u64,
        /// Most bytes that are read.
        limit: u64,
    },
    /// A number is no length.
    #[error("`spacing` is no voxel size")]
    Spacing {
        /// Which.
        source: SpacingError,
    },
}
