//! Judging what the files of one case hold: grids, voxels, labels.

use std::collections::{BTreeMap, BTreeSet};

use imaging::{Dimensionality, Geometry, GridMismatch};

use super::{Problem, Severity};
use crate::dataset::CaseId;

/// What was found in the files of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFacts {
    /// The case.
    pub case: CaseId,
    /// Channels in order; of one that cannot be read, why.
    pub channels: Vec<(String, Result<ImageFacts, String>)>,
    /// The reference, if there is one.
    pub labels: Option<(String, Result<LabelFacts, String>)>,
}

/// What an image holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFacts {
    /// Its grid.
    pub geometry: Geometry,
    /// Its channels; a picture in color has three or four.
    pub n_channels: usize,
    /// Digest of shape and values; equal images have equal digests.
    pub digest: [u8; 32],
    /// Values that are not finite.
    pub not_finite: NotFinite,
}

/// How many values are not finite, and where the first is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotFinite {
    /// Voxels that are not a number.
    pub n_nan: u64,
    /// Infinite voxels.
    pub n_infinite: u64,
    /// The first of either, `[z, y, x]`.
    pub first: Option<[usize; 3]>,
}

/// What a reference holds.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelFacts {
    /// Its grid.
    pub geometry: Geometry,
    /// Voxels of each value from 0 to 255.
    pub n_voxels: BTreeMap<u8, u64>,
    /// Finite values that are no whole number from 0 to 255: the first few, and the voxels of all.
    pub others: Vec<f64>,
    /// Voxels with such values.
    pub n_others: u64,
    /// Values that are not finite.
    pub not_finite: NotFinite,
}

/// Judges the number of channels of a case in a format whose files may hold several; a case with a file that cannot
/// be read is not judged.
pub fn check_n_channels(facts: &CaseFacts, expected: usize) -> Option<Problem> {
    let counts = facts.channels.iter().map(|(_, image)| image.as_ref().ok().map(|image| image.n_channels));
    let found = counts.sum::<Option<usize>>()?;
    let case = facts.case.clone();
    (found != expected).then_some(Problem::ChannelsInFiles { case, found, expected })
}

/// Judges a case; `known` are the values that labels may have, if that is known.
pub fn check(facts: &CaseFacts, known: Option<&[u8]>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut first: Option<(&str, &Geometry)> = None;
    for (file, image) in &facts.channels {
        match image {
            Ok(image) => {
                not_finite(file, image.not_finite, &mut problems);
                match first {
                    Some(of) => grid(Role::Channel, of, (file, &image.geometry), &mut problems),
                    None => first = Some((file, &image.geometry)),
                }
            }
            Err(reason) => problems.push(Problem::Unreadable { file: file.clone(), reason: reason.clone() }),
        }
    }
    match &facts.labels {
        Some((file, Ok(labels))) => {
            not_finite(file, labels.not_finite, &mut problems);
            values(file, labels, known, &mut problems);
            if let Some(of) = first {
                grid(Role::Labels, of, (file, &labels.geometry), &mut problems);
            }
        }
        Some((file, Err(reason))) => {
            problems.push(Problem::Unreadable { file: file.clone(), reason: reason.clone() });
        }
        None => {}
    }
    problems
}

fn not_finite(file: &str, found: NotFinite, problems: &mut Vec<Problem>) {
    if let NotFinite { n_nan, n_infinite, first: Some(first) } = found {
        problems.push(Problem::NotFinite { file: file.to_owned(), n_nan, n_infinite, first });
    }
}

fn values(file: &str, labels: &LabelFacts, known: Option<&[u8]>, problems: &mut Vec<Problem>) {
    if let Some(known) = known {
        let known: BTreeSet<u8> = known.iter().copied().collect();
        let unknown = || labels.n_voxels.iter().filter(|(value, _)| !known.contains(value));
        let found: Vec<_> =
            unknown().map(|(&value, _)| f64::from(value)).chain(labels.others.iter().copied()).collect();
        if !found.is_empty() {
            let n_voxels = unknown().map(|(_, n)| n).sum::<u64>() + labels.n_others;
            let expected = known.into_iter().collect();
            problems.push(Problem::UnknownLabels { file: file.to_owned(), found, n_voxels, expected });
        }
    }
    if labels.n_others == 0 && labels.n_voxels.keys().all(|&value| value == 0) {
        problems.push(Problem::OnlyBackground { file: file.to_owned() });
    }
}

