//! The region outside of a body: zeros that a path of zeros joins to the border of the volume.
//!
//! A voxel is zero if every channel is; paths go from face to face. Enclosed zeros, such as air in the lungs of a
//! masked image, belong to the body. Follows nnU-Net's `create_nonzero_mask` with SciPy's `binary_fill_holes`. Instead
//! of growing the outside voxel by voxel in a mask of the volume's size, rows are cut into runs of zeros and runs that
//! touch are united: one pass over the voxels, and memory for the runs only, of which most images have few.

use std::ops::Range;

use ndarray::{Array1, Array3, ArrayView1, ArrayView3, ArrayView4, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

/// Set of everything that reaches the border.
const BORDER: u32 = 0;

/// The voxels outside of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outside {
    shape: [usize; 3],
    runs: Runs,
}

impl Outside {
    /// Of `[channel, a, b, c]`.
    pub(crate) fn of(voxels: &ArrayView4<'_, f32>) -> Self {
        let (_, a, b, c) = voxels.dim();
        let planes = voxels.axis_iter(Axis(1)).into_par_iter().map(|plane| Runs::of_plane(&plane));
        let zeros = Runs::join(planes.collect());
        Self { shape: [a, b, c], runs: zeros.joined_to_border([a, b, c]) }
    }

    /// Calls `change` with every stretch `(plane, row, columns)` that lies outside.
    fn for_each(&self, mut change: impl FnMut(usize, usize, Range<usize>)) {
        let [_, b, _] = self.shape;
        for row in 0..self.runs.n_rows() {
            for run in self.runs.of_row(row) {
                change(row / b, row % b, run.start..run.end);
            }
        }
    }

    /// Whether a voxel with a label of 0 lies there.
    pub(crate) fn has_unlabeled(&self, labels: &ArrayView3<'_, u8>) -> bool {
        let mut found = false;
        self.for_each(|plane, row, columns| {
            found |= labels.slice(s![plane, row, columns]).iter().any(|&label| label == 0);
        });
        found
    }

    /// Lets `change` edit every stretch of `values` that lies outside.
    pub(crate) fn edit<T>(&self, values: &mut ArrayViewMut3<'_, T>, change: impl Fn(&mut T)) {
        self.for_each(|plane, row, columns| values.slice_mut(s![plane, row, columns]).iter_mut().for_each(&change));
    }

    /// True inside of the body.
    pub(crate) fn inside(&self) -> Array3<bool> {
        let mut mask = Array3::from_elem(self.shape, true);
        self.edit(&mut mask.view_mut(), |inside| *inside = false);
        mask
    }
}

/// Zeros `start..end` of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    start: usize,
    end: usize,
}

/// Runs of consecutive rows in C order, and where those of each row begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Runs {
    all: Vec<Run>,
    first: Vec<usize>,
}

impl Runs {
    fn new() -> Self {
        Self { all: Vec::new(), first: vec![0] }
    }

    /// The runs of zeros in `[channel, b, c]`.
    fn of_plane(plane: &ArrayView3<'_, f32>) -> Self {
        let mut runs = Self::new();
        for row in plane.axis_iter(Axis(1)) {
            let zeros = |channel: ArrayView1<'_, f32>| channel.mapv(|value| value == 0.0);
            let mut channels = row.outer_iter();
            match channels.next().filter(has_zeros) {
                Some(first) => runs.add_row(&channels.fold(zeros(first), |all, channel| all & zeros(channel))),
                None => runs.first.push(runs.all.len()),
            }
        }
        runs
    }

    fn add_row(&mut self, is_zero: &Array1<bool>) {
        let mut start = None;
        for (index, &zero) in is_zero.iter().enumerate() {
            match (zero, start) {
                (true, None) => start = Some(index),
                (false, Some(begin)) => {
                    self.all.push(Run { start: begin, end: index });
                    start = None;
                }
                _ => {}
            }
        }
        self.all.extend(start.map(|begin| Run { start: begin, end: is_zero.len() }));
        self.first.push(self.all.len());
    }

    /// The runs of plane after plane.
    fn join(planes: Vec<Self>) -> Self {
        let mut joined = Self::new();
        for plane in planes {
            let before = joined.all.len();
            joined.all.extend(plane.all);
            joined.first.extend(plane.first[1..].iter().map(|first| before + first));
        }
        joined
    }

    fn n_rows(&self) -> usize {
        self.first.len() - 1
    }

    fn of_row(&self, row: usize) -> &[Run] {
        &self.all[self.first[row]..self.first[row + 1]]
    }

    /// Those of a volume `[a, b, c]` that the border is reached from.
    fn joined_to_border(&self, [a, b, c]: [usize; 3]) -> Self {
        let mut sets = DisjointSets::new(self.all.len() + 1);
        for i in 0..a {
            for j in 0..b {
                let row = i * b + j;
                let border_row = i == 0 || j == 0 || i + 1 == a || j + 1 == b;
                for (number, run) in self.numbered(row) {
                    if border_row || run.start == 0 || run.end == c {
                        sets.unite(number, BORDER);
                    }
                }
                if i > 0 {
                    self.unite_touching(row, row - b, &mut sets);
                }
                if j > 0 {
                    self.unite_touching(row, row - 1, &mut sets);
                }
            }
        }
        let border = sets.root(BORDER);
        let mut reached = Self::new();
        for row in 0..self.n_rows() {
            let runs = self.numbered(row).filter(|&(number, _)| sets.root(number) == border);
            reached.all.extend(runs.map(|(_, run)| run));
            reached.first.push(reached.all.len());
        }
        reached
    }

