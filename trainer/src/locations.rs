//! Which voxels of every class are remembered, so that a patch around foreground is drawn without a search.
//!
//! At most 10 000 voxels of a class, or one in a hundred where that is more, drawn without replacement as in nnU-Net's
//! `_sample_foreground_locations`. The draw depends on nothing but the labels.

use std::collections::BTreeMap;

use ndarray::Array3;
use nnunet::fold::Fold;
use rand::seq::index;

use crate::random::{Purpose, Stream};

const MIN_SAMPLES: usize = 10_000;
/// Denominator of the least fraction of a class that is remembered.
const COVERAGE: usize = 100;
/// nnU-Net's seed for this draw.
const SEED: u64 = 1234;

/// Voxels `[z, y, x]` per class in C order; a class without voxels has an empty list.
///
/// # Panics
///
/// If an extent does not fit into 32 bits.
pub fn of(labels: &Array3<i16>, classes: &[u8]) -> BTreeMap<u8, Vec<[u32; 3]>> {
    classes.iter().map(|&class| (class, of_class(labels, class))).collect()
}

fn of_class(labels: &Array3<i16>, class: u8) -> Vec<[u32; 3]> {
    let wanted = i16::from(class);
    let total = labels.iter().filter(|&&label| label == wanted).count();
    let n_samples = MIN_SAMPLES.min(total).max(total.div_ceil(COVERAGE));
    let purpose = Purpose::Locations;
    let stream = Stream { seed: SEED, fold: Fold(0), purpose, epoch: 0, iteration: 0, index: class.into() };
    let mut chosen = index::sample(&mut stream.generator(), total, n_samples).into_vec();
    chosen.sort_unstable();
    let mut chosen = chosen.into_iter().peekable();
    let of_class = labels.indexed_iter().filter(|&(_, &label)| label == wanted);
    let narrow = |extent: usize| u32::try_from(extent).expect("a volume's extents fit into 32 bits");
    let picked = of_class.enumerate().filter(|(number, _)| chosen.next_if_eq(number).is_some());
    picked.map(|(_, ((z, y, x), _))| [narrow(z), narrow(y), narrow(x)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_voxels_are_all_remembered_and_many_by_a_fixed_draw() {
        let mut labels = Array3::from_elem((10, 40, 50), 1);
        labels[[0, 0, 0]] = 2;
        let locations = of(&labels, &[1, 2, 3]);
        assert_eq!(locations[&2], [[0, 0, 0]]);
        assert!(locations[&3].is_empty());
        assert_eq!(locations[&1].len(), 10_000);
        assert!(locations[&1].is_sorted() && locations[&1].windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(of(&labels, &[1])[&1], locations[&1]);
    }
}
