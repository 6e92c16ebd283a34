//! The only member of a case: of its probabilities nothing is kept but a label and an entropy per voxel.
//!
//! With nobody to disagree with it, its total entropy is its class entropy and its mutual information is 0, and no other
//! method can measure it. So its probabilities are forgotten slab by slab, which for five classes spares three quarters of
//! the memory that an [`Ensemble`](super::Ensemble) of it would take.

use ndarray::{Array3, Array4, Axis};

use super::entropy::each_entropy;
use super::{Contours, Measure, UncertaintyMethod};
use crate::dataset::LabelSet;
use crate::restore::OutputHead;
use crate::segmentation::segmentation;

/// What is left of the only member's slices that were added so far.
#[derive(Debug, Clone)]
pub struct SoleMember {
    labels: LabelSet,
    /// `[z, y, x]`.
    shape: [usize; 3],
    segmentation: Vec<u8>,
    /// Bits.
    entropies: Vec<f32>,
}

impl SoleMember {
    /// Nothing yet of a case of the shape `[z, y, x]`.
    pub fn new(shape: [usize; 3], labels: LabelSet) -> Self {
        let n_voxels = shape.iter().product();
        let (segmentation, entropies) = (Vec::with_capacity(n_voxels), Vec::with_capacity(n_voxels));
        Self { labels, shape, segmentation, entropies }
    }

    /// Adds the next slices `[output, z, y, x]`, all of which follow each other from the first to the last.
    ///
    /// # Panics
    ///
    /// If the outputs are not those of the labels, or rows or columns not those of the case.
    pub fn add_slab(&mut self, slab: &Array4<f32>) {
        let [_, y, x] = self.shape;
        assert_eq!(slab.shape()[2..], [y, x], "slabs of a case share its grid");
        self.segmentation.extend(segmentation(slab, &self.labels).into_raw_vec_and_offset().0);
        let values = slab.as_standard_layout();
        let values = values.as_slice().expect("an array in standard layout is one slice");
        let first = self.entropies.len();
        self.entropies.resize(first + slab.len_of(Axis(1)) * y * x, 0.0);
        let head = OutputHead::of(&self.labels);
        each_entropy(&mut self.entropies[first..], values, head, |bits, entropy| *bits = rounded(entropy));
    }

    /// The label map `[z, y, x]`, and map and scores by each of some methods, in their order.
    ///
    /// # Panics
    ///
    /// For a method that needs two members, and if slices are missing or too many.
    pub fn measured(self, methods: &[UncertaintyMethod], slicing_axis: Axis) -> (Array3<u8>, Vec<Measure>) {
        let segmentation = Array3::from_shape_vec(self.shape, self.segmentation).expect("all slices were added");
        let entropies = Array3::from_shape_vec(self.shape, self.entropies).expect("all slices were added");
        let contours = Contours::of(&segmentation, &self.labels, slicing_axis);
        let n_entropies = methods.iter().filter(|method| **method != UncertaintyMethod::MutualInformation).count();
        // The last one is not copied.
        let mut entropies = std::iter::repeat_n(entropies, n_entropies);
        let measure = |method: &UncertaintyMethod| {
            let map = match method {
                UncertaintyMethod::ClassEntropy | UncertaintyMethod::TotalEntropy => entropies.next(),
                UncertaintyMethod::MutualInformation => Some(Array3::zeros(self.shape)),
                UncertaintyMethod::TTest | UncertaintyMethod::PairwiseDice => None,
            };
            let map = map.expect("one member is measured by its entropy");
            Measure { scores: contours.scores(&map), map: Some(map) }
        };
        (segmentation, methods.iter().map(measure).collect())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bits of entropy round to the nearest f32")]
fn rounded(bits: f64) -> f32 {
    bits as f32
}
