//! How far apart two surfaces lie: HD95, ASSD and NSD, in millimeters.
//!
//! Overlap says little about where a boundary runs: a thin structure loses half of its Dice by one voxel, and a far
//! outlier loses a large one nothing.
//!
//! **Surface**: the voxels of a mask with a face neighbor (6 in space, 4 in a plane) outside of it, beyond the image
//! counting as outside; equal to the mask less its erosion with the 6-neighborhood, as MONAI and `MedPy` have it.
//! An axis of one voxel is no axis: a single slice is compared in its plane, where else all of it would be surface.
//! Distances run between centers of surface voxels, from each of one surface to the nearest of the other.
//!
//! **HD95** is the larger of the two directed 95th percentiles (MONAI; Maier-Hein et al., *Metrics reloaded*, 2024);
//! `MedPy` pools both directions instead, which a large surface dominates. **ASSD** is the mean over both surfaces'
//! voxels. **NSD** (Nikolov et al., 2021) is the share of both surfaces' voxels that lie within a tolerance of the
//! other surface; voxels are counted, not areas of surface elements.
//!
//! **Empty structures**: in neither segmentation, nothing is defined. In one only, there is no distance (`None`; an
//! infinite one is not JSON, and the image's diagonal would be made up), and NSD is 0, since no voxel of the surface
//! lies within any tolerance. [`Presence`] says which of these it was, so that a mean of distances, which can only be
//! taken where there are some, never hides missed structures.

use imaging::Spacing;
use imaging::distance::squared_distances;
use ndarray::{Array3, ArrayView3, Axis, Slice};
use serde::{Deserialize, Serialize};

use super::{ShapeMismatch, membership, same_shape};
use crate::dataset::{LabelSet, Structure};
use crate::percentile::percentile;

/// A distance equal to the tolerance is within it, also where its square was rounded up.
const ROUNDING: f64 = 1e-9;

/// Largest distance that still counts as agreement for NSD: a finite number of millimeters, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Tolerance(f64);

impl Tolerance {
    /// Takes millimeters.
    ///
    /// # Errors
    ///
    /// [`ToleranceError`] if it is negative or not finite.
    pub fn new(mm: f64) -> Result<Self, ToleranceError> {
        if mm.is_finite() && mm >= 0.0 { Ok(Self(mm)) } else { Err(ToleranceError { mm }) }
    }

    /// The millimeters.
    pub fn mm(self) -> f64 {
        self.0
    }
}

impl Default for Tolerance {
    /// 1 mm, about the size of a voxel of the head or the heart.
    fn default() -> Self {
        Self(1.0)
    }
}

impl TryFrom<f64> for Tolerance {
    type Error = ToleranceError;

    fn try_from(mm: f64) -> Result<Self, ToleranceError> {
        Self::new(mm)
    }
}

impl From<Tolerance> for f64 {
    fn from(tolerance: Tolerance) -> Self {
        tolerance.0
    }
}

/// A number that is no tolerance.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the tolerance is {mm} mm, it must be a finite number and not negative")]
pub struct ToleranceError {
    /// As found.
    pub mm: f64,
}

/// Which of the two segmentations has a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Both: everything is defined.
    Both,
    /// Neither: nothing is defined.
    Neither,
    /// It was segmented where none is: no distance, NSD 0.
    PredictionOnly,
    /// It was missed: no distance, NSD 0.
    ReferenceOnly,
}

impl Presence {
    /// The word in JSON and CSV.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Neither => "neither",
            Self::PredictionOnly => "prediction-only",
            Self::ReferenceOnly => "reference-only",
        }
    }
}

/// Agreement of the surfaces of one structure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SurfaceAgreement {
    /// Larger of the two directed 95th percentiles, in mm; defined if both segmentations have the structure.
    #[serde(rename = "HD95")]
    pub hd95_mm: Option<f64>,
    /// Mean distance over both surfaces, in mm; defined where HD95 is.
    #[serde(rename = "ASSD")]
    pub assd_mm: Option<f64>,
    /// Share of both surfaces within the tolerance, in [0, 1]; `None` if neither has the structure.
    #[serde(rename = "NSD")]
    pub nsd: Option<f64>,
    /// Which segmentation has the structure.
    pub presence: Presence,
}

impl SurfaceAgreement {
    fn without_distances(presence: Presence) -> Self {
        let nsd = (presence != Presence::Neither).then_some(0.0);
        Self { hd95_mm: None, assd_mm: None, nsd, presence }
    }
}

