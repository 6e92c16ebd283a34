//! Means of the members' probabilities, and their variances where a method asks for them.
//!
//! Sums of many probabilities near one, in `f32`, bias the small mutual information by more than a millionth. So what a sum
//! has beyond an `f32` is kept in a second one: together they hold 48 bits. A single member needs no second.
//! Variances are not made from sums of squares, whose difference cancels where the members nearly agree, but
//! from the squared distance of each new member from the mean so far (Welford, 1962), which is 0 for equal members.

use std::ops::Range;

use rayon::prelude::*;

use crate::zeros::zeros;

/// Values that are computed at a time.
pub(super) const CHUNK: usize = 1 << 12;

/// Whether variances can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variances {
    /// They can, for as much memory again.
    Keep,
    /// Nobody asks for them.
    Drop,
}

/// Moments of an ensemble's probabilities, each of a voxel and an output.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// What sums are divided by: members, or ensembles that count as one.
    n: usize,
    /// Members behind that.
    n_samples: usize,
    sums: Vec<f32>,
    /// What the sums have beyond their `f32`; empty up to the second member.
    rests: Vec<f32>,
    /// Sums of squared distances from the mean.
    squares: Option<Vec<f64>>,
}

impl Moments {
    /// None yet, of `n_values` probabilities.
    pub(super) fn new(n_values: usize, variances: Variances) -> Self {
        let squares = (variances == Variances::Keep).then(|| zeros(n_values));
        Self { n: 0, n_samples: 0, sums: vec![0.0; n_values], rests: Vec::new(), squares }
    }

    /// What the sums are divided by for a mean.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Members, those inside of other ensembles among them.
    pub(super) fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Sums of some probabilities.
    pub(super) fn sums(&self, range: Range<usize>) -> Vec<f64> {
        let sums = self.sums[range.clone()].iter();
        match self.rests.get(range) {
            Some(rests) => sums.zip(rests).map(|(&sum, &rest)| get(sum, rest)).collect(),
            None => sums.map(|&sum| f64::from(sum)).collect(),
        }
    }

    /// Sum of a probability.
    pub(super) fn sum(&self, at: usize) -> f64 {
        let rest = self.rests.get(at).copied().unwrap_or_default();
        get(self.sums[at], rest)
    }

    /// The probabilities of the only member, if there is one and no more.
    pub(super) fn only(&self) -> Option<&[f32]> {
        (self.n == 1 && self.rests.is_empty()).then_some(&self.sums)
    }

    /// Sums of squared distances from the mean, if they are kept.
    pub(super) fn squares(&self) -> Option<&[f64]> {
        self.squares.as_deref()
    }

    /// What a sum of squared distances is multiplied by for an unbiased variance; not finite below two members.
    pub(super) fn variance_factor(&self) -> f64 {
        let n_samples = self.n_samples as f64;
        n_samples / (n_samples - 1.0) / self.n as f64
    }

    /// Bytes that the sums take.
    pub(super) fn n_bytes(&self) -> usize {
        (self.sums.len() + self.rests.len()) * size_of::<f32>()
            + self.squares.as_ref().map_or(0, Vec::len) * size_of::<f64>()
    }

    /// Adds values of a member, of which the first is number `first` of all.
    pub(super) fn add(&mut self, first: usize, values: &[f32]) {
        let n = self.n as f64;
        let range = first..first + values.len();
        if self.n == 0 {
            let sums = self.sums[range].par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
            sums.for_each(|(sums, member)| sums.copy_from_slice(member));
            return;
        }
        self.make_rests();
        let (sums, rests) = (&mut self.sums[range.clone()], &mut self.rests[range.clone()]);
        if let Some(squares) = &mut self.squares {
            let values = (&mut squares[range], &*sums, &*rests, values).into_par_iter().with_min_len(CHUNK);
            values.for_each(|(square, &sum, &rest, &p)| *square += distance(get(sum, rest), n, f64::from(p)));
        }
        let values = (sums, rests, values).into_par_iter().with_min_len(CHUNK);
        values.for_each(|(sum, rest, &p)| put(sum, rest, get(*sum, *rest) + f64::from(p)));
    }

