//! Samples of 1 to 16 bits, packed from the most significant bit on, as PNG, BMP and TIFF rows have them.

/// Width of a sample that is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Depth {
    One,
    Two,
    Four,
    Eight,
    /// Big-endian.
    Sixteen,
}

impl Depth {
    pub(super) fn of_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            16 => Some(Self::Sixteen),
            _ => None,
        }
    }

    pub(super) fn bits(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }

    /// Bytes of a row of `n_samples`, without padding.
    pub(super) fn row_bytes(self, n_samples: usize) -> usize {
        (n_samples * self.bits()).div_ceil(8)
    }

    /// Sample `index` of a row that holds it.
    pub(super) fn sample(self, row: &[u8], index: usize) -> u16 {
        match self {
            Self::Sixteen => u16::from_be_bytes([row[2 * index], row[2 * index + 1]]),
            Self::Eight => u16::from(row[index]),
            Self::One | Self::Two | Self::Four => {
                let bits = self.bits();
                let per_byte = 8 / bits;
                let shift = 8 - bits - bits * (index % per_byte);
                u16::from(row[index / per_byte] >> shift) & ((1 << bits) - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(depth: Depth, row: &[u8], expected: &[u16]) {
        let samples: Vec<_> = (0..expected.len()).map(|index| depth.sample(row, index)).collect();
        assert_eq!(samples, expected);
        assert_eq!(depth.row_bytes(expected.len()), row.len());
    }

    #[test]
    fn samples_are_packed_from_the_left() {
        check(Depth::One, &[0b1011_0001, 0b1000_0000], &[1, 0, 1, 1, 0, 0, 0, 1, 1]);
        check(Depth::Two, &[0b0001_1011], &[0, 1, 2, 3]);
        check(Depth::Four, &[0x1f, 0x20], &[1, 15, 2]);
        check(Depth::Eight, &[3, 255], &[3, 255]);
        check(Depth::Sixteen, &[1, 44, 255, 255], &[300, 65535]);
    }
}
