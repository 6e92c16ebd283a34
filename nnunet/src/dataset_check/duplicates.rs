//! Finding images that are in a data set twice, whatever their files are called and however they are compressed.

use std::collections::BTreeMap;

use super::Problem;
use super::case::CaseFacts;

/// Compares the digests of all images. A case whose channels all equal those of an earlier one is one problem, not one
/// per channel.
pub fn check(cases: &[CaseFacts]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut whole_cases = BTreeMap::new();
    let mut images = BTreeMap::new();
    for facts in cases {
        let readable: Vec<_> =
            facts.channels.iter().filter_map(|(file, image)| Some((file, image.as_ref().ok()?.digest))).collect();
        let Some((first, _)) = readable.first() else { continue };
        if readable.len() == facts.channels.len() {
            let digests: Vec<_> = readable.iter().map(|(_, digest)| *digest).collect();
            if let Some(&of) = whole_cases.get(&digests) {
                let (file, case, of) = ((*first).clone(), facts.case.clone(), Clone::clone(of));
                problems.push(Problem::DuplicateCase { file, case, of });
                continue;
            }
            whole_cases.insert(digests, &facts.case);
        }
        for (file, digest) in readable {
            match images.get(&digest) {
                Some(&of) => problems.push(Problem::DuplicateImage { file: file.clone(), of: Clone::clone(of) }),
                None => {
                    images.insert(digest, file);
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use imaging::{Dimensionality, Geometry, Spacing};

    use super::*;
    use crate::dataset::CaseId;
    use crate::dataset_check::case::{ImageFacts, NotFinite};

    /// Cases `0`, `1`, …, each with the digests given; `None` cannot be read.
    fn check(cases: &[&[Option<u8>]], expected: &[Problem]) {
        let geometry = Geometry::axis_aligned([1; 3], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Three);
        let image = |digest: Option<u8>| {
            let digest = [digest.ok_or("cut short")?; 32];
            Ok(ImageFacts { geometry: geometry.clone(), n_channels: 1, digest, not_finite: NotFinite::default() })
        };
        let facts: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(number, digests)| CaseFacts {
                case: CaseId::new(number.to_string()).unwrap(),
                channels: (0..).zip(*digests).map(|(c, &digest)| (format!("{number}_{c}"), image(digest))).collect(),
                labels: None,
            })
            .collect();
        assert_eq!(super::check(&facts), expected);
    }

    #[test]
    fn a_case_that_is_there_twice_is_one_problem() {
        let (file, case, of) = ("1_0".into(), CaseId::new("1").unwrap(), CaseId::new("0").unwrap());
        let twice = Problem::DuplicateCase { file, case, of };
        check(&[&[Some(1), Some(2)], &[Some(1), Some(2)], &[Some(3), Some(4)]], &[twice]);
    }

    #[test]
    fn an_image_that_is_there_twice_is_named_with_the_other() {
        let same = |file: &str, of: &str| Problem::DuplicateImage { file: file.into(), of: of.into() };
        check(&[&[Some(1), Some(2)], &[Some(1), Some(3)]], &[same("1_0", "0_0")]);
        check(&[&[Some(1), Some(1)]], &[same("0_1", "0_0")]);
        check(&[&[Some(1), None], &[Some(1), None]], &[same("1_0", "0_0")]);
        check(&[&[None], &[None], &[]], &[]);
    }
}
