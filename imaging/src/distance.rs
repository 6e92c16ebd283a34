//! Exact Euclidean distance transform: how far every voxel lies from the nearest site.
//!
//! Distances between surfaces are needed in millimeters on grids of any spacing, and chamfer or city-block
//! approximations are off by several percent. Squared distance separates by axis, so each axis is one pass over its
//! lines: Felzenszwalb and Huttenlocher, *Distance Transforms of Sampled Functions* (Theory of Computing 8, 2012),
//! where a line's values are parabolas and their lower envelope is the answer. Departs from it in that positions are
//! millimeters, so that spacing may differ by axis, and in that values without a site behind them raise no parabola
//! instead of one at a large finite height. Everything is `f64`.

use ndarray::{Array3, ArrayViewMut1, Axis};
use rayon::prelude::*;

use crate::Spacing;

/// Squared distance in mm² from every voxel's center to the center of the nearest site, `[z, y, x]`.
///
/// 0 at the sites themselves; `None` if there is no site. Exact but for the rounding of `f64`.
pub fn squared_distances(sites: &Array3<bool>, spacing: Spacing) -> Option<Array3<f64>> {
    if !sites.iter().any(|site| *site) {
        return None;
    }
    let mut squared = sites.mapv(|site| if site { 0.0 } else { f64::INFINITY });
    for (axis, step_mm) in spacing.zyx().into_iter().enumerate() {
        if squared.len_of(Axis(axis)) == 1 {
            continue;
        }
        // The lines of an axis lie in slabs across another one, which are shared out to the threads.
        let slabs = Axis(usize::from(axis == 0));
        let lines = Axis(axis.saturating_sub(1));
        squared.axis_iter_mut(slabs).into_par_iter().for_each_init(Envelope::default, |envelope, mut slab| {
            for line in slab.lanes_mut(lines) {
                envelope.replace(line, step_mm);
            }
        });
    }
    Some(squared)
}

/// Lower envelope of the parabolas of one line; kept to be used again.
#[derive(Default)]
struct Envelope {
    parabolas: Vec<Parabola>,
}

/// `height + (x − at)²`, lowest from `from` to where the next one begins.
#[derive(Clone, Copy)]
struct Parabola {
    at: f64,
    height: f64,
    from: f64,
}

impl Parabola {
    /// Where `later`, which stands further along the line, becomes the lower of the two.
    fn crossing(self, later: Self) -> f64 {
        // From height + (x − at)² of both; the difference of squares is factored, which rounds less.
        f64::midpoint(self.at, later.at) + (later.height - self.height) / (2.0 * (later.at - self.at))
    }
}

impl Envelope {
    /// Replaces the values of a line, `step_mm` apart, by their envelope.
    fn replace(&mut self, mut line: ArrayViewMut1<'_, f64>, step_mm: f64) {
        self.parabolas.clear();
        for (i, &height) in line.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            self.push(Parabola { at: i as f64 * step_mm, height, from: f64::NEG_INFINITY });
        }
        let Some(last) = self.parabolas.len().checked_sub(1) else { return };
        let mut lowest = 0;
        for (i, value) in line.iter_mut().enumerate() {
            let x = i as f64 * step_mm;
            while lowest < last && self.parabolas[lowest + 1].from <= x {
                lowest += 1;
            }
            let Parabola { at, height, .. } = self.parabolas[lowest];
            *value = height + (x - at) * (x - at);
        }
    }

    fn push(&mut self, mut parabola: Parabola) {
        while let Some(&previous) = self.parabolas.last() {
            parabola.from = previous.crossing(parabola);
            if parabola.from > previous.from {
                break;
            }
            // The previous one is nowhere the lowest.
            self.parabolas.pop();
            parabola.from = f64::NEG_INFINITY;
        }
        self.parabolas.push(parabola);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;
    use proptest::prelude::*;

    use super::*;

    fn check(sites: &Array3<bool>, zyx: [f64; 3], expected: &[f64]) {
        let found = squared_distances(sites, Spacing::new(zyx).unwrap()).unwrap();
        assert_eq!(found.as_slice().unwrap(), expected);
    }

    /// Every voxel against every site.
    fn by_brute_force(sites: &Array3<bool>, zyx: [f64; 3]) -> Array3<f64> {
        Array3::from_shape_fn(sites.dim(), |(z, y, x)| {
            let squared = |((sz, sy, sx), _): ((usize, usize, usize), &bool)| {
                let steps = [z.abs_diff(sz), y.abs_diff(sy), x.abs_diff(sx)];
                steps.iter().zip(zyx).map(|(&n, mm)| (n as f64 * mm).powi(2)).sum::<f64>()
            };
            sites.indexed_iter().filter(|(_, site)| **site).map(squared).fold(f64::INFINITY, f64::min)
        })
    }

    #[test]
    fn squares_grow_along_a_line_in_steps_of_the_spacing() {
        check(&arr3(&[[[false, true, false, false]]]), [5.0, 3.0, 0.5], &[0.25, 0.0, 0.25, 1.0]);
        check(&arr3(&[[[false], [false], [true]]]), [5.0, 3.0, 0.5], &[36.0, 9.0, 0.0]);
        check(&arr3(&[[[true]], [[false]]]), [5.0, 3.0, 0.5], &[0.0, 25.0]);
    }

    #[test]
    fn the_diagonal_is_as_long_as_pythagoras_says() {
        let sites = arr3(&[[[true, false], [false, false]]]);
        check(&sites, [1.0, 3.0, 4.0], &[0.0, 16.0, 9.0, 25.0]);
    }

    #[test]
    fn without_a_site_there_is_no_distance() {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        assert_eq!(squared_distances(&Array3::from_elem((2, 2, 2), false), spacing), None);
        assert_eq!(squared_distances(&Array3::from_elem((0, 2, 2), true), spacing), None);
    }

    prop_compose! {
        fn sites_and_spacing()(shape in [1_usize..6, 1_usize..7, 1_usize..8])(
            sites in prop::collection::vec(prop::bool::weighted(0.15), shape.iter().product::<usize>()),
            zyx in [0.1_f64..5.0, 0.1_f64..5.0, 0.1_f64..5.0],
            shape in Just(shape),
        ) -> (Array3<bool>, [f64; 3]) {
            (Array3::from_shape_vec(shape, sites).unwrap(), zyx)
        }
    }

    proptest! {
        #[test]
        fn every_distance_is_the_least_over_all_sites((sites, zyx) in sites_and_spacing()) {
            let found = squared_distances(&sites, Spacing::new(zyx).unwrap());
            prop_assert_eq!(found.is_some(), sites.iter().any(|site| *site));
            for (found, expected) in found.iter().flatten().zip(&by_brute_force(&sites, zyx)) {
                // Both are sums of three squares; the order of the sums and a tie of parabolas round differently.
                prop_assert!((found - expected).abs() <= 1e-12 * expected.max(1.0), "{found} {expected}");
            }
        }
    }
}
