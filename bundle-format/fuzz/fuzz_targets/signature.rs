//! No bytes make the reader of signature files panic; one that is read names the key that its entry is named after.

#![no_main]

use bundle_format::{EntryPath, claimed_signer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The name of the vector's signature file, whose key the seeds name.
    let path = EntryPath::new("signatures/5a7a78cca4a0f420.sig").expect("the name keeps the grammar");
    if let Ok(key_id) = claimed_signer(&path, bytes) {
        assert_eq!(key_id.signature_path(), path);
    }
});
