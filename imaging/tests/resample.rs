//! Resampling equals nnU-Net's: images and logits up to rounding, labels exactly.
//!
//! `golden/resample/cases.json` comes from nnunetv2 2.8.1 by the `generate.py` beside it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use imaging::Spacing;
use imaging::resample::{
    Part, ResamplePlan, SeparateAxis, SplineOrder, resample_channels, resample_labels, resample_part,
};
use ndarray::{Array3, Array4, Axis, Slice};
use proptest::prelude::*;
use serde::Deserialize;

/// The golden values are rounded to six decimals, and ours pass through `f32` between the axes.
const TOLERANCE: f32 = 2e-6;

#[derive(Deserialize)]
struct Case {
    name: String,
    from: [usize; 3],
    to: [usize; 3],
    current: Spacing,
    target: Spacing,
    image: Vec<f32>,
    labels: Vec<i16>,
    cubic: Vec<f32>,
    linear: Vec<f32>,
    nearest: Vec<f32>,
    voted: Vec<i16>,
}

impl Case {
    fn plan(&self, order: SplineOrder) -> ResamplePlan {
        ResamplePlan {
            from: self.from,
            to: self.to,
            current: self.current,
            target: self.target,
            order,
            separate_axis: SeparateAxis::WhenAnisotropic,
        }
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/resample/cases.json")).unwrap();
    assert_eq!(cases.len(), 9);
    cases
}

fn check(case: &Case, order: SplineOrder, expected: &[f32]) {
    let [z, y, x] = case.from;
    let image = Array4::from_shape_vec((2, z, y, x), case.image.clone()).unwrap();
    let found = resample_channels(image, &case.plan(order));
    assert_eq!(found.shape()[1..], case.to);
    assert_eq!(found.len(), expected.len());
    for ((index, found), expected) in found.indexed_iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(difference <= TOLERANCE, "{} {order:?} {index:?}: {found}, expected {expected}", case.name);
    }
}

#[test]
fn images_and_logits_are_resampled_as_by_nnunet() {
    for case in cases() {
        check(&case, SplineOrder::Cubic, &case.cubic);
        check(&case, SplineOrder::Linear, &case.linear);
        check(&case, SplineOrder::Nearest, &case.nearest);
    }
}

#[test]
fn labels_are_voted_on_as_by_nnunet() {
    for case in cases() {
        let labels = Array3::from_shape_vec(case.from, case.labels.clone()).unwrap();
        let found = resample_labels(labels, &case.plan(SplineOrder::Linear));
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), case.voted, "{}", case.name);
    }
}

fn any_plan() -> impl Strategy<Value = ResamplePlan> {
    let extents = || [1..9_usize, 1..9_usize, 1..40_usize];
    let spacing = || [0.3..6.0_f64, 0.3..6.0, 0.3..6.0].prop_map(|zyx| Spacing::new(zyx).unwrap());
    let order = prop_oneof![Just(SplineOrder::Nearest), Just(SplineOrder::Linear), Just(SplineOrder::Cubic)];
    (extents(), extents(), spacing(), spacing(), order).prop_map(|(from, to, current, target, order)| ResamplePlan {
        from,
        to,
        current,
        target,
        order,
        separate_axis: SeparateAxis::WhenAnisotropic,
    })
}

proptest! {
    #[test]
    fn no_value_leaves_the_range_of_its_channel(plan in any_plan(), seed in any::<u32>()) {
        let [z, y, x] = plan.from;
        let mut state = seed;
        let image = Array4::from_shape_simple_fn((1, z, y, x), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap())
        });
        let range = |image: &Array4<f32>| {
            image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
        };
        let (low, high) = range(&image);
        let resampled = resample_channels(image, &plan);
        prop_assert_eq!(&resampled.shape()[1..], &plan.to);
        let (lowest, highest) = range(&resampled);
        prop_assert!(lowest >= low && highest <= high);
    }

    #[test]
    fn a_part_is_what_the_whole_has_there(plan in any_plan(), axis in 0..3_usize, (a, b) in any::<(usize, usize)>()) {
        let [z, y, x] = plan.from;
        let mut state = 1_u32;
        let image = Array4::from_shape_simple_fn((2, z, y, x), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap())
        });
        let n = plan.to[axis];
        let (a, b) = (a % n, b % n);
        let slices = a.min(b)..a.max(b) + 1;
        let part = Part { axis, slices: slices.clone() };
        let [z, y, x] = part.shape(&plan);
        let mut target = Array4::from_elem((2, z, y, x), f32::NAN);
        resample_part(image.view(), target.view_mut(), &plan, &part);
        let whole = resample_channels(image, &plan);
        prop_assert_eq!(target, whole.slice_axis(Axis(axis + 1), Slice::from(slices)));
    }

    #[test]
    fn a_constant_stays_and_labels_are_never_invented(plan in any_plan(), value in -3_i16..3) {
        let [z, y, x] = plan.from;
        let image = resample_channels(Array4::from_elem((1, z, y, x), f32::from(value)), &plan);
        prop_assert!(image.iter().all(|&found| (found - f32::from(value)).abs() < 1e-6));
        let labels = Array3::from_shape_fn(plan.from, |(z, y, x)| if (z + y + x) % 3 == 0 { value } else { 7 });
        let resampled = resample_labels(labels, &plan);
        prop_assert!(resampled.iter().all(|&found| found == value || found == 7));
    }
}
