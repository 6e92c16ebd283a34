//! From an image on its own grid to the array that a network sees.
//!
//! Transpose, crop to nonzero, normalize, resample, in this order: normalization after resampling would find a
//! nonzero mask that no longer fits. Follows nnU-Net's `DefaultPreprocessor.run_case_npy`, for 2D configurations too,
//! which keep the slices and their spacing. What was done is written into [`CaseProperties`], from which
//! [`crate::restore`] finds the way back.
//!
//! Departs from nnU-Net by refusing what it would resample to nothing, and by consuming the case: channels are
//! normalized where they lie, resampled from there into the result, and labels follow when the image is gone. Beside
//! input and result, what resampling keeps between two axes of one channel is the largest thing in memory.

use imaging::resample::{ResamplePlan, SeparateAxis, SplineOrder, resample_channel, resample_labels};
use imaging::{Geometry, Image, Spacing, SpacingError, Volume};
use ndarray::{Array3, Array4, ArrayViewMut4, Axis, Zip, s};
use serde::{Deserialize, Serialize};

use crate::crop::{BoundingBox, nonzero_box};
use crate::fingerprint::planning_spacing;
use crate::normalize::{NormalizeError, normalize};
use crate::outside::Outside;
use crate::plans::{Configuration, IntensityProperties, Plans, ResamplingArguments};

/// The only resampling function that is known here.
const RESAMPLING: &str = "resample_data_or_seg_to_shape";

/// Most voxels of a resampled channel: 8 GiB of `f32`.
const MAX_VOXELS: f64 = (1_u64 << 31) as f64;

/// Label of background outside the nonzero region.
pub const OUTSIDE: i16 = -1;

/// How a case came to its array, and how its prediction goes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseProperties {
    /// Extents `[z, y, x]` of the file.
    pub original_shape: [usize; 3],
    /// Axis permutation into network order: axis `i` of the array is axis `transpose_forward[i]` of the file.
    pub transpose_forward: [usize; 3],
    /// Box that was kept, in network order.
    pub crop: BoundingBox,
    /// Extents of the box.
    pub cropped_shape: [usize; 3],
    /// Spacing of the file in network order, mm.
    pub spacing: [f64; 3],
    /// Spacing of the array in network order, mm.
    pub target_spacing: [f64; 3],
    /// Extents of the array in network order.
    pub resampled_shape: [usize; 3],
}

/// A case as the network sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessed {
    /// `[channel, z, y, x]` in network order; for a 2D configuration z counts slices.
    pub image: Array4<f32>,
    /// Labels on the same grid, [`OUTSIDE`] where there is neither signal nor foreground.
    pub labels: Option<Array3<i16>>,
    /// The way back.
    pub properties: CaseProperties,
}

/// Brings a case to the grid and intensities of a configuration.
///
/// # Errors
///
/// [`PreprocessError`] if case and plans do not fit, or the plans ask for something this crate does not do.
pub fn preprocess(
    image: Image,
    labels: Option<Volume<u8>>,
    plans: &Plans,
    configuration: &Configuration,
) -> Result<Preprocessed, PreprocessError> {
    check(&image, labels.as_ref(), configuration)?;
    let [a, b, c] = plans.transpose_forward;
    let Image { mut voxels, geometry } = image;
    let transposed = voxels.view_mut().permuted_axes([0, a + 1, b + 1, c + 1]);
    let crop = nonzero_box(&transposed.view());
    let (i, j, k) = (crop.range(0), crop.range(1), crop.range(2));
    let cropped = transposed.slice_move(s![.., i.clone(), j.clone(), k.clone()]);
    let properties = properties(&geometry, plans, configuration, crop)?;

    let normalizes_inside = configuration.use_mask_for_norm.contains(&true);
    let outside = (labels.is_some() || normalizes_inside).then(|| Outside::of(&cropped.view()));
    let labels = labels.zip(outside.as_ref()).map(|(labels, outside)| {
        let labels = labels.voxels.permuted_axes([a, b, c]).slice_move(s![i, j, k]);
        Labels::of(labels, outside)
    });
    let mask = outside.filter(|_| normalizes_inside).map(|outside| match &labels {
        // A label counts as signal, even where every channel is zero.
        Some(labels) => labels.inside(),
        None => outside.inside(),
    });

    let image = channels(cropped, mask.as_ref(), plans, configuration, &properties)?;
    drop((voxels, mask));
    let labels = labels
        .map(|labels| {
            let plan = properties.forward("resampling_fn_seg_kwargs", &configuration.resampling_fn_seg_kwargs)?;
            Ok::<_, PreprocessError>(labels.resampled(&plan))
        })
        .transpose()?;
    Ok(Preprocessed { image, labels, properties })
}

