//! Plans from a fingerprint: target spacing, patch, network and batch for every configuration.
//!
//! Follows nnU-Net v2.8.1's `ExperimentPlanner` and its residual encoder presets decision by decision, with their model
//! of a GPU's memory, and equals their plans field by field. [`PlanOptions`] holds nnU-Net's own options and adds what
//! it leaves to editing the file: smaller networks, patches and batches for machines without such a card. Those change
//! the plan after it is made, so a network with fewer features keeps the planned topology, patch and batch.
//!
//! Departs from nnU-Net by refusing what it would divide by zero over, plan without end, or not train: a target
//! spacing that leaves no voxel, a patch that cannot be halved even once, a name that is no file name. Channels are
//! taken by number, where nnU-Net takes their normalizations in the order of the file.

mod configuration;
mod memory;
mod pooling;
mod preset;
mod reader;
mod spacing;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::dataset::{DatasetError, DatasetJson};
use crate::fingerprint::Fingerprint;
use crate::percentile::median;
use crate::plans::{Configuration, Plans};
use configuration::{Planner, Target};
use spacing::TargetSpacing;

pub use preset::{Preset, PresetError};

/// Least patches per batch.
const MIN_BATCH: f64 = 2.0;

/// A lowres configuration is made if a patch sees less than this fraction of the median image.
const LOWRES_THRESHOLD: f64 = 0.25;

/// By how much the lowres spacing grows per attempt.
const LOWRES_STEP: f64 = 1.03;

/// What the user decides about the plans; [`PlanOptions::new`] leaves everything to nnU-Net's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Folder name of the data set.
    pub dataset_name: String,
    /// The planner.
    pub preset: Preset,
    /// Name of the plans instead of the planner's own.
    pub plans_name: Option<String>,
    /// GPU memory, GB, instead of the planner's own; patch and batch grow with it.
    pub gpu_memory_target_gb: Option<f64>,
    /// Spacing of the full resolution, mm, `[z, y, x]` in the order of the files, instead of the training set's; the 2D
    /// configuration takes the spacing of its plane from here too.
    pub target_spacing: Option<[f64; 3]>,
    /// nnU-Net's class that preprocesses. Only `DefaultPreprocessor` is known here beyond its name.
    pub preprocessor_name: String,
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
    /// The classic planner's own choices, under its own name for plans.
    pub fn new(dataset_name: impl Into<String>) -> Self {
        Self {
            dataset_name: dataset_name.into(),
            preset: Preset::default(),
            plans_name: None,
            gpu_memory_target_gb: None,
            target_spacing: None,
            preprocessor_name: "DefaultPreprocessor".into(),
            features: None,
            max_features: None,
            patch_size: None,
            batch_size: None,
        }
    }

    /// Name of the plans: the user's, else the planner's.
    pub fn plans_name(&self) -> &str {
        self.plans_name.as_deref().unwrap_or(self.preset.plans_name())
    }
}

/// Plans `2d`, and for volumes `3d_fullres`, and where its patch sees too little of them `3d_lowres` and the cascade.
///
/// # Errors
///
/// [`PlanError`] if fingerprint and data set contradict each other, or an option cannot be met.
pub fn plan(fingerprint: &Fingerprint, dataset: &DatasetJson, options: &PlanOptions) -> Result<Plans, PlanError> {
    let planner = Planner::new(fingerprint, dataset, options)?;
    let set = options.target_spacing.map(TargetSpacing::set);
    let target = set.or_else(|| TargetSpacing::of(fingerprint)).ok_or(PlanError::NoCases)?;
    let medians = Medians::of(fingerprint, &target).ok_or(PlanError::NoCases)?;
    if medians.resampled.iter().any(|&extent| extent <= 0.0) {
        return Err(PlanError::NoVoxel { spacing: target.transposed(), shape: medians.resampled });
    }
    let transposed = Target { spacing: target.transposed().to_vec(), median_shape: medians.resampled.to_vec() };

    let mut configurations = IndexMap::new();
    let flat =
        Target { spacing: transposed.spacing[1..].to_vec(), median_shape: transposed.median_shape[1..].to_vec() };
    let n_voxels = transposed.n_voxels() * planner.n_cases();
    let mut two = planner.configuration("2d", &flat, n_voxels)?;
    two.batch_dice = true;
    configurations.insert("2d".to_owned(), planner.finish("2d", two)?);
    if !is_exactly_one(transposed.median_shape[0]) {
        volumes(&planner, &transposed, &mut configurations)?;
    }
    Ok(Plans {
        dataset_name: options.dataset_name.clone(),
        plans_name: options.plans_name().to_owned(),
        original_median_spacing_after_transp: medians.spacing.to_vec(),
        original_median_shape_after_transp: medians.shape.to_vec(),
        image_reader_writer: reader::reader(dataset, fingerprint)?,
        transpose_forward: target.transpose_forward,
        transpose_backward: target.transpose_backward(),
        configurations,
        experiment_planner_used: options.preset.class().into(),
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
        let mut low = planner.finish("3d_lowres", low)?;
        // nnU-Net writes these as whole numbers here, and as reals elsewhere.
        low["median_image_size_in_voxels"] = json!(median_shape);
        low["next_stage"] = json!("3d_cascade_fullres");
        configurations.insert("3d_lowres".into(), low);
    }
    configurations.insert("3d_fullres".into(), planner.finish("3d_fullres", full)?);
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
    /// nnU-Net has no reader for the data set's files.
    #[error("`dataset.json`: no reader of nnU-Net takes files that end in `{found}`")]
    FileEnding {
        /// The ending.
        found: String,
    },
    /// The fingerprint is empty, or its lists differ in length or hold impossible values.
    #[error("the fingerprint lists no usable cases")]
    NoCases,
    /// The target spacing is so coarse that nothing is left of an image.
    #[error("at a spacing of {spacing:?} mm the median image would have {shape:?} voxels")]
    NoVoxel {
        /// Target spacing in network order.
        spacing: [f64; 3],
        /// Median extents at that spacing.
        shape: [f64; 3],
    },
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
    /// The patch is so long along an axis that it is halved more often than the planner has stages for.
    #[error("configuration `{configuration}`: a network of {n_stages} stages, the planner knows up to {limit}")]
    Stages {
        /// The configuration.
        configuration: &'static str,
        /// Stages of the network.
        n_stages: usize,
        /// Most stages of the planner.
        limit: usize,
    },
    /// A configuration came out with a value that nothing could be trained with.
    #[error("configuration `{configuration}`: `{field}` would be {found}")]
    Unusable {
        /// The configuration.
        configuration: &'static str,
        /// The field of the plans.
        field: &'static str,
        /// Its value.
        found: String,
    },
}
