//! Which voxels of every structure are remembered, so that a patch around foreground is drawn without a search.
//!
//! At most 10 000 voxels of a structure, or one in a hundred where that is more, drawn without replacement. Follows
//! nnU-Net's `_sample_foreground_locations` and draws the same voxels: one `RandomState(1234)` per case permutes the
//! voxels of one structure after the other, and the first of each permutation are taken. Departs from it by keeping
//! them in the order of the array, which changes no later draw's distribution, and by walking the labels only once.

use imaging::resample::only_label;
use ndarray::Array3;

use crate::dataset::LabelSet;
use crate::mt19937::Mt19937;
use crate::preprocess::OUTSIDE;

/// Seed of the draw, the same for every case.
const SEED: u32 = 1234;
/// Voxels of a structure that are remembered if it has as many.
const MIN_SAMPLES: usize = 10_000;
/// Least fraction of a structure that is remembered.
const MIN_COVERAGE: f64 = 0.01;
/// Labels are −1 to 255; their place in a table is one higher.
const N_LABELS: usize = 257;

/// Remembered voxels of one structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The labels that the structure consists of; with −1 among them, everything that is annotated.
    pub labels: Vec<i16>,
    /// Voxels `[z, y, x]` in C order.
    pub voxels: Vec<[u32; 3]>,
}

/// The structures whose voxels are remembered: classes or regions, and for a data set with an ignore label everything
/// that is annotated, background and outside included, for patches must come from there.
pub fn structures(labels: &LabelSet) -> Vec<Vec<i16>> {
    let signed = |values: &[u8]| values.iter().map(|&value| i16::from(value)).collect::<Vec<_>>();
    let mut structures: Vec<_> = labels.structures.iter().map(|structure| signed(&structure.values)).collect();
    if labels.ignore.is_some() {
        let mut annotated: Vec<_> = structures.iter().flatten().copied().chain([OUTSIDE, 0]).collect();
        annotated.sort_unstable();
        annotated.dedup();
        structures.push(annotated);
    }
    structures
}

/// Draws the voxels to remember; a structure without voxels has an empty list.
///
/// # Panics
///
/// If there are 2³² voxels or more.
pub fn locations(labels: &Array3<i16>, structures: &[Vec<i16>]) -> Vec<Locations> {
    let mut counts = [0_usize; N_LABELS];
    for row in labels.rows() {
        match only_label(&row) {
            Some(label) => place(label).into_iter().for_each(|place| counts[place] += row.len()),
            None => row.iter().filter_map(|&label| place(label)).for_each(|place| counts[place] += 1),
        }
    }
    let mut random = Mt19937::new(SEED);
    let mut draws: Vec<_> = structures.iter().map(|structure| Draw::new(structure, &counts, &mut random)).collect();
    let mut wanted = vec![Vec::new(); N_LABELS];
    for (number, draw) in draws.iter().enumerate() {
        for &label in draw.found.labels.iter().filter(|_| draw.n_left > 0) {
            wanted[place(label).expect("a draw has labels of the table only")].push(number);
        }
    }
    let mut ranks = [0_usize; N_LABELS];
    let narrow = |extent: usize| u32::try_from(extent).expect("a volume's extents fit into 32 bits");
    for (z, plane) in labels.outer_iter().enumerate() {
        for (y, row) in plane.outer_iter().enumerate() {
            let is_wanted = |label| place(label).is_some_and(|place| !wanted[place].is_empty());
            if only_label(&row).is_some_and(|label| !is_wanted(label)) {
                continue;
            }
            for (x, &label) in row.iter().enumerate() {
                let Some(place) = place(label).filter(|&place| !wanted[place].is_empty()) else { continue };
                for &number in &wanted[place] {
                    draws[number].take(label, ranks[place], [narrow(z), narrow(y), narrow(x)]);
                }
                ranks[place] += 1;
            }
        }
    }
    draws.into_iter().map(|draw| draw.found).collect()
}

/// Place of a label in a table; `None` for a label that no file can hold.
fn place(label: i16) -> Option<usize> {
    usize::try_from(i32::from(label) + 1).ok().filter(|&place| place < N_LABELS)
}

/// The draw of one structure: which of its voxels, counted label by label, are taken.
struct Draw {
    found: Locations,
    /// Place of each label's first voxel among those of the structure.
    first: Vec<usize>,
    /// One bit per voxel of the structure.
    chosen: Vec<u64>,
    n_left: usize,
}

