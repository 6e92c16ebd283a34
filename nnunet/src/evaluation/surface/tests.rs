//! Surfaces by hand, against SciPy, and what must hold of any two.

use ndarray::{Array2, Array3, Axis};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::dataset::DatasetJson;

fn spacing(zyx: [f64; 3]) -> Spacing {
    Spacing::new(zyx).unwrap()
}

/// A box from `first`, `extent` voxels long, in an array of `shape`.
fn block(shape: [usize; 3], first: [usize; 3], extent: [usize; 3]) -> Array3<bool> {
    Array3::from_shape_fn(shape, |(z, y, x)| {
        [z, y, x]
            .into_iter()
            .zip(first.into_iter().zip(extent))
            .all(|(at, (first, n))| (first..first + n).contains(&at))
    })
}

fn check(masks: [&Array3<bool>; 2], zyx: [f64; 3], expected: [f64; 3]) {
    let found = surface_agreement(masks[0], masks[1], spacing(zyx), Tolerance::default());
    let found_values = [found.hd95_mm, found.assd_mm, found.nsd].map(Option::unwrap);
    for (found, expected) in found_values.into_iter().zip(expected) {
        // Sums of square roots in another order.
        assert!((found - expected).abs() < 1e-12, "{found_values:?}, expected {expected:?}");
    }
    assert_eq!(found.presence, Presence::Both);
}

#[test]
fn two_single_voxels_are_as_far_apart_as_their_centers() {
    let [one, other] = [[0, 0, 0], [0, 1, 2]].map(|first| block([2, 4, 4], first, [1, 1, 1]));
    check([&one, &other], [9.0, 3.0, 2.0], [5.0, 5.0, 0.0]);
    check([&one, &other], [9.0, 0.6, 0.4], [1.0, 1.0, 1.0]);
}

#[test]
fn the_inside_of_a_slice_is_no_surface_although_a_slice_is_one_voxel_thick() {
    let mask = block([1, 5, 5], [0, 0, 0], [1, 5, 5]);
    let axes = [Axis(1), Axis(2)];
    let inner = 9;
    assert_eq!(surface(&mask.view(), &axes).iter().filter(|on| **on).count(), 25 - inner);
    // In a volume of slices, both faces of the slice are surface.
    let axes = [Axis(0), Axis(1), Axis(2)];
    assert_eq!(surface(&mask.view(), &axes).iter().filter(|on| **on).count(), 25);
}

#[test]
fn one_slice_of_a_volume_is_all_surface_also_after_the_crop() {
    let plate = block([3, 3, 3], [0, 0, 0], [1, 3, 3]);
    let mut raised = block([3, 3, 3], [0, 0, 0], [1, 3, 3]);
    raised[[1, 1, 1]] = true;
    // The raised voxel is 2 mm above the plate; all 9 of the plate are on both surfaces.
    // Of ten distances, nine 0 and one 2, the 95th percentile lies at rank 8.55, counted from 0.
    check([&plate, &raised], [2.0, 1.0, 1.0], [0.55 * 2.0, 2.0 / 19.0, 18.0 / 19.0]);
}

#[test]
fn a_missed_or_invented_structure_has_no_distance_and_nsd_0_and_one_in_neither_has_nothing() {
    let (some, none) = (block([2, 2, 2], [0; 3], [1; 3]), block([2, 2, 2], [0; 3], [0; 3]));
    let of = |reference, prediction| {
        let found = surface_agreement(reference, prediction, spacing([1.0; 3]), Tolerance::default());
        assert_eq!((found.hd95_mm, found.assd_mm), (None, None));
        (found.nsd, found.presence)
    };
    assert_eq!(of(&some, &none), (Some(0.0), Presence::ReferenceOnly));
    assert_eq!(of(&none, &some), (Some(0.0), Presence::PredictionOnly));
    assert_eq!(of(&none, &none), (None, Presence::Neither));
}

#[test]
fn ignored_voxels_belong_to_no_surface() {
    let text = r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"a":1,"ignore":2},"file_ending":".nii.gz"}"#;
    let labels = DatasetJson::parse(text).unwrap().structures().unwrap();
    let reference = ndarray::arr3(&[[[1_u8, 1, 0, 2, 2]]]);
    let prediction = ndarray::arr3(&[[[1_u8, 1, 0, 1, 1]]]);
    let of = |reference: &Array3<u8>| {
        surface_agreements(reference, &prediction, &labels, spacing([1.0; 3]), Tolerance::default())
    };
    let found = of(&reference).unwrap()[0];
    assert_eq!((found.hd95_mm, found.nsd), (Some(0.0), Some(1.0)));
    // Where they are background, the two voxels to the right are too much: four of six surface voxels agree.
    assert_eq!(of(&reference.mapv(|value| value % 2)).unwrap()[0].nsd, Some(4.0 / 6.0));
    let error = of(&ndarray::arr3(&[[[1]]])).unwrap_err();
    assert_eq!(error, ShapeMismatch { reference: [1, 1, 1], prediction: [1, 1, 5] });
}

