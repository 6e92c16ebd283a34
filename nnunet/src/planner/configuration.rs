//! One configuration: the largest patch whose network fits the reference memory, and the batch that fills it.
//!
//! Follows `get_plans_for_configuration`. The patch starts with the aspect of the voxels, no larger than the median
//! image, and shrinks along the axis that covers most of the image until a batch of two fits.

use serde_json::{Map, Value};

use super::memory::feature_map_voxels;
use super::pooling::Pooling;
use super::{PlanError, PlanOptions};
use crate::dataset::DatasetJson;
use crate::fingerprint::Fingerprint;
use crate::plans::{
    Architecture, ArchitectureArguments, Configuration, NonlinearityArguments, NormArguments, Normalization,
    ResamplingArguments,
};

/// Feature maps of the first stage.
const BASE_FEATURES: usize = 32;
/// Convolutions of every stage.
const N_CONVS: usize = 2;
/// Least patches per batch.
const MIN_BATCH: f64 = 2.0;
/// A batch covers at most this fraction of the data set.
const MAX_COVERED: f64 = 0.05;
/// Below this median size after cropping, z-scores are taken inside the nonzero region only.
const MASK_BELOW: f64 = 0.75;
/// Largest option for features and extents, far above what any machine can train.
const MAX_OPTION: usize = 4096;

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

/// What depends on the number of axes.
struct Dimension {
    /// Voxels of a generous first patch.
    initial_voxels: f64,
    /// Feature map voxels of `reference_batch` patches on the reference card.
    reference_voxels: f64,
    reference_batch: f64,
    max_features: usize,
}

impl Dimension {
    fn of(n_axes: usize) -> Self {
        if n_axes == 2 {
            let initial_voxels = 2048.0 * 2048.0;
            Self { initial_voxels, reference_voxels: 85e6, reference_batch: 12.0, max_features: 512 }
        } else {
            let initial_voxels = 256.0 * 256.0 * 256.0;
            Self { initial_voxels, reference_voxels: 560e6, reference_batch: 2.0, max_features: 320 }
        }
    }
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
        let dimension = Dimension::of(target.spacing.len());
        let (pooling, voxels) = self.fit(name, target, &dimension)?;
        let fitting = (dimension.reference_voxels / voxels * dimension.reference_batch).round_ties_even();
        let patch_voxels: f64 = pooling.patch.iter().map(|&extent| extent as f64).product();
        let covering = (n_voxels * MAX_COVERED / patch_voxels).round_ties_even();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of at least two")]
        let batch_size = fitting.min(covering).max(MIN_BATCH) as usize;
        let features = features(pooling.strides.len(), BASE_FEATURES, dimension.max_features);
        Ok(Configuration {
            data_identifier: format!("{}_{name}", self.options.plans_name),
            preprocessor_name: "DefaultPreprocessor".into(),
            batch_size,
            patch_size: pooling.patch.clone(),
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
            architecture: architecture(pooling, features),
            batch_dice: false,
            other: Map::new(),
        })
    }

    /// Shrinks the patch until a batch of two fits; returns its poolings and feature map voxels.
    fn fit(&self, name: &'static str, target: &Target, dimension: &Dimension) -> Result<(Pooling, f64), PlanError> {
        let estimate = |pooling: &Pooling| {
            let features = features(pooling.strides.len(), BASE_FEATURES, dimension.max_features);
            feature_map_voxels(&pooling.patch, &pooling.strides, &features, N_CONVS, self.n_labels)
        };
        let mut pooling = Pooling::new(&target.spacing, &initial_patch(target, dimension));
        let mut voxels = estimate(&pooling);
        while voxels / dimension.reference_batch * MIN_BATCH > dimension.reference_voxels {
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
            voxels = estimate(&pooling);
        }
        if pooling.strides.len() < 2 {
            return Err(PlanError::Patch { configuration: name, patch: pooling.patch });
        }
        Ok((pooling, voxels))
    }

    /// Applies the options and turns a planned configuration into its entry of the plans.
    pub(super) fn finish(&self, mut configuration: Configuration) -> Result<Value, PlanError> {
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
            configuration.patch_size.clone_from(&pooling.patch);
            configuration.architecture = architecture(pooling, Vec::new());
        }
        if changes {
            let arguments = &mut configuration.architecture.arch_kwargs;
            let base = options.features.unwrap_or(BASE_FEATURES);
            let most = options.max_features.unwrap_or(Dimension::of(n_axes).max_features);
            arguments.features_per_stage = features(arguments.n_stages, base, most);
        }
        if let Some(batch_size) = options.batch_size {
            configuration.batch_size = batch_size;
        }
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
fn initial_patch(target: &Target, dimension: &Dimension) -> Vec<f64> {
    let inverse: Vec<f64> = target.spacing.iter().map(|mm| 1.0 / mm).collect();
    let exponent = 1.0 / inverse.len() as f64;
    let scale = (dimension.initial_voxels / inverse.iter().product::<f64>()).powf(exponent);
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

fn architecture(pooling: Pooling, features: Vec<usize>) -> Architecture {
    let n_stages = pooling.strides.len();
    let n_axes = pooling.patch.len();
    Architecture {
        network_class_name: "dynamic_network_architectures.architectures.unet.PlainConvUNet".into(),
        arch_kwargs: ArchitectureArguments {
            n_stages,
            features_per_stage: features,
            conv_op: format!("torch.nn.modules.conv.Conv{n_axes}d"),
            kernel_sizes: pooling.kernels,
            strides: pooling.strides,
            n_conv_per_stage: vec![N_CONVS; n_stages],
            n_conv_per_stage_decoder: vec![N_CONVS; n_stages - 1],
            conv_bias: true,
            norm_op: format!("torch.nn.modules.instancenorm.InstanceNorm{n_axes}d"),
            norm_op_kwargs: NormArguments { eps: 1e-5, affine: true },
            dropout_op: None,
            dropout_op_kwargs: None,
            nonlin: "torch.nn.LeakyReLU".into(),
            nonlin_kwargs: NonlinearityArguments { inplace: true, negative_slope: None },
        },
        kw_requires_import: ["conv_op", "norm_op", "dropout_op", "nonlin"].map(String::from).to_vec(),
    }
}
