//! Files of other programs: all kinds that they write, and every way to be wrong.

use std::io::Write as _;

use super::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const LIMITS: Limits = Limits { max_outputs: 4, max_values: 1000 };

fn npy(descr: &str, order: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes(), values].concat()
}

fn npz(name: &str, method: CompressionMethod, content: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Result<Array4<f32>, ForeignNpzError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    fs_err::write(&path, bytes).unwrap();
    read_foreign(&path, LIMITS)
}

fn of_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn both_compressions_all_precisions_and_both_orders_are_read() {
    let expected = Array4::from_shape_vec((2, 1, 1, 2), vec![0.25, 1.0, 0.75, 0.0]).unwrap();
    let check = |name, method, content: &[u8]| assert_eq!(read(&npz(name, method, content)).unwrap(), expected);
    let values = [0.25_f32, 1.0, 0.75, 0.0];
    let single = of_f32(&values);
    let double: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    let half: Vec<u8> = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        check("probabilities.npy", method, &npy("<f4", "False", "(2, 1, 1, 2)", &single));
        check("softmax.npy", method, &npy("<f2", "False", "(2, 1, 1, 2)", &half));
        check("probabilities.npy", method, &npy("<f8", "False", "(2, 1, 2)", &double));
        check("probabilities.npy", method, &npy("<f4", "True", "(2, 1, 1, 2)", &of_f32(&[0.25, 0.75, 1.0, 0.0])));
    }
}

#[test]
fn a_shape_beyond_the_limits_is_refused_before_memory_is_taken() {
    for shape in
        ["(2,)", "(2, 2)", "(5, 1, 1, 2)", "(2, 0, 1, 2)", "(2, 1, 1000, 1000)", "(4, 4000000000, 4000000000, 4)"]
    {
        let found = read(&npz("probabilities.npy", CompressionMethod::Stored, &npy("<f4", "False", shape, &[0; 16])));
        assert!(matches!(found, Err(ForeignNpzError::Shape { .. })), "{shape}: {found:?}");
    }
}

#[test]
fn a_header_that_promises_more_or_less_than_there_is_is_refused() {
    for n_bytes in [0, 15, 17, 4000] {
        let content = npy("<f4", "False", "(2, 1, 1, 2)", &vec![0; n_bytes]);
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let found = read(&npz("probabilities.npy", method, &content));
            assert!(matches!(found, Err(ForeignNpzError::Size { .. })), "{n_bytes}: {found:?}");
        }
    }
}

#[test]
fn sizes_that_no_deflate_stream_reaches_are_refused() {
    // The directory says that the entry has as many bytes as the array takes; the packed ones cannot become so many.
    let content = npy("<f4", "False", "(1, 1, 1, 1)", &[0; 4]);
    let honest = npz("probabilities.npy", CompressionMethod::Deflated, &content);
    let mut lying = honest.clone();
    let directory = lying.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    lying[directory + 20..directory + 24].copy_from_slice(&0_u32.to_le_bytes());
    assert!(read(&honest).is_ok());
    assert!(read(&lying).is_err());
}

#[test]
fn what_is_damaged_is_refused_at_every_byte_and_never_panics() {
    let values: Vec<f32> = (0..200_u16).map(|i| f32::from(i * i % 200) / 200.0).collect();
    let content = npy("<f4", "False", "(2, 2, 5, 10)", &of_f32(&values));
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = npz("probabilities.npy", method, &content);
        let expected = read(&bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut off after {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            // A date or a reserved field may change without harm; a value may not.
            assert!(read(&changed).is_err() || read(&changed).unwrap() == expected, "byte {at}");
        }
    }
}

#[test]
fn other_arrays_and_other_types_are_named() {
    let content = npy("<f4", "False", "(1, 1, 1, 1)", &[0; 4]);
    let other = read(&npz("segmentation.npy", CompressionMethod::Stored, &content)).unwrap_err();
    assert!(other.to_string().ends_with("case.npz` has no array `probabilities` or `softmax`"), "{other}");
    for descr in ["|O", "<i4", ">f4"] {
        let content = npy(descr, "False", "(1, 1, 1, 1)", &[0; 4]);
        let found = read(&npz("probabilities.npy", CompressionMethod::Stored, &content));
        assert!(matches!(found, Err(ForeignNpzError::Header { .. })), "{descr}: {found:?}");
    }
    assert!(matches!(read(b"no archive"), Err(ForeignNpzError::Read { .. })));
}
