//! Sums over the members of an ensemble, added one member at a time, and a member slab by slab.
//!
//! All entropies need only the sum of the members' probabilities and the sum of their entropies, so memory does not
//! depend on the number of members, of which one needs less than half, and nothing is written per member. What a method
//! needs beside the first of them is kept if that method is asked for: of total entropy and mutual information the
//! second, of the t-test variances, of pairwise Dice a byte a voxel of every member.

use ndarray::{Array3, Array4, ArrayView4, Axis};
use rayon::prelude::*;

use super::entropy::{add_entropies, entropies};
use super::moments::{CHUNK, Moments, Variances};
use super::pairwise_dice::LabelMaps;
use super::t_test::{Sample, Welch, top_two};
use super::{Contours, Scores, UncertaintyMethod};
use crate::dataset::LabelSet;
use crate::restore::OutputHead;
use crate::segmentation::segmentation;
use crate::zeros::zeros;

/// The members of an ensemble that were added so far, as sums.
#[derive(Debug, Clone)]
pub struct Ensemble {
    head: OutputHead,
    /// `[output, z, y, x]`.
    shape: [usize; 4],
    moments: Moments,
    /// Bits, one sum a voxel, if a method needs them; empty up to the second member, as they follow from the first one's
    /// probabilities.
    entropies: Option<Vec<f64>>,
    /// If pairwise Dice is asked for.
    members: Option<(LabelSet, LabelMaps)>,
    /// Slices of the member at hand that were added; 0 between members.
    n_slices: usize,
}

/// What one method says of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Uncertainty of every voxel, `[z, y, x]`; `None` if the method has no map.
    pub map: Option<Array3<f32>>,
    /// Uncertainty of the case and its structures.
    pub scores: Scores,
}

impl Ensemble {
    /// An ensemble of one: probabilities `[output, z, y, x]` of its first member. It can be measured by entropies.
    pub fn new(first: &Array4<f32>, head: OutputHead) -> Self {
        let (outputs, z, y, x) = first.dim();
        let mut ensemble = Self::empty([outputs, z, y, x], head, &UncertaintyMethod::ENTROPIES);
        ensemble.add(first);
        ensemble
    }

    /// An ensemble of one that can be measured by `methods` once there are enough members.
    ///
    /// # Panics
    ///
    /// If the outputs are not those of `labels`.
    pub fn measured_by(methods: &[UncertaintyMethod], first: &Array4<f32>, labels: &LabelSet) -> Self {
        let (outputs, z, y, x) = first.dim();
        let mut ensemble = Self::of_none(methods, [outputs, z, y, x], labels);
        ensemble.add(first);
        ensemble
    }

    /// An ensemble of nobody yet, for probabilities of the shape `[output, z, y, x]`, that can be measured by `methods`
    /// once there are enough members.
    pub fn of_none(methods: &[UncertaintyMethod], shape: [usize; 4], labels: &LabelSet) -> Self {
        let mut ensemble = Self::empty(shape, OutputHead::of(labels), methods);
        let pairs = methods.contains(&UncertaintyMethod::PairwiseDice);
        ensemble.members = pairs.then(|| (labels.clone(), LabelMaps::default()));
        ensemble
    }

    /// Nobody yet, and no label maps.
    fn empty(shape: [usize; 4], head: OutputHead, methods: &[UncertaintyMethod]) -> Self {
        let variances = if methods.contains(&UncertaintyMethod::TTest) { Variances::Keep } else { Variances::Drop };
        let moments = Moments::new(shape.iter().product(), variances);
        let entropies = methods.iter().any(|method| method.needs_entropies_of_members()).then(Vec::new);
        Self { head, shape, moments, entropies, members: None, n_slices: 0 }
    }

    /// Adds a member.
    ///
    /// # Panics
    ///
    /// If its shape is not that of the first member.
    pub fn add(&mut self, member: &Array4<f32>) {
        assert_eq!(member.shape(), self.shape, "members of a case share its grid");
        self.add_slab(member);
    }

    /// Adds the next slices `[output, z, y, x]` of a member, all of which follow each other from the first to the last.
    ///
    /// # Panics
    ///
    /// If there are other outputs, rows or columns than the first member's, or too many slices.
    pub fn add_slab(&mut self, slab: &Array4<f32>) {
        let [n_outputs, n_all, y, x] = self.shape;
        let (outputs, n_slices, rows, columns) = slab.dim();
        let end = self.n_slices + n_slices;
        assert!([outputs, rows, columns] == [n_outputs, y, x] && end <= n_all, "members of a case share its grid");
        let values = slab.as_standard_layout();
        let values = values.as_slice().expect("an array in standard layout is one slice");
        let (first, n_voxels, n_all_voxels) = (self.n_slices * y * x, n_slices * y * x, self.n_voxels());
        if n_voxels > 0 {
            self.make_entropies();
            let entropies = self.entropies.as_mut().and_then(|all| all.get_mut(first..first + n_voxels));
            if let Some(entropies) = entropies {
                add_entropies(entropies, values, self.head);
            }
            for (output, values) in values.chunks_exact(n_voxels).enumerate() {
                self.moments.add(output * n_all_voxels + first, values);
            }
        }
        if let Some((labels, maps)) = &mut self.members {
            if first == 0 {
                maps.begin_member();
            }
            maps.extend(segmentation(slab, labels).into_raw_vec_and_offset().0);
        }
        self.n_slices = if end == n_all { 0 } else { end };
        if self.n_slices == 0 {
            self.moments.end_member();
        }
    }

