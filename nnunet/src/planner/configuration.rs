//! One configuration: the largest patch whose network fits the reference memory, and the batch that fills it.
//!
//! Follows `get_plans_for_configuration`. The patch starts with the aspect of the voxels, no larger than the median
//! image, and shrinks along the axis that covers most of the image until it fits the planner's budget.

use serde_json::{Map, Value};

use super::memory::feature_map_voxels;
use super::pooling::Pooling;
use super::preset::{Budget, Preset};
use super::{MIN_BATCH, PlanError, PlanOptions};
use crate::dataset::DatasetJson;
use crate::fingerprint::Fingerprint;
use crate::plans::{
    Architecture, ArchitectureArguments, Configuration, NonlinearityArguments, NormArguments, Normalization,
    ResamplingArguments, is_file_name,
};

/// Feature maps of the first stage.
const BASE_FEATURES: usize = 32;
/// Below this median size after cropping, z-scores are taken inside the nonzero region only.
const MASK_BELOW: f64 = 0.75;
/// Largest option for features and extents, far above what any machine can train.
const MAX_OPTION: usize = 4096;
/// Largest GPU memory that is planned for, GB.
const MAX_GPU_MEMORY_GB: f64 = 1e5;

/// Grid that a configuration works on, in network order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// Spacing, mm.
    pub(super) spacing: Vec<f64>,
    /// Median extents of the images at that spacing.
    pub(super) median_shape: Vec<f64>,
}

impl Target {
    /// Voxels of the median image.
    pub(super) fn n_voxels(&self) -> f64 {
        self.median_shape.iter().product()
    }
}

/// Voxels of a generous first patch.
fn initial_voxels(n_axes: usize) -> f64 {
    if n_axes == 2 { 2048.0 * 2048.0 } else { 256.0 * 256.0 * 256.0 }
}

/// Most feature maps of a stage.
fn max_features(n_axes: usize) -> usize {
    if n_axes == 2 { 512 } else { 320 }
}

/// What all configurations of a data set share.
pub(super) struct Planner<'a> {
    options: &'a PlanOptions,
    normalization_schemes: Vec<Normalization>,
    use_mask_for_norm: Vec<bool>,
    n_labels: usize,
    n_cases: f64,
}

impl<'a> Planner<'a> {
    /// Reads what is needed from fingerprint and `dataset.json`, and checks the options.
    pub(super) fn new(
        fingerprint: &Fingerprint,
        dataset: &DatasetJson,
        options: &'a PlanOptions,
    ) -> Result<Self, PlanError> {
        check_options(options)?;
        let channels = dataset.channels().map_err(|source| PlanError::Dataset { source })?;
        let (expected, actual) = (channels.len(), fingerprint.foreground_intensity_properties_per_channel.len());
        if expected != actual {
            return Err(PlanError::ChannelCount { expected, actual });
        }
        let usable = |mm: &f64| mm.is_finite() && *mm > 0.0;
        let (spacings, n_shapes) = (&fingerprint.spacings, fingerprint.shapes_after_crop.len());
        if spacings.len() != n_shapes || !spacings.iter().flatten().all(usable) {
            return Err(PlanError::NoCases);
        }
        let normalization_schemes: Vec<_> = channels.iter().map(|name| normalization(name)).collect();
        let masks = fingerprint.median_relative_size_after_cropping < MASK_BELOW;
        let use_mask = |scheme: &Normalization| masks && *scheme == Normalization::ZScore;
        let n_training = dataset.other.get("numTraining").and_then(Value::as_f64);
        Ok(Self {
            options,
            use_mask_for_norm: normalization_schemes.iter().map(use_mask).collect(),
            normalization_schemes,
            n_labels: dataset.labels.len(),
            n_cases: n_training.unwrap_or(fingerprint.spacings.len() as f64),
        })
    }

    /// Cases of the training set, as `dataset.json` says.
    pub(super) fn n_cases(&self) -> f64 {
        self.n_cases
    }