fn check(image: &Image, labels: Option<&Volume<u8>>, configuration: &Configuration) -> Result<(), PreprocessError> {
    let (expected, actual) = (configuration.normalization_schemes.len(), image.n_channels());
    if expected != actual {
        return Err(PreprocessError::ChannelCount { expected, actual });
    }
    if let Some(labels) = labels {
        let (z, y, x) = labels.voxels.dim();
        if [z, y, x] != image.geometry.shape() {
            return Err(PreprocessError::LabelShape { image: image.geometry.shape(), labels: [z, y, x] });
        }
    }
    for (field, found) in [
        ("resampling_fn_data", &configuration.resampling_fn_data),
        ("resampling_fn_seg", &configuration.resampling_fn_seg),
        ("resampling_fn_probabilities", &configuration.resampling_fn_probabilities),
    ] {
        if found != RESAMPLING {
            return Err(PreprocessError::Resampling { field, found: found.clone() });
        }
    }
    Ok(())
}

fn properties(
    geometry: &Geometry,
    plans: &Plans,
    configuration: &Configuration,
    crop: BoundingBox,
) -> Result<CaseProperties, PreprocessError> {
    let original = planning_spacing(geometry);
    let spacing = plans.transpose_forward.map(|axis| original[axis]);
    let cropped_shape = crop.shape();
    let (target_spacing, resampled_shape) = target(spacing, cropped_shape, configuration)?;
    let transpose_forward = plans.transpose_forward;
    let original_shape = geometry.shape();
    Ok(CaseProperties {
        original_shape,
        transpose_forward,
        crop,
        cropped_shape,
        spacing,
        target_spacing,
        resampled_shape,
    })
}

