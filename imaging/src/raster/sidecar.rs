//! The file beside a stack that holds its spacing: `{"spacing": [z, y, x]}`.
//!
//! Follows nnU-Net v2.8.1 `Tiff3DIO`: the file of an image is named after the case, without the number of the channel.
//! Other fields are left alone, so that the file may hold more.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RasterError, SidecarError};
use crate::{Spacing, atomic_file};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Deserialize, Serialize)]
struct Sidecar {
    /// In millimeters, in array order z, y, x.
    spacing: [f64; 3],
}

/// Where the spacing of an image lies whose file for one channel is `path`.
pub(super) fn of_image(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_channel = |digits: &str| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let case = stem.rsplit_once('_').filter(|(_, digits)| is_channel(digits)).map_or(&*stem, |(case, _)| case);
    path.with_file_name(format!("{case}.json"))
}

/// Where the spacing of the labels `path` lies.
pub(super) fn of_labels(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// Where the spacing of `path` lies, be it labels or a channel: the name of a case may end as a channel does.
pub(super) fn of_file(path: &Path) -> PathBuf {
    let labels = of_labels(path);
    if labels.is_file() { labels } else { of_image(path) }
}

/// The spacing; `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Spacing>, RasterError> {
    if !path.is_file() {
        return Ok(None);
    }
    parse(path).map(Some).map_err(|source| RasterError::Sidecar { path: path.to_owned(), source })
}

fn parse(path: &Path) -> Result<Spacing, SidecarError> {
    let unreadable = |source| SidecarError::Read { source };
    let found = fs_err::metadata(path).map_err(unreadable)?.len();
    if found > MAX_BYTES {
        return Err(SidecarError::Size { found, limit: MAX_BYTES });
    }
    let bytes = fs_err::read(path).map_err(unreadable)?;
    let sidecar: Sidecar = serde_json::from_slice(&bytes).map_err(|source| SidecarError::Json { source })?;
    Spacing::new(sidecar.spacing).map_err(|source| SidecarError::Spacing { source })
}

pub(super) fn write(path: &Path, spacing: Spacing) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(&Sidecar { spacing: spacing.zyx() })?;
    atomic_file::write(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_case() {
        assert_eq!(of_image(Path::new("a/heart_1_0001.tif")), Path::new("a/heart_1.json"));
        assert_eq!(of_image(Path::new("a/heart_1.tif")), Path::new("a/heart_1.json"));
        assert_eq!(of_labels(Path::new("a/heart_1.tiff")), Path::new("a/heart_1.json"));
    }
}
