//! No bytes make the pre-flight of models panic, and how they are buffered changes nothing.

#![no_main]

use std::io::{BufReader, Cursor};
use std::sync::LazyLock;

use bundle_format::{OPERATORS, OnnxProfile, Token, check_onnx};
use libfuzzer_sys::fuzz_target;

static PROFILE: LazyLock<OnnxProfile> = LazyLock::new(|| {
    let operators = OPERATORS.map(|operator| Token::new(operator).expect("an operator is a token"));
    OnnxProfile { ir_version: 8, operators: operators.to_vec(), opset: 17 }
});

fuzz_target!(|bytes: &[u8]| {
    let n_bytes = bytes.len() as u64;
    let whole = check_onnx(Cursor::new(bytes), n_bytes, &PROFILE);
    let in_pieces = check_onnx(BufReader::with_capacity(7, Cursor::new(bytes)), n_bytes, &PROFILE);
    match (whole, in_pieces) {
        (Ok(whole), Ok(in_pieces)) => {
            assert_eq!(whole, in_pieces);
            assert!(whole.n_nodes <= n_bytes);
        }
        (Err(whole), Err(in_pieces)) => assert_eq!(whole.to_string(), in_pieces.to_string()),
        _ => panic!("two readings of the same bytes"),
    }
});
