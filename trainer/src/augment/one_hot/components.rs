//! Connected components of a bit mask.
//!
//! Voxels are neighbors if they share a face, an edge or a corner, as in scikit-image's `label` with full connectivity.
//! Runs of a row are joined with those of the rows before it, so that the work grows with the runs and not with the
//! voxels.

use super::bit_mask::BitMask;

/// One row's voxels without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its row, `z · n_y + y`.
    pub row: usize,
    /// First voxel, and the one past the last.
    pub range: (usize, usize),
}

/// The runs of a mask and the component of each.
#[derive(Debug)]
pub struct Components {
    runs: Vec<Run>,
    /// Per run, a run of the same component that comes no later; a component's first run has its own index.
    parents: Vec<usize>,
}

impl Components {
    /// Finds the components of a mask.
    pub fn of(mask: &BitMask) -> Self {
        let [n_z, n_y, _] = mask.shape();
        let mut components = Self { runs: Vec::new(), parents: Vec::new() };
        // First run of every row, and of the one past the last.
        let mut first_of = vec![0; n_z * n_y + 1];
        for row in 0..n_z * n_y {
            first_of[row] = components.runs.len();
            components.runs.extend(mask.runs(row).map(|range| Run { row, range }));
            components.parents.extend(first_of[row]..components.runs.len());
            first_of[row + 1] = components.runs.len();
            let (z, y) = (row / n_y, row % n_y);
            let same_slice = (y > 0).then(|| row - 1);
            let slice_before =
                (y.saturating_sub(1)..(y + 2).min(n_y)).filter_map(|y| z.checked_sub(1).map(|z| z * n_y + y));
            for before in same_slice.into_iter().chain(slice_before) {
                components.join_rows(first_of[before]..first_of[before + 1], first_of[row]..first_of[row + 1]);
            }
        }
        components
    }

    /// The runs of every component, the components in the order of their first voxels.
    pub fn into_runs(mut self) -> Vec<Vec<Run>> {
        let mut place = vec![usize::MAX; self.runs.len()];
        let mut components: Vec<Vec<Run>> = Vec::new();
        for index in 0..self.runs.len() {
            let root = self.root(index);
            if place[root] == usize::MAX {
                place[root] = components.len();
                components.push(Vec::new());
            }
            components[place[root]].push(self.runs[index]);
        }
        components
    }

    /// Joins the runs of two neighboring rows that touch.
    fn join_rows(&mut self, before: std::ops::Range<usize>, now: std::ops::Range<usize>) {
        let (mut i, mut j) = (before.start, now.start);
        while i < before.end && j < now.end {
            let (a, b) = (self.runs[i].range, self.runs[j].range);
            // One past the end touches by a corner.
            if a.0 <= b.1 && b.0 <= a.1 {
                let (a, b) = (self.root(i), self.root(j));
                self.parents[a.max(b)] = a.min(b);
            }
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
    }

    /// The first run of a run's component, as far as that is known; the way to it becomes shorter.
    fn root(&mut self, mut index: usize) -> usize {
        while self.parents[index] != index {
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use imaging::components::outside_largest;
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    fn sizes(shape: [usize; 3], inside: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut mask = BitMask::empty(shape);
        (0..shape.iter().product()).filter(|&i| inside(i)).for_each(|i| mask.insert(i / shape[2], i % shape[2]));
        let size = |runs: Vec<Run>| runs.iter().map(|run| run.range.1 - run.range.0).sum();
        Components::of(&mask).into_runs().into_iter().map(size).collect()
    }

    #[test]
    fn voxels_that_share_a_corner_are_one_component() {
        let diagonal = [0, 7];
        assert_eq!(sizes([2, 2, 2], |i| diagonal.contains(&i)), [2]);
        let row = [1, 1, 0, 1, 0, 0, 1];
        assert_eq!(sizes([1, 1, 7], |i| row[i] == 1), [2, 1, 1]);
        assert_eq!(sizes([1, 2, 3], |_| false), [0; 0]);
        // A comb: its teeth are one only through its back, which comes last.
        assert_eq!(sizes([1, 2, 5], |i| i >= 5 || i % 2 == 0), [8]);
    }

    proptest! {
        #[test]
        fn components_are_those_that_flooding_finds(voxels in prop::collection::vec(0..3_u8, 3 * 5 * 70)) {
            let inside = |i: usize| voxels[i] == 0;
            let found = sizes([3, 5, 70], inside);
            let mask = Array3::from_shape_fn((3, 5, 70), |(z, y, x)| inside((z * 5 + y) * 70 + x));
            let largest = found.iter().max().copied().unwrap_or(0);
            let n_outside: usize = found.iter().filter(|size| **size < largest).sum();
            prop_assert_eq!(outside_largest(&mask).len(), n_outside);
            prop_assert_eq!(found.iter().sum::<usize>(), mask.iter().filter(|inside| **inside).count());
        }
    }
}
