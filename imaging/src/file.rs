//! One door for image files of every format, told apart by the ending of their names.
//!
//! A data set names one ending for all its files in `dataset.json`; callers hand paths to this door and need not know
//! which formats there are. What a format means for voxels and grid is said by [`nifti`] and [`raster`].

use std::path::{Path, PathBuf};

use crate::nifti::{self, NiftiError};
use crate::raster::{self, RasterError};
use crate::{Geometry, Image, Volume};

/// A format of image files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `.nii`, `.nii.gz`, or a pair of `.hdr` and `.img`, compressed or not; pairs are read, not written.
    Nifti,
    /// `.png`, a picture.
    Png,
    /// `.bmp`, a picture.
    Bmp,
    /// `.tif`, a picture if it has one page and a stack otherwise.
    Tif,
    /// `.tiff`, a stack.
    Tiff,
}

/// Endings of names, in small letters.
const ENDINGS: [(&str, Format); 10] = [
    (".nii.gz", Format::Nifti),
    (".nii", Format::Nifti),
    (".hdr", Format::Nifti),
    (".hdr.gz", Format::Nifti),
    (".img", Format::Nifti),
    (".img.gz", Format::Nifti),
    (".png", Format::Png),
    (".bmp", Format::Bmp),
    (".tif", Format::Tif),
    (".tiff", Format::Tiff),
];

impl Format {
    /// The format that `file_ending` of a `dataset.json` names, such as `.nii.gz`, in small or capital letters.
    pub fn of(ending: &str) -> Option<Self> {
        let ending = ending.to_lowercase();
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|&(_, format)| format)
    }

    /// The format that a file's name says.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|&(_, format)| format)
    }

    /// Whether one file may hold several channels, so that their number is known only when it was read.
    pub fn channels_per_file(self) -> ChannelsPerFile {
        match self {
            Self::Nifti | Self::Tiff => ChannelsPerFile::One,
            Self::Png | Self::Bmp | Self::Tif => ChannelsPerFile::OneOrColor,
        }
    }

    /// The ending of files for maps of real numbers that lie beside segmentations which end in `ending`.
    pub fn map_ending(self, ending: &str) -> &str {
        match self {
            Self::Png | Self::Bmp => ".nii.gz",
            Self::Nifti | Self::Tif | Self::Tiff => ending,
        }
    }
}

/// How many channels one file of a case holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelsPerFile {
    /// Always one.
    One,
    /// One, or three or four of color; nnU-Net counts the channels of all files of a case together.
    OneOrColor,
}

/// Reads the files of one case, in the order given.
///
/// # Errors
///
/// [`FileError::Format`] if a name says no format, [`FileError::Mixed`] if two say different ones, else what the
/// format's own reader says.
pub fn read_image(files: &[impl AsRef<Path>]) -> Result<Image, FileError> {
    let Some(first) = files.first() else { return Err(FileError::NoChannels) };
    let first = first.as_ref();
    let format = format(first)?;
    for file in files {
        if self::format(file.as_ref())? != format {
            return Err(FileError::Mixed { first: first.to_owned(), second: file.as_ref().to_owned() });
        }
    }
    match format {
        Format::Nifti => Ok(nifti::read_image(files)?),
        _ => Ok(raster::read_image(files)?),
    }
}

/// Reads a label map.
///
/// # Errors
///
/// As [`read_image`], and where a value is no label.
pub fn read_labels(path: &Path) -> Result<Volume<u8>, FileError> {
    match format(path)? {
        Format::Nifti => Ok(nifti::read_labels(path)?),
        _ => Ok(raster::read_labels(path)?),
    }
}

/// Reads where the voxels of a file lie.
///
/// # Errors
///
/// As [`read_image`].
pub fn read_geometry(path: &Path) -> Result<Geometry, FileError> {
    match format(path)? {
        Format::Nifti => Ok(nifti::read_geometry(path)?),
        _ => Ok(raster::read_geometry(path)?),
    }
}

