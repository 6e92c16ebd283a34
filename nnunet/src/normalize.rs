//! The intensity normalizations of nnU-Net, one channel at a time.
//!
//! Follows `default_normalization_schemes.py`. Mean and deviation are summed in `f64` and rounded once, where NumPy
//! adds in `f32`; the voxels themselves are subtracted and divided in `f32`, as there. Planes are summed by all threads
//! of the current pool and added in their order, so the number of threads does not change a bit.

use ndarray::{Array3, ArrayView1, ArrayView2, ArrayView3, ArrayViewMut3, Axis, Zip, s};
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

/// Mean and population standard deviation inside the mask, the latter at least [`EPSILON`].
#[expect(clippy::cast_possible_truncation, reason = "the voxels they apply to are f32")]
fn moments(channel: &ArrayView3<'_, f32>, mask: Option<&Array3<bool>>) -> (f32, f32) {
    let (n, sum) = total(channel, mask, |value| value);
    let n = n.max(1) as f64;
    let mean = sum / n;
    let (_, squares) = total(channel, mask, |value| (value - mean).powi(2));
    (mean as f32, ((squares / n).sqrt() as f32).max(EPSILON))
}

/// Values that are summed side by side, so that no addition waits for the one before.
const LANES: usize = 8;

/// Number of voxels inside the mask, and the sum of `term` over them. Rows are summed in lanes, then plane by plane, so
/// that the sum does not depend on the number of threads.
fn total(channel: &ArrayView3<'_, f32>, mask: Option<&Array3<bool>>, term: impl Fn(f64) -> f64 + Sync) -> (u64, f64) {
    let of_row = |row: ArrayView1<'_, f32>, mask: Option<ArrayView1<'_, bool>>| {
        let (row, mask) = (row.as_standard_layout(), mask.as_ref().map(|mask| mask.as_standard_layout()));
        let values = row.as_slice().unwrap_or_default();
        match mask.as_ref().and_then(|mask| mask.as_slice()) {
            None => (values.len() as u64, sum(values, |&value| term(f64::from(value)))),
            Some(inside) => {
                let pairs: Vec<(f32, bool)> = values.iter().copied().zip(inside.iter().copied()).collect();
                let n = inside.iter().filter(|inside| **inside).count();
                (n as u64, sum(&pairs, |&(value, inside)| if inside { term(f64::from(value)) } else { 0.0 }))
            }
        }
    };
    let of_plane = |(index, plane): (usize, ArrayView2<'_, f32>)| {
        let rows = plane.outer_iter().enumerate();
        let mask = |row| mask.map(|mask| mask.slice(s![index, row, ..]));
        add(rows.map(|(number, row)| of_row(row, mask(number))))
    };
    let planes: Vec<(u64, f64)> = channel.axis_iter(Axis(0)).into_par_iter().enumerate().map(of_plane).collect();
    add(planes.into_iter())
}

fn add(parts: impl Iterator<Item = (u64, f64)>) -> (u64, f64) {
    parts.fold((0, 0.0), |(n, sum), part| (n + part.0, sum + part.1))
}

fn sum<T>(values: &[T], term: impl Fn(&T) -> f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    lanes.into_iter().sum::<f64>() + rest.iter().map(term).sum::<f64>()
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
