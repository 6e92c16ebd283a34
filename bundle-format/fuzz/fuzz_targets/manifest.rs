//! No bytes make the reader of manifests panic, and what it reads it writes again byte for byte.

#![no_main]

use bundle_format::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_json(), bytes);
    }
});
