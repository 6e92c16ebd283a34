//! Which patches a configuration trains on: their size, how they are turned, and along which axes they are mirrored.
//!
//! Follows nnU-Net's `configure_rotation_dummyDA_mirroring_and_inital_patch_size` and `get_patch_size`: the place of a
//! patch is drawn for a larger box that a turned patch fits into, so that borders are seen as often as there. A 2D
//! patch is one slice `[1, y, x]` here.

use std::f64::consts::PI;

use nnunet::plans::Configuration;

/// A patch more anisotropic than this is only turned in its plane.
const ANISOTROPY: f64 = 3.0;
/// The scale that the larger box leaves room for.
const SMALLEST_SCALE: f64 = 0.85;

/// How patches may be turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rotation {
    /// About the first axis only, by at most this angle in radians either way; scaling leaves the first axis alone.
    InPlane(f64),
    /// About all three axes, by at most this angle in radians either way.
    Volume(f64),
}

/// Size and motion of training patches.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchGeometry {
    /// What the network sees, `[z, y, x]`.
    pub patch: [usize; 3],
    /// The box whose place is drawn, `[z, y, x]`; at least as large as the patch.
    pub sampled: [usize; 3],
    /// How a patch may be turned.
    pub rotation: Rotation,
    /// Axes of `[z, y, x]` that are mirrored, each with probability one half.
    pub mirror_axes: Vec<usize>,
}

impl PatchGeometry {
    /// For training a configuration.
    pub fn training(configuration: &Configuration) -> Self {
        Self::of_patch(&configuration.patch_size)
    }

    /// For training on patches of `[z, y, x]` or `[y, x]`.
    ///
    /// # Panics
    ///
    /// If there are neither two nor three extents.
    pub fn of_patch(patch_size: &[usize]) -> Self {
        if let [y, x] = *patch_size {
            let patch = [1, y, x];
            let elongated = y.max(x) as f64 / y.min(x) as f64 > 1.5;
            let rotation = Rotation::InPlane(if elongated { PI / 12.0 } else { PI });
            return Self { patch, sampled: sampled_plane(patch, rotation), rotation, mirror_axes: vec![1, 2] };
        }
        let patch: [usize; 3] = patch_size.try_into().expect("a patch has two or three axes");
        let largest = patch.iter().copied().max().unwrap_or(1);
        let anisotropic = largest as f64 / patch[0] as f64 > ANISOTROPY;
        let rotation = if anisotropic { Rotation::InPlane(PI) } else { Rotation::Volume(PI / 6.0) };
        Self { patch, sampled: sampled_volume(patch, rotation), rotation, mirror_axes: vec![0, 1, 2] }
    }

    /// For validation: the patch as it is, neither turned nor mirrored.
    pub fn validation(configuration: &Configuration) -> Self {
        let patch = configuration.patch_zyx();
        Self { patch, sampled: patch, rotation: Rotation::InPlane(0.0), mirror_axes: Vec::new() }
    }
}

/// Angle that the larger box leaves room for.
fn room(rotation: Rotation) -> f64 {
    let (Rotation::InPlane(angle) | Rotation::Volume(angle)) = rotation;
    angle.min(PI / 2.0)
}

fn sampled_plane(patch: [usize; 3], rotation: Rotation) -> [usize; 3] {
    let [_, y, x] = patch.map(|extent| extent as f64);
    let (y_turned, x_turned) = turn(y, x, room(rotation));
    [patch[0], enlarge(y.max(y_turned)), enlarge(x.max(x_turned))]
}

fn sampled_volume(patch: [usize; 3], rotation: Rotation) -> [usize; 3] {
    let [z, y, x] = patch.map(|extent| extent as f64);
    let angle = room(rotation);
    let (about_z_y, about_z_x) = turn(y, x, angle);
    let (about_y_x, about_y_z) = turn(x, z, angle);
    let (about_x_z, about_x_y) = turn(z, y, angle);
    let whole = [z.max(about_y_z).max(about_x_z), y.max(about_z_y).max(about_x_y), x.max(about_z_x).max(about_y_x)];
    let [z, y, x] = whole.map(enlarge);
    match rotation {
        Rotation::InPlane(_) => [patch[0], y, x],
        Rotation::Volume(_) => [z, y, x],
    }
}

/// Absolute coordinates of the corner `(a, b)` turned by an angle.
fn turn(a: f64, b: f64, angle: f64) -> (f64, f64) {
    let (sin, cos) = angle.sin_cos();
    ((a * cos + b * sin).abs(), (b * cos - a * sin).abs())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a patch has a few thousand voxels")]
fn enlarge(extent: f64) -> usize {
    (extent / SMALLEST_SCALE) as usize
}

#[cfg(test)]
mod tests {
    use nnunet::plans::{ConfigurationName, Plans};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Row {
        patch: Vec<usize>,
        sampled: Vec<usize>,
    }

    fn geometry(patch: &[usize]) -> PatchGeometry {
        let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName("2d".into())).unwrap();
        configuration.patch_size = patch.to_vec();
        PatchGeometry::training(&configuration)
    }

    #[test]
    fn sampled_boxes_are_those_of_nnunet() {
        let rows: Vec<Row> = serde_json::from_str(include_str!("../tests/golden/patch_sizes.json")).unwrap();
        for row in rows {
            let sampled = geometry(&row.patch).sampled;
            assert_eq!(&sampled[3 - row.patch.len()..], row.sampled, "{:?}", row.patch);
        }
    }

    #[test]
    fn elongated_planes_and_thin_volumes_turn_as_in_nnunet() {
        assert_eq!(geometry(&[256, 256]).rotation, Rotation::InPlane(PI));
        assert_eq!(geometry(&[320, 192]).rotation, Rotation::InPlane(PI / 12.0));
        assert_eq!(geometry(&[40, 56, 40]).rotation, Rotation::Volume(PI / 6.0));
        assert_eq!(geometry(&[20, 320, 256]).rotation, Rotation::InPlane(PI));
        assert_eq!(geometry(&[256, 256]).mirror_axes, [1, 2]);
        assert_eq!(geometry(&[40, 56, 40]).mirror_axes, [0, 1, 2]);
    }
}
