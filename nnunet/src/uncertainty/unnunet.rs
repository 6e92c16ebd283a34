//! UnnUNet's own numbers, to compare with what it has published.
//!
//! Two classes in one slice, as it knows no others. Its maps sum what this crate's average: total entropy is that of the
//! background only, in nats, summed over the members; p-values of the t-test stay as they are, significant or not. Its
//! score is a percentage of 255 levels of gray per contour voxel, which is what its subtraction of masks in wrapping
//! bytes amounts to:
//!
//! ```text
//! score = 100 · Σ_v map(v) / (255 · |contour|)     contour of the voxels where the mean of the foreground is above ½
//! ```
//!
//! A p-value is not a number where all members give both classes the same probability, and neither is such a sum: the
//! score is undefined then, as it is without a contour.

use ndarray::{Array2, Array3, Array4};

use super::contour::{contour_lengths, masks_of};
use super::entropy::{add_entropies, term};
use super::moments::{Moments, Variances};
use super::t_test::{Sample, Welch};
use super::{Measure, Scores, TooFewMembers, UncertaintyMethod};
use crate::restore::OutputHead;

/// Gray levels of its masks.
const WHITE: f64 = 255.0;

/// The members of an ensemble that were added so far, as the sums that UnnUNet's numbers are made of.
#[derive(Debug, Clone)]
pub struct UnnunetEnsemble {
    /// `[z, y, x]`, with one slice.
    shape: [usize; 3],
    /// Background, then foreground.
    moments: Moments,
    /// `Σ_k −p log2 p` of the background, one a voxel.
    background: Vec<f64>,
}

impl UnnunetEnsemble {
    /// The methods that UnnUNet has.
    pub const METHODS: [UncertaintyMethod; 3] =
        [UncertaintyMethod::ClassEntropy, UncertaintyMethod::TotalEntropy, UncertaintyMethod::TTest];

    /// An ensemble of one: probabilities `[class, z, y, x]` of its first member.
    ///
    /// # Errors
    ///
    /// [`UnnunetError::Shape`] if there are not two classes in one slice.
    pub fn new(first: &Array4<f32>) -> Result<Self, UnnunetError> {
        let (2, 1, y, x) = first.dim() else {
            return Err(UnnunetError::Shape { found: [first.dim().0, first.dim().1, first.dim().2, first.dim().3] });
        };
        let moments = Moments::new(first.len(), Variances::Keep);
        let mut ensemble = Self { shape: [1, y, x], moments, background: vec![0.0; y * x] };
        ensemble.add(first);
        Ok(ensemble)
    }

    /// Adds a member.
    ///
    /// # Panics
    ///
    /// If its shape is not that of the first member.
    pub fn add(&mut self, member: &Array4<f32>) {
        assert_eq!(member.shape()[1..], self.shape, "members of a case share its grid");
        let values = member.as_standard_layout();
        let values = values.as_slice().expect("an array in standard layout is one slice");
        if !self.background.is_empty() {
            add_entropies(&mut self.background, &values[..self.shape.iter().product()], OutputHead::Softmax);
        }
        self.moments.add(0, values);
        self.moments.end_member();
    }

    /// Map and score by a method.
    ///
    /// # Errors
    ///
    /// [`UnnunetError::Method`] if UnnUNet has no such method, [`UnnunetError::TooFew`] for a t-test of one member.
    ///
    /// # Panics
    ///
    /// Never: sums are there for every voxel.
    pub fn measure(&self, method: UncertaintyMethod) -> Result<Measure, UnnunetError> {
        method.check_members(self.moments.n())?;
        let [n_voxels, n] = [self.background.len(), self.moments.n()];
        let mean = |at: usize| self.moments.sum(at) / n as f64;
        let map: Vec<f64> = match method {
            UncertaintyMethod::ClassEntropy => {
                (0..n_voxels).map(|voxel| term(mean(voxel)) + term(mean(n_voxels + voxel))).collect()
            }
            UncertaintyMethod::TotalEntropy => {
                self.background.iter().map(|bits| bits * std::f64::consts::LN_2).collect()
            }
            UncertaintyMethod::TTest => {
                let (welch, factor) = (Welch::new(n), self.moments.variance_factor());
                let squares = self.moments.squares().expect("they are kept");
                let sample = |at: usize| Sample { mean: mean(at), variance: squares[at] * factor };
                (0..n_voxels).map(|voxel| welch.p_value(sample(voxel), sample(n_voxels + voxel))).collect()
            }
            UncertaintyMethod::MutualInformation | UncertaintyMethod::PairwiseDice => {
                return Err(UnnunetError::Method { method });
            }
        };
        let [_, y, x] = self.shape;
        let mask = Array2::from_shape_fn((y, x), |(i, j)| u8::from(mean(n_voxels + i * x + j) > 0.5));
        let [length, ..] = contour_lengths(&mask, &masks_of(&[&[1]]));
        let total: f64 = map.iter().sum();
        let whole = (length > 0 && !total.is_nan()).then(|| 100.0 * total / (WHITE * length as f64));
        #[expect(clippy::cast_possible_truncation, reason = "an uncertainty rounds to the nearest f32")]
        let map = map.into_iter().map(|value| value as f32).collect();
        let map = Array3::from_shape_vec(self.shape, map).expect("there is a value for every voxel");
        Ok(Measure { map: Some(map), scores: Scores { whole, structures: vec![whole] } })
    }
}