/// What is compared with the first channel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Channel,
    Labels,
}

/// Compares the grid of `file` with that of `of`.
fn grid(role: Role, of: (&str, &Geometry), file: (&str, &Geometry), problems: &mut Vec<Problem>) {
    let ((of, expected), (file, found)) = (of, file);
    let (of, file) = (of.to_owned(), file.to_owned());
    if shape(found) != shape(expected) {
        problems.push(Problem::Shape { file, found: shape(found), expected: shape(expected), of });
        return;
    }
    let (ours, theirs) = (spacing(found), spacing(expected));
    if ours != theirs {
        let close = ours.iter().zip(&theirs).all(|(&a, &b)| is_close(a, b));
        let severity = if close { Severity::Warning } else { Severity::Error };
        let (file, of) = (file.clone(), of.clone());
        problems.push(Problem::Spacing { file, found: ours, expected: theirs.clone(), of, severity });
    }
    if let Err(GridMismatch::Position { distance_mm: found_mm, allowed_mm: expected_mm }) = expected.same_grid(found) {
        // Half a voxel away, the world coordinates speak of another voxel.
        let half_voxel = theirs.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let severity = match role {
            Role::Labels if found_mm < half_voxel => Severity::Warning,
            Role::Labels | Role::Channel => Severity::Error,
        };
        problems.push(Problem::Affine { file, found_mm, expected_mm, of, severity });
    }
}

/// nnU-Net's tolerance, that of `numpy.allclose`.
fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-8 + 1e-5 * expected.abs()
}

/// Extents of the axes that the file has.
fn shape(geometry: &Geometry) -> Vec<usize> {
    in_plane_if_flat(geometry, geometry.shape())
}

fn spacing(geometry: &Geometry) -> Vec<f64> {
    in_plane_if_flat(geometry, geometry.spacing().zyx())
}

