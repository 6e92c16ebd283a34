//! Resampling of a patch row by row.
//!
//! Along a row of the patch the place in the case moves by the same step, so the part of the row whose neighbors all
//! lie in the block is known beforehand: there, places are counted in whole numbers (32 bits for the fraction of a
//! voxel) and no border is looked for. The rest, and labels where neither of two wins clearly, is left to
//! [`Neighbors`].

use super::neighbors::Neighbors;
use super::{TINY, dot, floor, signed};
use crate::block::Block;

/// Distance from the block's border within which a place is left to [`Neighbors`].
const MARGIN: f64 = 1e-4;
/// One voxel, in the unit of places.
const VOXEL: f64 = 4_294_967_296.0;

/// Places of the voxels of a patch in a case.
#[derive(Debug)]
pub(super) struct Grid {
    center: [f64; 3],
    matrix: [[f64; 3]; 3],
    patch: [usize; 3],
    middle: [f64; 3],
}

impl Grid {
    pub(super) fn new(center: [f64; 3], matrix: [[f64; 3]; 3], patch: [usize; 3]) -> Self {
        Self { center, matrix, patch, middle: patch.map(|extent| (extent as f64 - 1.0) / 2.0) }
    }

    fn place(&self, voxel: [usize; 3]) -> [f64; 3] {
        let offset: [f64; 3] = std::array::from_fn(|axis| voxel[axis] as f64 - self.middle[axis]);
        std::array::from_fn(|row| self.center[row] + dot(self.matrix[row], offset))
    }

    /// Columns of a row whose places lie in a box, both borders included, as a half-open range.
    fn columns_within(&self, start: [f64; 3], low: [f64; 3], high: [f64; 3]) -> (usize, usize) {
        let n_x = self.patch[2];
        let (mut first, mut last) = (0.0_f64, n_x as f64 - 1.0);
        for axis in 0..3 {
            let step = self.matrix[axis][2];
            if step == 0.0 {
                if start[axis] < low[axis] || start[axis] > high[axis] {
                    return (0, 0);
                }
            } else {
                let (a, b) = ((low[axis] - start[axis]) / step, (high[axis] - start[axis]) / step);
                (first, last) = (first.max(a.min(b)), last.min(a.max(b)));
            }
        }
        if first > last { (0, 0) } else { (column(first.ceil()).min(n_x), column(last.floor() + 1.0).min(n_x)) }
    }
}

/// Whether the places of a row lie on slices of the case or between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slices {
    One,
    Two,
}

/// The first of the neighbors of a place, and how far the place is from it toward the others.
#[derive(Debug, Clone, Copy)]
struct Cell {
    index: usize,
    share: [f32; 3],
}

/// Fills image `[channel, z, y, x]` and labels `[z, y, x]` of a patch from the part of the case in a block.
pub(super) fn resample(block: &Block, grid: &Grid, image: &mut [f32], labels: &mut [i16]) {
    let [n_z, n_y, n_x] = grid.patch;
    let mut cells = Vec::with_capacity(n_x);
    for (number, row) in labels.chunks_exact_mut(n_x).enumerate().take(n_z * n_y) {
        let (z, y) = (number / n_y, number % n_y);
        let start = grid.place([z, y, 0]);
        let (touched, inner, slices) = ranges(block, grid, start);
        let outer = (touched.0..inner.0.max(touched.0)).chain(inner.1.max(touched.0)..touched.1);
        for x in outer {
            let neighbors = Neighbors::of(grid.place([z, y, x]), block);
            row[x] = neighbors.label(block);
            for channel in 0..block.n_channels() {
                let values = &block.image[channel * block.labels.len()..];
                image[(channel * n_z * n_y + number) * n_x + x] = neighbors.interpolate(values);
            }
        }
        fill_cells(&mut cells, block, (start, grid), inner);
        for (x, cell) in (inner.0..inner.1).zip(&cells) {
            row[x] = clear_label(block, cell, slices)
                .unwrap_or_else(|| Neighbors::of(grid.place([z, y, x]), block).label(block));
        }
        for channel in 0..block.n_channels() {
            let values = &block.image[channel * block.labels.len()..][..block.labels.len()];
            let row = &mut image[(channel * n_z * n_y + number) * n_x..][inner.0..inner.1];
            interpolate(values, block.shape, &cells, slices, row);
        }
    }
}

