//! Mirroring at prediction: the mean over all flips along the axes that training mirrored.
//!
//! Follows nnU-Net v2: logits are averaged, before softmax, over every combination of the allowed axes, the unflipped
//! patch among them.

use ndarray::{ArrayBase, Axis, Dimension, RawData};

/// The axes along which patches are mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirroring {
    /// `[z, y, x]` axes, ascending.
    axes: Vec<usize>,
}

impl Mirroring {
    /// No mirroring: every patch is predicted once.
    pub fn none() -> Self {
        Self { axes: Vec::new() }
    }

    /// Mirrors along `axes` of a network with `n_axes` spatial axes, where 0 is the first axis of the patch.
    ///
    /// # Errors
    ///
    /// [`MirroringError`] if an axis is not one of the network's, or the axes are not strictly ascending.
    pub fn along(axes: &[usize], n_axes: usize) -> Result<Self, MirroringError> {
        if n_axes > 3 || !axes.is_sorted_by(|a, b| a < b) || axes.iter().any(|&axis| axis >= n_axes) {
            return Err(MirroringError { axes: axes.to_vec(), n_axes });
        }
        Ok(Self { axes: axes.iter().map(|axis| axis + 3 - n_axes).collect() })
    }

    /// The axes as `[z, y, x]` indices.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// Every combination of the axes as `[z, y, x]` indices: the empty one first, then by size, as nnU-Net adds them.
    pub fn combinations(&self) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = (0..1_usize << self.axes.len())
            .map(|bits| (0..self.axes.len()).filter(|bit| bits >> bit & 1 == 1).map(|bit| self.axes[bit]).collect())
            .collect();
        all.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        all
    }
}

/// Turns a view around along `axes` of `[z, y, x]`, its last three axes.
pub(crate) fn flip<S: RawData, D: Dimension>(view: &mut ArrayBase<S, D>, axes: &[usize]) {
    let first = view.ndim() - 3;
    for &axis in axes {
        view.invert_axis(Axis(first + axis));
    }
}

/// Axes that a network does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot mirror along the axes {axes:?} of a network with {n_axes} spatial axes")]
pub struct MirroringError {
    /// The axes asked for.
    pub axes: Vec<usize>,
    /// Spatial axes of the network.
    pub n_axes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_in_the_order_of_nnunet() {
        let combinations = Mirroring::along(&[0, 1, 2], 3).unwrap().combinations();
        let expected: [&[usize]; 8] = [&[], &[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
        assert_eq!(combinations, expected);
        assert_eq!(Mirroring::none().combinations(), [Vec::<usize>::new()]);
    }

    #[test]
    fn axes_of_a_2d_network_are_y_and_x() {
        assert_eq!(Mirroring::along(&[0, 1], 2).unwrap().axes(), [1, 2]);
    }

    #[test]
    fn axes_that_a_network_does_not_have_are_refused() {
        for axes in [&[2][..], &[1, 0], &[0, 0]] {
            assert!(Mirroring::along(axes, 2).is_err(), "{axes:?}");
        }
    }
}
