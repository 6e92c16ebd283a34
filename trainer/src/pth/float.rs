//! Half-precision numbers as single precision, without loss.
//!
//! IEEE 754 binary16 and bfloat16 are both subsets of binary32, so that every value has one image.

/// The value of a binary16.
pub(super) fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    match exponent {
        // A subnormal is its fraction in units of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * 2.0_f32.powi(-24)).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The value of a bfloat16.
pub(super) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_the_values_of_the_standard() {
        for (bits, expected) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
        ] {
            assert_eq!(from_f16(bits).to_bits(), f32::to_bits(expected), "{bits:#x}");
        }
        assert_eq!(from_f16(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert!(from_f16(0xfc00).is_infinite() && from_f16(0x7e00).is_nan());
        assert_eq!(from_bf16(0x3fc0).to_bits(), 1.5_f32.to_bits());
    }
}
