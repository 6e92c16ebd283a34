//! The voxels around one place of a case, wherever it lies: the exact and slow way.

use super::{TINY, floor, signed};
use crate::block::Block;
use crate::store::OUTSIDE;

/// The up to eight voxels around a place, with their weights; those outside the block have no index.
pub(super) struct Neighbors {
    voxels: [(Option<usize>, f32); 8],
    len: usize,
    nearest: Option<usize>,
}

impl Neighbors {
    pub(super) fn of(place: [f64; 3], block: &Block) -> Self {
        let base = place.map(|coordinate| floor(coordinate + TINY));
        let fraction: [f64; 3] = std::array::from_fn(|axis| {
            let fraction = place[axis] - base[axis] as f64;
            if fraction.abs() < 2.0 * TINY { 0.0 } else { fraction }
        });
        let mut neighbors = Self { voxels: [(None, 0.0); 8], len: 0, nearest: None };
        for corner in 0..8_usize {
            let up = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
            let weights: [f64; 3] =
                std::array::from_fn(|axis| if up[axis] == 1 { fraction[axis] } else { 1.0 - fraction[axis] });
            let weight = weights[0] * weights[1] * weights[2];
            if weight > 0.0 {
                let voxel = std::array::from_fn(|axis| base[axis] + signed(up[axis]));
                neighbors.voxels[neighbors.len] = (block.index(voxel), narrow(weight));
                neighbors.len += 1;
            }
        }
        neighbors.nearest = block.index(place.map(|coordinate| floor(coordinate + 0.5)));
        neighbors
    }

    fn voxels(&self) -> &[(Option<usize>, f32)] {
        &self.voxels[..self.len]
    }

    pub(super) fn interpolate(&self, values: &[f32]) -> f32 {
        self.voxels().iter().filter_map(|&(index, weight)| index.map(|index| weight * values[index])).sum()
    }

    pub(super) fn label(&self, block: &Block) -> i16 {
        let label = |index: Option<usize>| index.map_or(OUTSIDE, |index| block.labels[index]);
        let weight_of = |wanted: i16| -> f32 {
            self.voxels().iter().filter(|&&(index, _)| label(index) == wanted).map(|&(_, weight)| weight).sum()
        };
        let first = label(self.voxels()[0].0);
        if self.voxels().iter().all(|&(index, _)| label(index) == first) {
            return first;
        }
        let nearest = label(self.nearest);
        let mut best = (nearest, weight_of(nearest));
        for &(index, _) in self.voxels() {
            let candidate = (label(index), weight_of(label(index)));
            if candidate.1 > best.1 {
                best = candidate;
            }
        }
        best.0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "interpolation is in single precision")]
fn narrow(weight: f64) -> f32 {
    weight as f32
}
