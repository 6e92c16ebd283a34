//! Zip files made by hand: every type of values, and attacks.

use std::error::Error;
use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::pth::pickle;

/// Local and central headers of a zip entry begin with these.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

fn zip_file(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A checkpoint with storage `0`.
fn checkpoint(storage: &[u8]) -> Vec<u8> {
    zip_file(&[("a/data.pkl", b"N."), ("a/byteorder", b"little"), ("a/data/0", storage)])
}

fn open(bytes: &[u8]) -> Result<Container, ContainerError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), bytes).unwrap();
    Container::open(file.path())
}

fn view(kind: StorageKind, n_values: usize, offset: usize, shape: &[usize], strides: &[usize]) -> TensorView {
    let storage = Storage { kind, key: "0".into(), n_values };
    TensorView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
}

fn check_values(kind: StorageKind, storage: &[u8], expected: &[f32]) {
    let mut container = open(&checkpoint(storage)).unwrap();
    let n = expected.len();
    assert_eq!(container.values("w", &view(kind, n, 0, &[n], &[1])).unwrap(), expected, "{kind:?}");
}

#[test]
fn every_type_of_weights_becomes_single_precision() {
    let bytes = |values: &[&[u8]]| values.concat();
    check_values(StorageKind::F32, &bytes(&[&1.5_f32.to_le_bytes(), &(-2.0_f32).to_le_bytes()]), &[1.5, -2.0]);
    check_values(StorageKind::F64, &bytes(&[&1.5_f64.to_le_bytes(), &0.1_f64.to_le_bytes()]), &[1.5, 0.1]);
    check_values(StorageKind::I64, &bytes(&[&7_i64.to_le_bytes(), &(-3_i64).to_le_bytes()]), &[7.0, -3.0]);
    check_values(StorageKind::F16, &[0, 0x3c, 0, 0xc0], &[1.0, -2.0]);
    check_values(StorageKind::Bf16, &[0xc0, 0x3f, 0, 0xc0], &[1.5, -2.0]);
}