/// Compares the surfaces of every foreground structure, in the order of `labels`.
///
/// Both segmentations are `[z, y, x]` label maps on one grid of `spacing`. Voxels that the reference ignores belong to
/// no structure in either.
///
/// # Errors
///
/// [`ShapeMismatch`] if their shapes differ.
pub fn surface_agreements(
    reference: &Array3<u8>,
    prediction: &Array3<u8>,
    labels: &LabelSet,
    spacing: Spacing,
    tolerance: Tolerance,
) -> Result<Vec<SurfaceAgreement>, ShapeMismatch> {
    same_shape(reference, prediction)?;
    let ignored = reference.mapv(|value| Some(value) == labels.ignore);
    let of_structure = |structure: &Structure| {
        let values = membership(structure);
        let mask = |map: &Array3<u8>| {
            let mut mask = map.mapv(|value| values[usize::from(value)]);
            mask.zip_mut_with(&ignored, |inside, ignored| *inside &= !ignored);
            mask
        };
        surface_agreement(&mask(reference), &mask(prediction), spacing, tolerance)
    };
    Ok(labels.structures.iter().map(of_structure).collect())
}

/// Compares the surfaces of two masks `[z, y, x]` of equal shape.
///
/// # Panics
///
/// If the shapes differ.
pub fn surface_agreement(
    reference: &Array3<bool>,
    prediction: &Array3<bool>,
    spacing: Spacing,
    tolerance: Tolerance,
) -> SurfaceAgreement {
    assert_eq!(reference.dim(), prediction.dim(), "both masks lie on one grid");
    let presence = match [reference, prediction].map(|mask| mask.iter().any(|inside| *inside)) {
        [true, true] => Presence::Both,
        [true, false] => Presence::ReferenceOnly,
        [false, true] => Presence::PredictionOnly,
        [false, false] => Presence::Neither,
    };
    if presence != Presence::Both {
        return SurfaceAgreement::without_distances(presence);
    }
    let axes: Vec<Axis> = (0..3).map(Axis).filter(|&axis| reference.len_of(axis) > 1).collect();
    // Nothing beyond the structures bears on a distance between them.
    let [reference, prediction] = cropped([reference, prediction]).map(|mask| surface(&mask, &axes));
    let from_reference = directed(&reference, &prediction, spacing);
    let from_prediction = directed(&prediction, &reference, spacing);
    let n = (from_reference.len() + from_prediction.len()) as f64;
    let both = || from_reference.iter().chain(&from_prediction);
    let hd95_mm = percentile(&from_reference, 95.0).zip(percentile(&from_prediction, 95.0)).map(|(a, b)| a.max(b));
    let within = tolerance.mm() * (1.0 + ROUNDING);
    SurfaceAgreement {
        hd95_mm,
        assd_mm: Some(both().sum::<f64>() / n),
        nsd: Some(both().filter(|&&mm| mm <= within).count() as f64 / n),
        presence,
    }
}

/// The box around both masks, cut out of each.
fn cropped(masks: [&Array3<bool>; 2]) -> [ArrayView3<'_, bool>; 2] {
    let mut bounds = [(usize::MAX, 0); 3];
    for mask in masks {
        for ((z, y, x), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
            for ((first, end), at) in bounds.iter_mut().zip([z, y, x]) {
                (*first, *end) = ((*first).min(at), (*end).max(at + 1));
            }
        }
    }
    masks.map(|mask| {
        mask.slice_each_axis(|axis| {
            let (first, end) = bounds[axis.axis.index()];
            Slice::from(first..end)
        })
    })
}

/// The voxels of a mask with a neighbor along one of `axes` outside of it; beyond the array is outside.
fn surface(mask: &ArrayView3<'_, bool>, axes: &[Axis]) -> Array3<bool> {
    let mut surface = Array3::from_elem(mask.raw_dim(), false);
    for &axis in axes {
        for (line, mut target) in mask.lanes(axis).into_iter().zip(surface.lanes_mut(axis)) {
            for i in 0..line.len() {
                let is_outside = |at: Option<usize>| !at.and_then(|at| line.get(at)).copied().unwrap_or(false);
                target[i] |= line[i] && (is_outside(i.checked_sub(1)) || is_outside(Some(i + 1)));
            }
        }
    }
    if axes.is_empty() {
        // A volume of one voxel has no neighbor at all.
        surface.assign(mask);
    }
    surface
}

/// Distance in mm of every voxel of the surface `from` to the nearest of `to`.
fn directed(from: &Array3<bool>, to: &Array3<bool>, spacing: Spacing) -> Vec<f64> {
    let squared = squared_distances(to, spacing);
    let on_surface = |squared: Array3<f64>| {
        let pairs = from.iter().zip(squared).filter(|(on, _)| **on);
        pairs.map(|(_, squared)| squared.sqrt()).collect()
    };
    squared.map(on_surface).unwrap_or_default()
}

#[cfg(test)]
mod tests;
