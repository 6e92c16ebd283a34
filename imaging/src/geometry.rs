//! Where the voxels of a volume lie: shape, spacing, and the way to the world.
//!
//! A [`Geometry`] is made by a reader or by [`Geometry::axis_aligned`] and
//! never edited, so a volume that leaves us lies where its input lay. It
//! keeps the orientation fields of the NIfTI header it came from, because an
//! affine alone cannot restore the q-form, its code and its units.

use serde::{Deserialize, Serialize};

/// Voxel size in millimeters, in array order `[z, y, x]`; finite and positive.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "[f64; 3]", into = "[f64; 3]")]
pub struct Spacing([f64; 3]);

impl Spacing {
    /// Takes `[z, y, x]` in millimeters.
    ///
    /// # Errors
    ///
    /// [`SpacingError`] if a component is not a finite, positive number.
    pub fn new(zyx: [f64; 3]) -> Result<Self, SpacingError> {
        for (axis, &value) in zyx.iter().enumerate() {
            if !(value.is_finite() && value > 0.0) {
                return Err(SpacingError { axis, value });
            }
        }
        Ok(Self(zyx))
    }

    /// The components `[z, y, x]` in millimeters.
    pub fn zyx(self) -> [f64; 3] {
        self.0
    }
}

impl TryFrom<[f64; 3]> for Spacing {
    type Error = SpacingError;

    fn try_from(zyx: [f64; 3]) -> Result<Self, SpacingError> {
        Self::new(zyx)
    }
}

impl From<Spacing> for [f64; 3] {
    fn from(spacing: Spacing) -> Self {
        spacing.0
    }
}

/// A voxel size that no grid can have.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("spacing of array axis {axis} is {value}, it must be a positive number")]
pub struct SpacingError {
    /// Axis in array order: 0 is z.
    pub axis: usize,
    /// What was found, in millimeters.
    pub value: f64,
}

/// Number of spatial axes of the file that a volume came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dimensionality {
    /// The file has no z axis; the array has one slice, its z spacing reads 1.
    Two,
    /// The file has a z axis, be it of one slice only.
    Three,
}

/// The grid of a volume: shape, spacing, and the map from voxels to the world.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    shape: [usize; 3],
    spacing: Spacing,
    dimensionality: Dimensionality,
    affine: [[f64; 4]; 4],
    orientation: Orientation,
}

/// The fields of a NIfTI header that place the grid, kept as they were read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Orientation {
    pub(crate) version: NiftiVersion,
    /// `pixdim[0]` is the q-form's handedness, 1 to 3 the spacing x, y, z.
    pub(crate) pixdim: [f64; 8],
    pub(crate) xyzt_units: u8,
    pub(crate) qform_code: i16,
    pub(crate) sform_code: i16,
    /// Quaternion parameters b, c, d.
    pub(crate) quaternion: [f64; 3],
    /// Position of voxel 0 in the q-form: x, y, z.
    pub(crate) offset: [f64; 3],
    /// Rows x, y, z of the s-form.
    pub(crate) srow: [[f64; 4]; 3],
}

/// Which of the two header layouts a file has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NiftiVersion {
    One,
    Two,
}

impl Geometry {
    pub(crate) fn from_parts(
        shape: [usize; 3],
        spacing: Spacing,
        dimensionality: Dimensionality,
        affine: [[f64; 4]; 4],
        orientation: Orientation,
    ) -> Self {
        Self { shape, spacing, dimensionality, affine, orientation }
    }

