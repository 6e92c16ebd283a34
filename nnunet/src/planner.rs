//! Plans from a fingerprint: target spacing, patch, network and batch for every configuration.
//!
//! Follows nnU-Net v2.8.1's `ExperimentPlanner` decision by decision, with its memory model of an 8 GB reference card,
//! and equals its `nnUNetPlans.json` field by field. [`PlanOptions`] adds what nnU-Net leaves to editing the file:
//! smaller networks, patches and batches for machines without such a card. Options change the plan after it is made,
//! so a network with fewer features keeps the planned topology, patch and batch.

mod configuration;
mod memory;
mod pooling;
mod spacing;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::dataset::{DatasetError, DatasetJson};
use crate::fingerprint::Fingerprint;
use crate::percentile::median;
use crate::plans::{Configuration, Plans};
use configuration::{Planner, Target};
use spacing::TargetSpacing;

/// A lowres configuration is made if a patch sees less than this fraction of the median image.
const LOWRES_THRESHOLD: f64 = 0.25;

/// By how much the lowres spacing grows per attempt.
const LOWRES_STEP: f64 = 1.03;

/// What the user decides about the plans; [`PlanOptions::new`] leaves everything to nnU-Net's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Folder name of the data set.
    pub dataset_name: String,
    /// Name of the plans.
    pub plans_name: String,
    /// Feature maps of the first stage instead of 32; each further stage doubles them.
    pub features: Option<usize>,
    /// Most feature maps of a stage instead of 512 (2D) or 320 (3D).
    pub max_features: Option<usize>,
    /// Patch for the configurations with as many axes, `[z, y, x]` or `[y, x]` in network order. Extents are rounded
    /// up until the network, whose poolings are computed anew, can halve them as often as it wants.
    pub patch_size: Option<Vec<usize>>,
    /// Patches per batch, in every configuration.
    pub batch_size: Option<usize>,
}

impl PlanOptions {
    /// nnU-Net's own choices, under its own name for plans.
    pub fn new(dataset_name: impl Into<String>) -> Self {
        Self {
            dataset_name: dataset_name.into(),
            plans_name: "nnUNetPlans".into(),
            features: None,
            max_features: None,
            patch_size: None,
            batch_size: None,
        }
    }
}

/// Plans `2d`, and for volumes `3d_fullres`, and where its patch sees too little of them `3d_lowres` and the cascade.
///
/// # Errors
///
/// [`PlanError`] if fingerprint and data set contradict each other, or an option cannot be met.
pub fn plan(fingerprint: &Fingerprint, dataset: &DatasetJson, options: &PlanOptions) -> Result<Plans, PlanError> {
    let planner = Planner::new(fingerprint, dataset, options)?;
    let target = TargetSpacing::of(fingerprint).ok_or(PlanError::NoCases)?;
    let medians = Medians::of(fingerprint, &target).ok_or(PlanError::NoCases)?;
    let transposed = Target { spacing: target.transposed().to_vec(), median_shape: medians.resampled.to_vec() };

    let mut configurations = IndexMap::new();
    let flat =
        Target { spacing: transposed.spacing[1..].to_vec(), median_shape: transposed.median_shape[1..].to_vec() };
    let n_voxels = transposed.n_voxels() * planner.n_cases();
    let mut two = planner.configuration("2d", &flat, n_voxels)?;
    two.batch_dice = true;
    configurations.insert("2d".to_owned(), planner.finish(two)?);
    if !is_exactly_one(transposed.median_shape[0]) {
        volumes(&planner, &transposed, &mut configurations)?;
    }
    Ok(Plans {
        dataset_name: options.dataset_name.clone(),
        plans_name: options.plans_name.clone(),
        original_median_spacing_after_transp: medians.spacing.to_vec(),
        original_median_shape_after_transp: medians.shape.to_vec(),
        image_reader_writer: reader(dataset),
        transpose_forward: target.transpose_forward,
        transpose_backward: target.transpose_backward(),
        configurations,
        experiment_planner_used: "ExperimentPlanner".into(),
        label_manager: "LabelManager".into(),
        foreground_intensity_properties_per_channel: fingerprint.foreground_intensity_properties_per_channel.clone(),
        other: Map::new(),
    })
}

#[expect(clippy::float_cmp, reason = "a median of whole numbers; the reference compares exactly")]
fn is_exactly_one(extent: f64) -> bool {
    extent == 1.0
}

/// The configurations for volumes, in the order in which nnU-Net writes them.
fn volumes(
    planner: &Planner<'_>,
    target: &Target,
    configurations: &mut IndexMap<String, Value>,
) -> Result<(), PlanError> {
    let mut full = planner.configuration("3d_fullres", target, target.n_voxels() * planner.n_cases())?;
    let low = lowres(planner, target, &full)?;
    full.batch_dice = low.is_some();
    let has_cascade = low.is_some();
    if let Some((low, median_shape)) = low {
        let mut low = planner.finish(low)?;
        // nnU-Net writes these as whole numbers here, and as reals elsewhere.
        low["median_image_size_in_voxels"] = json!(median_shape);
        low["next_stage"] = json!("3d_cascade_fullres");
        configurations.insert("3d_lowres".into(), low);
    }
    configurations.insert("3d_fullres".into(), planner.finish(full)?);
    if has_cascade {
        let cascade = json!({"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"});
        configurations.insert("3d_cascade_fullres".into(), cascade);
    }
    Ok(())
}

