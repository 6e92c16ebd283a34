//! Properties of sliding windows over networks whose answer is known.

use std::convert::Infallible;

use ndarray::{Array, Array4, Array5, ArrayView5};
use proptest::prelude::*;

use super::*;

/// Returns its input.
struct Identity;

impl PatchNetwork for Identity {
    type Error = Infallible;

    fn predict<T>(
        &mut self,
        batch: ArrayView5<'_, f32>,
        use_logits: impl FnOnce(ArrayView5<'_, f32>) -> T,
    ) -> Result<T, Infallible> {
        Ok(use_logits(batch))
    }
}

/// Returns the same map for every patch: the position along x.
struct Ramp;

impl PatchNetwork for Ramp {
    type Error = Infallible;

    fn predict<T>(
        &mut self,
        batch: ArrayView5<'_, f32>,
        use_logits: impl FnOnce(ArrayView5<'_, f32>) -> T,
    ) -> Result<T, Infallible> {
        Ok(use_logits(Array5::from_shape_fn(batch.raw_dim(), |(.., x)| x as f32).view()))
    }
}

fn image(shape: [usize; 4]) -> Array4<f32> {
    let values = |(c, z, y, x): (usize, usize, usize, usize)| ((c * 31 + z * 7 + y * 3 + x) % 17) as f32 - 8.0;
    Array::from_shape_fn(shape, values)
}

fn check(shape: [usize; 3], patch: [usize; 3], step_fraction: f64, mirroring: &Mirroring) {
    let image = image([2, shape[0], shape[1], shape[2]]);
    let window = SlidingWindow::new(patch, 2, step_fraction, mirroring).unwrap();
    let mut n_patches = 0;
    let logits = window.logits(&image, &mut Identity, &mut || n_patches += 1).unwrap();
    assert_eq!(n_patches, window.n_patches(shape));
    for (found, expected) in logits.iter().zip(&image) {
        // Four roundings of a sum of at most 2^6 weighted values of size 8.
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_identity_network_returns_the_image(
        shape in prop::array::uniform3(1_usize..12),
        patch in prop::array::uniform3(1_usize..9),
        step_fraction in 0.3_f64..=1.0,
        axes in prop::sample::subsequence(vec![0, 1, 2], 0..=3),
    ) {
        check(shape, patch, step_fraction, &Mirroring::along(&axes, 3).unwrap());
    }
}

#[test]
fn mirroring_averages_a_map_with_its_mirror_image() {
    // Along x: 0 1 2 3 and, turned back, 3 2 1 0.
    let mirroring = Mirroring::along(&[2], 3).unwrap();
    let window = SlidingWindow::new([1, 1, 4], 1, 0.5, &mirroring).unwrap();
    let logits = window.logits(&image([1, 1, 1, 4]), &mut Ramp, &mut || ()).unwrap();
    for logit in logits {
        assert!((logit - 1.5).abs() < 1e-6);
    }
}

#[test]
fn overlapping_patches_are_weighted_by_their_importance() {
    // Patches of 2 at 0 and 1: the middle voxel is x = 1 of the first and x = 0 of the second. The weights are 10 at
    // x = 1, the center, and 10·exp(-1/2 · (1 / 0.25)²) = 10·exp(-8) at x = 0.
    let window = SlidingWindow::new([1, 1, 2], 1, 0.5, &Mirroring::none()).unwrap();
    let logits = window.logits(&image([1, 1, 1, 3]), &mut Ramp, &mut || ()).unwrap();
    let expected = 1.0 / (1.0 + (-8.0_f32).exp());
    assert!((logits[[0, 0, 0, 1]] - expected).abs() < 1e-6);
}

#[test]
fn what_is_not_finite_is_an_error() {
    let mut image = image([1, 1, 3, 3]);
    image[[0, 0, 1, 1]] = f32::NAN;
    let window = SlidingWindow::new([1, 2, 2], 1, 0.5, &Mirroring::none()).unwrap();
    let outcome = window.logits(&image, &mut Identity, &mut || ());
    assert!(matches!(outcome, Err(WindowError::NotFinite)));
}

#[test]
fn a_network_with_other_outputs_is_an_error() {
    let window = SlidingWindow::new([1, 2, 2], 3, 0.5, &Mirroring::none()).unwrap();
    let outcome = window.logits(&image([1, 1, 3, 3]), &mut Identity, &mut || ());
    assert!(matches!(outcome, Err(WindowError::OutputShape { .. })));
}

#[test]
fn a_step_that_does_not_cover_the_image_is_refused() {
    for step_fraction in [0.0, -0.5, 1.01, f64::NAN] {
        assert!(SlidingWindow::new([1, 2, 2], 1, step_fraction, &Mirroring::none()).is_err());
    }
}

/// nnU-Net v2.8.1's own positions and weights, from `tests/golden/sliding_window/generate.py`.
#[test]
fn positions_and_weights_equal_those_of_nnunet() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/sliding_window/golden.json")).unwrap();
    let number = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    for entry in golden["positions"].as_array().unwrap() {
        let (extent, patch) = (number(&entry["extent"]), number(&entry["patch"]));
        let grid = AxisGrid::new(extent, patch, entry["step"].as_f64().unwrap());
        let expected: Vec<usize> = entry["origins"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(grid.spans().map(|span| span.in_image.start).collect::<Vec<_>>(), expected, "{entry}");
    }
    for entry in golden["weights"].as_array().unwrap() {
        let patch: Vec<usize> = entry["patch"].as_array().unwrap().iter().map(number).collect();
        let map = ImportanceMap::new([patch[0], patch[1], patch[2]]);
        let expected = entry["values"].as_array().unwrap();
        assert_eq!(map.weights().len(), expected.len());
        for (found, expected) in map.weights().iter().zip(expected) {
            // Both round the same real number to f32, from values that differ by a few roundings of f64.
            let expected = expected.as_f64().unwrap();
            assert!((f64::from(*found) / expected - 1.0).abs() < 3e-7, "{found} instead of {expected}");
        }
    }
}
