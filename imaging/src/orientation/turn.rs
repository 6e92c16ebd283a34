//! One of the 48 turns of a grid: which axis comes from where, and which way.

use super::codes::AxisCodes;
use super::polar;
use crate::geometry::Orientation;
use crate::nifti::affine;
use crate::{Geometry, Spacing};

/// A permutation of the voxel axes x, y, z, then flips of the new ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn {
    /// Old axis of each new axis.
    pub(super) source: [usize; 3],
    /// Whether each new axis runs against the old one.
    pub(super) flips: [bool; 3],
}

impl Turn {
    pub(super) fn between(from: AxisCodes, to: AxisCodes) -> Self {
        let mut turn = Self { source: [0, 1, 2], flips: [false; 3] };
        for (axis, target) in to.directions().into_iter().enumerate() {
            for (old, direction) in from.directions().into_iter().enumerate() {
                if direction.world_axis == target.world_axis {
                    turn.source[axis] = old;
                    turn.flips[axis] = direction.sense != target.sense;
                }
            }
        }
        turn
    }

    pub(super) fn moves_z(self) -> bool {
        self.source[2] != 2 || self.flips[2]
    }

    /// The grid whose voxels lie where those of `geometry` lie, in the new order.
    pub(super) fn geometry(self, geometry: &Geometry) -> Geometry {
        let extents = reversed(geometry.shape());
        let affine = geometry.affine();
        let [x, y, z] = self.rows([affine[0], affine[1], affine[2]], extents);
        let orientation = self.orientation(geometry.orientation(), extents);
        let of_source = |values: [f64; 3]| self.source.map(|axis| values[axis]);
        let spacing = reversed(of_source(reversed(geometry.spacing().zyx())));
        Geometry::from_parts(
            reversed(self.source.map(|axis| extents[axis])),
            Spacing::new(spacing).expect("a permutation of a spacing is one"),
            geometry.dimensionality(),
            [x, y, z, affine[3]],
            orientation,
        )
    }

    /// Turns the rows of an affine; `extents` are those of the old axes x, y, z.
    fn rows(self, rows: [[f64; 4]; 3], extents: [usize; 3]) -> [[f64; 4]; 3] {
        rows.map(|row| {
            let mut new = [0.0, 0.0, 0.0, row[3]];
            for axis in 0..3 {
                let (old, last) = (self.source[axis], extents[self.source[axis]].saturating_sub(1) as f64);
                new[axis] = if self.flips[axis] { -row[old] } else { row[old] };
                if self.flips[axis] {
                    new[3] += row[old] * last;
                }
            }
            new
        })
    }

    /// Turns the forms that the header has set, each by itself; where it has none, the result needs an s-form.
    fn orientation(self, old: &Orientation, extents: [usize; 3]) -> Orientation {
        /// The header's code for "aligned to something", which nibabel gives a turned image too.
        const ALIGNED: i16 = 2;
        let mut new = old.clone();
        for axis in 0..3 {
            new.pixdim[axis + 1] = old.pixdim[self.source[axis] + 1];
        }
        if old.sform_code > 0 {
            new.srow = self.rows(old.srow, extents);
        }
        if old.qform_code > 0 {
            let rows = self.rows(affine::from_quaternion(old), extents);
            set_q_form(&mut new, rows);
        }
        if old.sform_code <= 0 && old.qform_code <= 0 {
            let [x, y, z, _] = affine::of(old);
            new.srow = self.rows([x, y, z], extents);
            new.sform_code = ALIGNED;
        }
        new
    }
}

/// Writes `rows`, which are a rotation times the header's spacing, as handedness, quaternion and offset.
fn set_q_form(orientation: &mut Orientation, rows: [[f64; 4]; 3]) {
    let steps = affine::steps(orientation);
    let mut rotation: [[f64; 3]; 3] = std::array::from_fn(|row| std::array::from_fn(|c| rows[row][c] / steps[c]));
    let left_handed = polar::determinant(&rotation) < 0.0;
    if left_handed {
        for row in &mut rotation {
            row[2] = -row[2];
        }
    }
    orientation.pixdim[0] = if left_handed { -1.0 } else { 1.0 };
    orientation.quaternion = quaternion(&rotation);
    orientation.offset = rows.map(|row| row[3]);
}

/// Parameters b, c, d of a rotation whose real part is not negative.
///
/// The largest of the four parts is found first, from the diagonal, and the others from it, which keeps every
/// division well conditioned (Shepperd 1978).
fn quaternion(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares = [trace, r[0][0], r[1][1], r[2][2]];
    let largest = (1..4).fold(0, |best, at| if squares[at] > squares[best] { at } else { best });
    let sums = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
    if largest == 0 {
        let a = 0.5 * (1.0 + trace).max(0.0).sqrt();
        return sums.map(|sum| sum / (4.0 * a));
    }
    let i = largest - 1;
    let part = 0.5 * (1.0 + 2.0 * r[i][i] - trace).max(0.0).sqrt();
    let mut bcd = [0.0; 3];
    for j in 0..3 {
        bcd[j] = if i == j { part } else { (r[i][j] + r[j][i]) / (4.0 * part) };
    }
    if sums[i] < 0.0 { bcd.map(|value| -value) } else { bcd }
}

fn reversed<T: Copy>([a, b, c]: [T; 3]) -> [T; 3] {
    [c, b, a]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::NiftiVersion;

    fn check(quaternion: [f64; 3], pixdim: [f64; 4], extents: [usize; 3], turn: Turn) {
        let [qfac, x, y, z] = pixdim;
        let old = Orientation {
            version: NiftiVersion::One,
            pixdim: [qfac, x, y, z, 1.0, 1.0, 1.0, 1.0],
            xyzt_units: 2,
            qform_code: 1,
            sform_code: 0,
            quaternion,
            offset: [10.0, -20.0, 30.0],
            srow: [[0.0; 4]; 3],
        };
        let expected = turn.rows(affine::from_quaternion(&old), extents);
        let found = affine::from_quaternion(&turn.orientation(&old, extents));
        for (found, expected) in found.as_flattened().iter().zip(expected.as_flattened()) {
            // A real part near 0 is the root of a difference, which halves the digits.
            assert!((found - expected).abs() < 1e-6, "{turn:?} of {quaternion:?}: {found} for {expected}");
        }
    }

    #[test]
    fn the_q_form_turns_as_the_affine_does() {
        let half = 0.5_f64.sqrt();
        for quaternion in [[0.0; 3], [0.0, 0.0, 1.0], [half, 0.0, 0.0], [0.1, -0.3, 0.2], [0.5, 0.5, -0.5]] {
            for qfac in [1.0, -1.0] {
                for target in AxisCodes::all() {
                    let turn = Turn::between(AxisCodes::RAS, target);
                    check(quaternion, [qfac, 0.5, 2.0, 3.0], [4, 5, 6], turn);
                }
            }
        }
    }
}