    /// Adds a whole ensemble as if it were one member: the mean of its probabilities and of its entropies.
    ///
    /// So the mean over folds does not depend on how many checkpoints each of them has. For the t-test, its variances
    /// and the distance of its mean from the others' make a variance over all members; pairs are pairs of all members.
    ///
    /// # Panics
    ///
    /// If its shape is not that of the first member.
    pub fn add_ensemble(&mut self, other: &Self) {
        assert_eq!(other.shape, self.shape, "ensembles of a case share its grid");
        self.make_entropies();
        if let Some((sums, of_other)) = self.entropies.as_mut().zip(other.entropies.as_ref()) {
            match other.moments.only() {
                Some(only) if !sums.is_empty() => add_entropies(sums, only, self.head),
                _ => {
                    let n_other = other.moments.n() as f64;
                    let sums = (sums, of_other).into_par_iter().with_min_len(CHUNK);
                    sums.for_each(|(sum, other)| *sum += other / n_other);
                }
            }
        }
        self.moments.add_mean(&other.moments);
        if let Some(((_, maps), (_, of_other))) = self.members.as_mut().zip(other.members.as_ref()) {
            maps.add_all(of_other);
        }
    }

    /// Entropies of the first member, before there are others.
    fn make_entropies(&mut self) {
        let n_voxels = self.n_voxels();
        if let Some((entropies, only)) = self.entropies.as_mut().zip(self.moments.only())
            && entropies.is_empty()
            && !only.is_empty()
        {
            *entropies = zeros(n_voxels);
            add_entropies(entropies, only, self.head);
        }
    }

    /// The mean of an ensemble as the first member of another, for [`Ensemble::add_ensemble`].
    #[must_use]
    pub fn into_member(mut self) -> Self {
        let n_members = self.moments.n() as f64;
        if let Some(entropies) = &mut self.entropies {
            entropies.par_iter_mut().with_min_len(CHUNK).for_each(|sum| *sum /= n_members);
        }
        self.moments = self.moments.into_mean();
        self
    }

    /// Number of members; an ensemble that was added is one.
    pub fn n_members(&self) -> usize {
        self.moments.n()
    }

    /// Bytes of all sums and label maps. They grow with the members only if pairwise Dice is asked for.
    pub fn n_bytes(&self) -> usize {
        let label_maps = self.members.as_ref().map_or(0, |(_, maps)| maps.n_bytes());
        let entropies = self.entropies.as_ref().map_or(0, Vec::len) * size_of::<f64>();
        self.moments.n_bytes() + entropies + label_maps
    }

    /// Mean probabilities over the members, `[output, z, y, x]`.
    ///
    /// # Panics
    ///
    /// Never: there is a mean for every value.
    pub fn mean(&self) -> Array4<f32> {
        let n_members = self.moments.n() as f64;
        let values: Vec<f32> = match self.moments.only() {
            Some(only) => only.to_vec(),
            None => computed(self.shape.iter().product(), |at| self.moments.sum(at) / n_members),
        };
        Array4::from_shape_vec(self.shape, values).expect("there is a mean for every value")
    }

    /// The label map `[z, y, x]` of the mean.
    ///
    /// # Panics
    ///
    /// If the outputs are not those of `labels`.
    pub fn segmentation(&self, labels: &LabelSet) -> Array3<u8> {
        match self.head {
            OutputHead::Softmax => self.by_highest_sum(labels),
            OutputHead::Sigmoid => segmentation(&self.mean(), labels),
        }
    }

    /// The class with the highest sum is the class with the highest mean.
    fn by_highest_sum(&self, labels: &LabelSet) -> Array3<u8> {
        let [n_outputs, n_slices, y, x] = self.shape;
        if let Some(only) = self.moments.only() {
            let only = ArrayView4::from_shape(self.shape, only).expect("there is a probability for every value");
            return segmentation(&only, labels);
        }
        let mut found = Array3::zeros((n_slices, y, x));
        found.axis_chunks_iter_mut(Axis(0), 1).into_par_iter().enumerate().for_each(|(z, mut found)| {
            let mut sums = Vec::with_capacity(n_outputs * y * x);
            for output in 0..n_outputs {
                let first = (output * n_slices + z) * y * x;
                sums.extend(self.moments.sums(first..first + y * x));
            }
            let sums = Array4::from_shape_vec((n_outputs, 1, y, x), sums).expect("there is a sum for every value");
            found.assign(&segmentation(&sums, labels));
        });
        found
    }

