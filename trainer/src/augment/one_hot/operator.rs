//! Random growing, shrinking, opening and closing of one-hot channels.
//!
//! Follows nnU-Net's `ApplyRandomBinaryOperatorTransform` as its default trainer uses it in a cascade: with probability
//! 0.4 a sample meets it, then in random order each channel with probability one half: one of four operators, with a
//! ball (in a plane, a disk) of a radius from 1 to 8. What a channel gains the others lose. Draws: the order, which
//! channels, then per channel operator and radius.

use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::bit_mask::BitMask;
use super::element::Element;
use super::{chosen, order};

/// Of a sample.
pub const PROBABILITY: f64 = 0.4;
/// Of a channel of such a sample.
const OF_A_CHANNEL: f64 = 0.5;
/// In voxels.
const RADII: Range<f64> = 1.0..8.0;

/// What is done to a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It grows.
    Dilation,
    /// It shrinks.
    Erosion,
    /// It grows, then shrinks.
    Closing,
    /// It shrinks, then grows.
    Opening,
}

impl Operator {
    /// All of them, equally likely.
    pub const ALL: [Self; 4] = [Self::Dilation, Self::Erosion, Self::Closing, Self::Opening];

    /// The mask after this.
    pub fn apply(self, mask: &BitMask, element: &Element) -> BitMask {
        match self {
            Self::Dilation => mask.dilated(element),
            Self::Erosion => mask.eroded(element),
            Self::Closing => mask.dilated(element).eroded(element),
            Self::Opening => mask.eroded(element).dilated(element),
        }
    }
}

/// Applies an operator to one channel; what it gains the others lose.
///
/// # Panics
///
/// If there is no such channel.
pub fn apply(masks: &mut [BitMask], channel: usize, operator: Operator, element: &Element) {
    let result = operator.apply(&masks[channel], element);
    let gained = result.without(&masks[channel]);
    for (index, mask) in masks.iter_mut().enumerate() {
        if index != channel {
            mask.subtract(&gained);
        }
    }
    masks[channel] = result;
}

/// Draws and applies.
pub fn augment(generator: &mut ChaCha8Rng, masks: &mut [BitMask]) {
    let order = order(generator, masks.len());
    for channel in chosen(generator, order, OF_A_CHANNEL) {
        let operator = Operator::ALL[generator.random_range(0..Operator::ALL.len())];
        let radius = generator.random_range(RADII);
        let is_plane = masks[channel].shape()[0] == 1;
        let element = if is_plane { Element::disk(radius) } else { Element::ball(radius) };
        apply(masks, channel, operator, &element);
    }
}