impl Draw {
    fn new(structure: &[i16], counts: &[usize; N_LABELS], random: &mut Mt19937) -> Self {
        let labels: Vec<i16> = structure.iter().copied().filter(|&label| place(label).is_some()).collect();
        let mut total = 0;
        let first = labels.iter().map(|&label| {
            let before = total;
            total += place(label).map_or(0, |place| counts[place]);
            before
        });
        let first = first.collect();
        let n_left = n_samples(total);
        let mut chosen = vec![0_u64; total.div_ceil(64)];
        for &index in &permutation(total, random)[..n_left] {
            chosen[index as usize / 64] |= 1 << (index % 64);
        }
        Self { found: Locations { labels, voxels: Vec::with_capacity(n_left) }, first, chosen, n_left }
    }

    /// Keeps voxel number `rank` of a label if it was drawn.
    fn take(&mut self, label: i16, rank: usize, voxel: [u32; 3]) {
        let Some(number) = self.found.labels.iter().position(|&known| known == label) else { return };
        let index = self.first[number] + rank;
        if self.chosen[index / 64] >> (index % 64) & 1 == 1 {
            self.found.voxels.push(voxel);
        }
    }
}

/// How many of the voxels of a structure are remembered.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the number of voxels")]
fn n_samples(total: usize) -> usize {
    MIN_SAMPLES.min(total).max((total as f64 * MIN_COVERAGE).ceil() as usize)
}

/// `RandomState.permutation(n)`.
fn permutation(n: usize, random: &mut Mt19937) -> Vec<u32> {
    let n = u32::try_from(n).expect("a volume has fewer than 2^32 voxels");
    let mut indices: Vec<u32> = (0..n).collect();
    random.shuffle(&mut indices);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        shape: [usize; 3],
        structures: Vec<Vec<i16>>,
        /// Of each structure: voxels, sum and sum of squares of their flat indices modulo 2³², and the first five.
        drawn: Vec<(usize, u64, u64, Vec<usize>)>,
    }

    /// The labels of `golden/foreground/generate.py`: mostly background and ones, some twos, few threes.
    fn labels(shape: [usize; 3]) -> Array3<i16> {
        Array3::from_shape_fn(shape, |(z, y, x)| match (z * 31 + y * 17 + x * 7) % 100 {
            0..40 => 0,
            40..90 => 1,
            90..98 => 2,
            98 => 3,
            _ => OUTSIDE,
        })
    }

    #[test]
    fn the_voxels_drawn_are_nnunets() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/foreground/cases.json")).unwrap();
        assert_eq!(cases.len(), 3);
        for golden in cases {
            let [_, b, c] = golden.shape;
            let found = locations(&labels(golden.shape), &golden.structures);
            for (found, (n, sum, squares, first)) in found.iter().zip(&golden.drawn) {
                let flat = found.voxels.iter().map(|&[z, y, x]| (z as usize * b + y as usize) * c + x as usize);
                let flat: Vec<usize> = flat.collect();
                let modulo = |power: u32| flat.iter().fold(0, |sum, &i| (sum + (i as u64).pow(power)) % (1 << 32));
                assert_eq!(flat.len(), *n, "{:?}", found.labels);
                assert!(flat.is_sorted());
                assert_eq!((modulo(1), modulo(2)), (*sum, *squares), "{:?}", found.labels);
                assert_eq!(flat[..first.len()], first[..]);
            }
        }
    }

    #[test]
    fn few_voxels_are_all_remembered_and_absent_labels_none() {
        let mut labels = Array3::zeros((2, 2, 2));
        labels[[1, 0, 1]] = 2;
        let found = locations(&labels, &[vec![1], vec![2], vec![1, 2]]);
        let voxels: Vec<_> = found.into_iter().map(|found| found.voxels).collect();
        assert_eq!(voxels, [vec![], vec![[1, 0, 1]], vec![[1, 0, 1]]]);
    }

    #[test]
    fn one_in_a_hundred_is_remembered_where_that_is_more_than_ten_thousand() {
        for (total, expected) in [(0, 0), (7, 7), (10_001, 10_000), (1_000_000, 10_000), (1_000_001, 10_001)] {
            assert_eq!(n_samples(total), expected);
        }
    }

    #[test]
    fn an_ignore_label_asks_for_everything_annotated() {
        let structure = |values: &[u8]| crate::dataset::Structure { name: String::new(), values: values.to_vec() };
        let mut set =
            LabelSet { structures: vec![structure(&[1]), structure(&[2])], ignore: None, regions_class_order: None };
        assert_eq!(structures(&set), [vec![1], vec![2]]);
        set.ignore = Some(3);
        assert_eq!(structures(&set), [vec![1], vec![2], vec![-1, 0, 1, 2]]);
    }
}
