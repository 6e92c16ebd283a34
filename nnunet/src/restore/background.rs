//! What lies around the crop that the networks saw: nothing but background.

use std::ops::Range;

use ndarray::{Array4, Axis, s};

use super::OutputHead;

/// Where probabilities in network order lie in a part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Of the part, `[class, z, y, x]`.
    pub(super) shape: [usize; 4],
    /// The file's axis for every axis of the network.
    pub(super) transpose_forward: [usize; 3],
    /// Along the network's axes.
    pub(super) ranges: [Range<usize>; 3],
}

impl Frame {
    /// Probabilities of the part: these, with background around them.
    pub(super) fn around(&self, inside: &Array4<f32>, head: OutputHead) -> Array4<f32> {
        let mut whole = background(self.shape, head);
        self.put(inside, &mut whole);
        whole
    }

    /// Overwrites what is inside.
    pub(super) fn put(&self, inside: &Array4<f32>, whole: &mut Array4<f32>) {
        let [a, b, c] = self.transpose_forward;
        let [i, j, k] = self.ranges.clone();
        let mut transposed = whole.view_mut().permuted_axes([0, a + 1, b + 1, c + 1]);
        transposed.slice_mut(s![.., i, j, k]).assign(inside);
    }
}

/// Probabilities `[class, z, y, x]` of nothing but background.
pub(super) fn background(shape: [usize; 4], head: OutputHead) -> Array4<f32> {
    let mut whole = Array4::zeros(shape);
    if head == OutputHead::Softmax {
        whole.index_axis_mut(Axis(0), 0).fill(1.0);
    }
    whole
}
