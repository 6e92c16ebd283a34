//! Filling the enclosed holes of a mask.
//!
//! A hole is a set of false voxels that no path of false face neighbors joins to the border of the volume, as SciPy's
//! `binary_fill_holes` has it. Instead of growing the outside voxel by voxel, rows are cut into runs of false voxels
//! and runs that touch are united: one pass over the mask, and memory for the runs only.

use ndarray::Array3;

/// Set of everything that reaches the border.
const OUTSIDE: u32 = 0;

/// False voxels `start..end` of one row.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
}

/// Sets every false voxel that no path of false face neighbors joins to the border.
pub(crate) fn fill_holes(mask: &mut Array3<bool>) {
    if mask.iter().all(|&inside| inside) {
        return;
    }
    let (a, b, c) = mask.dim();
    let runs = Runs::of(mask);
    let mut sets = DisjointSets::new(runs.all.len() + 1);
    for i in 0..a {
        for j in 0..b {
            let row = i * b + j;
            let border_row = i == 0 || j == 0 || i + 1 == a || j + 1 == b;
            for (number, run) in runs.of_row(row) {
                if border_row || run.start == 0 || run.end == c {
                    sets.unite(number, OUTSIDE);
                }
            }
            if i > 0 {
                runs.unite_touching(row, row - b, &mut sets);
            }
            if j > 0 {
                runs.unite_touching(row, row - 1, &mut sets);
            }
        }
    }
    let outside = sets.root(OUTSIDE);
    for (row, mut voxels) in mask.rows_mut().into_iter().enumerate() {
        for (number, run) in runs.of_row(row) {
            if sets.root(number) != outside {
                voxels.slice_mut(ndarray::s![run.start..run.end]).fill(true);
            }
        }
    }
}

/// All runs in C order, and where those of each row begin.
struct Runs {
    all: Vec<Run>,
    first: Vec<usize>,
}

impl Runs {
    fn of(mask: &Array3<bool>) -> Self {
        let mut runs = Self { all: Vec::new(), first: vec![0] };
        for row in mask.rows() {
            let mut start = None;
            for (index, &inside) in row.iter().enumerate() {
                match (inside, start) {
                    (false, None) => start = Some(index),
                    (true, Some(begin)) => {
                        runs.all.push(Run { start: begin, end: index });
                        start = None;
                    }
                    _ => {}
                }
            }
            runs.all.extend(start.map(|begin| Run { start: begin, end: row.len() }));
            runs.first.push(runs.all.len());
        }
        runs
    }

    /// The runs of a row, each with the number of its set.
    fn of_row(&self, row: usize) -> impl Iterator<Item = (u32, Run)> + '_ {
        let range = self.first[row]..self.first[row + 1];
        let number = |index: usize| u32::try_from(index + 1).expect("a volume has fewer than 2^32 runs");
        range.map(move |index| (number(index), self.all[index]))
    }

    /// Unites runs of two neighboring rows that share a position.
    fn unite_touching(&self, row: usize, neighbor: usize, sets: &mut DisjointSets) {
        let mut others = self.of_row(neighbor).peekable();
        for (number, run) in self.of_row(row) {
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

/// Union–find with path halving; the smaller number leads, so that [`OUTSIDE`] always does.
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
    use proptest::prelude::*;

    /// The same by growing the outside voxel by voxel.
    fn grown(mask: &Array3<bool>) -> Array3<bool> {
        let mut filled = Array3::from_elem(mask.raw_dim(), true);
        let (a, b, c) = mask.dim();
        let on_border = |[i, j, k]: [usize; 3]| i * j * k == 0 || i + 1 == a || j + 1 == b || k + 1 == c;
        let all = mask.indexed_iter().map(|((i, j, k), _)| [i, j, k]);
        let mut stack: Vec<_> = all.filter(|&voxel| on_border(voxel)).collect();
        while let Some(voxel) = stack.pop() {
            if mask.get(voxel) != Some(&false) || !filled[voxel] {
                continue;
            }
            filled[voxel] = false;
            for axis in 0..3 {
                for step in [usize::MAX, 1] {
                    let mut neighbor = voxel;
                    neighbor[axis] = neighbor[axis].wrapping_add(step);
                    stack.push(neighbor);
                }
            }
        }
        filled
    }

    #[test]
    fn a_full_mask_and_an_empty_one_stay() {
        for value in [true, false] {
            let mut mask = Array3::from_elem((3, 3, 3), value);
            fill_holes(&mut mask);
            assert_eq!(mask, Array3::from_elem((3, 3, 3), value));
        }
    }

    proptest! {
        #[test]
        fn holes_are_those_that_growth_from_the_border_does_not_reach(
            (shape, voxels) in (1_usize..7, 1_usize..7, 1_usize..9).prop_flat_map(|(a, b, c)| {
                (Just((a, b, c)), proptest::collection::vec(proptest::bool::weighted(0.6), a * b * c))
            })
        ) {
            let mut mask = Array3::from_shape_vec(shape, voxels).unwrap();
            let expected = grown(&mask);
            fill_holes(&mut mask);
            prop_assert_eq!(mask, expected);
        }
    }
}
