//! No bytes make the reader of others' probabilities panic, or take more memory than the limits allow.

#![no_main]

use std::path::Path;

use imaging::npz::{Limits, decode_foreign};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_outputs: 8, max_values: 1 << 16 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(probabilities) = decode_foreign(Path::new("fuzz.npz"), bytes, LIMITS) {
        assert!(probabilities.dim().0 <= LIMITS.max_outputs && probabilities.len() <= LIMITS.max_values);
        assert!(probabilities.as_slice().is_some_and(|values| !values.is_empty()));
    }
});