    /// Plans a configuration by nnU-Net's rules; `n_voxels` is the size of the data set at the target spacing.
    pub(super) fn configuration(
        &self,
        name: &'static str,
        target: &Target,
        n_voxels: f64,
    ) -> Result<Configuration, PlanError> {
        let options = self.options;
        let n_axes = target.spacing.len();
        let target_gb = options.gpu_memory_target_gb.unwrap_or(options.preset.gpu_memory_target_gb());
        let budget = options.preset.budget(n_axes, target_gb);
        let (pooling, architecture, voxels) = self.fit(name, target, &budget)?;
        let patch_voxels: f64 = pooling.patch.iter().map(|&extent| extent as f64).product();
        let covering = (n_voxels * options.preset.max_covered() / patch_voxels).round_ties_even();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of at least two")]
        let batch_size = budget.batch_of(voxels).min(covering).max(MIN_BATCH) as usize;
        Ok(Configuration {
            data_identifier: options.preset.data_identifier(options.plans_name(), name),
            preprocessor_name: options.preprocessor_name.clone(),
            batch_size,
            patch_size: pooling.patch,
            median_image_size_in_voxels: target.median_shape.clone(),
            spacing: target.spacing.clone(),
            normalization_schemes: self.normalization_schemes.clone(),
            use_mask_for_norm: self.use_mask_for_norm.clone(),
            resampling_fn_data: resampling_function(),
            resampling_fn_seg: resampling_function(),
            resampling_fn_data_kwargs: resampling(false, 3),
            resampling_fn_seg_kwargs: resampling(true, 1),
            resampling_fn_probabilities: resampling_function(),
            resampling_fn_probabilities_kwargs: resampling(false, 1),
            architecture,
            batch_dice: false,
            other: Map::new(),
        })
    }

    /// Shrinks the patch until it fits; returns its poolings, their network and its feature map voxels.
    fn fit(
        &self,
        name: &'static str,
        target: &Target,
        budget: &Budget,
    ) -> Result<(Pooling, Architecture, f64), PlanError> {
        let preset = self.options.preset;
        let network = |pooling: &Pooling| {
            let features = features(pooling.strides.len(), BASE_FEATURES, max_features(target.spacing.len()));
            let architecture = architecture(pooling, features, preset);
            let voxels = feature_map_voxels(&pooling.patch, &architecture.arch_kwargs, self.n_labels);
            (architecture, voxels)
        };
        let mut pooling = Pooling::new(&target.spacing, &initial_patch(target));
        if pooling.patch.contains(&0) {
            return Err(PlanError::Patch { configuration: name, patch: pooling.patch });
        }
        let (mut architecture, mut voxels) = network(&pooling);
        while budget.is_exceeded_by(voxels) {
            let too_small = || PlanError::Patch { configuration: name, patch: pooling.patch.clone() };
            let axis = widest(&pooling.patch, &target.median_shape);
            // The divisor after a cut may be smaller, and a cut by it reach a size that the larger one would skip.
            let cut = |divisor: &[usize]| {
                let mut patch: Vec<f64> = pooling.patch.iter().map(|&extent| extent as f64).collect();
                patch[axis] -= divisor[axis] as f64;
                (patch[axis] > 0.0).then_some(patch)
            };
            let tried = cut(&pooling.divisor).ok_or_else(too_small)?;
            let patch = cut(&Pooling::new(&target.spacing, &tried).divisor).ok_or_else(too_small)?;
            pooling = Pooling::new(&target.spacing, &patch);
            (architecture, voxels) = network(&pooling);
        }
        let (n_stages, limit) = (pooling.strides.len(), preset.max_stages());
        if n_stages < 2 {
            return Err(PlanError::Patch { configuration: name, patch: pooling.patch });
        }
        if n_stages > limit {
            return Err(PlanError::Stages { configuration: name, n_stages, limit });
        }
        Ok((pooling, architecture, voxels))
    }

    /// Applies the options and turns a planned configuration into its entry of the plans.
    pub(super) fn finish(&self, name: &'static str, mut configuration: Configuration) -> Result<Value, PlanError> {
        let n_axes = configuration.n_axes();
        let options = self.options;
        let patch = options.patch_size.as_ref().filter(|patch| patch.len() == n_axes);
        let changes = patch.is_some() || options.features.is_some() || options.max_features.is_some();
        if let Some(patch) = patch {
            let extents: Vec<f64> = patch.iter().map(|&extent| extent as f64).collect();
            let pooling = Pooling::new(&configuration.spacing, &extents);
            if pooling.strides.len() < 2 {
                return Err(PlanError::Option { option: "patch size", found: format!("{patch:?}") });
            }
            configuration.architecture = architecture(&pooling, Vec::new(), options.preset);
            configuration.patch_size = pooling.patch;
        }
        if changes {
            let arguments = &mut configuration.architecture.arch_kwargs;
            let base = options.features.unwrap_or(BASE_FEATURES);
            let most = options.max_features.unwrap_or(max_features(n_axes));
            arguments.features_per_stage = features(arguments.n_stages, base, most);
        }
        if let Some(batch_size) = options.batch_size {
            configuration.batch_size = batch_size;
        }
        let unusable = |(field, found)| PlanError::Unusable { configuration: name, field, found };
        configuration.check().map_err(unusable)?;
        Ok(serde_json::to_value(configuration).expect("a configuration has text keys and finite numbers only"))
    }
}

