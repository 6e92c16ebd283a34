//! Which way the axes of a volume run, and turning a volume so that they run another way.
//!
//! An [`AxisCodes`] such as `LAS` names, for the voxel axes x, y and z, the side of the body toward which each index
//! grows. [`reorient`] reaches any of the 48 by permuting and flipping axes, so that no voxel is resampled and every
//! one keeps its place in the world. nnU-Net's `NibabelIOWithReorient` reads every image as `RAS` this way.
//!
//! Codes are found as by nibabel's `aff2axcodes`: the affine without its scales is replaced by the nearest rotation,
//! possibly with a reflection, so that shears do not decide, and axes are matched to the world in order of how clearly
//! they point somewhere. Departs from it in that an affine which flattens an axis has no codes, where nibabel leaves
//! out the axis. The geometry departs from nibabel's `as_reoriented`, which rewrites both forms of the header from one
//! affine: here s-form and q-form are each turned as they are and keep their codes.

mod codes;
mod polar;
mod turn;

use ndarray::{Array, Axis, Dimension};

pub use codes::{AxisCodes, AxisCodesError};
use turn::Turn;

use crate::{Dimensionality, Geometry, Image, Volume};

/// Turns `volume` so that its voxel axes x, y, z run toward `target`.
///
/// Turning back with the codes of the original geometry restores the voxels bit by bit, and the geometry up to the
/// rounding of its offsets.
///
/// # Errors
///
/// [`OrientationError::Degenerate`] if the affine has no codes, [`OrientationError::Flat`] if a volume without z axis
/// would have to be turned out of its plane.
pub fn reorient<T: Clone>(volume: &Volume<T>, target: AxisCodes) -> Result<Volume<T>, OrientationError> {
    let (turn, geometry) = turned_geometry(&volume.geometry, target)?;
    Ok(Volume { voxels: turned(&volume.voxels, turn), geometry })
}

/// Turns all channels of `image`, as [`reorient`].
///
/// # Errors
///
/// As [`reorient`].
pub fn reorient_image(image: &Image, target: AxisCodes) -> Result<Image, OrientationError> {
    let (turn, geometry) = turned_geometry(&image.geometry, target)?;
    Ok(Image { voxels: turned(&image.voxels, turn), geometry })
}

fn turned_geometry(geometry: &Geometry, target: AxisCodes) -> Result<(Turn, Geometry), OrientationError> {
    let codes = AxisCodes::of(geometry)?;
    let turn = Turn::between(codes, target);
    if geometry.dimensionality() == Dimensionality::Two && turn.moves_z() {
        return Err(OrientationError::Flat { codes, target });
    }
    Ok((turn, turn.geometry(geometry)))
}

/// Turns the last three axes of an array, which are z, y, x.
fn turned<T: Clone, D: Dimension>(array: &Array<T, D>, turn: Turn) -> Array<T, D> {
    let before = array.ndim() - 3;
    // Voxel axis 0 is x, which is the last of the array.
    let of_voxel_axis = |axis: usize| before + 2 - axis;
    let mut order = D::zeros(array.ndim());
    for axis in 0..before {
        order[axis] = axis;
    }
    for axis in 0..3 {
        order[of_voxel_axis(axis)] = of_voxel_axis(turn.source[axis]);
    }
    let mut view = array.view().permuted_axes(order);
    for axis in (0..3).filter(|&axis| turn.flips[axis]) {
        view.invert_axis(Axis(of_voxel_axis(axis)));
    }
    view.as_standard_layout().into_owned()
}

/// Why a volume cannot be turned.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OrientationError {
    /// The affine maps the volume into a plane, a line or a point.
    #[error("the voxel-to-world transform flattens an axis, so its axes have no directions")]
    Degenerate,
    /// A volume without z axis stays in its plane.
    #[error("a volume without z axis runs `{codes}` and cannot be turned to `{target}`, which would move its plane")]
    Flat {
        /// How the volume runs.
        codes: AxisCodes,
        /// How it should run.
        target: AxisCodes,
    },
}
