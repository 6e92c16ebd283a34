//! Entropies, contours and scores: by hand, against the reference program, and their properties.

use std::iter;

use imaging::{Dimensionality, Geometry, Spacing};
use ndarray::{Array3, Array4, Axis, array};
use proptest::prelude::*;

use super::*;
use crate::dataset::{DatasetJson, LabelSet};
use crate::restore::OutputHead;

fn labels(labels: &str) -> LabelSet {
    let text = format!(r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},"file_ending":".nii"}}"#);
    DatasetJson::parse(&text).unwrap().structures().unwrap()
}

fn regions(labels: &str) -> LabelSet {
    let order = r#""regions_class_order":[1,2,1]"#;
    let text = format!(r#"{{"channel_names":{{"0":"MRI"}},"labels":{labels},{order},"file_ending":".nii"}}"#);
    DatasetJson::parse(&text).unwrap().structures().unwrap()
}

/// Probabilities of two classes, from those of the foreground along x.
fn two_classes(foreground: &[f32]) -> Array4<f32> {
    let outputs: Vec<f32> = foreground.iter().map(|p| 1.0 - p).chain(foreground.iter().copied()).collect();
    Array4::from_shape_vec((2, 1, 1, foreground.len()), outputs).unwrap()
}

fn ensemble(members: &[Array4<f32>], head: OutputHead) -> Ensemble {
    let mut ensemble = Ensemble::new(&members[0], head);
    members[1..].iter().for_each(|member| ensemble.add(member));
    ensemble
}

/// An ensemble that every method can measure.
fn measured(members: &[Array4<f32>], labels: &LabelSet) -> Ensemble {
    let mut ensemble = Ensemble::measured_by(&UncertaintyMethod::ALL, &members[0], labels);
    members[1..].iter().for_each(|member| ensemble.add(member));
    ensemble
}

fn map(ensemble: &Ensemble, method: UncertaintyMethod) -> Array3<f32> {
    ensemble.map(method).unwrap()
}

#[test]
fn entropy_is_one_bit_for_a_coin_and_zero_for_certainty() {
    let check = |probabilities: &[f32], head, bits: f32| {
        let member = Array4::from_shape_vec((probabilities.len(), 1, 1, 1), probabilities.to_vec()).unwrap();
        let ensemble = ensemble(&[member], head);
        for method in [UncertaintyMethod::ClassEntropy, UncertaintyMethod::TotalEntropy] {
            assert_eq!(map(&ensemble, method), array![[[bits]]], "{probabilities:?} {method}");
        }
    };
    check(&[0.5, 0.5], OutputHead::Softmax, 1.0);
    check(&[1.0, 0.0], OutputHead::Softmax, 0.0);
    check(&[0.25; 4], OutputHead::Softmax, 2.0);
    check(&[0.5, 1.0, 0.5], OutputHead::Sigmoid, 2.0);
}

#[test]
fn a_sole_member_is_measured_as_an_ensemble_of_it_is() {
    let methods = &UncertaintyMethod::ENTROPIES;
    let check = |labels: &LabelSet, is_exclusive: bool| {
        let n_outputs = labels.n_outputs();
        let shape = (n_outputs, 5, 7, 11);
        let mut member =
            Array4::from_shape_fn(shape, |(c, z, y, x)| ((c * 31 + z * 17 + y * 5 + x * 3) % 23) as f32 / 22.0);
        if is_exclusive {
            let sums = member.sum_axis(Axis(0)).mapv(|sum| sum.max(0.1));
            member.outer_iter_mut().for_each(|mut class| class /= &sums);
        }
        let ensemble = ensemble(std::slice::from_ref(&member), OutputHead::of(labels));
        let mut sole = SoleMember::new([5, 7, 11], labels.clone());
        for slab in member.axis_chunks_iter(Axis(1), 2) {
            sole.add_slab(&slab.to_owned());
        }
        let (segmentation, measures) = sole.measured(methods, Axis(0));
        assert_eq!(segmentation, ensemble.segmentation(labels));
        assert!(segmentation.iter().any(|label| *label > 0));
        let contours = Contours::of(&segmentation, labels, Axis(0));
        for (method, found) in methods.iter().zip(measures) {
            assert_eq!(found, ensemble.measure(*method, &contours), "{method}");
        }
    };
    check(&labels(r#"{"background":0,"a":1,"b":2}"#), true);
    check(&regions(r#"{"background":0,"whole":[1,2],"core":[2],"edge":[1]}"#), false);
}

#[test]
fn members_that_contradict_each_other_are_uncertain_only_together() {
    // Voxel 0: both sure, of opposite classes. Voxel 1: both toss a coin. Voxel 2: both sure of the same.
    let members = [two_classes(&[1.0, 0.5, 1.0]), two_classes(&[0.0, 0.5, 1.0])];
    let ensemble = ensemble(&members, OutputHead::Softmax);
    assert_eq!(map(&ensemble, UncertaintyMethod::ClassEntropy), array![[[1.0, 1.0, 0.0]]]);
    assert_eq!(map(&ensemble, UncertaintyMethod::TotalEntropy), array![[[0.0, 1.0, 0.0]]]);
    assert_eq!(map(&ensemble, UncertaintyMethod::MutualInformation), array![[[1.0, 0.0, 0.0]]]);
    assert_eq!(ensemble.segmentation(&labels(r#"{"background":0,"a":1}"#)), array![[[0, 0, 1]]]);
}

#[test]
fn the_mean_over_folds_does_not_depend_on_their_number_of_members() {
    let (sure, unsure) = (two_classes(&[1.0]), two_classes(&[0.5]));
    let mut all = ensemble(&[sure.clone(), sure.clone(), sure], OutputHead::Softmax).into_member();
    all.add_ensemble(&ensemble(&[unsure], OutputHead::Softmax));
    assert_eq!(all.mean(), two_classes(&[0.75]));
    assert_eq!(map(&all, UncertaintyMethod::TotalEntropy), array![[[0.5]]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_contour_is_what_lies_outside_beside_what_lies_inside(
        shape in prop::array::uniform3(1_usize..7),
        values in prop::collection::vec(0_u8..4, 6 * 6 * 6),
        axis in 0_usize..3,
    ) {
        let labels = regions(r#"{"background":0,"both":[1,2],"b":2,"a":1}"#);
        let segmentation = Array3::from_shape_fn(shape, |(z, y, x)| values[(z * 6 + y) * 6 + x]);
        let length = |is_inside: &dyn Fn(u8) -> bool| {
            let is_beside = |at: (usize, usize, usize)| {
                segmentation.indexed_iter().any(|(other, &label)| {
                    let distances = [at.0.abs_diff(other.0), at.1.abs_diff(other.1), at.2.abs_diff(other.2)];
                    is_inside(label) && distances[axis] == 0 && distances.iter().all(|&distance| distance < 2)
                })
            };
            segmentation.indexed_iter().filter(|(at, label)| !is_inside(**label) && is_beside(*at)).count()
        };
        let expected = [
            length(&|label| label > 0),
            length(&|label| label == 1 || label == 2),
            length(&|label| label == 2),
            length(&|label| label == 1),
        ];
        let scores = Contours::of(&segmentation, &labels, Axis(axis)).scores(&Array3::from_elem(shape, 1.0));
        let found = iter::once(scores.whole).chain(scores.structures);
        let n_voxels = segmentation.len() as f64;
        for (found, expected) in found.zip(expected) {
            prop_assert_eq!(found, (expected > 0).then(|| n_voxels / expected as f64));
        }
    }
}

#[test]
fn contours_lie_in_the_slices_across_an_axis() {
    let labels = labels(r#"{"background":0,"a":1}"#);
    let map = Array3::from_elem((2, 3, 4), 5.0);
    let check = |inside: (usize, usize, usize), expected: [f64; 3]| {
        let segmentation = Array3::from_shape_fn(map.dim(), |at| u8::from(at == inside));
        for (axis, expected) in expected.into_iter().enumerate() {
            let scores = Contours::of(&segmentation, &labels, Axis(axis)).scores(&map);
            assert_eq!(scores, Scores { whole: Some(expected), structures: vec![Some(expected)] }, "{inside:?} {axis}");
        }
    };
    // 120 by the neighbors along y and x, along z and x, along z and y, as far as there are any.
    check((0, 1, 1), [15.0, 24.0, 24.0]);
    check((0, 1, 0), [24.0, 40.0, 24.0]);
    check((1, 0, 2), [24.0, 24.0, 40.0]);
}

/// The slicing axis of voxels of this size, `zyx` in mm.
#[track_caller]
fn check_slicing(shape: [usize; 3], zyx: [f64; 3], dimensionality: Dimensionality, expected: usize) {
    let geometry = Geometry::axis_aligned(shape, Spacing::new(zyx).unwrap(), dimensionality);
    assert_eq!(slicing_axis(&geometry), Axis(expected), "{shape:?} {zyx:?}");
}

#[test]
fn slices_lie_across_the_coarsest_axis() {
    let check = |zyx, axis| check_slicing([4, 5, 6], zyx, Dimensionality::Three, axis);
    check([1.0, 1.0, 1.0], 0);
    check([3.0, 1.0, 1.0], 0);
    check([1.0, 3.0, 1.0], 1);
    check([1.0, 1.0, 3.0], 2);
    check([1.0, 3.0, 3.0], 1);
}

#[test]
fn a_single_slice_is_the_plane_of_its_contour_however_large_its_pixels() {
    check_slicing([1, 5, 6], [1.0, 1.25, 1.25], Dimensionality::Two, 0);
    check_slicing([1, 5, 6], [1.0, 1.25, 3.0], Dimensionality::Three, 0);
    check_slicing([4, 1, 6], [3.0, 1.0, 1.0], Dimensionality::Three, 1);
    check_slicing([4, 5, 1], [3.0, 1.0, 1.0], Dimensionality::Three, 2);
}

#[test]
fn a_score_is_the_sum_of_the_map_per_contour_voxel() {
    let segmentation = array![[[0, 1, 0, 2]]];
    let map = array![[[0.5, 0.25, 0.25, 1.0]]];
    let labels = labels(r#"{"background":0,"a":1,"b":2,"c":3}"#);
    let scores = Contours::of(&segmentation, &labels, Axis(0)).scores(&map);
    // All foreground has the contour {0, 2}, a the same, b the contour {2}, c none.
    assert_eq!(scores.whole, Some(1.0));
    assert_eq!(scores.structures, [Some(1.0), Some(2.0), None]);
}

#[test]
fn an_empty_segmentation_has_no_score() {
    let labels = labels(r#"{"background":0,"a":1}"#);
    let contours = Contours::of(&Array3::zeros((1, 2, 2)), &labels, Axis(0));
    assert_eq!(contours.scores(&Array3::from_elem((1, 2, 2), 0.5)).whole, None);
}

#[test]
fn methods_have_the_names_of_the_command_line() {
    for method in UncertaintyMethod::ALL {
        assert_eq!(method.name().parse(), Ok(method));
        assert_eq!(serde_json::to_value(method).unwrap(), method.name());
    }
    assert_eq!(
        "entropy".parse::<UncertaintyMethod>().unwrap_err().to_string(),
        "`entropy` is no uncertainty method; there are class-entropy, total-entropy, mutual-information, t-test, pairwise-dice"
    );
}

#[test]
fn the_t_test_compares_the_two_most_probable_classes() {
    let labels = labels(r#"{"background":0,"a":1}"#);
    // Voxel 0: certain. Voxel 1: opposite each other, so the means are equal. Voxel 2: nothing varies, and one is above.
    let members = [two_classes(&[0.99, 0.25, 0.75]), two_classes(&[0.98, 0.75, 0.75])];
    assert_eq!(map(&measured(&members, &labels), UncertaintyMethod::TTest), array![[[0.0, 1.0, 0.0]]]);
    // Nothing varies, and the means are equal.
    let members = [two_classes(&[0.5]), two_classes(&[0.5])];
    assert_eq!(map(&measured(&members, &labels), UncertaintyMethod::TTest), array![[[1.0]]]);
}

#[test]
fn p_values_of_regions_are_added() {
    let text = r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"whole":[1,2],"core":[2]},"regions_class_order":[1,2],"file_ending":".nii"}"#;
    let labels = DatasetJson::parse(text).unwrap().structures().unwrap();
    let member = |whole, core| Array4::from_shape_vec((2, 1, 1, 1), vec![whole, core]).unwrap();
    let undecided = measured(&[member(0.25, 0.75), member(0.75, 0.25)], &labels);
    assert_eq!(map(&undecided, UncertaintyMethod::TTest), array![[[2.0]]]);
    let decided = measured(&[member(1.0, 0.75), member(1.0, 0.25)], &labels);
    assert_eq!(map(&decided, UncertaintyMethod::TTest), array![[[1.0]]]);
}

#[test]
fn the_mean_over_folds_tests_and_pairs_all_members() {
    let labels = labels(r#"{"background":0,"a":1}"#);
    let members =
        [two_classes(&[0.25, 0.75]), two_classes(&[0.5, 0.25]), two_classes(&[0.75, 0.5]), two_classes(&[0.5, 0.0])];
    let all = measured(&members, &labels);
    let mut folds = measured(&members[..2], &labels).into_member();
    folds.add_ensemble(&measured(&members[2..], &labels));
    let contours = Contours::of(&all.segmentation(&labels), &labels, Axis(0));
    let score = |ensemble: &Ensemble, method| ensemble.measure(method, &contours).scores;
    let pairwise = score(&all, UncertaintyMethod::PairwiseDice);
    assert_eq!(score(&folds, UncertaintyMethod::PairwiseDice), pairwise);
    // One member has the second voxel, one has the first, two have none: no pair overlaps.
    assert_eq!(pairwise.whole, Some(1.0));
    let maps = [&all, &folds].map(|ensemble| map(ensemble, UncertaintyMethod::TTest));
    assert!(maps[0].iter().zip(&maps[1]).all(|(a, b)| (a - b).abs() < 1e-6), "{maps:?}");
}

#[test]
fn only_pairwise_dice_takes_memory_for_every_member() {
    let labels = labels(r#"{"background":0,"a":1}"#);
    let n_bytes = |methods: &[UncertaintyMethod], n_members| {
        let member = two_classes(&[0.5; 10]);
        let mut ensemble = Ensemble::measured_by(methods, &member, &labels);
        (1..n_members).for_each(|_| ensemble.add(&member));
        ensemble.n_bytes()
    };
    // Ten voxels: the probabilities of two classes, each four bytes; their sums, each eight.
    assert_eq!([1, 2, 30].map(|n| n_bytes(&[UncertaintyMethod::ClassEntropy], n)), [80, 160, 160]);
    // The sum of entropies, eight bytes; variances of two classes, each eight; a label of every member.
    assert_eq!(n_bytes(&UncertaintyMethod::ENTROPIES, 1), 80);
    assert_eq!([n_bytes(&UncertaintyMethod::ENTROPIES, 2), n_bytes(&UncertaintyMethod::ENTROPIES, 30)], [240, 240]);
    assert_eq!([n_bytes(&[UncertaintyMethod::TTest], 2), n_bytes(&[UncertaintyMethod::TTest], 30)], [320, 320]);
    assert_eq!([2, 30].map(|n| n_bytes(&[UncertaintyMethod::PairwiseDice], n)), [180, 460]);
}

#[test]
fn one_member_is_too_few_for_a_variance_or_a_pair() {
    for method in UncertaintyMethod::ALL {
        let expected = if UncertaintyMethod::ENTROPIES.contains(&method) { 1 } else { 2 };
        assert_eq!(method.check_members(1).is_ok(), expected == 1, "{method}");
        assert!(method.check_members(2).is_ok());
    }
    let refused = UncertaintyMethod::TTest.check_members(1).unwrap_err();
    assert_eq!(refused.to_string(), "`t-test` needs at least 2 members, found 1");
}

/// The reference program's scores, from `tests/golden/uncertainty/generate.py`.
#[test]
fn scores_equal_those_of_the_reference_program() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/uncertainty/golden.json")).unwrap();
    let shape: Vec<usize> = serde_json::from_value(golden["shape"].clone()).unwrap();
    let members: Vec<Vec<f32>> = serde_json::from_value(golden["members"].clone()).unwrap();
    let members: Vec<_> = members
        .into_iter()
        .map(|values| Array4::from_shape_vec((shape[0], shape[1], shape[2], shape[3]), values).unwrap())
        .collect();
    let labels = labels(r#"{"background":0,"a":1,"b":2}"#);
    let ensemble = measured(&members, &labels);
    let contours = Contours::of(&ensemble.segmentation(&labels), &labels, Axis(0));
    let check = |found: Option<f64>, key: &str| {
        let expected = golden["scores"][key].as_f64().unwrap();
        let relative = (found.unwrap() / expected - 1.0).abs();
        // Maps are rounded to f32, 6e-8 relative per voxel; the sum averages that out.
        assert!(relative < 1e-6, "{key}: {found:?} instead of {expected}");
    };
    for method in UncertaintyMethod::ALL {
        check(ensemble.measure(method, &contours).scores.whole, method.name());
    }
    for method in [UncertaintyMethod::ClassEntropy, UncertaintyMethod::PairwiseDice] {
        let scores = ensemble.measure(method, &contours).scores;
        check(scores.structures[0], &format!("{method}[1]"));
        check(scores.structures[1], &format!("{method}[2]"));
    }
}

/// Members of three classes on six voxels; each voxel's probabilities sum to one.
fn members() -> impl Strategy<Value = Vec<Array4<f32>>> {
    let member = prop::collection::vec((0.0_f32..=1.0, 0.0_f32..=1.0), 6).prop_map(|voxels| {
        let of_voxel = |(a, b): (f32, f32)| [a * b, a * (1.0 - b), 1.0 - a];
        let outputs: Vec<[f32; 3]> = voxels.into_iter().map(of_voxel).collect();
        Array4::from_shape_fn((3, 1, 2, 3), |(c, _, y, x)| outputs[y * 3 + x][c])
    });
    prop::collection::vec(member, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn entropies_lie_between_zero_and_the_number_of_classes_in_bits(members in members()) {
        let ensemble = ensemble(&members, OutputHead::Softmax);
        for method in UncertaintyMethod::ENTROPIES {
            for bits in map(&ensemble, method) {
                // Probabilities of f32 sum to one within 1e-7.
                prop_assert!((-1e-6..=3_f32.log2() + 1e-6).contains(&bits), "{method}: {bits}");
            }
        }
    }

    #[test]
    fn the_order_of_the_members_does_not_matter(members in members()) {
        let labels = labels(r#"{"background":0,"a":1,"b":2}"#);
        let forward = measured(&members, &labels);
        let backward = measured(&members.iter().rev().cloned().collect::<Vec<_>>(), &labels);
        let contours = Contours::of(&forward.segmentation(&labels), &labels, Axis(0));
        for method in UncertaintyMethod::ALL.into_iter().filter(|method| method.check_members(members.len()).is_ok()) {
            let measures = [&forward, &backward].map(|ensemble| ensemble.measure(method, &contours));
            prop_assert!(measures[0].scores.whole.is_some() == measures[1].scores.whole.is_some());
            if method == UncertaintyMethod::PairwiseDice {
                let [a, b] = measures.map(|measure| measure.scores.whole.unwrap_or_default());
                prop_assert!((a - b).abs() < 1e-12);
                continue;
            }
            let [a, b] = measures.map(|measure| measure.map.unwrap());
            for (a, b) in a.iter().zip(&b) {
                // A p-value at the limit of significance may fall on either side of it.
                let may_jump = method == UncertaintyMethod::TTest && (a.max(*b) - 0.05).abs() < 1e-6;
                prop_assert!((a - b).abs() < 1e-6 || may_jump, "{method}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_p_value_is_a_probability_and_never_between_zero_and_significance(members in members()) {
        let ensemble = measured(&members, &labels(r#"{"background":0,"a":1,"b":2}"#));
        if members.len() > 1 {
            for p in map(&ensemble, UncertaintyMethod::TTest) {
                prop_assert!(p == 0.0 || (0.05..=1.0).contains(&p), "{p}");
            }
        }
    }
}

/// Probabilities of three classes that differ everywhere.
fn three_classes(seed: usize, [z, y, x]: [usize; 3]) -> Array4<f32> {
    let weights = Array4::from_shape_fn((3, z, y, x), |(c, z, y, x)| {
        1.0 + ((seed * 31 + c * 17 + z * 7 + y * 5 + x * 3) % 23) as f32
    });
    &weights / &weights.sum_axis(Axis(0)).insert_axis(Axis(0))
}

#[test]
fn a_member_added_slab_by_slab_is_the_same() {
    let (labels, shape) = (labels(r#"{"background":0,"a":1,"b":2}"#), [5, 4, 6]);
    let members: Vec<_> = (0..4).map(|seed| three_classes(seed, shape)).collect();
    let mut slabs = Ensemble::of_none(&UncertaintyMethod::ALL, [3, 5, 4, 6], &labels);
    for (n, member) in (1..).zip(&members) {
        for chunk in member.axis_chunks_iter(Axis(1), 2) {
            slabs.add_slab(&chunk.to_owned());
        }
        let whole = measured(&members[..n], &labels);
        assert_eq!((slabs.n_members(), slabs.mean()), (n, whole.mean()));
        assert_eq!(slabs.segmentation(&labels), whole.segmentation(&labels));
        for method in UncertaintyMethod::ENTROPIES {
            assert_eq!(slabs.map(method), whole.map(method), "{n} {method}");
        }
    }
    assert_eq!(slabs.map(UncertaintyMethod::TTest), measured(&members, &labels).map(UncertaintyMethod::TTest));
}

#[test]
fn folds_of_one_member_are_an_ensemble_of_all() {
    let labels = labels(r#"{"background":0,"a":1,"b":2}"#);
    let members: Vec<_> = (0..4).map(|seed| three_classes(seed, [2, 3, 5])).collect();
    let fold = |member| measured(std::slice::from_ref(member), &labels);
    let mut folds = fold(&members[0]).into_member();
    members[1..].iter().for_each(|member| folds.add_ensemble(&fold(member)));
    let all = measured(&members, &labels);
    assert_eq!((folds.n_members(), folds.mean()), (4, all.mean()));
    for method in UncertaintyMethod::ENTROPIES {
        assert_eq!(folds.map(method), all.map(method), "{method}");
    }
}
