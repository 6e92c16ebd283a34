//! Least and largest of many voxels.

#![expect(clippy::needless_pass_by_value, reason = "an array view is a pointer, made to be passed by value")]

use ndarray::{ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

/// Values that are compared side by side, so that none waits for the one before.
const LANES: usize = 16;

/// What no value is in.
const EMPTY: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// Least and largest value of `[z, y, x]`, on all threads; (∞, −∞) if there are none. Values must be numbers.
pub fn range(values: ArrayView3<'_, f32>) -> (f32, f32) {
    values.axis_iter(Axis(0)).into_par_iter().map(plane_range).reduce(|| EMPTY, wider)
}

/// As [`range`], of one plane on the current thread.
pub(crate) fn plane_range(plane: ArrayView2<'_, f32>) -> (f32, f32) {
    let of_row = |row: ndarray::ArrayView1<'_, f32>| match row.to_slice() {
        Some(values) => slice_range(values),
        None => row.iter().fold(EMPTY, |range, &value| wider(range, (value, value))),
    };
    plane.outer_iter().map(of_row).fold(EMPTY, wider)
}

fn slice_range(values: &[f32]) -> (f32, f32) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (mut low, mut high) = ([EMPTY.0; LANES], [EMPTY.1; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            // Not `min` and `max`, which look out for NaN at each step.
            low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
            high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
        }
    }
    let lanes = low.into_iter().zip(high).fold(EMPTY, wider);
    rest.iter().fold(lanes, |range, &value| wider(range, (value, value)))
}

fn wider(a: (f32, f32), b: (f32, f32)) -> (f32, f32) {
    (a.0.min(b.0), a.1.max(b.1))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn the_extremes_are_found_wherever_they_lie() {
        assert_eq!(range(Array3::zeros((0, 1, 1)).view()), EMPTY);
        for at in 0..70 {
            let mut values = Array3::zeros((2, 1, 35));
            values[[at / 35, 0, at % 35]] = 5.0;
            values[[(69 - at) / 35, 0, (69 - at) % 35]] = -3.0;
            assert_eq!(range(values.view()), (-3.0, 5.0), "{at}");
            assert_eq!(range(values.view().reversed_axes()), (-3.0, 5.0), "{at}");
        }
    }
}
