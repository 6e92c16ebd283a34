//! An amount of memory on the command line.

use std::str::FromStr;

/// Units and the bits that they shift by.
const UNITS: [(&str, u32); 3] = [("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Bytes that a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimit(pub(crate) u64);

/// A text that is no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number above 0 and a unit, such as `512MiB` or `8GiB`")]
pub(crate) struct NoLimit;

impl FromStr for MemoryLimit {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<Self, NoLimit> {
        let parse = || {
            let (number, shift) = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
            let number: u64 = number.trim_end().parse().ok()?;
            number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).map(Self)
        };
        parse().ok_or(NoLimit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_number_and_a_unit() {
        assert_eq!("512MiB".parse(), Ok(MemoryLimit(512 << 20)));
        assert_eq!("8 GiB".parse(), Ok(MemoryLimit(8 << 30)));
        for text in ["8", "8GB", "0GiB", "-1GiB", "GiB", "1.5GiB", "99999999999999TiB"] {
            assert_eq!(text.parse::<MemoryLimit>(), Err(NoLimit), "{text}");
        }
    }
}