fn in_plane_if_flat<T: Copy>(geometry: &Geometry, zyx: [T; 3]) -> Vec<T> {
    match geometry.dimensionality() {
        Dimensionality::Two => zyx[1..].to_vec(),
        Dimensionality::Three => zyx.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use imaging::Spacing;

    use super::*;

    fn geometry(shape: [usize; 3], zyx: [f64; 3]) -> Geometry {
        Geometry::axis_aligned(shape, Spacing::new(zyx).unwrap(), Dimensionality::Three)
    }

    fn image(shape: [usize; 3], zyx: [f64; 3]) -> ImageFacts {
        ImageFacts { geometry: geometry(shape, zyx), n_channels: 1, digest: [0; 32], not_finite: NotFinite::default() }
    }

    fn labels(shape: [usize; 3], zyx: [f64; 3]) -> LabelFacts {
        let n_voxels = [(0, 10), (1, 5)].into();
        let not_finite = NotFinite::default();
        LabelFacts { geometry: geometry(shape, zyx), n_voxels, others: vec![], n_others: 0, not_finite }
    }

    const SHAPE: [usize; 3] = [2, 3, 4];
    const ZYX: [f64; 3] = [3.0, 1.0, 1.0];

    /// A sound case but for what `change` does to it.
    fn check(change: impl FnOnce(&mut ImageFacts, &mut LabelFacts), expected: &[Problem]) {
        let (mut second, mut reference) = (image(SHAPE, ZYX), labels(SHAPE, ZYX));
        change(&mut second, &mut reference);
        let facts = CaseFacts {
            case: CaseId::new("a").unwrap(),
            channels: vec![("a_0".into(), Ok(image(SHAPE, ZYX))), ("a_1".into(), Ok(second))],
            labels: Some(("a".into(), Ok(reference))),
        };
        assert_eq!(super::check(&facts, Some(&[0, 1, 2])), expected);
    }

    #[test]
    fn a_sound_case_has_no_problem() {
        check(|_, _| {}, &[]);
    }

    #[test]
    fn other_shapes_are_named_with_both() {
        let shape = |file: &str| {
            let (found, expected) = (vec![2, 4, 3], SHAPE.to_vec());
            Problem::Shape { file: file.into(), found, expected, of: "a_0".into() }
        };
        check(|image, _| image.geometry = geometry([2, 4, 3], ZYX), &[shape("a_1")]);
        check(|_, labels| labels.geometry = geometry([2, 4, 3], ZYX), &[shape("a")]);
        let flat = Geometry::axis_aligned([1, 3, 4], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Two);
        let found = Problem::Shape { file: "a".into(), found: vec![3, 4], expected: SHAPE.to_vec(), of: "a_0".into() };
        check(|_, labels| labels.geometry = flat, &[found]);
    }

    #[test]
    fn spacing_is_an_error_beyond_the_tolerance_of_nnunet_and_a_warning_within() {
        let spacing = |file: &str, z: f64, severity| {
            let (found, expected) = (vec![z, 1.0, 1.0], ZYX.to_vec());
            Problem::Spacing { file: file.into(), found, expected, of: "a_0".into(), severity }
        };
        // The far slice moves with the spacing of two slices.
        let affine = |file: &str, found_mm, severity| Problem::Affine {
            file: file.into(),
            found_mm,
            expected_mm: 0.01,
            of: "a_0".into(),
            severity,
        };
        let near = 3.000_02;
        check(
            |image, _| image.geometry = geometry(SHAPE, [near, 1.0, 1.0]),
            &[spacing("a_1", near, Severity::Warning)],
        );
        check(
            |image, _| image.geometry = geometry(SHAPE, [3.25, 1.0, 1.0]),
            &[spacing("a_1", 3.25, Severity::Error), affine("a_1", 0.25, Severity::Error)],
        );
        check(
            |_, labels| labels.geometry = geometry(SHAPE, [3.25, 1.0, 1.0]),
            &[spacing("a", 3.25, Severity::Error), affine("a", 0.25, Severity::Warning)],
        );
        check(
            |_, labels| labels.geometry = geometry(SHAPE, [3.5, 1.0, 1.0]),
            &[spacing("a", 3.5, Severity::Error), affine("a", 0.5, Severity::Error)],
        );
    }

    #[test]
    fn values_that_are_not_finite_are_counted() {
        let not_finite = NotFinite { n_nan: 2, n_infinite: 1, first: Some([0, 1, 2]) };
        let problem = |file: &str| Problem::NotFinite { file: file.into(), n_nan: 2, n_infinite: 1, first: [0, 1, 2] };
        check(|image, _| image.not_finite = not_finite, &[problem("a_1")]);
        check(|_, labels| labels.not_finite = not_finite, &[problem("a")]);
    }

    #[test]
    fn all_unknown_labels_are_listed_with_their_voxels() {
        let expected = Problem::UnknownLabels {
            file: "a".into(),
            found: vec![3.0, 7.0, 0.5],
            n_voxels: 6,
            expected: vec![0, 1, 2],
        };
        check(
            |_, labels| {
                labels.n_voxels.extend([(7, 1), (3, 2)]);
                (labels.others, labels.n_others) = (vec![0.5], 3);
            },
            &[expected],
        );
    }

    #[test]
    fn a_reference_without_foreground_is_a_warning() {
        let problem = Problem::OnlyBackground { file: "a".into() };
        assert_eq!(problem.severity(), Severity::Warning);
        check(
            |_, labels| {
                labels.n_voxels.remove(&1);
            },
            &[problem],
        );
    }

    #[test]
    fn an_unreadable_channel_does_not_hide_the_others() {
        let facts = CaseFacts {
            case: CaseId::new("a").unwrap(),
            channels: vec![("a_0".into(), Err("cut short".into())), ("a_1".into(), Ok(image(SHAPE, ZYX)))],
            labels: Some(("a".into(), Ok(labels([2, 3, 5], ZYX)))),
        };
        let expected = [
            Problem::Unreadable { file: "a_0".into(), reason: "cut short".into() },
            Problem::Shape { file: "a".into(), found: vec![2, 3, 5], expected: SHAPE.to_vec(), of: "a_1".into() },
        ];
        assert_eq!(super::check(&facts, None), expected);
    }
}