    /// Map and scores by a method, of a segmentation with these contours.
    ///
    /// # Panics
    ///
    /// As [`Ensemble::map`], and for pairwise Dice that was not asked for.
    pub fn measure(&self, method: UncertaintyMethod, contours: &Contours) -> Measure {
        if let Some(map) = self.map(method) {
            return Measure { scores: contours.scores(&map), map: Some(map) };
        }
        let (labels, maps) = self.members.as_ref().expect("an ensemble is measured as was asked for");
        Measure { map: None, scores: maps.scores(labels) }
    }

    /// The uncertainty map `[z, y, x]`: bits, or p-values; `None` if the method has none.
    ///
    /// # Panics
    ///
    /// For a method that was not asked for, except class entropy, and for a t-test of less than two members.
    pub fn map(&self, method: UncertaintyMethod) -> Option<Array3<f32>> {
        // Divided, not multiplied by an inverse: the mean of ones must be one, or its entropy would be negative.
        let (n_voxels, n_members) = (self.n_voxels(), self.moments.n() as f64);
        let voxels = match method {
            UncertaintyMethod::ClassEntropy => self.by_class_entropy(|_, entropy| entropy),
            UncertaintyMethod::TotalEntropy => match self.sums_of_entropies() {
                [] => self.by_class_entropy(|_, entropy| entropy),
                sums => computed(n_voxels, |voxel| sums[voxel] / n_members),
            },
            UncertaintyMethod::MutualInformation => match self.sums_of_entropies() {
                [] => vec![0.0; n_voxels],
                sums => self.by_class_entropy(|voxel, entropy| entropy - sums[voxel] / n_members),
            },
            UncertaintyMethod::TTest => {
                let welch = Welch::new(self.moments.n_samples());
                computed(n_voxels, |voxel| self.insignificance(voxel, &welch))
            }
            UncertaintyMethod::PairwiseDice => return None,
        };
        let [_, z, y, x] = self.shape;
        Some(Array3::from_shape_vec((z, y, x), voxels).expect("there is a value for every voxel"))
    }

    /// A value for every voxel, made of the entropy of its mean; that is computed output by output for many voxels at once.
    #[expect(clippy::cast_possible_truncation, reason = "bits of entropy round to the nearest f32")]
    fn by_class_entropy(&self, of_voxel: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f32> {
        let (n_voxels, n_members) = (self.n_voxels(), self.moments.n() as f64);
        let mut values = vec![0.0; n_voxels];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, values)| {
            let first = i * CHUNK;
            let n = values.len();
            let sums = |output: usize| {
                let first = output * n_voxels + first;
                self.moments.sums(first..first + n).into_iter().map(|sum| sum / n_members)
            };
            let entropies = entropies(n, (0..self.shape[0]).map(sums), self.head);
            for (i, (value, entropy)) in values.iter_mut().zip(entropies).enumerate() {
                *value = of_voxel(first + i, entropy) as f32;
            }
        });
        values
    }

    /// None of an only member.
    fn sums_of_entropies(&self) -> &[f64] {
        self.entropies.as_deref().expect("an ensemble is measured as was asked for")
    }

    fn n_voxels(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// p-value between the two highest classes; of regions, the sum over those of their yes and no.
    fn insignificance(&self, voxel: usize, welch: &Welch) -> f64 {
        let (n_voxels, n_members) = (self.n_voxels(), self.moments.n() as f64);
        let squares = self.moments.squares().expect("an ensemble is measured as was asked for");
        let factor = self.moments.variance_factor();
        let sample = |output: usize| {
            let at = output * n_voxels + voxel;
            Sample { mean: self.moments.sum(at) / n_members, variance: squares[at] * factor }
        };
        match self.head {
            OutputHead::Softmax => {
                let sums = (0..self.shape[0]).map(|output| self.moments.sum(output * n_voxels + voxel));
                let [first, second] = top_two(sums);
                welch.insignificance(sample(first), sample(second))
            }
            OutputHead::Sigmoid => {
                let of_region = |yes: Sample| welch.insignificance(yes, Sample { mean: 1.0 - yes.mean, ..yes });
                (0..self.shape[0]).map(|region| of_region(sample(region))).sum()
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "probabilities and their bits round to the nearest f32")]
fn computed(n: usize, value: impl Fn(usize) -> f64 + Sync) -> Vec<f32> {
    (0..n).into_par_iter().with_min_len(CHUNK).map(|at| value(at) as f32).collect()
}
