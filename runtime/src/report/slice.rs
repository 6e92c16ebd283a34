//! The slices of a case that are most uncertain.

use imaging::Volume;
use ndarray::{Array2, Array3, Axis};

use super::view::View;

/// Names of the axes of `[z, y, x]`.
const AXES: [char; 3] = ['z', 'y', 'x'];

/// What lies on the grid of a case, `[z, y, x]` each.
pub(super) struct Volumes {
    pub(super) segmentation: Volume<u8>,
    /// Uncertainty in bits.
    pub(super) map: Array3<f32>,
    pub(super) reference: Option<Array3<u8>>,
    pub(super) image: Option<Array3<f32>>,
}

/// A slice as it is shown: planes `[row, column]` of one shape and square pixels.
#[derive(Debug)]
pub(super) struct Slice {
    /// Axis along which slices follow each other in the file.
    pub(super) axis: char,
    /// Index along it, from 0.
    pub(super) index: usize,
    /// Slices that the case has.
    pub(super) n_slices: usize,
    /// Share of the whole map's sum, in [0, 1]; `None` if that is 0.
    pub(super) share: Option<f64>,
    /// Sides of the body at the top and at the left, if they are known.
    pub(super) sides: Option<[char; 2]>,
    pub(super) segmentation: Array2<u8>,
    pub(super) map: Array2<f32>,
    pub(super) reference: Option<Array2<u8>>,
    pub(super) image: Option<Array2<f32>>,
}

impl Volumes {
    /// The `n` slices with the highest sums of uncertainty, the highest first.
    pub(super) fn most_uncertain_slices(&self, n: usize) -> Vec<Slice> {
        let view = View::of(&self.segmentation.geometry);
        let sums = sums(&self.map, view.axis);
        let total: f64 = sums.iter().sum();
        let slice = |index: usize| {
            Some(Slice {
                axis: AXES[view.axis.index()],
                index,
                n_slices: sums.len(),
                share: (total > 0.0).then(|| sums[index] / total),
                sides: view.sides,
                segmentation: view.plane(&self.segmentation.voxels, index)?,
                map: view.plane(&self.map, index)?,
                reference: self.reference.as_ref().and_then(|volume| view.plane(volume, index)),
                image: self.image.as_ref().and_then(|volume| view.plane(volume, index)),
            })
        };
        most_uncertain(&sums, &self.segmentation.voxels, view.axis).into_iter().take(n).filter_map(slice).collect()
    }
}

fn sums(map: &Array3<f32>, axis: Axis) -> Vec<f64> {
    map.axis_iter(axis).map(|plane| plane.iter().map(|&bits| f64::from(bits)).sum()).collect()
}

/// Slices in descending order of their sums; of equal ones, that with more foreground, then the first.
fn most_uncertain(sums: &[f64], segmentation: &Array3<u8>, axis: Axis) -> Vec<usize> {
    let n_foreground: Vec<usize> =
        segmentation.axis_iter(axis).map(|plane| plane.iter().filter(|label| **label > 0).count()).collect();
    let mut order: Vec<usize> = (0..sums.len().min(n_foreground.len())).collect();
    order.sort_by(|&a, &b| sums[b].total_cmp(&sums[a]).then(n_foreground[b].cmp(&n_foreground[a])));
    order
}

#[cfg(test)]
mod tests {
    use imaging::{Dimensionality, Geometry, Spacing};
    use ndarray::arr3;

    use super::*;

    fn check(map: [[[f32; 2]; 1]; 3], expected: &[usize]) {
        let segmentation = arr3(&[[[0_u8, 0]], [[0, 1]], [[0, 0]]]);
        assert_eq!(most_uncertain(&sums(&arr3(&map), Axis(0)), &segmentation, Axis(0)), expected);
    }

    #[test]
    fn the_highest_sum_comes_first_and_foreground_breaks_ties() {
        check([[[0.5, 0.0]], [[0.2, 0.2]], [[0.9, 0.0]]], &[2, 0, 1]);
        check([[[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]], &[1, 0, 2]);
    }

    #[test]
    fn a_slice_knows_its_place_and_its_share() {
        let geometry = Geometry::axis_aligned([3, 2, 2], Spacing::new([4.0, 1.0, 1.0]).unwrap(), Dimensionality::Three);
        let voxels = Array3::zeros((3, 2, 2));
        let map = arr3(&[[[0.25, 0.0]; 2], [[0.5, 0.25], [0.5, 0.25]], [[0.0, 0.0]; 2]]);
        let volumes = Volumes { segmentation: Volume { voxels, geometry }, map, reference: None, image: None };
        let [slice] = &volumes.most_uncertain_slices(1)[..] else { panic!("one slice was asked for") };
        assert_eq!((slice.axis, slice.index, slice.n_slices, slice.share), ('z', 1, 3, Some(0.75)));
        assert_eq!(slice.map, ndarray::arr2(&[[0.25, 0.5]; 2]), "the patient's right is at the left");
        assert_eq!(volumes.most_uncertain_slices(9).len(), 3);
    }
}
