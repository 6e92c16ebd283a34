//! Sums over the members of an ensemble, added one member at a time.
//!
//! All entropies need only the sum of the members' probabilities and the sum of their entropies, so memory does not
//! depend on the number of members and nothing is written per member. The sums are `f64`: sums of many probabilities
//! near one, in `f32`, bias the small mutual information by more than a millionth.

use ndarray::{Array3, Array4, ArrayView1, Axis, Zip};

use super::UncertaintyMethod;
use crate::dataset::LabelSet;
use crate::restore::OutputHead;
use crate::segmentation::segmentation;

/// The members of an ensemble that were added so far, as sums.
#[derive(Debug, Clone)]
pub struct Ensemble {
    head: OutputHead,
    n_members: usize,
    /// `[output, z, y, x]`.
    probabilities: Array4<f64>,
    /// Bits, `[z, y, x]`.
    entropies: Array3<f64>,
}

impl Ensemble {
    /// An ensemble of one: probabilities `[output, z, y, x]` of its first member.
    pub fn new(first: &Array4<f32>, head: OutputHead) -> Self {
        let (_, z, y, x) = first.dim();
        let mut ensemble = Self {
            head,
            n_members: 0,
            probabilities: Array4::zeros(first.raw_dim()),
            entropies: Array3::zeros((z, y, x)),
        };
        ensemble.add(first);
        ensemble
    }

    /// Adds a member.
    ///
    /// # Panics
    ///
    /// If its shape is not that of the first member.
    pub fn add(&mut self, member: &Array4<f32>) {
        assert_eq!(member.shape(), self.probabilities.shape(), "members of a case share its grid");
        let head = self.head;
        Zip::from(&mut self.probabilities).and(member).par_for_each(|sum, &p| *sum += f64::from(p));
        Zip::from(&mut self.entropies)
            .and(member.lanes(Axis(0)))
            .par_for_each(|sum, outputs| *sum += entropy_bits(outputs.iter().map(|&p| f64::from(p)), head));
        self.n_members += 1;
    }

    /// Adds a whole ensemble as if it were one member: the mean of its probabilities and of its entropies.
    ///
    /// So the mean over folds does not depend on how many checkpoints each of them has.
    ///
    /// # Panics
    ///
    /// If its shape is not that of the first member.
    pub fn add_ensemble(&mut self, other: &Self) {
        let weight = 1.0 / other.n_members as f64;
        self.probabilities.scaled_add(weight, &other.probabilities);
        self.entropies.scaled_add(weight, &other.entropies);
        self.n_members += 1;
    }

    /// The mean of an ensemble as the first member of another, for [`Ensemble::add_ensemble`].
    #[must_use]
    pub fn into_member(mut self) -> Self {
        let n_members = self.n_members as f64;
        self.probabilities /= n_members;
        self.entropies /= n_members;
        self.n_members = 1;
        self
    }

    /// Number of members.
    pub fn n_members(&self) -> usize {
        self.n_members
    }

    /// Mean probabilities over the members, `[output, z, y, x]`.
    #[expect(clippy::cast_possible_truncation, reason = "a probability rounds to the nearest f32")]
    pub fn mean(&self) -> Array4<f32> {
        let n_members = self.n_members as f64;
        self.probabilities.mapv(|sum| (sum / n_members) as f32)
    }

    /// The label map `[z, y, x]` of the mean.
    ///
    /// # Panics
    ///
    /// If the outputs are not those of `labels`.
    pub fn segmentation(&self, labels: &LabelSet) -> Array3<u8> {
        match self.head {
            // The class with the highest sum is the class with the highest mean.
            OutputHead::Softmax => segmentation(&self.probabilities, labels),
            OutputHead::Sigmoid => segmentation(&self.mean(), labels),
        }
    }

    /// The uncertainty map `[z, y, x]`, in bits.
    #[expect(clippy::cast_possible_truncation, reason = "bits of entropy round to the nearest f32")]
    pub fn map(&self, method: UncertaintyMethod) -> Array3<f32> {
        // Divided, not multiplied by an inverse: the mean of ones must be one, or its entropy would be negative.
        let (head, n_members) = (self.head, self.n_members as f64);
        let class_entropy = |sums: ArrayView1<'_, f64>| entropy_bits(sums.iter().map(|sum| sum / n_members), head);
        Zip::from(&self.entropies).and(self.probabilities.lanes(Axis(0))).par_map_collect(
            |entropy, sums| match method {
                UncertaintyMethod::ClassEntropy => class_entropy(sums) as f32,
                UncertaintyMethod::TotalEntropy => (entropy / n_members) as f32,
                UncertaintyMethod::MutualInformation => (class_entropy(sums) - entropy / n_members) as f32,
            },
        )
    }
}

/// Entropy of one voxel's probabilities, in bits; of regions, the sum over their yes-or-no questions.
///
/// `0 log 0` is 0. The result lies between 0 and `log2` of the number of classes, or the number of regions.
pub fn entropy_bits(probabilities: impl IntoIterator<Item = f64>, head: OutputHead) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    let of_output = |p: f64| match head {
        OutputHead::Softmax => term(p),
        OutputHead::Sigmoid => term(p) + term(1.0 - p),
    };
    probabilities.into_iter().map(of_output).sum()
}
