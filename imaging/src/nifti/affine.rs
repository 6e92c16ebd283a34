//! The voxel-to-world transform of a header: s-form, else q-form, else spacing.
//!
//! Follows the three methods of the NIfTI-1 header's comment, with the
//! precedence that nibabel and ITK give them. Where neither code is set the
//! transform is the spacing alone, axes right, anterior, superior; unlike
//! nibabel, which then mirrors x and centers the grid.
//!
//! A quaternion longer than one is normalized, as the reference C library
//! does: files written in single precision overshoot by rounding.

use crate::geometry::Orientation;

/// Affine from voxel `(x, y, z, 1)` to the header's world, in its own unit.
pub(crate) fn of(orientation: &Orientation) -> [[f64; 4]; 4] {
    let [x, y, z] = if orientation.sform_code > 0 {
        orientation.srow
    } else if orientation.qform_code > 0 {
        from_quaternion(orientation)
    } else {
        let [sx, sy, sz] = steps(orientation);
        [[sx, 0.0, 0.0, 0.0], [0.0, sy, 0.0, 0.0], [0.0, 0.0, sz, 0.0]]
    };
    [x, y, z, [0.0, 0.0, 0.0, 1.0]]
}

/// Spacing along x, y, z; an unused axis counts as one unit long.
pub(crate) fn steps(orientation: &Orientation) -> [f64; 3] {
    [1, 2, 3].map(|axis| {
        let step = orientation.pixdim[axis].abs();
        if step > 0.0 { step } else { 1.0 }
    })
}

/// Rows x, y, z of the q-form, in the unit of the header.
pub(crate) fn from_quaternion(orientation: &Orientation) -> [[f64; 4]; 3] {
    let (a, [b, c, d]) = unit_quaternion(orientation.quaternion);
    let [sx, sy, sz] = steps(orientation);
    let sz = if orientation.pixdim[0] < 0.0 { -sz } else { sz };
    let [ox, oy, oz] = orientation.offset;
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let row = |r: [f64; 3], offset: f64| [r[0] * sx, r[1] * sy, r[2] * sz, offset];
    [row(rotation[0], ox), row(rotation[1], oy), row(rotation[2], oz)]
}

/// The real part that completes b, c, d to length one.
fn unit_quaternion([b, c, d]: [f64; 3]) -> (f64, [f64; 3]) {
    let squares = b * b + c * c + d * d;
    if 1.0 - squares < 1e-7 {
        let length = squares.sqrt();
        (0.0, [b / length, c / length, d / length])
    } else {
        ((1.0 - squares).sqrt(), [b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::NiftiVersion;

    fn orientation(sform_code: i16, qform_code: i16) -> Orientation {
        Orientation {
            version: NiftiVersion::One,
            pixdim: [-1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
            xyzt_units: 2,
            qform_code,
            sform_code,
            quaternion: [0.0, 0.0, 1.0],
            offset: [10.0, 20.0, 30.0],
            srow: [[5.0, 0.0, 0.0, 1.0], [0.0, 6.0, 0.0, 2.0], [0.0, 0.0, 7.0, 3.0]],
        }
    }

    fn check(orientation: &Orientation, expected: [[f64; 4]; 3]) {
        assert_eq!(of(orientation)[..3], expected);
    }

    #[test]
    fn the_s_form_wins_over_the_q_form() {
        let given = orientation(1, 1);
        check(&given, given.srow);
    }

    #[test]
    fn half_a_turn_about_z_negates_x_and_y_and_qfac_negates_z() {
        check(&orientation(0, 1), [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 20.0], [0.0, 0.0, -4.0, 30.0]]);
    }

    #[test]
    fn without_codes_only_the_spacing_counts() {
        check(&orientation(0, 0), [[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]]);
    }

    #[test]
    fn an_overlong_quaternion_is_normalized() {
        let mut long = orientation(0, 1);
        long.quaternion = [0.0, 0.0, 1.1];
        check(&long, [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 20.0], [0.0, 0.0, -4.0, 30.0]]);
    }
}
