//! Mean, standard deviation and extremes of a channel.
//!
//! As `torch.mean`, `torch.std` (divided by n − 1) and `torch.aminmax`. Sums are taken in sixteen lanes of single
//! precision over short blocks, and the blocks in double precision: quick, and exact to six digits.

/// Values whose sum is taken in single precision; 64 per lane.
const BLOCK: usize = 1024;
const N_LANES: usize = 16;

/// Mean and standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Arithmetic mean.
    pub mean: f32,
    /// Standard deviation, divided by n − 1; 0 of a single value.
    pub std: f32,
}

impl Moments {
    /// Of at least one value.
    pub fn of(values: &[f32]) -> Self {
        let mean = mean(values);
        let squares = sum(values, |value| (value - mean) * (value - mean));
        let variance = squares / (values.len().max(2) - 1) as f64;
        Self { mean, std: narrow(variance.sqrt()) }
    }
}

/// Arithmetic mean of at least one value.
pub fn mean(values: &[f32]) -> f32 {
    narrow(sum(values, |value| value) / values.len() as f64)
}

/// Smallest and largest value; infinite, and the wrong way round, where there is none.
pub fn extremes(values: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([f32::INFINITY; N_LANES], [f32::NEG_INFINITY; N_LANES]);
    let (chunks, rest) = values.as_chunks::<N_LANES>();
    for chunk in chunks {
        for ((low, high), &value) in low.iter_mut().zip(&mut high).zip(chunk) {
            *low = if value < *low { value } else { *low };
            *high = if value > *high { value } else { *high };
        }
    }
    let low = low.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    let high = high.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high)
}

fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut lanes = [0.0_f32; N_LANES];
        let (chunks, rest) = block.as_chunks::<N_LANES>();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += term(value);
            }
        }
        total += lanes.iter().copied().chain(rest.iter().map(|&value| term(value))).map(f64::from).sum::<f64>();
    }
    total
}

#[expect(clippy::cast_possible_truncation, reason = "statistics are used in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_extremes_are_those_worked_by_hand() {
        // Squares of 2, 1, 1 and 2 are 10; divided by 3.
        assert_eq!(Moments::of(&[1.0, 2.0, 4.0, 5.0]), Moments { mean: 3.0, std: (10.0_f32 / 3.0).sqrt() });
        assert_eq!(extremes(&[1.0, -2.0, 4.0]), (-2.0, 4.0));
        assert_eq!(Moments::of(&[7.0]), Moments { mean: 7.0, std: 0.0 });
    }

    #[test]
    fn long_sums_stay_exact_to_six_digits() {
        // 0 to 99 999 around 1000: mean 1049.9995, deviation 28.8675 hundredths.
        let values: Vec<f32> = (0..100_000_u32).map(|i| 1000.0 + (i % 1000) as f32 / 10.0).collect();
        let moments = Moments::of(&values);
        assert!((moments.mean - 1049.95).abs() < 1e-3, "{moments:?}");
        assert!((moments.std - 28.8676).abs() < 1e-3, "{moments:?}");
        assert_eq!(extremes(&values), (1000.0, 1099.9));
    }
}
