//! Probabilities as NumPy's `.npz`, as nnU-Net saves them.
//!
//! One array per file, little-endian `f32` in C order, stored without compression: probabilities hardly compress, and
//! `numpy.load` reads both.

use std::io::{self, Write as _};
use std::path::Path;

use imaging::atomic_file;
use ndarray::Array4;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Values written at a time.
const CHUNK: usize = 1 << 16;

/// Writes `array` under `name` to `path`, which appears whole or not at all.
///
/// # Errors
///
/// Whatever the system says.
pub(crate) fn write(path: &Path, name: &str, array: &Array4<f32>) -> io::Result<()> {
    let array = array.as_standard_layout();
    let values = array.as_slice().expect("an array in standard layout is one slice");
    atomic_file::write_with(path, |file| {
        let mut zip = ZipWriter::new(file);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&header(array.shape()))?;
        for chunk in values.chunks(CHUNK) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
            zip.write_all(&bytes)?;
        }
        zip.finish()?;
        Ok(())
    })
}

/// The header of NumPy's format 1.0, padded so that the values begin at a multiple of 64 bytes.
fn header(shape: &[usize]) -> Vec<u8> {
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version and length take 10 bytes, the newline at the end one.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).expect("four numbers fit in a line");
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys() {
        let header = header(&[3, 35, 51, 36]);
        assert_eq!(header.len() % 64, 0);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(header[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 35, 51, 36), }"));
        assert_eq!(header.last(), Some(&b'\n'));
    }
}
