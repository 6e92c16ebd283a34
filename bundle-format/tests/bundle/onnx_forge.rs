//! Small ONNX models put together by hand, field by field, so that every attack is one field more, less or other.

use std::io::Cursor;

use bundle_format::{OnnxFacts, OnnxProfile, check_onnx};

use crate::support::tokens;

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7F {
        bytes.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field that holds a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that holds bytes: a text, or a message of its own.
pub(crate) fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field of four or eight fixed bytes, as `wire_type` 5 or 1 says.
pub(crate) fn fixed(field: u64, wire_type: u64) -> Vec<u8> {
    [varint(field << 3 | wire_type), vec![0; if wire_type == 5 { 4 } else { 8 }]].concat()
}

pub(crate) fn opset(domain: &str, version: u64) -> Vec<u8> {
    bytes(8, [bytes(1, domain), number(2, version)].concat())
}

pub(crate) fn node(operator: &str, more: &[u8]) -> Vec<u8> {
    bytes(1, [bytes(1, "x"), bytes(2, "y"), bytes(3, "n0"), bytes(4, operator), more.to_vec()].concat())
}

/// The initializer `w`: FLOAT, two extents, raw values.
pub(crate) fn weights(extents: [u64; 2], n_bytes: usize, more: &[u8]) -> Vec<u8> {
    let own = [number(1, extents[0]), number(1, extents[1]), number(2, 1), bytes(8, "w"), bytes(9, vec![0; n_bytes])];
    bytes(5, [own.concat(), more.to_vec()].concat())
}

/// An input with a free and a fixed extent.
pub(crate) fn input(element: u64, extent: u64) -> Vec<u8> {
    let free = bytes(1, bytes(2, "batch"));
    let fixed = bytes(1, number(1, extent));
    let tensor = [number(1, element), bytes(2, [free, fixed].concat())].concat();
    bytes(11, [bytes(1, "x"), bytes(2, bytes(1, tensor))].concat())
}

pub(crate) fn graph(parts: &[Vec<u8>]) -> Vec<u8> {
    bytes(7, [bytes(2, "net"), parts.concat()].concat())
}

/// A model of these parts of a graph.
pub(crate) fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 8), graph(parts), opset("", 17)].concat()
}

pub(crate) fn good() -> Vec<u8> {
    model(&[node("Conv", &[]), weights([2, 3], 24, &[]), input(1, 4)])
}

pub(crate) fn profile() -> OnnxProfile {
    OnnxProfile { ir_version: 8, operators: tokens(&["Add", "Conv"]), opset: 17 }
}

/// What the pre-flight says of a model that it lets pass.
#[track_caller]
pub(crate) fn accepted(model: &[u8]) -> OnnxFacts {
    check_onnx(Cursor::new(model), model.len() as u64, &profile()).unwrap()
}

/// Asserts code, exit status and words of the refusal.
#[track_caller]
pub(crate) fn check(model: &[u8], expected: &str, words: &str) {
    let error = check_onnx(Cursor::new(model), model.len() as u64, &profile()).unwrap_err();
    let exit = if expected == "E603" { 14 } else { 10 };
    assert_eq!((error.rule().code(), error.rule().exit_code()), (expected, exit), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// [`check`] of a model with this one node.
#[track_caller]
pub(crate) fn check_node(operator: &str, more: &[u8], expected: &str, words: &str) {
    check(&model(&[node(operator, more)]), expected, words);
}

/// [`check`] of a model with this one initializer.
#[track_caller]
pub(crate) fn check_tensor(tensor: Vec<u8>, expected: &str, words: &str) {
    check(&model(&[tensor]), expected, words);
}