    /// The runs of a row, each with the number of its set.
    fn numbered(&self, row: usize) -> impl Iterator<Item = (u32, Run)> + '_ {
        let range = self.first[row]..self.first[row + 1];
        let number = |index: usize| u32::try_from(index + 1).expect("a volume has fewer than 2^32 runs");
        range.map(move |index| (number(index), self.all[index]))
    }

    /// Unites runs of two neighboring rows that share a position.
    fn unite_touching(&self, row: usize, neighbor: usize, sets: &mut DisjointSets) {
        let mut others = self.numbered(neighbor).peekable();
        for (number, run) in self.numbered(row) {
            while let Some(&(other_number, other)) = others.peek() {
                if other.start < run.end && run.start < other.end {
                    sets.unite(number, other_number);
                }
                // A run that goes on behind this one may touch the next, too.
                if other.end > run.end {
                    break;
                }
                others.next();
            }
        }
    }
}

/// Looks at every value, which is faster than to stop at the first: most rows have no zeros.
fn has_zeros(row: &ArrayView1<'_, f32>) -> bool {
    let mut any = false;
    match row.to_slice() {
        Some(values) => values.iter().for_each(|&value| any |= value == 0.0),
        None => row.iter().for_each(|&value| any |= value == 0.0),
    }
    any
}

/// Union–find with path halving; the smaller number leads, so that [`BORDER`] always does.
struct DisjointSets {
    parent: Vec<u32>,
}

impl DisjointSets {
    fn new(n: usize) -> Self {
        Self { parent: (0..n).map(|i| u32::try_from(i).expect("a volume has fewer than 2^32 runs")).collect() }
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while self.parent[number as usize] != number {
            let grandparent = self.parent[self.parent[number as usize] as usize];
            self.parent[number as usize] = grandparent;
            number = grandparent;
        }
        number
    }

    fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};
    use proptest::prelude::*;

    /// The inside, by growing the outside voxel by voxel.
    fn grown(body: &Array3<bool>) -> Array3<bool> {
        let mut inside = Array3::from_elem(body.raw_dim(), true);
        let (a, b, c) = body.dim();
        let on_border = |[i, j, k]: [usize; 3]| i * j * k == 0 || i + 1 == a || j + 1 == b || k + 1 == c;
        let all = body.indexed_iter().map(|((i, j, k), _)| [i, j, k]);
        let mut stack: Vec<_> = all.filter(|&voxel| on_border(voxel)).collect();
        while let Some(voxel) = stack.pop() {
            if body.get(voxel) != Some(&false) || !inside[voxel] {
                continue;
            }
            inside[voxel] = false;
            for axis in 0..3 {
                for step in [usize::MAX, 1] {
                    let mut neighbor = voxel;
                    neighbor[axis] = neighbor[axis].wrapping_add(step);
                    stack.push(neighbor);
                }
            }
        }
        inside
    }

    fn image(body: &Array3<bool>) -> Array4<f32> {
        body.mapv(|inside| if inside { -2.0 } else { 0.0 }).insert_axis(Axis(0))
    }

    #[test]
    fn a_full_volume_and_an_empty_one_have_no_holes() {
        for value in [true, false] {
            let body = Array3::from_elem((3, 3, 3), value);
            assert_eq!(Outside::of(&image(&body).view()).inside(), body);
        }
    }

    #[test]
    fn enclosed_zeros_lie_inside_and_open_ones_do_not() {
        // In a volume of one slice everything touches the border along z, so holes need three slices.
        let mut image = Array4::from_elem((1, 3, 3, 4), 1.0);
        image[[0, 1, 1, 1]] = 0.0;
        image[[0, 1, 1, 2]] = 0.0;
        assert!(Outside::of(&image.view()).inside().iter().all(|&inside| inside));
        image[[0, 1, 1, 3]] = 0.0;
        let inside = Outside::of(&image.view()).inside();
        assert_eq!(inside.index_axis(Axis(0), 1).row(1), array![true, false, false, false]);
        assert_eq!(inside.iter().filter(|&&inside| !inside).count(), 3);
    }

    #[test]
    fn one_channel_with_signal_is_enough() {
        let mut image = Array4::zeros((2, 1, 1, 3));
        image[[1, 0, 0, 1]] = 1.0;
        assert_eq!(Outside::of(&image.view()).inside(), array![[[false, true, false]]]);
    }

    proptest! {
        #[test]
        fn the_outside_is_what_growth_from_the_border_reaches(
            (shape, voxels) in (1_usize..7, 1_usize..7, 1_usize..9).prop_flat_map(|(a, b, c)| {
                (Just((a, b, c)), proptest::collection::vec(proptest::bool::weighted(0.6), a * b * c))
            })
        ) {
            let body = Array3::from_shape_vec(shape, voxels).unwrap();
            let image = image(&body);
            prop_assert_eq!(Outside::of(&image.view()).inside(), grown(&body));
            let turned = image.view().permuted_axes([0, 3, 2, 1]);
            prop_assert_eq!(Outside::of(&turned).inside().reversed_axes(), grown(&body));
        }
    }
}
