//! What a segmentation is made of where that is not the mean of all members' probabilities.
//!
//! A sum of logits on the grid of the network, or of probabilities on that of the case; in `f32`, as nnU-Net's.

use ndarray::{Array4, Axis, Slice};

/// The values `[output, z, y, x]` of those that voted so far, as a sum.
pub(crate) struct Vote {
    sum: Array4<f32>,
    n_voters: usize,
}

impl Vote {
    /// Adds one voter's values.
    ///
    /// # Panics
    ///
    /// If their shape is not that of the first.
    pub(crate) fn add(vote: &mut Option<Self>, values: Array4<f32>) {
        match vote {
            Some(vote) => {
                vote.sum += &values;
                vote.n_voters += 1;
            }
            None => *vote = Some(Self { sum: values, n_voters: 1 }),
        }
    }

    /// Adds slices of one voter's values `[output, z, y, x]`, of which the first is number `first`; `n_slices` are all.
    ///
    /// # Panics
    ///
    /// If they do not lie among the first voter's.
    pub(crate) fn add_slab(vote: &mut Option<Self>, slab: &Array4<f32>, first: usize, n_slices: usize) {
        let (outputs, n, y, x) = slab.dim();
        let vote = vote.get_or_insert_with(|| Self { sum: Array4::zeros((outputs, n_slices, y, x)), n_voters: 0 });
        let mut part = vote.sum.slice_axis_mut(Axis(1), Slice::from(first..first + n));
        part += slab;
        vote.n_voters += usize::from(first + n == n_slices);
    }

    /// The mean of the voters.
    pub(crate) fn into_mean(self) -> Array4<f32> {
        let n_voters = self.n_voters as f32;
        if self.n_voters == 1 { self.sum } else { self.sum / n_voters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_one_is_itself_and_of_two_their_middle() {
        let values = |first: f32| Array4::from_shape_vec((2, 1, 1, 1), vec![first, 3.0]).unwrap();
        let mut vote = None;
        Vote::add(&mut vote, values(1.0));
        Vote::add(&mut vote, values(-4.0));
        assert_eq!(vote.unwrap().into_mean(), values(-1.5));
        let mut vote = None;
        Vote::add(&mut vote, values(7.0));
        assert_eq!(vote.unwrap().into_mean(), values(7.0));
    }

    #[test]
    fn voters_may_come_in_slabs() {
        let values = |slices: &[f32]| Array4::from_shape_vec((1, slices.len(), 1, 1), slices.to_vec()).unwrap();
        let mut vote = None;
        for voter in [[1.0, 2.0, 3.0], [3.0, -2.0, 5.0]] {
            Vote::add_slab(&mut vote, &values(&voter[..2]), 0, 3);
            Vote::add_slab(&mut vote, &values(&voter[2..]), 2, 3);
        }
        assert_eq!(vote.unwrap().into_mean(), values(&[2.0, 0.0, 4.0]));
    }
}
