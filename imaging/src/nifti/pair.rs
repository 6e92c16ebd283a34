//! Names of the two files of a header–image pair.
//!
//! Either file of a pair may be given: `case.img` stands for the header `case.hdr` beside it. Both may be compressed,
//! independently of each other, and then end in `.gz`, as nibabel and ITK write them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const HEADER: &str = ".hdr";
const IMAGE: &str = ".img";
const COMPRESSED: &str = ".gz";

/// The file that holds the header of what `path` names: `path` itself, unless it is the image of a pair.
pub(super) fn header_of(path: &Path) -> PathBuf {
    let Some(stem) = stem(path, IMAGE) else { return path.to_owned() };
    existing(path, &stem, HEADER).unwrap_or_else(|| with_name(path, &stem, HEADER))
}

/// The existing file that holds the voxels of `header`, or the name it should have.
pub(super) fn voxels_of(header: &Path) -> Result<PathBuf, PathBuf> {
    let stem = [HEADER, ".nii"].iter().find_map(|ending| stem(header, ending));
    let stem = stem.or_else(|| header.file_stem().map(OsStr::to_owned)).unwrap_or_default();
    existing(header, &stem, IMAGE).ok_or_else(|| with_name(header, &stem, IMAGE))
}

/// The file name without `ending`, compressed or not; `None` if it has another one.
fn stem(path: &Path, ending: &str) -> Option<OsString> {
    // Names of pairs that are no UTF-8 would need bytes of the platform; they are taken as they are.
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(COMPRESSED).unwrap_or(name);
    plain.strip_suffix(ending).map(OsString::from)
}

fn existing(beside: &Path, stem: &OsStr, ending: &str) -> Option<PathBuf> {
    let plain = with_name(beside, stem, ending);
    let mut compressed = plain.clone().into_os_string();
    compressed.push(COMPRESSED);
    [plain, compressed.into()].into_iter().find(|path| path.is_file())
}

fn with_name(beside: &Path, stem: &OsStr, ending: &str) -> PathBuf {
    let mut name = stem.to_owned();
    name.push(ending);
    beside.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], given: &str, header: &str, voxels: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs_err::write(folder.path().join(file), "").unwrap();
        }
        let found = header_of(&folder.path().join(given));
        assert_eq!(found, folder.path().join(header));
        let expected = voxels.map(|name| folder.path().join(name)).map_err(|name| folder.path().join(name));
        assert_eq!(voxels_of(&found), expected);
    }

    #[test]
    fn either_file_of_a_pair_stands_for_both() {
        for given in ["a.b.hdr", "a.b.img"] {
            check(&["a.b.hdr", "a.b.img"], given, "a.b.hdr", Ok("a.b.img"));
        }
        check(&["a.hdr.gz", "a.img.gz"], "a.img.gz", "a.hdr.gz", Ok("a.img.gz"));
        check(&["a.hdr", "a.img.gz"], "a.img.gz", "a.hdr", Ok("a.img.gz"));
    }

    #[test]
    fn a_missing_half_is_named() {
        check(&["a.hdr"], "a.hdr", "a.hdr", Err("a.img"));
        check(&["a.nii"], "a.nii", "a.nii", Err("a.img"));
        check(&["a.img"], "a.img", "a.hdr", Ok("a.img"));
    }
}
