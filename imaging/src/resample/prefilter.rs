//! From voxels to cubic B-spline coefficients along one axis.
//!
//! A B-spline whose coefficients are the voxels would blur them. Two
//! recursions, one forward and one backward, give the coefficients of the
//! spline that passes through the voxels (Unser, *Splines: a perfect fit for
//! signal and image processing*, 1999).
//!
//! The axis comes padded with [`PADDING`] copies of its edge voxels, as SciPy
//! does for `mode="nearest"`; the assumption about what lies behind the
//! padding (a mirror) fades by the pole to the power of the padding, 10⁻⁷,
//! on the way to the first voxel and back again to 10⁻¹³.

/// Copies of the edge voxel on either side.
pub(super) const PADDING: usize = 12;

/// Lines that are filtered side by side.
pub(super) const LANES: usize = 16;

/// √3 − 2: the pole of the cubic B-spline.
const POLE: f64 = -0.267_949_192_431_122_7;

/// (1 − pole) · (1 − 1/pole).
const GAIN: f64 = 6.0;

/// Terms of the initial sum; the next is below 10⁻¹⁸ of the first.
const HORIZON: usize = 32;

/// Replaces padded voxels by coefficients, in every lane; at least two rows.
pub(super) fn to_coefficients(line: &mut [[f64; LANES]]) {
    for row in line.iter_mut() {
        *row = row.map(|value| value * GAIN);
    }
    forward(line);
    backward(line);
}

fn forward(line: &mut [[f64; LANES]]) {
    let mut power = 1.0;
    let mut first = [0.0; LANES];
    for row in line.iter().take(HORIZON) {
        for (sum, value) in first.iter_mut().zip(row) {
            *sum += power * value;
        }
        power *= POLE;
    }
    let mut previous = first;
    if let Some(row) = line.first_mut() {
        *row = first;
    }
    for row in line.iter_mut().skip(1) {
        for (value, before) in row.iter_mut().zip(&previous) {
            *value += POLE * before;
        }
        previous = *row;
    }
}

fn backward(line: &mut [[f64; LANES]]) {
    let [.., before, last] = line else { return };
    for (value, before) in last.iter_mut().zip(before) {
        *value = (POLE * *before + *value) * POLE / (POLE * POLE - 1.0);
    }
    let mut next = *last;
    for row in line.iter_mut().rev().skip(1) {
        for (value, after) in row.iter_mut().zip(&next) {
            *value = POLE * (after - *value);
        }
        next = *row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spline_passes_through_the_voxels() {
        let voxels: Vec<f64> = (0..40).map(|i| f64::from(i * i % 7)).collect();
        let mut line: Vec<_> = voxels.iter().map(|&voxel| [voxel; LANES]).collect();
        to_coefficients(&mut line);
        for i in 1..39 {
            let [a, b, c] = [line[i - 1][3], line[i][3], line[i + 1][3]];
            assert!(((a + 4.0 * b + c) / 6.0 - voxels[i]).abs() < 1e-12, "voxel {i}");
        }
    }

    #[test]
    fn a_constant_is_its_own_spline() {
        let mut line = vec![[5.0; LANES]; 40];
        to_coefficients(&mut line);
        assert!(line.iter().flatten().all(|value| (value - 5.0).abs() < 1e-12));
    }
}