/// Columns of a row that have a neighbor in the block, those with all neighbors in it, and whether these need two
/// slices.
fn ranges(block: &Block, grid: &Grid, start: [f64; 3]) -> ((usize, usize), (usize, usize), Slices) {
    let lower = block.lower.map(|lower| lower as f64);
    let upper: [f64; 3] = std::array::from_fn(|axis| lower[axis] + block.shape[axis] as f64 - 1.0);
    let touched = grid.columns_within(start, lower.map(|l| l - 1.0), upper.map(|u| u + 1.0));
    let (mut low, mut high) = (lower.map(|l| l + MARGIN), upper.map(|u| u - MARGIN));
    let is_flat = grid.matrix[0][2] == 0.0 && (start[0] - start[0].round()).abs() < TINY;
    if is_flat {
        (low[0], high[0]) = (lower[0] - TINY, upper[0] + TINY);
    }
    let (first, end) = grid.columns_within(start, low, high);
    (
        touched,
        if first < end { (first, end) } else { (touched.1, touched.1) },
        if is_flat { Slices::One } else { Slices::Two },
    )
}

fn fill_cells(cells: &mut Vec<Cell>, block: &Block, (start, grid): ([f64; 3], &Grid), (first, end): (usize, usize)) {
    cells.clear();
    // Half a rounding's width ahead, so that a place on a voxel does not fall short of it.
    let step: [i64; 3] = std::array::from_fn(|axis| fixed(grid.matrix[axis][2]));
    let mut place: [i64; 3] = std::array::from_fn(|axis| {
        let from_block = start[axis] + grid.matrix[axis][2] * first as f64 - signed(block.lower[axis]) as f64;
        fixed(from_block + TINY)
    });
    let [_, n_y, n_x] = block.shape;
    for _ in first..end {
        let [z, y, x] = place.map(|coordinate| usize::try_from(coordinate >> 32).unwrap_or(0));
        cells.push(Cell { index: (z * n_y + y) * n_x + x, share: place.map(fraction) });
        place = std::array::from_fn(|axis| place[axis] + step[axis]);
    }
}

/// Linear interpolation at every cell of a row.
fn interpolate(values: &[f32], [_, n_y, n_x]: [usize; 3], cells: &[Cell], slices: Slices, row: &mut [f32]) {
    let line = |index: usize, x: f32| {
        let pair = &values[index..index + 2];
        pair[0] + x * (pair[1] - pair[0])
    };
    let plane = |index: usize, [_, y, x]: [f32; 3]| {
        let (before, after) = (line(index, x), line(index + n_x, x));
        before + y * (after - before)
    };
    match slices {
        Slices::One => row.iter_mut().zip(cells).for_each(|(value, cell)| *value = plane(cell.index, cell.share)),
        Slices::Two => row.iter_mut().zip(cells).for_each(|(value, cell)| {
            let (before, after) = (plane(cell.index, cell.share), plane(cell.index + n_y * n_x, cell.share));
            *value = before + cell.share[0] * (after - before);
        }),
    }
}

/// The label of a cell whose voxels have one label, or two of which one clearly outweighs the other.
fn clear_label(block: &Block, cell: &Cell, slices: Slices) -> Option<i16> {
    let [_, n_y, n_x] = block.shape;
    let [share_z, share_y, share_x] = cell.share;
    let labels = &block.labels;
    let pair = |index: usize| -> [i16; 2] {
        let pair = &labels[index..index + 2];
        [pair[0], pair[1]]
    };
    let upper = if slices == Slices::One { cell.index } else { cell.index + n_y * n_x };
    let pairs = [pair(cell.index), pair(cell.index + n_x), pair(upper), pair(upper + n_x)];
    let first = pairs[0][0];
    if pairs.iter().all(|pair| *pair == [first; 2]) {
        return Some(first);
    }
    let second = pairs.as_flattened().iter().copied().find(|label| *label != first)?;
    if pairs.as_flattened().iter().any(|label| *label != first && *label != second) {
        return None;
    }
    let of = |pair: [i16; 2]| f32::from(pair[0] == first) * (1.0 - share_x) + f32::from(pair[1] == first) * share_x;
    let plane = |a: [i16; 2], b: [i16; 2]| of(a) * (1.0 - share_y) + of(b) * share_y;
    let share = plane(pairs[0], pairs[1]) * (1.0 - share_z) + plane(pairs[2], pairs[3]) * share_z;
    let is_clear = (share - 0.5).abs() > 1e-4;
    is_clear.then_some(if share > 0.5 { first } else { second })
}