/// What UnnUNet's numbers are not defined for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnnunetError {
    /// It has no such method.
    #[error("UnnUNet has no `{method}`; it has class-entropy, total-entropy, t-test")]
    Method {
        /// As asked for.
        method: UncertaintyMethod,
    },
    /// More classes or slices than it knows.
    #[error("UnnUNet's scores are for two classes in one slice, found shape {found:?} (class, z, y, x)")]
    Shape {
        /// Shape of the probabilities.
        found: [usize; 4],
    },
    /// A variance needs two.
    #[error(transparent)]
    TooFew {
        /// How many there are.
        #[from]
        source: TooFewMembers,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of voxels with these probabilities of the foreground.
    fn member(foreground: &[f32]) -> Array4<f32> {
        let outputs = foreground.iter().map(|p| 1.0 - p).chain(foreground.iter().copied()).collect();
        Array4::from_shape_vec((2, 1, 1, foreground.len()), outputs).unwrap()
    }

    #[test]
    fn total_entropy_is_that_of_the_background_in_nats_and_sums_over_members() {
        let mut ensemble = UnnunetEnsemble::new(&member(&[0.5, 0.75, 0.0])).unwrap();
        ensemble.add(&member(&[0.25, 0.75, 0.0]));
        let measure = ensemble.measure(UncertaintyMethod::TotalEntropy).unwrap();
        let nats = |p: f64| -p * p.ln();
        // The only foreground is in the middle, so the contour has two voxels.
        let total = nats(0.5) + nats(0.75) + 2.0 * nats(0.25);
        assert!((measure.scores.whole.unwrap() - 100.0 * total / 510.0).abs() < 1e-12);
        assert!((f64::from(measure.map.unwrap()[[0, 0, 0]]) - nats(0.5) - nats(0.75)).abs() < 1e-7);
    }

    #[test]
    fn members_that_all_toss_a_coin_leave_the_t_test_undefined() {
        let mut ensemble = UnnunetEnsemble::new(&member(&[0.5, 0.75, 0.0])).unwrap();
        ensemble.add(&member(&[0.5, 0.5, 0.0]));
        assert_eq!(ensemble.measure(UncertaintyMethod::TTest).unwrap().scores.whole, None);
        assert!(ensemble.measure(UncertaintyMethod::ClassEntropy).unwrap().scores.whole.is_some());
    }

    #[test]
    fn what_unnunet_does_not_know_is_refused() {
        let found = [3, 1, 2, 2];
        assert_eq!(UnnunetEnsemble::new(&Array4::zeros(found)).unwrap_err(), UnnunetError::Shape { found });
        let found = [2, 2, 2, 2];
        assert_eq!(UnnunetEnsemble::new(&Array4::zeros(found)).unwrap_err(), UnnunetError::Shape { found });
        let ensemble = UnnunetEnsemble::new(&member(&[0.5])).unwrap();
        let refused = |method| ensemble.measure(method).unwrap_err().to_string();
        assert_eq!(refused(UncertaintyMethod::TTest), "`t-test` needs at least 2 members, found 1");
        assert!(refused(UncertaintyMethod::MutualInformation).starts_with("UnnUNet has no `mutual-information`"));
    }
}
