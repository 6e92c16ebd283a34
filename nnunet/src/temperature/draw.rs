//! Which voxels of a case a temperature is fitted to.
//!
//! Almost every voxel is background that every member is sure of, and says nothing about a temperature; what there is to
//! learn lies in and around the structures. So half of the voxels are drawn from there, half from the rest, and each
//! weighs as many as it was drawn from: the weighted sum over the drawn voxels has the mean over all voxels of the case
//! as its expectation, whatever the strata (Horvitz and Thompson, 1952). Strata come from the reference alone, so that no
//! prediction decides what is looked at. Voxels with the ignore label are in none.

use ndarray::{Array3, Array4, ArrayView3, Axis, Zip};
use rand::Rng;
use rand::seq::index;

use crate::dataset::LabelSet;

/// Voxels around the foreground, along every axis, that are drawn as it is.
const MARGIN: usize = 3;

/// Voxels of a case.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    positions: Vec<[usize; 3]>,
    labels: Vec<u8>,
    weights: Vec<f64>,
}

impl Drawn {
    /// Draws at most `n` voxels of a reference `[z, y, x]`.
    pub fn new(reference: &ArrayView3<'_, u8>, labels: &LabelSet, n: usize, rng: &mut impl Rng) -> Self {
        let highest = labels.structures.iter().flat_map(|structure| structure.values.iter().copied()).max();
        let counts = |label: u8| Some(label) != labels.ignore && Some(label) <= highest;
        let near = dilated(&reference.mapv(|label| label > 0 && counts(label)));
        let strata = || reference.iter().zip(&near).map(|(&label, &near)| counts(label).then_some(usize::from(near)));
        let mut sizes = [0_usize; 2];
        strata().flatten().for_each(|stratum| sizes[stratum] += 1);
        let mut wanted = sizes.map(|size| {
            let mut wanted = index::sample(rng, size, (n / 2).min(size)).into_vec();
            wanted.sort_unstable();
            (wanted, 0)
        });
        let weights =
            [0, 1].map(|i| sizes[i] as f64 / (wanted[i].0.len().max(1) * (sizes[0] + sizes[1]).max(1)) as f64);
        let mut seen = [0_usize; 2];
        let mut drawn = Self::default();
        for (((z, y, x), &label), stratum) in reference.indexed_iter().zip(strata()) {
            let Some(stratum) = stratum else { continue };
            let (wanted, next) = &mut wanted[stratum];
            if wanted.get(*next) == Some(&seen[stratum]) {
                *next += 1;
                drawn.positions.push([z, y, x]);
                drawn.labels.push(label);
                drawn.weights.push(weights[stratum]);
            }
            seen[stratum] += 1;
        }
        drawn
    }

    /// How many voxels were drawn.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Logits of one member at these voxels, `[voxel, output]`, of `[output, z, y, x]`.
    ///
    /// # Panics
    ///
    /// If the logits do not lie on the grid of the reference.
    pub fn pick(&self, logits: &Array4<f32>) -> Vec<f32> {
        let n_outputs = logits.len_of(Axis(0));
        let of_voxel = |&[z, y, x]: &[usize; 3]| (0..n_outputs).map(move |output| logits[[output, z, y, x]]);
        self.positions.iter().flat_map(of_voxel).collect()
    }

    /// Label of every voxel, and its share of the case; shares sum to one.
    pub(super) fn labels_and_weights(&self) -> impl Iterator<Item = (u8, f64)> {
        self.labels.iter().copied().zip(self.weights.iter().copied())
    }
}