    fn make_rests(&mut self) {
        if self.rests.is_empty() {
            self.rests = zeros(self.sums.len());
        }
    }

    /// All values of a member were added.
    pub(super) fn end_member(&mut self) {
        self.n += 1;
        self.n_samples += 1;
    }

    /// The means as those of one member, for [`Moments::add_mean`].
    #[must_use]
    pub(super) fn into_mean(mut self) -> Self {
        let n = self.n as f64;
        if self.n > 1 {
            let values = (&mut self.sums, &mut self.rests).into_par_iter().with_min_len(CHUNK);
            values.for_each(|(sum, rest)| put(sum, rest, get(*sum, *rest) / n));
            self.squares.iter_mut().for_each(|squares| {
                squares.par_iter_mut().with_min_len(CHUNK).for_each(|square| *square /= n);
            });
        }
        self.n = 1;
        self
    }

    /// Adds the means over another ensemble as if they were one member, its mean squared distances with them.
    pub(super) fn add_mean(&mut self, other: &Self) {
        let (n, n_other) = (self.n as f64, other.n as f64);
        self.make_rests();
        if let Some((squares, of_other)) = self.squares.as_mut().zip(other.squares.as_ref()) {
            let values = (squares, of_other, &self.sums, &self.rests).into_par_iter().with_min_len(CHUNK).enumerate();
            values.for_each(|(at, (square, inside, &sum, &rest))| {
                *square += inside / n_other + distance(get(sum, rest), n, other.sum(at) / n_other);
            });
        }
        let sums = (&mut self.sums, &mut self.rests).into_par_iter().with_min_len(CHUNK).enumerate();
        sums.for_each(|(at, (sum, rest))| put(sum, rest, get(*sum, *rest) + other.sum(at) / n_other));
        self.n += 1;
        self.n_samples += other.n_samples;
    }
}

#[inline]
fn get(sum: f32, rest: f32) -> f64 {
    f64::from(sum) + f64::from(rest)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the rest is what the nearest f32 lacks")]
fn put(sum: &mut f32, rest: &mut f32, value: f64) {
    *sum = value as f32;
    *rest = (value - f64::from(*sum)) as f32;
}

/// What a value `p` that joins `n` others adds to their sum of squared distances from the mean.
#[inline]
fn distance(sum: f64, n: f64, p: f64) -> f64 {
    // Divided, not multiplied by an inverse: the mean of equal values must be that value.
    (p - sum / n).powi(2) * (n / (n + 1.0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;

    fn moments(members: &[f32]) -> Moments {
        let mut moments = Moments::new(1, Variances::Keep);
        for &p in members {
            moments.add(0, &[p]);
            moments.end_member();
        }
        moments
    }

    fn variance(moments: &Moments) -> f64 {
        moments.squares().unwrap()[0] * moments.variance_factor()
    }

    #[test]
    fn variances_are_those_of_the_textbook_and_zero_for_equal_members() {
        assert!((variance(&moments(&[0.25, 0.5, 0.75])) - 0.0625).abs() < 1e-16);
        for n in 2..40 {
            assert_eq!(variance(&moments(&vec![0.1; n])), 0.0, "{n} members");
        }
    }

    #[test]
    fn a_tiny_variance_far_from_zero_keeps_its_digits() {
        let step = f32::EPSILON / 2.0;
        let found = variance(&moments(&[1.0, 1.0 - step, 1.0 - 2.0 * step]));
        assert!((found / f64::from(step).powi(2) - 1.0).abs() < 1e-6, "{found:e}");
    }

    #[test]
    fn ensembles_of_equal_size_are_one_ensemble_of_all_members() {
        let mut joined = moments(&[0.125, 0.5]).into_mean();
        joined.add_mean(&moments(&[0.75, 0.25]));
        let all = moments(&[0.125, 0.5, 0.75, 0.25]);
        assert_eq!((joined.n(), joined.n_samples(), all.n()), (2, 4, 4));
        assert!((variance(&joined) - variance(&all)).abs() < 1e-16);
        assert_eq!(joined.sum(0) / 2.0, all.sum(0) / 4.0);
    }
}
