//! What a segmentation is made of where that is not the mean of all members' probabilities.
//!
//! A sum of logits on the grid of the network, or of probabilities on that of the case; in `f32`, as nnU-Net's.

use ndarray::Array4;

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
    pub(crate) fn add(vote: &mut Option<Self>, values: &Array4<f32>) {
        match vote {
            Some(vote) => {
                vote.sum += values;
                vote.n_voters += 1;
            }
            None => *vote = Some(Self { sum: values.clone(), n_voters: 1 }),
        }
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
        Vote::add(&mut vote, &values(1.0));
        Vote::add(&mut vote, &values(-4.0));
        assert_eq!(vote.unwrap().into_mean(), values(-1.5));
        let mut vote = None;
        Vote::add(&mut vote, &values(7.0));
        assert_eq!(vote.unwrap().into_mean(), values(7.0));
    }
}