#[test]
fn a_tolerance_is_a_length() {
    for mm in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Tolerance::new(mm).is_err());
    }
    assert_eq!(Tolerance::new(0.0).map(Tolerance::mm), Ok(0.0));
}

#[derive(Deserialize)]
struct GoldenCase {
    shape: [usize; 3],
    spacing: [f64; 3],
    tolerance_mm: f64,
    reference: String,
    prediction: String,
    hd95: f64,
    assd: f64,
    nsd: f64,
}

#[test]
fn golden_surfaces_are_those_of_scipy() {
    let cases: Vec<GoldenCase> =
        serde_json::from_str(include_str!("../../../tests/golden/surface/cases.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let mask =
            |bits: &str| Array3::from_shape_vec(case.shape, bits.bytes().map(|bit| bit == b'1').collect()).unwrap();
        let (reference, prediction) = (mask(&case.reference), mask(&case.prediction));
        let tolerance = Tolerance::new(case.tolerance_mm).unwrap();
        let found = surface_agreement(&reference, &prediction, spacing(case.spacing), tolerance);
        for (found, expected) in [(found.hd95_mm, case.hd95), (found.assd_mm, case.assd), (found.nsd, case.nsd)] {
            // SciPy squares and sums in another order.
            assert!((found.unwrap() - expected).abs() < 1e-9, "{:?}: {found:?}, {expected}", case.shape);
        }
    }
}

prop_compose! {
    fn two_masks()(shape in [1_usize..5, 2_usize..7, 2_usize..7])(
        bits in prop::collection::vec(any::<[bool; 2]>(), shape.iter().product::<usize>()),
        shape in Just(shape),
    ) -> [Array3<bool>; 2] {
        [0, 1].map(|i| Array3::from_shape_vec(shape, bits.iter().map(|pair| pair[i]).collect()).unwrap())
    }
}

proptest! {
    #[test]
    fn exchanging_the_masks_changes_no_distance([one, other] in two_masks(), zyx in [0.2_f64..4.0, 0.2_f64..4.0, 0.2_f64..4.0]) {
        let of = |a, b| surface_agreement(a, b, spacing(zyx), Tolerance::default());
        let (there, back) = (of(&one, &other), of(&other, &one));
        prop_assert_eq!(there.hd95_mm, back.hd95_mm);
        prop_assert_eq!(there.nsd, back.nsd);
        // The sum runs the other way round.
        prop_assert!(there.assd_mm.zip(back.assd_mm).is_none_or(|(a, b)| (a - b).abs() < 1e-12 * a.max(1.0)));
    }

    #[test]
    fn equal_masks_lie_at_distance_0([mask, _] in two_masks()) {
        let found = surface_agreement(&mask, &mask, spacing([3.0, 1.0, 2.0]), Tolerance::new(0.0).unwrap());
        if found.presence == Presence::Both {
            prop_assert_eq!((found.hd95_mm, found.assd_mm, found.nsd), (Some(0.0), Some(0.0), Some(1.0)));
        }
    }

    #[test]
    fn a_plate_moved_across_itself_by_k_voxels_lies_k_spacings_away(k in 1_usize..6, axis in 0_usize..3, mm in 0.3_f64..4.0) {
        let mut extent = [4, 5, 6];
        extent[axis] = 1;
        let mut moved = [0; 3];
        moved[axis] = k;
        let mut zyx = [0.7; 3];
        zyx[axis] = mm;
        let [one, other] = [[0; 3], moved].map(|first| block([9, 9, 9], first, extent));
        let found = surface_agreement(&one, &other, spacing(zyx), Tolerance::default());
        let expected = k as f64 * mm;
        prop_assert!((found.hd95_mm.unwrap() - expected).abs() < 1e-9);
        prop_assert!((found.assd_mm.unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn a_slice_is_compared_as_its_plane_is(bits in prop::collection::vec(any::<[bool; 2]>(), 30)) {
        let plane = |i: usize| Array2::from_shape_vec((5, 6), bits.iter().map(|pair| pair[i]).collect()).unwrap();
        let along = |axis| [0, 1].map(|i| plane(i).insert_axis(Axis(axis)));
        let of = |masks: [Array3<bool>; 2], zyx| surface_agreement(&masks[0], &masks[1], spacing(zyx), Tolerance::default());
        let flat = of(along(0), [9.0, 2.0, 1.5]);
        let upright = of(along(2), [2.0, 1.5, 9.0]);
        prop_assert_eq!(flat, upright);
    }
}