#[test]
fn a_view_is_read_in_c_order_from_its_offset() {
    let storage: Vec<u8> = (0..7).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let mut container = open(&checkpoint(&storage)).unwrap();
    let mut values = |shape: &[usize], strides: &[usize]| {
        container.values("w", &view(StorageKind::F32, 7, 1, shape, strides)).unwrap()
    };
    assert_eq!(values(&[2, 3], &[3, 1]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(values(&[3, 2], &[1, 3]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0], "transposed");
    assert_eq!(values(&[2, 1, 2], &[3, 99, 1]), [1.0, 2.0, 4.0, 5.0], "an axis of one value has any stride");
    assert_eq!(values(&[], &[]), [1.0]);
}

fn check_view_refused(view: &TensorView, message: &str) {
    let mut container = open(&checkpoint(&[0; 28])).unwrap();
    let error = container.values("w", view).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn a_view_that_leaves_its_storage_or_overlaps_itself_is_refused() {
    let f32_view = |offset, shape: &[usize], strides: &[usize]| view(StorageKind::F32, 7, offset, shape, strides);
    check_view_refused(&f32_view(2, &[2, 3], &[3, 1]), "`w` does not lie within its storage of 7 values");
    check_view_refused(&f32_view(usize::MAX, &[2], &[1]), "does not lie within");
    check_view_refused(&f32_view(0, &[usize::MAX, 3], &[1, 0]), "does not lie within");
    check_view_refused(&f32_view(0, &[2, 2], &[usize::MAX, 1]), "does not lie within");
    check_view_refused(&f32_view(0, &[0, 2], &[1, 1]), "does not lie within");
    check_view_refused(&f32_view(0, &[2], &[1, 1]), "does not lie within");
    check_view_refused(&f32_view(0, &[1 << 40], &[0]), "`w` with strides [0] overlaps itself");
    check_view_refused(&f32_view(0, &[2, 3], &[1, 1]), "overlaps itself");
    check_view_refused(&f32_view(0, &[2, 3], &[2, 1]), "overlaps itself");
}

#[test]
fn a_storage_of_another_size_or_type_is_refused() {
    let storage = |kind, n| view(kind, n, 0, &[1], &[1]);
    check_view_refused(&storage(StorageKind::F32, 8), "storage `0` has 28 bytes, the pickle says 32");
    check_view_refused(&storage(StorageKind::F16, 7), "the pickle says 14");
    check_view_refused(&storage(StorageKind::F32, usize::MAX), "storage `0` has 28 bytes");
    check_view_refused(&storage(StorageKind::Other("IntStorage"), 7), "`w` is stored as `IntStorage`");
    let absent = Storage { kind: StorageKind::F32, key: "1".into(), n_values: 1 };
    check_view_refused(&TensorView { storage: absent, ..storage(StorageKind::F32, 1) }, "zip file cannot be used");
}

fn check_refused(bytes: &[u8], message: &str) {
    let read = |mut container: Container| {
        container.pickle()?;
        container.values("w", &view(StorageKind::F32, 7, 0, &[7], &[1]))
    };
    let error = open(bytes).and_then(read).unwrap_err();
    let chain = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
    assert!(chain.contains(message), "{chain}");
}

/// Writes into every header of this kind.
fn patched(mut bytes: Vec<u8>, magic: &[u8], at: usize, field: &[u8]) -> Vec<u8> {
    let starts: Vec<_> = bytes.windows(4).enumerate().filter(|(_, window)| *window == magic).map(|(i, _)| i).collect();
    assert!(!starts.is_empty());
    for start in starts {
        bytes[start + at..start + at + field.len()].copy_from_slice(field);
    }
    bytes
}

#[test]
fn compression_is_refused_and_so_is_every_zip_bomb() {
    for method in [8_u16, 12, 14, 93] {
        let bytes = patched(checkpoint(&[0; 28]), LOCAL, 8, &method.to_le_bytes());
        let bytes = patched(bytes, CENTRAL, 10, &method.to_le_bytes());
        assert!(open(&bytes).and_then(|mut container| container.pickle()).is_err(), "method {method}");
    }
}

#[test]
fn sizes_that_lie_are_refused_before_anything_is_allocated() {
    for size in [u32::MAX - 1, 1 << 31, 1 << 20] {
        let bytes = patched(checkpoint(&[0; 28]), CENTRAL, 20, &size.to_le_bytes());
        let bytes = patched(bytes, CENTRAL, 24, &size.to_le_bytes());
        assert!(open(&bytes).and_then(|mut container| container.pickle()).is_err(), "{size} bytes");
    }
}

#[test]
fn a_directory_without_end_is_refused() {
    // 400 entries whose names alone are longer than a directory may be.
    let name = "a/".to_owned() + &"x".repeat(60_000);
    let central = |n: u16| {
        let mut header = CENTRAL.to_vec();
        header.extend([20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        header.extend([0; 12]);
        header.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        header.extend([0; 16]);
        header.extend(name.bytes());
        let tail = header.len() - 4;
        header[tail..].copy_from_slice(format!("{n:04}").as_bytes());
        header
    };
    let n_entries = 400_u16;
    let mut bytes = zip_file(&[("a/data.pkl", b"N.")]);
    let end = bytes.len() - 22;
    let start = bytes.windows(4).position(|window| window == CENTRAL).unwrap();
    bytes.truncate(end);
    for n in 0..n_entries {
        bytes.extend(central(n));
    }
    let length = u32::try_from(bytes.len() - start).unwrap();
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend((n_entries + 1).to_le_bytes());
    bytes.extend((n_entries + 1).to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(u32::try_from(start).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    check_refused(&bytes, "the directory of the file is too large");
}

#[test]
fn names_that_are_paths_or_ambiguous_are_refused() {
    let one = |name: &str| zip_file(&[(&format!("{name}/data.pkl"), b"N.")]);
    for name in ["..", "../up", "/root", "a/b", "", ".", "a\\b", "C:\\x"] {
        check_refused(&one(name), "expected one folder without a path");
    }
    check_refused(&zip_file(&[("a/data.pkl", b"N."), ("b/data.pkl", b"N.")]), "has 2 entries `data.pkl`, expected 1");
    check_refused(&zip_file(&[("a/other", b"N.")]), "has 0 entries `data.pkl`");
    let twice = zip_file(&[("a/data.pkl", b"N."), ("a/data.pkm", b"I1\n.")]);
    let renamed: Vec<u8> = twice.iter().map(|&byte| if byte == b'm' { b'l' } else { byte }).collect();
    check_refused(&renamed, "two entries of the zip file have the same name");
}

#[test]
fn files_of_another_kind_are_refused() {
    check_refused(b"", "no zip file");
    check_refused(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "checkpoints of PyTorch before 1.6");
    check_refused(b"PK\x03\x04", "the zip file cannot be used");
    let big = zip_file(&[("a/data.pkl", b"N."), ("a/byteorder", b"big")]);
    check_refused(&big, "byte order is `big`, expected `little`");
}

#[test]
fn a_cut_file_is_refused_wherever_it_ends() {
    let whole = checkpoint(&[0; 28]);
    for end in 0..whole.len() {
        assert!(open(&whole[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    #[test]
    fn no_change_of_a_file_makes_it_panic(at in 0_usize..1000, byte: u8) {
        let mut bytes = checkpoint(&[0; 28]);
        let n = bytes.len();
        bytes[at % n] = byte;
        if let Ok(mut container) = open(&bytes) {
            let _ = container.pickle().map(|content| pickle::read(&content).is_ok());
            let _ = container.values("w", &view(StorageKind::F32, 7, 0, &[7], &[1]));
        }
    }

    #[test]
    fn a_view_is_refused_or_has_as_many_values_as_its_shape(
        offset in 0_usize..9,
        shape in proptest::collection::vec(0_usize..4, 0..4),
        strides in proptest::collection::vec(0_usize..5, 0..4),
    ) {
        let mut container = open(&checkpoint(&[0; 28])).unwrap();
        let view = view(StorageKind::F32, 7, offset, &shape, &strides);
        if let Ok(values) = container.values("w", &view) {
            prop_assert_eq!(values.len(), shape.iter().product::<usize>());
            prop_assert!(values.len() <= 7);
        }
    }
}
