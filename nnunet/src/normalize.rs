//! The intensity normalizations of nnU-Net, one channel at a time.
//!
//! Follows `default_normalization_schemes.py`. Mean and deviation are summed in `f64` and rounded once, where NumPy
//! adds in `f32`; the voxels themselves are subtracted and divided in `f32`, as there. Planes are summed by all threads
//! of the current pool and added in their order, so the number of threads does not change a bit.

use ndarray::{Array3, ArrayView1, ArrayView2, ArrayView3, ArrayViewMut3, Axis, Zip};
use rayon::prelude::*;

use crate::plans::{IntensityProperties, Normalization};

/// Smallest divisor: a constant channel becomes zeros.
const EPSILON: f32 = 1e-8;

/// Normalizes a channel in place.
///
/// `mask` restricts [`Normalization::ZScore`] to the voxels it holds; the others keep their value. The other schemes
/// do not look at it. `properties` are the training set's, which only [`Normalization::Ct`] needs.
///
/// # Errors
///
/// [`NormalizeError`] if CT lacks its properties or colors lie outside 0 to 255.
pub fn normalize(
    channel: ArrayViewMut3<'_, f32>,
    mask: Option<&Array3<bool>>,
    scheme: Normalization,
    properties: Option<&IntensityProperties>,
) -> Result<(), NormalizeError> {
    match (scheme, mask) {
        (Normalization::ZScore, Some(mask)) => z_score_inside(channel, mask),
        (Normalization::ZScore, None) => z_score(channel),
        (Normalization::Ct, _) => ct(channel, properties.ok_or(NormalizeError::NoProperties)?),
        (Normalization::None, _) => {}
        (Normalization::RescaleTo01, _) => rescale(channel),
        (Normalization::RgbTo01, _) => return rgb(channel),
    }
    Ok(())
}

fn z_score(channel: ArrayViewMut3<'_, f32>) {
    let (mean, deviation) = moments(&channel.view(), None);
    Zip::from(channel).par_for_each(|value| *value = (*value - mean) / deviation);
}

fn z_score_inside(channel: ArrayViewMut3<'_, f32>, mask: &Array3<bool>) {
    let (mean, deviation) = moments(&channel.view(), Some(mask));
    Zip::from(channel).and(mask).par_for_each(|value, &inside| {
        if inside {
            *value = (*value - mean) / deviation;
        }
    });
}

/// Mean and population standard deviation inside the mask, the latter at least [`EPSILON`]. Planes are measured on all
/// threads and put together in their order, so that the result does not depend on the number of threads.
#[expect(clippy::cast_possible_truncation, reason = "the voxels they apply to are f32")]
fn moments(channel: &ArrayView3<'_, f32>, mask: Option<&Array3<bool>>) -> (f32, f32) {
    let of_plane = |(index, plane): (usize, ArrayView2<'_, f32>)| {
        let mut inside = Vec::new();
        let of_row = |(number, row): (usize, ArrayView1<'_, f32>)| match (row.to_slice(), mask) {
            (Some(values), None) => Moments::of(values),
            (_, mask) => {
                let row = row.iter().enumerate();
                let row = row.filter(|&(at, _)| mask.is_none_or(|mask| mask[[index, number, at]]));
                inside.clear();
                inside.extend(row.map(|(_, &value)| value));
                Moments::of(&inside)
            }
        };
        plane.outer_iter().enumerate().map(of_row).fold(Moments::default(), Moments::and)
    };
    let planes: Vec<_> = channel.axis_iter(Axis(0)).into_par_iter().enumerate().map(of_plane).collect();
    let all = planes.into_iter().fold(Moments::default(), Moments::and);
    (all.mean as f32, ((all.squares / all.n.max(1.0)).sqrt() as f32).max(EPSILON))
}

/// Number, mean, and sum of squared distances from the mean; of a few values that stay in cache, and put together as in
/// Chan, Golub and `LeVeque`, *Updating formulae and a pairwise algorithm for computing sample variances*, 1979.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

/// Values that are summed side by side, so that no addition waits for the one before.
const LANES: usize = 8;

impl Moments {
    fn of(values: &[f32]) -> Self {
        let n = values.len() as f64;
        let mean = sum(values, |value| value) / n.max(1.0);
        Self { n, mean, squares: sum(values, |value| (value - mean) * (value - mean)) }
    }

