//! Fingerprints against those that nnU-Net extracts from the same voxels, from goldens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use imaging::{Dimensionality, Geometry, Image, Spacing, Volume};
use ndarray::{Array3, Array4};
use nnunet::fingerprint::{CaseFingerprint, Fingerprint};
use serde::Deserialize;
use serde_json::Value;

/// nnU-Net adds up 10⁸ values in single precision, pairwise.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Set {
    name: String,
    cases: Vec<Case>,
    fingerprint: Value,
}

#[derive(Deserialize)]
struct Case {
    /// Of the file: two extents are a 2D file.
    shape: Vec<usize>,
    spacing: Vec<f32>,
    voxels: Vec<f32>,
    labels: Vec<u8>,
}

impl Case {
    fn measure(self, n_cases: usize) -> CaseFingerprint {
        let (shape, dimensionality) = match self.shape[..] {
            [y, x] => ([1, y, x], Dimensionality::Two),
            [z, y, x] => ([z, y, x], Dimensionality::Three),
            _ => panic!("a file has two or three axes"),
        };
        // The files hold single precision, and a third axis of 1 mm where they have two.
        let mut spacing = [1.0; 3];
        for (to, from) in spacing.iter_mut().rev().zip(self.spacing.iter().rev()) {
            *to = f64::from(*from);
        }
        let geometry = Geometry::axis_aligned(shape, Spacing::new(spacing).unwrap(), dimensionality);
        let n_channels = self.voxels.len() / self.labels.len();
        let [z, y, x] = shape;
        let voxels = Array4::from_shape_vec((n_channels, z, y, x), self.voxels).unwrap();
        let labels = Volume { voxels: Array3::from_shape_vec(shape, self.labels).unwrap(), geometry: geometry.clone() };
        CaseFingerprint::of(&Image { voxels, geometry }, &labels, n_cases).unwrap()
    }
}

fn check(set: Set) {
    let n_cases = set.cases.len();
    let cases = set.cases.into_iter().map(|case| case.measure(n_cases)).collect();
    let mut found = serde_json::to_value(Fingerprint::merge(cases).unwrap()).unwrap();
    let mut expected = set.fingerprint;
    assert_eq!(keys(&found), keys(&expected), "{}", set.name);
    let field = "foreground_intensity_properties_per_channel";
    let (statistics, references) = (found[field].take(), expected[field].take());
    // Everything that is not a statistic is equal to the last bit.
    assert_eq!(found, expected, "{}", set.name);
    assert_eq!(keys(&statistics), keys(&references), "{}", set.name);
    for (channel, references) in references.as_object().unwrap() {
        assert_eq!(keys(&statistics[channel]), keys(references), "{}", set.name);
        for (name, reference) in references.as_object().unwrap() {
            let (found, reference) = (statistics[channel][name].as_f64().unwrap(), reference.as_f64().unwrap());
            let difference = (found - reference).abs();
            assert!(difference <= TOLERANCE * reference.abs(), "{}: {name} {found}, expected {reference}", set.name);
        }
    }
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn fingerprints_are_nnunets() {
    let sets: Vec<Set> = serde_json::from_str(include_str!("golden/fingerprint/cases.json")).unwrap();
    assert_eq!(sets.len(), 3);
    sets.into_iter().for_each(check);
}
