//! How little the members' segmentations overlap, pair by pair.
//!
//! ```text
//! score = 1 − mean over pairs k < l of Dice(segmentation of k, segmentation of l)
//! ```
//!
//! For every structure; a pair in which neither has it says nothing about it. Overlaps of pairs are not a sum over
//! members, so the members' label maps are kept, one byte a voxel each. At most voxels all members agree; these are
//! counted once, and only the others are compared pair by pair.

use rayon::prelude::*;

use super::Scores;
use crate::dataset::{LabelSet, Structure};
use crate::evaluation::mean_defined;

/// Label maps of the members, of equal length.
#[derive(Debug, Clone, Default)]
pub(super) struct LabelMaps {
    maps: Vec<Vec<u8>>,
}

impl LabelMaps {
    /// A member follows.
    pub(super) fn begin_member(&mut self) {
        self.maps.push(Vec::new());
    }

    /// The next labels of the member that began last.
    pub(super) fn extend(&mut self, labels: Vec<u8>) {
        match self.maps.last_mut() {
            Some(map) if map.is_empty() => *map = labels,
            Some(map) => map.extend(labels),
            None => self.maps.push(labels),
        }
    }

    /// Adds those of all members of another ensemble.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.maps.extend(other.maps.iter().cloned());
    }

    /// Bytes that they take.
    pub(super) fn n_bytes(&self) -> usize {
        self.maps.iter().map(Vec::len).sum()
    }

    /// `1 − mean pairwise Dice` of every structure, and the mean of those that are defined.
    pub(super) fn scores(&self, labels: &LabelSet) -> Scores {
        let agreement = Agreement::of(&self.maps);
        let structures: Vec<_> = labels.structures.par_iter().map(|structure| agreement.score(structure)).collect();
        Scores { whole: mean_defined(structures.iter().copied()), structures }
    }
}

/// Label maps without the voxels at which all members agree, and how many of these have which label.
struct Agreement {
    agreed: [u64; 256],
    /// Labels of the other voxels, member by member.
    contested: Vec<Vec<u8>>,
}

impl Agreement {
    fn of(maps: &[Vec<u8>]) -> Self {
        let n_voxels = maps.first().map_or(0, Vec::len);
        let mut differs = vec![0_u8; n_voxels];
        for pair in maps.windows(2) {
            for ((differs, a), b) in differs.iter_mut().zip(&pair[0]).zip(&pair[1]) {
                *differs |= a ^ b;
            }
        }
        let mut agreed = [0; 256];
        for (&label, _) in maps.iter().take(1).flatten().zip(&differs).filter(|(_, differs)| **differs == 0) {
            agreed[usize::from(label)] += 1;
        }
        let positions: Vec<_> = (0..n_voxels).filter(|&i| differs[i] != 0).collect();
        let contested = maps.iter().map(|map| positions.iter().map(|&i| map[i]).collect()).collect();
        Self { agreed, contested }
    }

    fn score(&self, structure: &Structure) -> Option<f64> {
        let mut has = [false; 256];
        structure.values.iter().for_each(|&label| has[usize::from(label)] = true);
        let agreed: u64 = (0..256).filter(|&label| has[label]).map(|label| self.agreed[label]).sum();
        let masks: Vec<_> = self.contested.iter().map(|labels| Mask::of(labels, &has)).collect();
        let dice = |a: &Mask, b: &Mask| {
            let sizes = 2 * agreed + a.n + b.n;
            (sizes > 0).then(|| 2.0 * (agreed + a.n_shared(b)) as f64 / sizes as f64)
        };
        let pairs = masks.iter().enumerate().flat_map(|(i, a)| masks[i + 1..].iter().map(move |b| dice(a, b)));
        mean_defined(pairs).map(|dice| 1.0 - dice)
    }
}

/// A set of voxels, one bit each.
struct Mask {
    words: Vec<u64>,
    n: u64,
}

impl Mask {
    fn of(labels: &[u8], has: &[bool; 256]) -> Self {
        let word = |labels: &[u8]| {
            let bits = labels.iter().enumerate().map(|(i, &label)| u64::from(has[usize::from(label)]) << i);
            bits.fold(0, |word, bit| word | bit)
        };
        let words: Vec<u64> = labels.chunks(64).map(word).collect();
        let n = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, n }
    }

    fn n_shared(&self, other: &Self) -> u64 {
        self.words.iter().zip(&other.words).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::DatasetJson;

    fn labels(labels: &str) -> LabelSet {
        let text = format!(
            r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},"regions_class_order":[1,2],"file_ending":".nii"}}"#
        );
        DatasetJson::parse(&text).unwrap().structures().unwrap()
    }

    fn scores(maps: &[&[u8]], labels: &LabelSet) -> Scores {
        let mut members = LabelMaps::default();
        for map in maps {
            members.begin_member();
            members.extend(map.to_vec());
        }
        members.scores(labels)
    }

    #[test]
    fn pairs_are_compared_by_the_dice_of_every_structure() {
        let maps: [&[u8]; 3] = [
            &[0, 1, 1, 0, 2], //
            &[0, 1, 0, 0, 2],
            &[0, 1, 1, 1, 0],
        ];
        let scores = scores(&maps, &labels(r#"{"background":0,"a":1,"b":2,"c":3}"#));
        // a: Dice 2/3, 4/5 and 1/2; b: 1, 0 and 0; c is in none.
        let expected = [1.0 - (2.0 / 3.0 + 0.8 + 0.5) / 3.0, 1.0 - 1.0 / 3.0];
        let found = [scores.structures[0].unwrap(), scores.structures[1].unwrap()];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-15), "{found:?}");
        assert_eq!(scores.structures[2], None);
        assert!((scores.whole.unwrap() - f64::midpoint(expected[0], expected[1])).abs() < 1e-15);
    }

    #[test]
    fn members_of_one_mind_have_score_zero_and_without_foreground_none() {
        let two = labels(r#"{"background":0,"a":1}"#);
        assert_eq!(scores(&[&[0, 1], &[0, 1], &[0, 1]], &two).whole, Some(0.0));
        assert_eq!(scores(&[&[0, 1], &[1, 0]], &two).whole, Some(1.0));
        assert_eq!(scores(&[&[0, 0], &[0, 0]], &two).whole, None);
    }

    #[test]
    fn a_region_has_the_voxels_of_all_its_labels() {
        let regions = labels(r#"{"background":0,"whole":[1,2],"core":[2]}"#);
        let scores = scores(&[&[1, 2, 0], &[2, 1, 0]], &regions);
        assert_eq!(scores.structures, [Some(0.0), Some(1.0)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agreed_and_contested_voxels_together_are_all_voxels(
            maps in prop::collection::vec(prop::collection::vec(0_u8..3, 150), 2..5),
        ) {
            let set = labels(r#"{"background":0,"a":1,"b":2}"#);
            let found = scores(&maps.iter().map(Vec::as_slice).collect::<Vec<_>>(), &set);
            for (label, found) in [1, 2].into_iter().zip(found.structures) {
                let mut dice = Vec::new();
                for (i, a) in maps.iter().enumerate() {
                    for b in &maps[i + 1..] {
                        let count = |map: &[u8]| map.iter().map(|l| u32::from(*l == label)).sum::<u32>();
                        let shared = a.iter().zip(b).filter(|(a, b)| **a == label && **b == label).count();
                        dice.push(2.0 * shared as f64 / f64::from(count(a) + count(b)));
                    }
                }
                let expected = 1.0 - dice.iter().sum::<f64>() / dice.len() as f64;
                prop_assert!((found.unwrap() - expected).abs() < 1e-12);
            }
        }
    }
}