    /// A grid whose axes x, y, z run right, anterior and superior from the
    /// world's origin; for phantoms and tests.
    ///
    /// With [`Dimensionality::Two`] the shape's z extent should be 1.
    pub fn axis_aligned(shape: [usize; 3], spacing: Spacing, dimensionality: Dimensionality) -> Self {
        let [z, y, x] = spacing.zyx();
        let affine = [[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let orientation = Orientation {
            version: NiftiVersion::One,
            pixdim: [1.0, x, y, z, 1.0, 1.0, 1.0, 1.0],
            xyzt_units: 2,
            qform_code: 1,
            sform_code: 1,
            quaternion: [0.0; 3],
            offset: [0.0; 3],
            srow: [affine[0], affine[1], affine[2]],
        };
        Self { shape, spacing, dimensionality, affine, orientation }
    }

    /// Extents `[z, y, x]` in voxels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Voxel size; the z component of a 2D file is 1.
    pub fn spacing(&self) -> Spacing {
        self.spacing
    }

    /// Whether the file had a z axis.
    pub fn dimensionality(&self) -> Dimensionality {
        self.dimensionality
    }

    /// Map from the voxel index `(x, y, z, 1)` to RAS+ millimeters, by rows.
    pub fn affine(&self) -> [[f64; 4]; 4] {
        self.affine
    }

    pub(crate) fn orientation(&self) -> &Orientation {
        &self.orientation
    }

    /// Checks that `other` is this grid: equal shape, and no corner of the
    /// grid further away than a hundredth of the smallest spacing.
    ///
    /// The allowance covers what `f32` headers of different writers lose; it
    /// is far below anything that would move a label to another voxel.
    ///
    /// # Errors
    ///
    /// [`GridMismatch`] says which of the two differs.
    pub fn same_grid(&self, other: &Self) -> Result<(), GridMismatch> {
        if self.shape != other.shape || self.dimensionality != other.dimensionality {
            return Err(GridMismatch::Shape { expected: self.shape, actual: other.shape });
        }
        let [z, y, x] = self.spacing.zyx();
        let allowed_mm = 0.01 * z.min(y).min(x);
        let distance_mm = self.corner_distance_mm(other);
        if distance_mm <= allowed_mm { Ok(()) } else { Err(GridMismatch::Position { distance_mm, allowed_mm }) }
    }

    /// Largest distance between corresponding corners of two equal shapes.
    fn corner_distance_mm(&self, other: &Self) -> f64 {
        let last = self.shape.map(|extent| extent.saturating_sub(1) as f64);
        let mut largest = 0.0_f64;
        for corner in 0..8_u8 {
            let at = |bit: u8, extent: f64| if corner >> bit & 1 == 1 { extent } else { 0.0 };
            let voxel = [at(0, last[2]), at(1, last[1]), at(2, last[0]), 1.0];
            let mut squares = 0.0;
            for (ours, theirs) in self.affine.iter().zip(&other.affine).take(3) {
                let moved: f64 = (0..4).map(|i| (ours[i] - theirs[i]) * voxel[i]).sum();
                squares += moved * moved;
            }
            largest = largest.max(squares.sqrt());
        }
        largest
    }
}

/// How two grids differ that should be one.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GridMismatch {
    /// The extents, or the number of axes of the files, differ.
    #[error("shape [z, y, x] is {actual:?}, expected {expected:?}")]
    Shape {
        /// Extents of the first grid.
        expected: [usize; 3],
        /// Extents of the second grid.
        actual: [usize; 3],
    },
    /// The extents agree, but the voxels lie elsewhere.
    #[error("a corner lies {distance_mm:.4} mm away, allowed are {allowed_mm:.4} mm")]
    Position {
        /// Largest distance between corresponding corners.
        distance_mm: f64,
        /// A hundredth of the smallest spacing.
        allowed_mm: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(shape: [usize; 3], zyx: [f64; 3]) -> Geometry {
        let spacing = Spacing::new(zyx).unwrap();
        Geometry::axis_aligned(shape, spacing, Dimensionality::Three)
    }

    #[test]
    fn spacing_refuses_what_is_not_a_length() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Spacing::new([1.0, value, 1.0]).unwrap_err();
            assert_eq!(error.axis, 1);
        }
    }

    #[test]
    fn a_grid_equals_itself_and_no_grid_of_other_shape() {
        let grid_a = grid([2, 3, 4], [3.0, 1.0, 1.0]);
        assert_eq!(grid_a.same_grid(&grid_a.clone()), Ok(()));
        assert_eq!(
            grid_a.same_grid(&grid([2, 4, 3], [3.0, 1.0, 1.0])),
            Err(GridMismatch::Shape { expected: [2, 3, 4], actual: [2, 4, 3] })
        );
    }

    #[test]
    fn grids_are_compared_at_their_far_corner() {
        // 101 voxels of 1 mm: 0.0002 mm a voxel is 0.02 mm at the last one.
        let near = grid([1, 1, 101], [1.0, 1.0, 1.0]);
        let far = grid([1, 1, 101], [1.0, 1.0, 1.0002]);
        match near.same_grid(&far) {
            Err(GridMismatch::Position { distance_mm, allowed_mm }) => {
                assert!((distance_mm - 0.02).abs() < 1e-9);
                assert!((allowed_mm - 0.01).abs() < 1e-12);
            }
            other => panic!("expected a distance, got {other:?}"),
        }
    }
}
