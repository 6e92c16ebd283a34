//! Random removal of a component from one-hot channels.
//!
//! Follows nnU-Net's `RemoveRandomConnectedComponentFromOneHotEncodingTransform` as its default trainer uses it in a
//! cascade: with probability 0.2 a sample meets it, then in random order each channel with probability one half loses
//! one of its components, any that covers less than 15 % of the patch. No other channel is filled with it. Draws: the
//! order, which channels, then per channel that has such a component which.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::bit_mask::BitMask;
use super::components::{Components, Run};
use super::{chosen, order};

/// Of a sample.
pub const PROBABILITY: f64 = 0.2;
/// Of a channel of such a sample.
const OF_A_CHANNEL: f64 = 0.5;
/// A component that covers this part of the patch stays.
const LARGEST: f64 = 0.15;

/// The components that may be removed, in the order of their first voxels.
pub fn removable(mask: &BitMask) -> Vec<Vec<Run>> {
    let limit = mask.shape().iter().product::<usize>() as f64 * LARGEST;
    let size = |runs: &[Run]| runs.iter().map(|run| run.range.1 - run.range.0).sum::<usize>() as f64;
    let mut components = Components::of(mask).into_runs();
    components.retain(|runs| size(runs) < limit);
    components
}

/// Draws and removes.
pub fn augment(generator: &mut ChaCha8Rng, masks: &mut [BitMask]) {
    let order = order(generator, masks.len());
    for channel in chosen(generator, order, OF_A_CHANNEL) {
        let components = removable(&masks[channel]);
        if components.is_empty() {
            continue;
        }
        for run in &components[generator.random_range(0..components.len())] {
            masks[channel].remove_run(run.row, run.range);
        }
    }
}
