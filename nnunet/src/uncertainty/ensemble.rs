//! Sums over the members of an ensemble, added one member at a time, and a member slab by slab.
//!
//! All entropies need only the sum of the members' probabilities and the sum of their entropies, so memory does not
//! depend on the number of members and nothing is written per member. The t-test needs their variances beside, which are
//! kept if it is asked for; pairwise Dice needs a byte a voxel of every member, kept likewise.

use ndarray::{Array3, Array4, ArrayView4, Zip};
use rayon::prelude::*;

use super::entropy::{add_entropies, entropies};
use super::moments::{CHUNK, Moments, Variances};
use super::pairwise_dice::LabelMaps;
use super::t_test::{Sample, Welch, top_two};
use super::{Contours, Scores, UncertaintyMethod};
use crate::dataset::LabelSet;
use crate::restore::OutputHead;
use crate::segmentation::segmentation;

/// The members of an ensemble that were added so far, as sums.
#[derive(Debug, Clone)]
pub struct Ensemble {
    head: OutputHead,
    /// `[output, z, y, x]`.
    shape: [usize; 4],
    moments: Moments,
    /// Bits, one sum a voxel.
    entropies: Vec<f64>,
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
        let mut ensemble = Self::empty([outputs, z, y, x], head, Variances::Drop, None);
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
        let asks_for = |method| methods.contains(&method);
        let variances = if asks_for(UncertaintyMethod::TTest) { Variances::Keep } else { Variances::Drop };
        let members = asks_for(UncertaintyMethod::PairwiseDice).then(|| (labels.clone(), LabelMaps::default()));
        Self::empty(shape, OutputHead::of(labels), variances, members)
    }

    fn empty(
        shape: [usize; 4],
        head: OutputHead,
        variances: Variances,
        members: Option<(LabelSet, LabelMaps)>,
    ) -> Self {
        let moments = Moments::new(shape.iter().product(), variances);
        let entropies = vec![0.0; shape[1..].iter().product()];
        Self { head, shape, moments, entropies, members, n_slices: 0 }
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
        let (first, n_voxels, n_all_voxels) = (self.n_slices * y * x, n_slices * y * x, self.entropies.len());
        if n_voxels > 0 {
            for (output, values) in values.chunks_exact(n_voxels).enumerate() {
                self.moments.add(output * n_all_voxels + first, values);
            }
            let is_first = self.moments.n() == 0;
            add_entropies(&mut self.entropies[first..first + n_voxels], values, self.head, is_first);
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
        let n_other = other.moments.n() as f64;
        let entropies = (&mut self.entropies, &other.entropies).into_par_iter().with_min_len(CHUNK);
        entropies.for_each(|(sum, other)| *sum += other / n_other);
        self.moments.add_mean(&other.moments);
        if let Some(((_, maps), (_, of_other))) = self.members.as_mut().zip(other.members.as_ref()) {
            maps.add_all(of_other);
        }
    }

    /// The mean of an ensemble as the first member of another, for [`Ensemble::add_ensemble`].
    #[must_use]
    pub fn into_member(mut self) -> Self {
        let n_members = self.moments.n() as f64;
        self.entropies.par_iter_mut().with_min_len(CHUNK).for_each(|sum| *sum /= n_members);
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
        self.moments.n_bytes() + self.entropies.len() * size_of::<f64>() + label_maps
    }

    /// Mean probabilities over the members, `[output, z, y, x]`.
    #[expect(clippy::cast_possible_truncation, reason = "a probability rounds to the nearest f32")]
    pub fn mean(&self) -> Array4<f32> {
        let n_members = self.moments.n() as f64;
        Zip::from(self.sums()).par_map_collect(|sum| (sum / n_members) as f32)
    }

    /// The label map `[z, y, x]` of the mean.
    ///
    /// # Panics
    ///
    /// If the outputs are not those of `labels`.
    pub fn segmentation(&self, labels: &LabelSet) -> Array3<u8> {
        match self.head {
            // The class with the highest sum is the class with the highest mean.
            OutputHead::Softmax => segmentation(&self.sums(), labels),
            OutputHead::Sigmoid => segmentation(&self.mean(), labels),
        }
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
    /// For a t-test that was not asked for, or of less than two members.
    pub fn map(&self, method: UncertaintyMethod) -> Option<Array3<f32>> {
        // Divided, not multiplied by an inverse: the mean of ones must be one, or its entropy would be negative.
        let n_members = self.moments.n() as f64;
        let voxels = match method {
            UncertaintyMethod::ClassEntropy => self.by_class_entropy(|_, entropy| entropy),
            UncertaintyMethod::TotalEntropy => self.by_voxel(|voxel| self.entropies[voxel] / n_members),
            UncertaintyMethod::MutualInformation => {
                self.by_class_entropy(|voxel, entropy| entropy - self.entropies[voxel] / n_members)
            }
            UncertaintyMethod::TTest => {
                let welch = Welch::new(self.moments.n_samples());
                self.by_voxel(|voxel| self.insignificance(voxel, &welch))
            }
            UncertaintyMethod::PairwiseDice => return None,
        };
        let [_, z, y, x] = self.shape;
        Some(Array3::from_shape_vec((z, y, x), voxels).expect("there is a value for every voxel"))
    }

    #[expect(clippy::cast_possible_truncation, reason = "bits of entropy round to the nearest f32")]
    fn by_voxel(&self, of_voxel: impl Fn(usize) -> f64 + Sync) -> Vec<f32> {
        let voxels = (0..self.entropies.len()).into_par_iter().with_min_len(CHUNK);
        voxels.map(|voxel| of_voxel(voxel) as f32).collect()
    }

    /// As [`Ensemble::by_voxel`], of the entropy of the mean, which is computed output by output for many voxels at a time.
    #[expect(clippy::cast_possible_truncation, reason = "bits of entropy round to the nearest f32")]
    fn by_class_entropy(&self, of_voxel: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f32> {
        let (n_voxels, n_members) = (self.entropies.len(), self.moments.n() as f64);
        let of_voxel = &of_voxel;
        let of_chunk = |first: usize| {
            let outputs = self.moments.sums().chunks_exact(n_voxels);
            let outputs = outputs.map(|sums| sums[first..].iter().map(|sum| sum / n_members));
            let voxels = entropies(CHUNK.min(n_voxels - first), outputs, self.head).into_iter().enumerate();
            voxels.map(move |(i, entropy)| of_voxel(first + i, entropy) as f32)
        };
        (0..n_voxels).into_par_iter().step_by(CHUNK).flat_map_iter(of_chunk).collect()
    }

    /// Sums of the probabilities of one voxel, output by output.
    fn sums_at(&self, voxel: usize) -> impl Iterator<Item = f64> {
        self.moments.sums().iter().skip(voxel).step_by(self.entropies.len()).copied()
    }

    /// p-value between the two highest classes; of regions, the sum over those of their yes and no.
    fn insignificance(&self, voxel: usize, welch: &Welch) -> f64 {
        let (n_voxels, n_members) = (self.entropies.len(), self.moments.n() as f64);
        let squares = self.moments.squares().expect("an ensemble is measured as was asked for");
        let factor = self.moments.variance_factor();
        let sample = |output: usize| {
            let at = output * n_voxels + voxel;
            Sample { mean: self.moments.sums()[at] / n_members, variance: squares[at] * factor }
        };
        match self.head {
            OutputHead::Softmax => {
                let [first, second] = top_two(self.sums_at(voxel));
                welch.insignificance(sample(first), sample(second))
            }
            OutputHead::Sigmoid => {
                let of_region = |yes: Sample| welch.insignificance(yes, Sample { mean: 1.0 - yes.mean, ..yes });
                (0..self.shape[0]).map(|region| of_region(sample(region))).sum()
            }
        }
    }

    fn sums(&self) -> ArrayView4<'_, f64> {
        ArrayView4::from_shape(self.shape, self.moments.sums()).expect("there is a sum for every value")
    }
}
