//! Logarithm, power and circle in single precision, written so that the compiler computes several values at a time.
//!
//! The standard library's functions are exact to the last bit but take one value per call; augmentation needs millions
//! of values per sample and no more than five digits. No branches, no tables: reduction by the exponent bits, then a
//! polynomial.

/// √½ as bits: mantissas are taken from √½ to √2, so that the logarithm is small around 1.
const SQRT_HALF: u32 = 0x3f35_04f3;
const MANTISSA: u32 = 0x007f_ffff;
/// 1.5 · 2²³: what is added to it is rounded to an integer, which stands in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// Logarithm to base 2 of a positive normal number, within 3e-7 of the result or of 1; far below −100 for 0.
#[inline]
pub fn log2(x: f32) -> f32 {
    let offset = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (offset.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((offset & MANTISSA) + SQRT_HALF);
    // ln m = 2 artanh s
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent + (2.0 * std::f32::consts::LOG2_E) * s * series
}

/// 2 to the power of `y`, for `y` up to 126, within 3e-7 of the result; below −125 it is 2 to the power of −125.
#[inline]
pub fn exp2(y: f32) -> f32 {
    let y = if y < -125.0 { -125.0 } else { y };
    let shifted = y + ROUNDER;
    let z = (y - (shifted - ROUNDER)) * std::f32::consts::LN_2;
    let series = 1.0 / 6.0 + z * (1.0 / 24.0 + z * (1.0 / 120.0 + z * (1.0 / 720.0 + z * (1.0 / 5040.0))));
    let fraction = 1.0 + z * (1.0 + z * (0.5 + z * series));
    let whole = shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    f32::from_bits(fraction.to_bits().wrapping_add(whole << 23))
}

/// `x` to the power of `exponent` for `x` from 0 to 1 and a positive exponent.
#[inline]
pub fn power(x: f32, exponent: f32) -> f32 {
    exp2(exponent * log2(x))
}

/// Sine and cosine of `turns` · 2π for turns from −¼ to ¼, within 6e-7.
#[inline]
pub fn sin_cos(turns: f32) -> (f32, f32) {
    let angle = turns * std::f32::consts::TAU;
    let square = angle * angle;
    let sin = 1.0 / 362_880.0 - square * (1.0 / 39_916_800.0);
    let sin = 1.0 / 120.0 - square * (1.0 / 5040.0 - square * sin);
    let sin = angle * (1.0 - square * (1.0 / 6.0 - square * sin));
    let cos = 1.0 / 40_320.0 - square * (1.0 / 3_628_800.0 - square * (1.0 / 479_001_600.0));
    let cos = 1.0 / 24.0 - square * (1.0 / 720.0 - square * cos);
    let cos = 1.0 - square * (0.5 - square * cos);
    (sin, cos)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_standard_library() {
        for i in 1..100_000_u32 {
            for x in [i as f32 / 1e5, i as f32 / 1e3, i as f32 * 1e-9] {
                let expected = f64::from(x).log2();
                let error = (f64::from(log2(x)) - expected).abs();
                assert!(error < 3e-7 * expected.abs().max(1.0), "log2({x}) is {}, not {expected}", log2(x));
            }
        }
        assert!(log2(1.0) == 0.0 && log2(2.0) == 1.0 && log2(0.25) == -2.0);
        assert!(log2(0.0) < -100.0);
    }

    #[test]
    fn powers_of_two_are_those_of_the_standard_library() {
        for i in -125_000..=126_000_i32 {
            let y = i as f32 / 1e3;
            let expected = f64::from(y).exp2();
            assert!((f64::from(exp2(y)) / expected - 1.0).abs() < 3e-7, "2^{y} is {}, not {expected}", exp2(y));
        }
        assert!(exp2(0.0) == 1.0 && exp2(10.0) == 1024.0 && exp2(-1e9) < 1e-37);
    }

    #[test]
    fn powers_keep_the_ends_of_the_unit_interval() {
        for exponent in [0.7, 1.0, 1.5] {
            assert!(power(0.0, exponent) < 1e-20 && power(1.0, exponent) == 1.0);
        }
        // √0.25, and 0.3^1.5 by hand: 0.3 · 0.547 723.
        assert!((power(0.25, 0.5) - 0.5).abs() < 1e-7);
        assert!((power(0.3, 1.5) - 0.164_317).abs() < 1e-6);
    }

    #[test]
    fn sine_and_cosine_are_those_of_the_standard_library() {
        for i in -25_000..=25_000_i32 {
            let turns = i as f32 / 1e5;
            let (sin, cos) = sin_cos(turns);
            let (expected_sin, expected_cos) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            assert!((f64::from(sin) - expected_sin).abs() < 6e-7, "sine of {turns}");
            assert!((f64::from(cos) - expected_cos).abs() < 6e-7, "cosine of {turns}");
        }
    }
}
