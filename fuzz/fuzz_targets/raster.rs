//! No bytes make the readers of PNG, BMP and TIFF files panic or take more memory than the file's length allows.

#![no_main]

use std::path::Path;

use imaging::raster;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for name in ["fuzz.png", "fuzz.bmp", "fuzz.tif", "fuzz.tiff"] {
        if let Ok(image) = raster::decode_image(Path::new(name), bytes) {
            assert!(image.voxels.iter().all(|value| value.is_finite()));
        }
    }
});