    fn and(self, other: Self) -> Self {
        let n = (self.n + other.n).max(1.0);
        let apart = other.mean - self.mean;
        Self {
            n: self.n + other.n,
            mean: self.mean + apart * (other.n / n),
            squares: self.squares + other.squares + apart * apart * (self.n * (other.n / n)),
        }
    }
}

fn sum(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(f64::from(value));
        }
    }
    lanes.into_iter().sum::<f64>() + rest.iter().map(|&value| term(f64::from(value))).sum::<f64>()
}

#[expect(clippy::cast_possible_truncation, reason = "the voxels they apply to are f32")]
fn ct(channel: ArrayViewMut3<'_, f32>, properties: &IntensityProperties) {
    let (low, high) = (properties.percentile_00_5 as f32, properties.percentile_99_5 as f32);
    let (mean, deviation) = (properties.mean as f32, (properties.std as f32).max(EPSILON));
    Zip::from(channel).par_for_each(|value| *value = (value.max(low).min(high) - mean) / deviation);
}

fn rescale(channel: ArrayViewMut3<'_, f32>) {
    let (low, high) = imaging::range(channel.view());
    let width = (high - low).max(EPSILON);
    Zip::from(channel).par_for_each(|value| *value = (*value - low) / width);
}

fn rgb(channel: ArrayViewMut3<'_, f32>) -> Result<(), NormalizeError> {
    if let Some(&value) = channel.iter().find(|value| !(0.0..=255.0).contains(*value)) {
        return Err(NormalizeError::NotAColor { value });
    }
    Zip::from(channel).par_for_each(|value| *value /= 255.0);
    Ok(())
}

/// Why a channel cannot be normalized.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NormalizeError {
    /// CT normalization without the training set's statistics.
    #[error("the plans have no intensity properties, which CT normalization needs")]
    NoProperties,
    /// A color channel with values that 8-bit colors cannot have.
    #[error("a color channel holds {value}, expected 0 to 255")]
    NotAColor {
        /// The first such value.
        value: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const PROPERTIES: IntensityProperties = IntensityProperties {
        max: 9.0,
        mean: 2.0,
        median: 2.0,
        min: 0.0,
        percentile_00_5: 1.0,
        percentile_99_5: 4.0,
        std: 2.0,
    };

    fn check(scheme: Normalization, mask: Option<&Array3<bool>>, expected: [f32; 4]) {
        let mut channel = array![[[0.0, 2.0, 4.0, 6.0]]];
        normalize(channel.view_mut(), mask, scheme, Some(&PROPERTIES)).unwrap();
        assert_eq!(channel.iter().copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_scheme_does_what_its_name_says() {
        let root5 = 5.0_f32.sqrt();
        check(Normalization::ZScore, None, [-3.0 / root5, -1.0 / root5, 1.0 / root5, 3.0 / root5]);
        check(Normalization::Ct, None, [-0.5, 0.0, 1.0, 1.0]);
        check(Normalization::None, None, [0.0, 2.0, 4.0, 6.0]);
        check(Normalization::RescaleTo01, None, [0.0, 2.0 / 6.0, 4.0 / 6.0, 1.0]);
        check(Normalization::RgbTo01, None, [0.0, 2.0 / 255.0, 4.0 / 255.0, 6.0 / 255.0]);
    }

    #[test]
    fn outside_the_mask_a_voxel_keeps_its_value() {
        check(Normalization::ZScore, Some(&array![[[false, true, true, false]]]), [0.0, -1.0, 1.0, 6.0]);
    }

    #[test]
    fn a_constant_channel_becomes_zeros() {
        let mut channel = Array3::from_elem((2, 2, 2), 7.0);
        normalize(channel.view_mut(), None, Normalization::ZScore, None).unwrap();
        assert!(channel.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn what_cannot_be_normalized_is_refused() {
        let mut channel = array![[[256.0_f32]]];
        let found = normalize(channel.view_mut(), None, Normalization::RgbTo01, None);
        assert_eq!(found, Err(NormalizeError::NotAColor { value: 256.0 }));
        let found = normalize(channel.view_mut(), None, Normalization::Ct, None);
        assert_eq!(found, Err(NormalizeError::NoProperties));
    }
}
