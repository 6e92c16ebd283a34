//! The header of NumPy's `.npy`: type, order and shape of an array, as a Python dictionary.
//!
//! Follows NumPy's `numpy/lib/format.py`, versions 1 to 3. Departs from it by reading the three keys and nothing else:
//! no other literal of Python, and no type but little-endian floating point.

use std::io::{self, Read};

/// Longest text of a header that is read; NumPy writes 118 bytes for four axes.
const MAX_TEXT: usize = 4096;
/// Most axes that are read.
const MAX_AXES: usize = 8;

/// What a value is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Real {
    F16,
    F32,
    F64,
}

impl Real {
    /// Bytes of a value.
    pub(super) fn n_bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Which axis is contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The last.
    C,
    /// The first.
    Fortran,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) real: Real,
    pub(super) order: Order,
    pub(super) shape: Vec<usize>,
    /// Bytes before the first value.
    pub(super) n_bytes: usize,
}

impl Header {
    /// Reads what stands before the values; `None` if that is no header of the kind.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut start = [0; 8];
        file.read_exact(&mut start)?;
        let length_bytes = match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0] => 2,
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0] => 4,
            _ => return Ok(None),
        };
        let mut length = [0; 4];
        file.read_exact(&mut length[..length_bytes])?;
        let Some(n_text) = usize::try_from(u32::from_le_bytes(length)).ok().filter(|n| *n <= MAX_TEXT) else {
            return Ok(None);
        };
        let mut text = vec![0; n_text];
        file.read_exact(&mut text)?;
        let parsed = std::str::from_utf8(&text).ok().and_then(parse);
        let n_bytes = start.len() + length_bytes + n_text;
        Ok(parsed.map(|(real, order, shape)| Self { real, order, shape, n_bytes }))
    }
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 256, 256), }`.
fn parse(text: &str) -> Option<(Real, Order, Vec<usize>)> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut real, mut order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix('\'')?.split_once('\'')?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (found, after) = after.strip_prefix('\'')?.split_once('\'')?;
                let found = match found {
                    "<f2" => Real::F16,
                    "<f4" => Real::F32,
                    "<f8" => Real::F64,
                    _ => return None,
                };
                once(&mut real, found)?;
                after
            }
            "fortran_order" => {
                let (found, after) = match after.strip_prefix("False") {
                    Some(after) => (Order::C, after),
                    None => (Order::Fortran, after.strip_prefix("True")?),
                };
                once(&mut order, found)?;
                after
            }
            "shape" => {
                let (found, after) = after.strip_prefix('(')?.split_once(')')?;
                once(&mut shape, extents(found)?)?;
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((real?, order?, shape?))
}

/// Sets what is not set yet.
fn once<T>(field: &mut Option<T>, found: T) -> Option<()> {
    field.replace(found).is_none().then_some(())
}

/// `2, 1, 256, 256`, or `7,` of one axis.
fn extents(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    let text = text.strip_suffix(',').unwrap_or(text);
    let is_number = |part: &&str| !part.is_empty() && part.len() < 16 && part.bytes().all(|b| b.is_ascii_digit());
    let extents = text.split(',').map(|part| Some(part.trim()).filter(is_number)?.parse().ok());
    extents.collect::<Option<Vec<_>>>().filter(|extents| extents.len() <= MAX_AXES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read() {
        let check = |text, expected| assert_eq!(parse(text), Some(expected), "{text}");
        check(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 256, 257), }       \n",
            (Real::F32, Order::C, vec![2, 1, 256, 257]),
        );
        check("{'descr': '<f8', 'fortran_order': True, 'shape': (3,), }\n", (Real::F64, Order::Fortran, vec![3]));
        check("{'shape':(3,4),'descr':'<f2','fortran_order':False}", (Real::F16, Order::C, vec![3, 4]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "{}",
            "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, , 3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_cut_off_or_endless_is_no_header() {
        let read = |bytes: &[u8]| Header::read(&mut &*bytes);
        assert!(read(b"\x93NUMPY\x01\x00\x76").is_err());
        assert!(read(b"\x93NUMPY\x01\x00\x76\x00{'descr'").is_err());
        assert!(read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'").unwrap().is_none());
        assert!(read(b"PK\x03\x04\x01\x00\x76\x00{'descr'").unwrap().is_none());
    }
}