/// Spacing and extents that a configuration asks for.
fn target(
    spacing: [f64; 3],
    cropped_shape: [usize; 3],
    configuration: &Configuration,
) -> Result<([f64; 3], [usize; 3]), PreprocessError> {
    let target_spacing = match configuration.spacing[..] {
        [z, y, x] => [z, y, x],
        [y, x] => [spacing[0], y, x],
        _ => unreachable!("a checked configuration has two or three axes"),
    };
    // Python's `round`, in the reference's order of operations.
    let extents: [f64; 3] = std::array::from_fn(|axis| {
        (spacing[axis] / target_spacing[axis] * cropped_shape[axis] as f64).round_ties_even()
    });
    if let Some(axis) = extents.iter().position(|&extent| !extent.is_finite() || extent < 1.0) {
        return Err(PreprocessError::EmptyAxis { axis, spacing: spacing[axis], target: target_spacing[axis] });
    }
    if extents.iter().product::<f64>() > MAX_VOXELS {
        return Err(PreprocessError::TooLarge { extents });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range, checked above")]
    let resampled_shape = extents.map(|extent| extent as usize);
    Ok((target_spacing, resampled_shape))
}

/// Labels of the crop, in the narrowest type that holds them.
enum Labels {
    /// No voxel is [`OUTSIDE`], as where a scanner's noise fills the image.
    Plain(Array3<u8>),
    /// [`OUTSIDE`] occurs.
    Marked(Array3<i16>),
}

impl Labels {
    fn of(labels: Array3<u8>, outside: &Outside) -> Self {
        if !outside.has_unlabeled(&labels.view()) {
            return Self::Plain(labels);
        }
        let mut marked = widened(&labels);
        outside.edit(&mut marked.view_mut(), |label| *label = if *label == 0 { OUTSIDE } else { *label });
        Self::Marked(marked)
    }

    fn inside(&self) -> Array3<bool> {
        match self {
            Self::Plain(labels) => Array3::from_elem(labels.raw_dim(), true),
            Self::Marked(labels) => labels.mapv(|label| label != OUTSIDE),
        }
    }

    fn resampled(self, plan: &ResamplePlan) -> Array3<i16> {
        match self {
            Self::Plain(labels) => widened(&resample_labels(labels, plan)),
            Self::Marked(labels) => resample_labels(labels, plan),
        }
    }
}

fn widened(labels: &Array3<u8>) -> Array3<i16> {
    let mut wide = Array3::zeros(labels.raw_dim());
    Zip::from(&mut wide).and(labels).par_for_each(|wide, &label| *wide = i16::from(label));
    wide
}

/// Normalizes every channel of `[channel, z, y, x]` in place and resamples it.
fn channels(
    mut voxels: ArrayViewMut4<'_, f32>,
    mask: Option<&Array3<bool>>,
    plans: &Plans,
    configuration: &Configuration,
    properties: &CaseProperties,
) -> Result<Array4<f32>, PreprocessError> {
    let plan = properties.forward("resampling_fn_data_kwargs", &configuration.resampling_fn_data_kwargs)?;
    let [z, y, x] = properties.resampled_shape;
    let mut resampled = Array4::zeros((voxels.dim().0, z, y, x));
    for (index, mut channel) in voxels.outer_iter_mut().enumerate() {
        let mask = mask.filter(|_| configuration.use_mask_for_norm[index]);
        let statistics: Option<&IntensityProperties> =
            plans.foreground_intensity_properties_per_channel.get(&index.to_string());
        normalize(channel.view_mut(), mask, configuration.normalization_schemes[index], statistics)
            .map_err(|source| PreprocessError::Normalize { channel: index, source })?;
        resample_channel(channel.view(), resampled.index_axis_mut(Axis(0), index), &plan);
    }
    Ok(resampled)
}

impl CaseProperties {
    /// Those of an array of these extents that was taken as it is, at 1 mm.
    pub fn unchanged(shape: [usize; 3]) -> Self {
        Self {
            original_shape: shape,
            transpose_forward: [0, 1, 2],
            crop: BoundingBox { start: [0; 3], end: shape },
            cropped_shape: shape,
            spacing: [1.0; 3],
            target_spacing: [1.0; 3],
            resampled_shape: shape,
        }
    }

    /// From the crop to the network's grid.
    fn forward(&self, field: &'static str, arguments: &ResamplingArguments) -> Result<ResamplePlan, PreprocessError> {
        let spacings = (self.spacing, self.target_spacing);
        resample_plan(field, arguments, (self.cropped_shape, self.resampled_shape), spacings)
    }

    /// Extents that another configuration of the same plans gives this case.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::EmptyAxis`] or [`PreprocessError::TooLarge`].
    pub fn shape_in(&self, configuration: &Configuration) -> Result<[usize; 3], PreprocessError> {
        target(self.spacing, self.cropped_shape, configuration).map(|(_, shape)| shape)
    }

    /// From the network's grid to that of another configuration, for logits. As in nnU-Net, only the spacing that they
    /// have decides whether an axis is treated alone.
    pub(crate) fn onward(
        &self,
        arguments: &ResamplingArguments,
        to: [usize; 3],
    ) -> Result<ResamplePlan, PreprocessError> {
        let spacings = (self.target_spacing, self.target_spacing);
        resample_plan("resampling_fn_probabilities_kwargs", arguments, (self.resampled_shape, to), spacings)
    }

    /// From the network's grid back to the crop, for logits.
    pub(crate) fn backward(&self, arguments: &ResamplingArguments) -> Result<ResamplePlan, PreprocessError> {
        let spacings = (self.target_spacing, self.spacing);
        let shapes = (self.resampled_shape, self.cropped_shape);
        resample_plan("resampling_fn_probabilities_kwargs", arguments, shapes, spacings)
    }
}

fn resample_plan(
    field: &'static str,
    arguments: &ResamplingArguments,
    (from, to): ([usize; 3], [usize; 3]),
    (current, target): ([f64; 3], [f64; 3]),
) -> Result<ResamplePlan, PreprocessError> {
    let order = match (arguments.order, arguments.order_z) {
        (0, 0) => SplineOrder::Nearest,
        (1, 0) => SplineOrder::Linear,
        (3, 0) => SplineOrder::Cubic,
        (order, order_z) => {
            return Err(PreprocessError::Resampling { field, found: format!("order {order}, order_z {order_z}") });
        }
    };
    let separate_axis = match arguments.force_separate_z {
        None => SeparateAxis::WhenAnisotropic,
        Some(true) => SeparateAxis::Always,
        Some(false) => SeparateAxis::Never,
    };
    let spacing = |zyx| Spacing::new(zyx).map_err(|source| PreprocessError::Spacing { source });
    Ok(ResamplePlan { from, to, current: spacing(current)?, target: spacing(target)?, order, separate_axis })
}

/// Why a case cannot be preprocessed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// Case and plans disagree on the number of channels.
    #[error("the case has {actual} channels, the plans expect {expected}")]
    ChannelCount {
        /// Channels of the plans.
        expected: usize,
        /// Channels of the case.
        actual: usize,
    },
    /// The target spacing leaves no voxel.
    #[error("axis {axis} would have no voxel left: its spacing is {spacing} mm, the plans want {target} mm")]
    EmptyAxis {
        /// Axis in network order.
        axis: usize,
        /// Spacing of the case, mm.
        spacing: f64,
        /// Spacing of the plans, mm.
        target: f64,
    },
    /// Labels and image differ in shape.
    #[error("the labels have shape [z, y, x] {labels:?}, the image {image:?}")]
    LabelShape {
        /// Extents of the image.
        image: [usize; 3],
        /// Extents of the labels.
        labels: [usize; 3],
    },
    /// A channel has values that its normalization cannot take.
    #[error("channel {channel} cannot be normalized")]
    Normalize {
        /// Index of the channel.
        channel: usize,
        /// Why.
        source: NormalizeError,
    },
    /// The plans resample in a way that is not known here.
    #[error("plans: `{field}` is {found}, which is not supported")]
    Resampling {
        /// Field of the configuration.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// A spacing is no length.
    #[error("a spacing cannot be used")]
    Spacing {
        /// Which.
        source: SpacingError,
    },
    /// The target spacing asks for more voxels than can be held.
    #[error("the case would be resampled to {extents:?} voxels, too many to hold")]
    TooLarge {
        /// Extents in network order.
        extents: [f64; 3],
    },
}