fn check_options(options: &PlanOptions) -> Result<(), PlanError> {
    let single =
        [("features", options.features), ("max features", options.max_features), ("batch size", options.batch_size)];
    for (option, value) in single {
        if let Some(found) = value.filter(|value| !(1..=MAX_OPTION).contains(value)) {
            return Err(PlanError::Option { option, found: found.to_string() });
        }
    }
    let gpu_memory = options.gpu_memory_target_gb;
    if let Some(found) = gpu_memory.filter(|gb| !gb.is_finite() || *gb <= 0.0 || *gb > MAX_GPU_MEMORY_GB) {
        return Err(PlanError::Option { option: "gpu memory target", found: found.to_string() });
    }
    if let Some(found) = options.target_spacing.filter(|mm| mm.iter().any(|mm| !mm.is_finite() || *mm <= 0.0)) {
        return Err(PlanError::Option { option: "target spacing", found: format!("{found:?}") });
    }
    for (option, name) in [("plans name", options.plans_name()), ("preprocessor name", &options.preprocessor_name)] {
        if !is_file_name(name) {
            return Err(PlanError::Option { option, found: format!("{name:?}") });
        }
    }
    match &options.patch_size {
        Some(patch) if !(2..=3).contains(&patch.len()) || patch.iter().any(|e| !(1..=MAX_OPTION).contains(e)) => {
            Err(PlanError::Option { option: "patch size", found: format!("{patch:?}") })
        }
        _ => Ok(()),
    }
}

/// The scheme that a channel's name asks for; unknown names are z-scored.
fn normalization(channel: &str) -> Normalization {
    match channel.to_lowercase().as_str() {
        "ct" => Normalization::Ct,
        "nonorm" => Normalization::None,
        "rescale_to_0_1" => Normalization::RescaleTo01,
        "rgb_to_0_1" => Normalization::RgbTo01,
        _ => Normalization::ZScore,
    }
}

/// A patch of the voxels' aspect, at most as large as the median image; need not be whole.
fn initial_patch(target: &Target) -> Vec<f64> {
    let inverse: Vec<f64> = target.spacing.iter().map(|mm| 1.0 / mm).collect();
    let exponent = 1.0 / inverse.len() as f64;
    let scale = (initial_voxels(inverse.len()) / inverse.iter().product::<f64>()).powf(exponent);
    let extents = inverse.iter().map(|inverse| (inverse * scale).round_ties_even());
    extents.zip(&target.median_shape).map(|(extent, &median)| extent.min(median)).collect()
}

/// The last of the axes along which the patch covers most of the median image.
fn widest(patch: &[usize], median_shape: &[f64]) -> usize {
    let covered = |axis: usize| patch[axis] as f64 / median_shape[axis];
    (1..patch.len()).fold(0, |best, axis| if covered(axis) >= covered(best) { axis } else { best })
}

/// Doubles per stage up to `most`.
fn features(n_stages: usize, base: usize, most: usize) -> Vec<usize> {
    (0..n_stages).map(|stage| base.saturating_mul(1 << stage.min(32)).min(most)).collect()
}

fn resampling_function() -> String {
    "resample_data_or_seg_to_shape".into()
}

fn resampling(is_seg: bool, order: u8) -> ResamplingArguments {
    ResamplingArguments { is_seg, order, order_z: 0, force_separate_z: None }
}

fn architecture(pooling: &Pooling, features: Vec<usize>, preset: Preset) -> Architecture {
    let n_stages = pooling.strides.len();
    let n_axes = pooling.patch.len();
    Architecture {
        network_class_name: preset.network_class().into(),
        arch_kwargs: ArchitectureArguments {
            n_stages,
            features_per_stage: features,
            conv_op: format!("torch.nn.modules.conv.Conv{n_axes}d"),
            kernel_sizes: pooling.kernels.clone(),
            strides: pooling.strides.clone(),
            encoder: preset.encoder(n_stages),
            n_conv_per_stage_decoder: vec![preset.n_convs_decoder(); n_stages - 1],
            conv_bias: true,
            norm_op: format!("torch.nn.modules.instancenorm.InstanceNorm{n_axes}d"),
            norm_op_kwargs: NormArguments { eps: 1e-5, affine: true },
            dropout_op: None,
            dropout_op_kwargs: None,
            nonlin: "torch.nn.LeakyReLU".into(),
            nonlin_kwargs: NonlinearityArguments { inplace: true, negative_slope: None },
            other: Map::new(),
        },
        kw_requires_import: ["conv_op", "norm_op", "dropout_op", "nonlin"].map(String::from).to_vec(),
    }
}