#[expect(clippy::cast_possible_truncation, reason = "a place in a block is below 2^31 voxels")]
fn fixed(coordinate: f64) -> i64 {
    floor(coordinate) * (VOXEL as i64) + ((coordinate - coordinate.floor()) * VOXEL) as i64
}

/// The fraction of a voxel, to 24 bits, which single precision holds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the lowest 32 bits are wanted")]
fn fraction(coordinate: i64) -> f32 {
    ((coordinate as u32) >> 8).cast_signed() as f32 * (1.0 / 16_777_216.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "columns are few, and below 0 is 0")]
fn column(coordinate: f64) -> usize {
    coordinate as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OUTSIDE;

    /// Two channels with a texture, three labels in lumps, somewhere in a case.
    fn block(shape: [usize; 3]) -> Block {
        let n: usize = shape.iter().product();
        let image = (0..2 * n).map(|i| ((i * 7919) % 101) as f32 / 10.0).collect();
        let labels = (0..n).map(|i| i16::try_from((i / 3 + i / 20) % 3).unwrap() - 1).collect();
        Block { lower: [3, 1, 2], shape, image, labels }
    }

    fn check(shape: [usize; 3], center: [f64; 3], matrix: [[f64; 3]; 3], patch: [usize; 3]) {
        let (block, grid) = (block(shape), Grid::new(center, matrix, patch));
        let n: usize = patch.iter().product();
        let (mut image, mut labels) = (vec![0.0; 2 * n], vec![OUTSIDE; n]);
        resample(&block, &grid, &mut image, &mut labels);
        for index in 0..n {
            let voxel = [index / (patch[1] * patch[2]), index / patch[2] % patch[1], index % patch[2]];
            let neighbors = Neighbors::of(grid.place(voxel), &block);
            assert_eq!(labels[index], neighbors.label(&block), "label of {voxel:?}");
            for channel in 0..2 {
                let expected = neighbors.interpolate(&block.image[channel * block.labels.len()..]);
                let found = image[channel * n + index];
                // Values to 10, places to 1e-6 of a voxel.
                assert!((found - expected).abs() < 5e-5, "{found} at {voxel:?}, expected {expected}");
            }
        }
    }

    #[test]
    fn rows_give_what_each_place_gives_alone() {
        let turned = super::super::rotation([0.4, -0.3, 0.2]);
        check([9, 10, 11], [7.1, 5.6, 6.9], turned, [8, 9, 12]);
        // Larger than the block on all sides.
        check([9, 10, 11], [7.0, 5.5, 7.0], turned.map(|row| row.map(|value| 1.7 * value)), [9, 9, 9]);
        let scaled = |scale: f64| [[scale, 0.0, 0.0], [0.0, scale, 0.0], [0.0, 0.0, scale]];
        check([9, 10, 11], [7.0, 5.5, 7.0], scaled(0.8), [6, 6, 6]);
        check([9, 10, 11], [7.0, 5.5, 7.0], scaled(0.5), [5, 4, 3]);
    }

    #[test]
    fn rows_of_a_slice_give_what_each_place_gives_alone() {
        let turned = super::super::rotation([2.5, 0.0, 0.0]);
        check([1, 20, 22], [3.0, 10.0, 12.0], turned, [1, 16, 18]);
        check([4, 20, 22], [4.5, 10.3, 12.2], turned, [4, 30, 30]);
        // Slices beside the block have nothing in it.
        check([1, 9, 9], [5.0, 5.0, 5.0], turned, [3, 4, 4]);
    }
}
