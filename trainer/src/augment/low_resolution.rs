//! Simulation of low resolution: fewer voxels, then as many as before.
//!
//! Follows nnU-Net's `SimulateLowResolutionTransform` with probability 0.25: each channel with probability one half,
//! all axes by one scale from 0.5 to 1, down to the voxel whose place holds the center (`nearest-exact`), up by linear
//! interpolation between centers; patches that are only turned in their plane keep their slices apart. Draws per
//! channel: whether, then the scale. Departs in computing places by integers and in keeping at least one voxel.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::happens;

/// Of a sample.
pub const PROBABILITY: f64 = 0.25;
const CHANNEL_PROBABILITY: f64 = 0.5;
const SCALES: [f64; 2] = [0.5, 1.0];

/// Coarsens the channels of `[channel, z, y, x]` that are drawn, along `first_axis` and the axes after it.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32], shape: [usize; 3], first_axis: usize) {
    for channel in image.chunks_exact_mut(shape.iter().product()) {
        if happens(generator, CHANNEL_PROBABILITY) {
            let scale = generator.random_range(SCALES[0]..=SCALES[1]);
            let scaled = |axis: usize| if axis < first_axis { shape[axis] } else { scaled(shape[axis], scale) };
            coarsen(channel, shape, std::array::from_fn(scaled));
        }
    }
}

/// Voxels along an axis after scaling, rounded half to even, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scales are between 0 and 1")]
fn scaled(extent: usize, scale: f64) -> usize {
    ((extent as f64 * scale).round_ties_even() as usize).max(1)
}

/// Takes `[z, y, x]` to a coarser grid and back; axes with as many voxels on both stay as they are.
///
/// # Panics
///
/// If a grid has no voxel.
pub fn coarsen(channel: &mut [f32], shape: [usize; 3], coarse: [usize; 3]) {
    if shape == coarse {
        return;
    }
    let mut values = pick(channel, shape, coarse);
    // The shortest arrays first.
    values = stretch_rows(&values, coarse[2], shape[2]);
    if coarse[1] != shape[1] {
        let n_lines = coarse[1] * shape[2];
        let planes = values.chunks_exact(n_lines);
        let mut stretched = vec![0.0; coarse[0] * shape[1] * shape[2]];
        let targets = stretched.chunks_exact_mut(shape[1] * shape[2]);
        planes.zip(targets).for_each(|(plane, target)| stretch_lines(plane, target, [coarse[1], shape[1]]));
        values = stretched;
    }
    stretch_lines(&values, channel, [coarse[0], shape[0]]);
}

/// The value at the center of every coarse voxel.
fn pick(channel: &[f32], shape: [usize; 3], coarse: [usize; 3]) -> Vec<f32> {
    // floor((i + 1/2) · fine / coarse)
    let nearest = |axis: usize| (0..coarse[axis]).map(move |i| (2 * i + 1) * shape[axis] / (2 * coarse[axis]));
    let columns: Vec<usize> = nearest(2).collect();
    let mut values = Vec::with_capacity(coarse.iter().product());
    for z in nearest(0) {
        for y in nearest(1) {
            let row = &channel[(z * shape[1] + y) * shape[2]..][..shape[2]];
            values.extend(columns.iter().map(|&x| row[x]));
        }
    }
    values
}

/// For every fine voxel the coarse one before it, the one after it, and the share of the latter.
fn between(coarse: usize, fine: usize) -> impl Iterator<Item = (usize, usize, f32)> {
    (0..fine).map(move |i| {
        // (i + 1/2) · coarse / fine − 1/2 with the denominator 2 · fine; before the first center it is the first.
        let place = ((2 * i + 1) * coarse).saturating_sub(fine);
        let before = place / (2 * fine);
        let share = (place % (2 * fine)) as f32 / (2 * fine) as f32;
        (before, (before + 1).min(coarse - 1), share)
    })
}

fn stretch_rows(values: &[f32], coarse: usize, fine: usize) -> Vec<f32> {
    if coarse == fine {
        return values.to_vec();
    }
    let places: Vec<_> = between(coarse, fine).collect();
    let mut stretched = Vec::with_capacity(values.len() / coarse * fine);
    for row in values.chunks_exact(coarse) {
        stretched.extend(places.iter().map(|&(before, after, share)| row[before] + share * (row[after] - row[before])));
    }
    stretched
}

/// Interpolates between lines that lie next to each other.
fn stretch_lines(values: &[f32], stretched: &mut [f32], [coarse, fine]: [usize; 2]) {
    let inner = values.len() / coarse;
    for (line, (before, after, share)) in stretched.chunks_exact_mut(inner).zip(between(coarse, fine)) {
        let (before, after) = (&values[before * inner..][..inner], &values[after * inner..][..inner]);
        for ((value, before), after) in line.iter_mut().zip(before).zip(after) {
            *value = before + share * (after - before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f32], shape: [usize; 3], coarse: [usize; 3], expected: &[f32]) {
        let mut channel = values.to_vec();
        coarsen(&mut channel, shape, coarse);
        assert_eq!(channel, expected);
    }

    #[test]
    fn half_the_resolution_of_a_ramp_is_a_ramp_between_the_voxels_that_stay() {
        // Voxels 1, 3, 5 and 7 stay, at places ½, 2½, 4½ and 6½ of the fine grid.
        let ramp = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let expected = [1.0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.0];
        check(&ramp, [1, 1, 8], [1, 1, 4], &expected);
        check(&ramp, [1, 8, 1], [1, 4, 1], &expected);
        check(&ramp, [8, 1, 1], [4, 1, 1], &expected);
    }

    #[test]
    fn axes_that_keep_their_voxels_keep_their_values() {
        check(&[1.0, 2.0, 3.0, 4.0], [2, 1, 2], [2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        check(&[1.0, 2.0, 3.0, 4.0], [2, 1, 2], [2, 1, 1], &[2.0, 2.0, 4.0, 4.0]);
    }

    #[test]
    fn extents_are_rounded_half_to_even_and_never_vanish() {
        assert_eq!((scaled(5, 0.5), scaled(7, 0.5), scaled(1, 0.5), scaled(40, 0.99)), (2, 4, 1, 40));
    }
}
