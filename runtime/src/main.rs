//! Predicts with a verified bundle on ONNX Runtime and says how far to trust the result.

fn main() {}