/// Everything within [`MARGIN`] voxels along each axis.
fn dilated(mask: &Array3<bool>) -> Array3<bool> {
    (0..3).fold(mask.clone(), |mask, axis| {
        let mut wider = mask.clone();
        Zip::from(wider.lanes_mut(Axis(axis))).and(mask.lanes(Axis(axis))).par_for_each(|mut wider, lane| {
            let n = lane.len();
            for (i, _) in lane.iter().enumerate().filter(|(_, inside)| **inside) {
                for near in i.saturating_sub(MARGIN)..(i + MARGIN + 1).min(n) {
                    wider[near] = true;
                }
            }
        });
        wider
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::dataset::DatasetJson;

    fn labels(text: &str) -> LabelSet {
        let dataset = format!(r#"{{"channel_names":{{"0":"MRI"}},"labels":{text},"file_ending":".nii.gz"}}"#);
        DatasetJson::parse(&dataset).unwrap().structures().unwrap()
    }

    /// A row with foreground from 10 to 11, so that voxels 7 to 14 are near.
    fn row(n: usize) -> Array3<u8> {
        Array3::from_shape_fn((1, 1, n), |(_, _, x)| u8::from(x == 10 || x == 11))
    }

    #[test]
    fn half_is_drawn_from_the_foreground_and_its_surroundings() {
        let labels = labels(r#"{"background":0,"a":1}"#);
        let drawn = Drawn::new(&row(108).view(), &labels, 12, &mut ChaCha8Rng::seed_from_u64(1));
        let near: Vec<_> = drawn.positions.iter().map(|[_, _, x]| (7..15).contains(x)).collect();
        assert_eq!((drawn.len(), near.iter().filter(|near| **near).count()), (12, 6));
        for (near, weight) in near.iter().zip(&drawn.weights) {
            // 8 of 108 voxels are near, six of each kind were drawn.
            let expected = if *near { 8.0 } else { 100.0 } / (6.0 * 108.0);
            assert!((weight - expected).abs() < 1e-15, "{weight}");
        }
        assert!(drawn.positions.is_sorted());
        let again = Drawn::new(&row(108).view(), &labels, 12, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(again, drawn);
    }

    #[test]
    fn what_is_ignored_is_never_drawn() {
        let labels = labels(r#"{"background":0,"a":1,"ignore":2}"#);
        let reference = Array3::from_shape_fn((2, 3, 9), |(_, _, x)| [0, 1, 2][x % 3]);
        let drawn = Drawn::new(&reference.view(), &labels, 1000, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(drawn.len(), 36);
        assert!(!drawn.labels.contains(&2));
    }

    #[test]
    fn logits_are_those_of_the_drawn_voxels() {
        let labels = labels(r#"{"background":0,"a":1}"#);
        let drawn = Drawn::new(&row(20).view(), &labels, 4, &mut ChaCha8Rng::seed_from_u64(1));
        let logits = Array4::from_shape_fn((2, 1, 1, 20), |(output, _, _, x)| (100 * output + x) as f32);
        let at: Vec<_> = drawn.positions.iter().flat_map(|[_, _, x]| [*x as f32, (100 + x) as f32]).collect();
        assert_eq!(drawn.pick(&logits), at);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_sum_to_one_and_positions_are_distinct(
            values in proptest::collection::vec(0_u8..3, 60), n in 2_usize..80, seed in 0_u64..100,
        ) {
            let reference = Array3::from_shape_vec((3, 4, 5), values).unwrap();
            let labels = labels(r#"{"background":0,"a":1,"b":2}"#);
            let drawn = Drawn::new(&reference.view(), &labels, n, &mut ChaCha8Rng::seed_from_u64(seed));
            let sum: f64 = drawn.weights.iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-12, "{}", sum);
            prop_assert!(drawn.positions.is_sorted_by(|a, b| a < b) && drawn.len() <= n);
        }
    }

    #[test]
    fn the_weighted_mean_is_that_of_all_voxels_on_average() {
        let labels = labels(r#"{"background":0,"a":1}"#);
        let value = |x: usize| (x * x % 17) as f64;
        let expected = (0..108).map(value).sum::<f64>() / 108.0;
        let mean_of_draw = |seed| {
            let drawn = Drawn::new(&row(108).view(), &labels, 12, &mut ChaCha8Rng::seed_from_u64(seed));
            drawn.positions.iter().zip(&drawn.weights).map(|([_, _, x], weight)| weight * value(*x)).sum::<f64>()
        };
        let mean = (0..4000).map(mean_of_draw).sum::<f64>() / 4000.0;
        // The standard error of 4000 draws of twelve values with a deviation of 5 is 0.03.
        assert!((mean - expected).abs() < 0.12, "{mean} {expected}");
    }
}
