//! No bytes make the NIfTI reader panic or take more memory than the file's length allows: header, then voxels.

#![no_main]

use std::path::Path;

use imaging::nifti;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = nifti::decode_image(Path::new("fuzz.nii"), bytes) {
        assert!(image.voxels.iter().all(|value| value.is_finite()));
        assert!(image.geometry.affine().as_flattened().iter().all(|entry| entry.is_finite()));
    }
});