/// A configuration at a coarser spacing, and its median shape in whole voxels, if the patch of the full resolution
/// sees too little and the coarser images are at most half as large.
fn lowres(
    planner: &Planner<'_>,
    full: &Target,
    configuration: &Configuration,
) -> Result<Option<(Configuration, Vec<u64>)>, PlanError> {
    let patch_voxels = |patch: &[usize]| patch.iter().map(|&extent| extent as f64).product::<f64>();
    let mut in_patch = patch_voxels(&configuration.patch_size);
    let mut in_image = full.n_voxels();
    let mut spacing = full.spacing.clone();
    let mut found = None;
    while in_patch / in_image < LOWRES_THRESHOLD {
        let coarsest = spacing.iter().copied().fold(0.0, f64::max);
        let is_anisotropic = spacing.iter().any(|mm| coarsest / mm > 2.0);
        for mm in &mut spacing {
            if !is_anisotropic || coarsest / *mm > 2.0 {
                *mm *= LOWRES_STEP;
            }
        }
        let extents: Vec<f64> =
            full.spacing.iter().zip(&spacing).zip(&full.median_shape).map(|((f, s), n)| f / s * n).collect();
        in_image = extents.iter().product();
        let median_shape: Vec<f64> = extents.iter().map(|extent| extent.round_ties_even()).collect();
        let target = Target { spacing: spacing.clone(), median_shape: median_shape.clone() };
        let low = planner.configuration("3d_lowres", &target, in_image * planner.n_cases())?;
        in_patch = patch_voxels(&low.patch_size);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
        let whole = median_shape.iter().map(|&extent| extent as u64).collect();
        found = Some((low, whole));
    }
    Ok(found.filter(|_| full.n_voxels() / in_image >= 2.0))
}

/// Medians over the training set, in network order.
struct Medians {
    spacing: [f64; 3],
    shape: [usize; 3],
    /// Of the shapes at the target spacing.
    resampled: [f64; 3],
}

impl Medians {
    fn of(fingerprint: &Fingerprint, target: &TargetSpacing) -> Option<Self> {
        let along = |axis: usize, value: &dyn Fn(usize, usize) -> f64| {
            let values: Vec<f64> = (0..fingerprint.spacings.len()).map(|case| value(case, axis)).collect();
            median(&values)
        };
        let spacing = |case: usize, axis: usize| fingerprint.spacings[case][axis];
        let shape = |case: usize, axis: usize| fingerprint.shapes_after_crop[case][axis] as f64;
        let resampled = |case: usize, axis: usize| {
            (spacing(case, axis) / target.spacing[axis] * shape(case, axis)).round_ties_even()
        };
        let mut medians = Self { spacing: [0.0; 3], shape: [0; 3], resampled: [0.0; 3] };
        for (i, &axis) in target.transpose_forward.iter().enumerate() {
            medians.spacing[i] = along(axis, &spacing)?;
            medians.resampled[i] = along(axis, &resampled)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a median of extents")]
            {
                medians.shape[i] = along(axis, &shape)?.round_ties_even() as usize;
            }
        }
        Some(medians)
    }
}

/// The reader nnU-Net would take for the data set's files.
fn reader(dataset: &DatasetJson) -> String {
    let chosen = dataset.other.get("overwrite_image_reader_writer").and_then(Value::as_str);
    let by_ending = match dataset.file_ending.to_lowercase().as_str() {
        ".nii" => "NibabelIO",
        ".png" | ".bmp" | ".tif" => "NaturalImage2DIO",
        ".tiff" => "Tiff3DIO",
        _ => "SimpleITKIO",
    };
    chosen.filter(|&name| name != "None").unwrap_or(by_ending).to_owned()
}

/// Why there are no plans.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `dataset.json` is wrong.
    #[error("the data set's description cannot be used")]
    Dataset {
        /// What is wrong with it.
        source: DatasetError,
    },
    /// Fingerprint and `dataset.json` disagree on the channels.
    #[error("`dataset.json` names {expected} channels, the fingerprint has {actual}")]
    ChannelCount {
        /// Channels of `dataset.json`.
        expected: usize,
        /// Channels of the fingerprint.
        actual: usize,
    },
    /// The fingerprint is empty, or its lists differ in length or hold impossible values.
    #[error("the fingerprint lists no usable cases")]
    NoCases,
    /// An option that no network can meet.
    #[error("`{option}` cannot be {found}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        found: String,
    },
    /// The images are too small to be halved even once.
    #[error("configuration `{configuration}`: a patch of {patch:?} voxels is too small for a network")]
    Patch {
        /// The configuration.
        configuration: &'static str,
        /// The patch.
        patch: Vec<usize>,
    },
}