/// Hands every stored value, scaled, to `visit` with its index in C order of `[channel, z, y, x]`, finite or not;
/// returns the grid and the number of channels.
///
/// # Errors
///
/// As [`read_image`], but values that are not finite are handed over like any other where the format has them.
pub fn scan(path: &Path, visit: &mut dyn FnMut(usize, f64)) -> Result<(Geometry, usize), FileError> {
    if format(path)? == Format::Nifti {
        return Ok((nifti::scan(path, visit)?, 1));
    }
    let image = raster::read_image(&[path])?;
    for (index, &value) in image.voxels.iter().enumerate() {
        visit(index, f64::from(value));
    }
    Ok((image.geometry.clone(), image.n_channels()))
}

/// Writes a label map, whole or not at all.
///
/// # Errors
///
/// [`FileError::Format`] if the name says no format, else what the format's own writer says.
pub fn write_labels(path: &Path, labels: &Volume<u8>) -> Result<(), FileError> {
    match format(path)? {
        Format::Nifti => Ok(nifti::write_labels(path, labels)?),
        _ => Ok(raster::write_labels(path, labels)?),
    }
}

/// Writes a map of real numbers, whole or not at all; [`Format::map_ending`] says under which name.
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_map(path: &Path, map: &Volume<f32>) -> Result<(), FileError> {
    match format(path)? {
        Format::Nifti => Ok(nifti::write_map(path, map)?),
        _ => Ok(raster::write_map(path, map)?),
    }
}

fn format(path: &Path) -> Result<Format, FileError> {
    Format::of_path(path).ok_or_else(|| FileError::Format { path: path.to_owned() })
}

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The ending says no format that is known.
    #[error(
        "`{}` must end in `.nii`, `.nii.gz`, `.hdr`, `.img`, `.png`, `.bmp`, `.tif` or `.tiff`",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The files of a case have different formats.
    #[error("`{}` and `{}` have different formats", first.display(), second.display())]
    Mixed {
        /// The first file of the case.
        first: PathBuf,
        /// The file that differs.
        second: PathBuf,
    },
    /// A NIfTI file.
    #[error(transparent)]
    Nifti {
        /// Which, and why.
        #[from]
        source: NiftiError,
    },
    /// An image without a file.
    #[error("an image needs at least one channel")]
    NoChannels,
    /// A PNG, BMP or TIFF file.
    #[error(transparent)]
    Raster {
        /// Which, and why.
        #[from]
        source: RasterError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_the_format() {
        assert_eq!(Format::of(".nii.gz"), Some(Format::Nifti));
        assert_eq!(Format::of(".TIF"), Some(Format::Tif));
        assert_eq!(Format::of(".jpg"), None);
        assert_eq!(Format::of_path(Path::new("a/case.1_0000.nii.gz")), Some(Format::Nifti));
        assert_eq!(Format::of_path(Path::new("a/x.tiff")), Some(Format::Tiff));
        assert_eq!(Format::of_path(Path::new("a/x.nii.tar.gz")), None);
    }

    #[test]
    fn maps_of_pictures_become_nifti_and_only_pictures_hold_color() {
        assert_eq!(Format::Png.map_ending(".png"), ".nii.gz");
        assert_eq!(Format::Tif.map_ending(".tif"), ".tif");
        assert_eq!(Format::Nifti.map_ending(".nii"), ".nii");
        assert_eq!(Format::Tif.channels_per_file(), ChannelsPerFile::OneOrColor);
        assert_eq!(Format::Tiff.channels_per_file(), ChannelsPerFile::One);
    }

    #[test]
    fn a_case_has_one_format() {
        assert!(matches!(read_image(&["a_0000.png", "a_0001.nii"]), Err(FileError::Mixed { .. })));
        assert!(matches!(read_image(&["a.jpg"]), Err(FileError::Format { .. })));
        let none: [&str; 0] = [];
        assert!(matches!(read_image(&none), Err(FileError::NoChannels)));
    }
}
