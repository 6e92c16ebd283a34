//! The corpus of the fuzz targets, replayed: every file is an image or an error, from memory as from the disk.
//!
//! Inputs that once made a reader fail lie in `fuzz/corpus`; so do the seeds that fuzzing starts from.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use imaging::npz::{self, Limits};
use imaging::{nifti, raster};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut files: Vec<_> = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_nifti_corpus_is_read_or_refused() {
    let files = files("fuzz/corpus/nifti");
    let mut n_read = 0;
    for path in &files {
        let decoded = nifti::decode_image(path, &fs_err::read(path).unwrap()).map_err(|error| format!("{error:?}"));
        let read = nifti::read_image(&[path]).map_err(|error| format!("{error:?}"));
        assert_eq!(decoded, read, "{}", path.display());
        if let Ok(image) = read {
            assert!(image.voxels.iter().all(|value| value.is_finite()));
            assert_eq!(nifti::read_geometry(path).unwrap(), image.geometry);
            n_read += 1;
        }
    }
    assert!(n_read >= 26 && files.len() >= n_read + 4, "{n_read} of {} files are read", files.len());
}

#[test]
fn the_raster_corpus_is_read_or_refused() {
    let (golden, found) = (files("imaging/tests/golden/raster/files"), files("fuzz/corpus/raster"));
    let mut n_read = 0;
    for path in golden.iter().chain(&found) {
        let bytes = fs_err::read(path).unwrap();
        // As the fuzz target, which does not know what a file wants to be.
        for name in ["fuzz.png", "fuzz.bmp", "fuzz.tif", "fuzz.tiff"] {
            if let Ok(image) = raster::decode_image(Path::new(name), &bytes) {
                assert!(image.voxels.iter().all(|value| value.is_finite()));
                n_read += 1;
            }
        }
    }
    assert!(n_read >= golden.len() - 1, "{n_read} images of {} files", golden.len());
    assert!(found.len() >= 7, "the corpus has {} files", found.len());
}

#[test]
fn the_corpus_of_probabilities_is_read_or_refused() {
    let files = files("fuzz/corpus/npz");
    let mut n_read = 0;
    for path in &files {
        let bytes = fs_err::read(path).unwrap();
        let decoded = npz::decode_foreign(path, &bytes, Limits::default()).map_err(|error| format!("{error:?}"));
        let read = npz::read_foreign(path, Limits::default()).map_err(|error| format!("{error:?}"));
        assert_eq!(decoded, read, "{}", path.display());
        if let Ok(probabilities) = read {
            assert_eq!((probabilities.dim(), probabilities[[0, 0, 0, 0]]), ((2, 1, 2, 3), 0.25), "{}", path.display());
            n_read += 1;
        }
    }
    assert!(n_read == 13 && files.len() >= n_read + 5, "{n_read} of {} files are read", files.len());
}
