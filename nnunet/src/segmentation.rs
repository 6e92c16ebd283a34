//! From probabilities to a label map.
//!
//! Follows nnU-Net's `convert_logits_to_segmentation`: classes by the highest probability, the lowest class where two
//! are equal; regions by a threshold of one half, written one over the other in `regions_class_order`.

use ndarray::{Array3, ArrayRef4, ArrayView3, ArrayViewMut2, Axis, Zip};

use crate::dataset::LabelSet;

/// The label map `[z, y, x]` of probabilities `[output, z, y, x]`.
///
/// # Panics
///
/// If there are not as many outputs as `labels` ask for.
pub fn segmentation<T>(probabilities: &ArrayRef4<T>, labels: &LabelSet) -> Array3<u8>
where
    T: Copy + Into<f64> + Sync + Send,
{
    assert_eq!(probabilities.dim().0, labels.n_outputs(), "one output per structure, and background");
    let (_, z, y, x) = probabilities.dim();
    let mut segmentation = Array3::zeros((z, y, x));
    let slices = Zip::from(segmentation.outer_iter_mut()).and(probabilities.axis_iter(Axis(1)));
    match &labels.regions_class_order {
        Some(order) => slices.par_for_each(|found, probabilities| by_region(found, &probabilities, order)),
        None => slices.par_for_each(|found, probabilities| by_class(found, &probabilities, labels)),
    }
    segmentation
}

/// Labels one slice, `[y, x]` of `[output, y, x]`.
fn by_class<T: Copy + Into<f64>>(
    mut found: ArrayViewMut2<'_, u8>,
    probabilities: &ArrayView3<'_, T>,
    labels: &LabelSet,
) {
    let mut highest = probabilities.index_axis(Axis(0), 0).mapv(Into::into);
    for (structure, probability) in labels.structures.iter().zip(probabilities.outer_iter().skip(1)) {
        let label = structure.values[0];
        Zip::from(&mut found).and(&mut highest).and(&probability).for_each(|found, highest, &p| {
            let p: f64 = p.into();
            if p > *highest {
                (*found, *highest) = (label, p);
            }
        });
    }
}

/// Labels one slice, `[y, x]` of `[output, y, x]`.
fn by_region<T: Copy + Into<f64>>(mut found: ArrayViewMut2<'_, u8>, probabilities: &ArrayView3<'_, T>, order: &[u8]) {
    for (&label, probability) in order.iter().zip(probabilities.outer_iter()) {
        Zip::from(&mut found).and(&probability).for_each(|found, &p| {
            if p.into() > 0.5 {
                *found = label;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;
    use crate::dataset::DatasetJson;

    fn check(labels: &str, outputs: &[f32], n_voxels: usize, expected: &[u8]) {
        let text = format!(
            r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},"regions_class_order":[1,2],"file_ending":".nii"}}"#
        );
        let labels = DatasetJson::parse(&text).unwrap().structures().unwrap();
        let shape = (outputs.len() / n_voxels, 1, 1, n_voxels);
        let probabilities = Array4::from_shape_vec(shape, outputs.to_vec()).unwrap();
        assert_eq!(segmentation(&probabilities, &labels).as_slice(), Some(expected));
    }

    #[test]
    fn the_highest_class_wins_and_the_lowest_of_equals() {
        let outputs = [
            0.6, 0.1, 0.4, // background
            0.3, 0.2, 0.4, // a
            0.1, 0.7, 0.2, // b
        ];
        check(r#"{"background":0,"a":1,"b":2}"#, &outputs, 3, &[0, 2, 0]);
    }

    #[test]
    fn regions_are_written_one_over_the_other() {
        let outputs = [
            0.5, 0.6, 0.9, // whole, writes 1
            0.1, 0.2, 0.8, // core, writes 2
        ];
        check(r#"{"background":0,"whole":[1,2],"core":[2]}"#, &outputs, 3, &[0, 1, 2]);
    }
}
