//! Probabilities as NumPy's `.npz`, as nnU-Net saves them.
//!
//! Little-endian `f32` in C order, stored without compression: probabilities hardly compress, and `numpy.load` reads
//! both. [`read`] takes what was written here: it knows the shape and accepts no other header, so that nothing in a file
//! decides how much memory is taken. [`read_foreign`] takes what other programs have written, within limits.

mod foreign;
mod npy_header;

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use fs_err::File;
use ndarray::{Array4, ArrayViewD};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::atomic_file;

pub use foreign::{ForeignNpzError, Limits, decode_foreign, read_foreign};

/// Values written at a time.
const CHUNK: usize = 1 << 16;

/// Writes `array` under `name` to `path`, which appears whole or not at all.
///
/// # Errors
///
/// Whatever the system says.
pub fn write(path: &Path, name: &str, array: &Array4<f32>) -> io::Result<()> {
    write_all(path, &[(name, array.view().into_dyn())])
}

/// Writes named arrays to `path`, which appears whole or not at all.
///
/// # Errors
///
/// Whatever the system says, or if two have the same name.
///
/// # Panics
///
/// Never: an array in standard layout is one slice.
pub fn write_all(path: &Path, arrays: &[(&str, ArrayViewD<'_, f32>)]) -> io::Result<()> {
    atomic_file::write_with(path, |file| {
        let mut zip = ZipWriter::new(file);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        for (name, array) in arrays {
            let array = array.as_standard_layout();
            let values = array.as_slice().expect("an array in standard layout is one slice");
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(&header(array.shape()))?;
            for chunk in values.chunks(CHUNK) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
                zip.write_all(&bytes)?;
            }
        }
        zip.finish()?;
        Ok(())
    })
}

/// Reads the array `name` of a file that [`write()`] has written, if it has this shape `[output, z, y, x]`.
///
/// # Errors
///
/// [`NpzError::Read`] if the file is missing, no archive or damaged, [`NpzError::Array`] if it has no such array stored
/// as `f32` of this shape.
///
/// # Panics
///
/// Never: as many values are read as the shape has.
pub fn read(path: &Path, name: &str, shape: [usize; 4]) -> Result<Array4<f32>, NpzError> {
    let refuse = |source| NpzError::Read { path: path.to_owned(), source };
    let other = || NpzError::Array { path: path.to_owned(), name: name.to_owned(), shape };
    let file = File::open(path).map_err(|source| refuse(source.into()))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(refuse)?;
    let mut entry = zip.by_name(&format!("{name}.npy")).map_err(refuse)?;
    let expected = header(&shape);
    let n_values = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent)).ok_or_else(other)?;
    let n_bytes = n_values.checked_mul(4).and_then(|bytes| bytes.checked_add(expected.len())).ok_or_else(other)?;
    if entry.size() != n_bytes as u64 || entry.compression() != CompressionMethod::Stored {
        return Err(other());
    }
    let mut read = |buffer: &mut [u8]| entry.read_exact(buffer).map_err(|source| refuse(source.into()));
    let mut found = vec![0; expected.len()];
    read(&mut found)?;
    if found != expected {
        return Err(other());
    }
    let mut values = Vec::with_capacity(n_values);
    let mut buffer = vec![0; 4 * CHUNK.min(n_values)];
    while values.len() < n_values {
        let bytes = &mut buffer[..4 * CHUNK.min(n_values - values.len())];
        read(bytes)?;
        values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    // The checksum is compared when the end is read.
    let n_more = entry.read(&mut [0]).map_err(|source| refuse(source.into()))?;
    if n_more > 0 {
        return Err(other());
    }
    Ok(Array4::from_shape_vec(shape, values).expect("as many values were read as the shape has"))
}

/// Why probabilities could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpzError {
    /// The file holds something else.
    #[error("`{}` has no array `{name}` of f32 {shape:?}, stored without compression", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// The array asked for.
        name: String,
        /// `[output, z, y, x]`.
        shape: [usize; 4],
    },
    /// The file is missing, no archive, or damaged.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the archive's reader said.
        source: ZipError,
    },
}

/// The header of NumPy's format 1.0, padded so that the values begin at a multiple of 64 bytes.
fn header(shape: &[usize]) -> Vec<u8> {
    // A tuple of one number keeps its comma; of more, Python takes one all the same, but NumPy writes none.
    let comma = if shape.len() == 1 { "," } else { "" };
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
    // Magic, version and length take 10 bytes, the newline at the end one.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).expect("a few numbers fit in a line");
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

    #[test]
    fn several_arrays_lie_in_one_file_and_are_read_as_foreign_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let map = ndarray::Array3::from_elem((1, 2, 3), 0.5);
        let probabilities = Array4::from_elem((2, 1, 2, 3), 0.25);
        let arrays = [("t-test", map.view().into_dyn()), ("probabilities", probabilities.view().into_dyn())];
        write_all(&path, &arrays).unwrap();
        assert_eq!(read_foreign(&path, Limits::default()).unwrap(), probabilities);
        assert!(write_all(&path, &[arrays[0].clone(), arrays[0].clone()]).is_err(), "a name is given once");
        assert_eq!(read_foreign(&path, Limits::default()).unwrap(), probabilities, "the file stays as it was");
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let array = Array4::from_shape_fn((2, 3, 40, 1000), |(c, z, y, x)| (c * 7 + z * 5 + y * 3 + x) as f32 / 8.0);
        write(&path, "probabilities", &array).unwrap();
        assert_eq!(read(&path, "probabilities", [2, 3, 40, 1000]).unwrap(), array);
        for (name, shape) in [("probabilities", [3, 2, 40, 1000]), ("probabilities", [2, 3, 40, 999])] {
            assert!(matches!(read(&path, name, shape), Err(NpzError::Array { .. })), "{shape:?}");
        }
        assert!(matches!(read(&path, "other", [2, 3, 40, 1000]), Err(NpzError::Read { .. })));
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[5000] ^= 1;
        fs_err::write(&path, &bytes).unwrap();
        assert!(read(&path, "probabilities", [2, 3, 40, 1000]).is_err(), "a changed value has another checksum");
        fs_err::write(&path, &bytes[..5000]).unwrap();
        assert!(matches!(read(&path, "probabilities", [2, 3, 40, 1000]), Err(NpzError::Read { .. })));
    }
}
