//! Connected components of a mask: which of them is the largest.
//!
//! Voxels are neighbors if they share a face, an edge or a corner (26 in space, 8 in a plane), as in scikit-image's
//! `label` with full connectivity, on which nnU-Net's postprocessing rests. Components are found by flooding from one
//! seed at a time, so that memory is one byte per voxel and the seeds still to be visited.

use ndarray::Array3;

/// The voxels of `mask` that do not belong to its largest component, as `[z, y, x]` indices.
///
/// Of components of equal size all are largest, and none of them is listed. An empty mask lists nothing.
pub fn outside_largest(mask: &Array3<bool>) -> Vec<[usize; 3]> {
    let components = components(mask);
    let largest = components.iter().map(Vec::len).max().unwrap_or_default();
    components.into_iter().filter(|component| component.len() < largest).flatten().collect()
}

/// The voxels of every component, in the order of their first voxels.
fn components(mask: &Array3<bool>) -> Vec<Vec<[usize; 3]>> {
    let mut unseen = mask.clone();
    let mut components = Vec::new();
    for ((z, y, x), &inside) in mask.indexed_iter() {
        if inside && unseen[[z, y, x]] {
            components.push(flood(&mut unseen, [z, y, x]));
        }
    }
    components
}

/// Takes the component of `seed` out of `unseen`.
fn flood(unseen: &mut Array3<bool>, seed: [usize; 3]) -> Vec<[usize; 3]> {
    let (n_z, n_y, n_x) = unseen.dim();
    unseen[seed] = false;
    let mut component = vec![seed];
    let mut next = 0;
    while let Some(&[z, y, x]) = component.get(next) {
        next += 1;
        for k in z.saturating_sub(1)..(z + 2).min(n_z) {
            for j in y.saturating_sub(1)..(y + 2).min(n_y) {
                for i in x.saturating_sub(1)..(x + 2).min(n_x) {
                    if std::mem::take(&mut unseen[[k, j, i]]) {
                        component.push([k, j, i]);
                    }
                }
            }
        }
    }
    component
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;
    use proptest::prelude::*;

    use super::*;

    fn check(mask: &Array3<u8>, expected: &[[usize; 3]]) {
        assert_eq!(outside_largest(&mask.mapv(|voxel| voxel > 0)), expected);
    }

    #[test]
    fn voxels_that_share_a_corner_are_one_component() {
        check(&arr3(&[[[1, 0], [0, 0]], [[0, 0], [0, 1]]]), &[]);
        check(&arr3(&[[[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]]), &[[0, 3, 0]]);
    }

    #[test]
    fn of_equals_all_are_the_largest() {
        check(&arr3(&[[[1, 1, 0, 1, 1, 0, 1]]]), &[[0, 0, 6]]);
        check(&arr3(&[[[1, 0, 1]]]), &[]);
        check(&arr3(&[[[0, 0, 0]]]), &[]);
    }

    proptest! {
        #[test]
        fn what_is_left_is_kept_when_asked_again(voxels in prop::collection::vec(any::<bool>(), 4 * 5 * 6)) {
            let mut mask = Array3::from_shape_vec((4, 5, 6), voxels).unwrap();
            let n_before = mask.iter().filter(|inside| **inside).count();
            let outside = outside_largest(&mask);
            for &voxel in &outside {
                prop_assert!(std::mem::take(&mut mask[voxel]), "only voxels of the mask, each once");
            }
            prop_assert!(outside.len() < n_before.max(1));
            prop_assert_eq!(outside_largest(&mask), Vec::<[usize; 3]>::new());
        }
    }
}
