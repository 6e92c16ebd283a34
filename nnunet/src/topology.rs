//! The U-Net as plain data, from which the trainer builds modules and the exporter a graph.
//!
//! Follows `PlainConvUNet` of `dynamic_network_architectures`: an encoder of convolution blocks (convolution, instance
//! norm, leaky rectifier), a decoder of transposed convolutions, skip connections and blocks, and a 1×1 head per
//! decoder stage. Parameters carry the names of its `state_dict`. Departs from it by refusing what it would build
//! wrongly or not at all: residual encoders, which are planned but not yet trained, unknown classes and arguments, even
//! kernels, lengths that disagree.

use crate::plans::{Architecture, ArchitectureArguments, Configuration, EncoderDepth};

/// Most stages a network may have; ten halvings leave one voxel of 1024.
const MAX_STAGES: usize = 12;
/// Most feature maps or output channels of one convolution.
const MAX_FEATURES: usize = 4096;

/// Convolution, instance norm and leaky rectifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvBlock {
    /// Name of the block; its parameters are `<name>.conv.{weight,bias}` and `<name>.norm.{weight,bias}`.
    pub name: String,
    /// Input channels.
    pub n_inputs: usize,
    /// Output channels.
    pub n_features: usize,
    /// Odd kernel extents; padding is half of each, rounded down.
    pub kernel: Vec<usize>,
    /// Stride per axis.
    pub stride: Vec<usize>,
}

/// Transposed convolution whose kernel equals its stride.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsampling {
    /// Name; its weight has shape `[n_inputs, n_features, kernel…]`.
    pub name: String,
    /// Input channels.
    pub n_inputs: usize,
    /// Output channels.
    pub n_features: usize,
    /// Kernel and stride per axis.
    pub stride: Vec<usize>,
}

/// 1×1 convolution from features to logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name; it always has a bias.
    pub name: String,
    /// Input channels.
    pub n_inputs: usize,
}

/// One resolution level of the decoder: upsample, append the skip behind the channels, convolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderStage {
    /// From the level below.
    pub upsampling: Upsampling,
    /// Blocks after the skip connection.
    pub blocks: Vec<ConvBlock>,
    /// Logits of this level; only the last level's head is used outside training.
    pub head: Head,
}

/// A U-Net, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct UNet {
    /// Spatial axes: 2 or 3.
    pub n_axes: usize,
    /// Channels of the image.
    pub n_channels: usize,
    /// Channels of the logits.
    pub n_outputs: usize,
    /// Blocks per encoder level, full resolution first.
    pub encoder: Vec<Vec<ConvBlock>>,
    /// Decoder levels, deepest first.
    pub decoder: Vec<DecoderStage>,
    /// Whether convolutions inside blocks and transposed convolutions have a bias.
    pub conv_bias: bool,
    /// Added to the variance by the instance norm.
    pub norm_eps: f64,
    /// Slope of the rectifier below zero.
    pub negative_slope: f64,
}

/// What a parameter does, which decides how it is initialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterRole {
    /// Weight of a convolution, `[out, in, kernel…]`.
    ConvWeight,
    /// Weight of a transposed convolution, `[in, out, kernel…]`.
    TransposedWeight,
    /// Bias of a convolution of either kind.
    Bias,
    /// Scale of an instance norm.
    NormScale,
    /// Shift of an instance norm.
    NormShift,
}

/// Name, shape and role of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name in nnU-Net's `state_dict`.
    pub name: String,
    /// Shape in C order.
    pub shape: Vec<usize>,
    /// Role.
    pub role: ParameterRole,
}

impl UNet {
    /// Builds the topology of a configuration for `n_channels` image channels and `n_outputs` logit channels.
    ///
    /// # Errors
    ///
    /// [`TopologyError`] if the architecture is not a `PlainConvUNet` with instance norm and leaky rectifier, or its
    /// numbers disagree with each other or with the patch.
    pub fn new(configuration: &Configuration, n_channels: usize, n_outputs: usize) -> Result<Self, TopologyError> {
        let (arguments, convs) = checked(&configuration.architecture, configuration.n_axes())?;
        for (field, found) in [("input channels", n_channels), ("output channels", n_outputs)] {
            if !(1..=MAX_FEATURES).contains(&found) {
                return Err(TopologyError::Number { field, found: found.to_string() });
            }
        }
        let unet = Self {
            n_axes: configuration.n_axes(),
            n_channels,
            n_outputs,
            encoder: encoder(arguments, convs, n_channels),
            decoder: decoder(arguments),
            conv_bias: arguments.conv_bias,
            norm_eps: arguments.norm_op_kwargs.eps,
            negative_slope: arguments.nonlin_kwargs.negative_slope.unwrap_or(0.01),
        };
        unet.fits(&configuration.patch_size)?;
        Ok(unet)
    }

    /// Product of all strides per axis: patch extents must be multiples of it.
    pub fn total_stride(&self) -> Vec<usize> {
        let strides = self.encoder.iter().map(|blocks| &blocks[0].stride);
        strides.fold(vec![1; self.n_axes], |total, stride| total.iter().zip(stride).map(|(t, s)| t * s).collect())
    }

    /// All parameters in the order of nnU-Net's `state_dict`: encoder, decoder blocks, upsamplings, heads.
    pub fn parameters(&self) -> Vec<Parameter> {
        let decoder_blocks = self.decoder.iter().flat_map(|stage| &stage.blocks);
        let mut all: Vec<_> =
            self.encoder.iter().flatten().chain(decoder_blocks).flat_map(|block| self.of_block(block)).collect();
        for stage in &self.decoder {
            let up = &stage.upsampling;
            all.push(parameter(
                &up.name,
                "weight",
                [&[up.n_inputs, up.n_features], &up.stride[..]].concat(),
                ParameterRole::TransposedWeight,
            ));
            all.extend(self.conv_bias.then(|| parameter(&up.name, "bias", vec![up.n_features], ParameterRole::Bias)));
        }
        for stage in &self.decoder {
            let shape = [&[self.n_outputs, stage.head.n_inputs], &vec![1; self.n_axes][..]].concat();
            all.push(parameter(&stage.head.name, "weight", shape, ParameterRole::ConvWeight));
            all.push(parameter(&stage.head.name, "bias", vec![self.n_outputs], ParameterRole::Bias));
        }
        all
    }

    fn of_block(&self, block: &ConvBlock) -> Vec<Parameter> {
        let features = vec![block.n_features];
        let mut parameters = vec![parameter(
            &block.name,
            "conv.weight",
            [&[block.n_features, block.n_inputs], &block.kernel[..]].concat(),
            ParameterRole::ConvWeight,
        )];
        parameters
            .extend(self.conv_bias.then(|| parameter(&block.name, "conv.bias", features.clone(), ParameterRole::Bias)));
        parameters.push(parameter(&block.name, "norm.weight", features.clone(), ParameterRole::NormScale));
        parameters.push(parameter(&block.name, "norm.bias", features, ParameterRole::NormShift));
        parameters
    }

    fn fits(&self, patch: &[usize]) -> Result<(), TopologyError> {
        let total_stride = self.total_stride();
        if patch.iter().zip(&total_stride).any(|(extent, stride)| extent % stride != 0) {
            return Err(TopologyError::Patch { patch: patch.to_vec(), total_stride });
        }
        Ok(())
    }
}

fn parameter(name: &str, suffix: &str, shape: Vec<usize>, role: ParameterRole) -> Parameter {
    Parameter { name: format!("{name}.{suffix}"), shape, role }
}

/// The arguments, and the convolutions of each encoder stage.
fn checked(architecture: &Architecture, n_axes: usize) -> Result<(&ArchitectureArguments, &[usize]), TopologyError> {
    let arguments = &architecture.arch_kwargs;
    if architecture.network_class_name.ends_with(".ResidualEncoderUNet") {
        return Err(TopologyError::ResidualEncoder);
    }
    for (field, found, expected) in [
        ("network_class_name", architecture.network_class_name.as_str(), ".PlainConvUNet".to_owned()),
        ("conv_op", &arguments.conv_op, format!(".Conv{n_axes}d")),
        ("norm_op", &arguments.norm_op, format!(".InstanceNorm{n_axes}d")),
        ("nonlin", &arguments.nonlin, ".LeakyReLU".to_owned()),
    ] {
        if !found.ends_with(&expected) {
            return Err(TopologyError::Class { field, found: found.to_owned(), expected: expected[1..].to_owned() });
        }
    }
    if let Some(found) = &arguments.dropout_op {
        return Err(TopologyError::Class { field: "dropout_op", found: found.clone(), expected: "null".into() });
    }
    if let Some((argument, value)) = arguments.other.iter().next() {
        return Err(TopologyError::Argument { argument: argument.clone(), found: value.to_string() });
    }
    let convs = match &arguments.encoder {
        EncoderDepth::Convolutions(convs) => convs,
        EncoderDepth::Blocks(blocks) => {
            let (argument, found) = ("n_blocks_per_stage".to_owned(), format!("{blocks:?}"));
            return Err(TopologyError::Argument { argument, found });
        }
    };
    check_numbers(arguments, convs, n_axes)?;
    Ok((arguments, convs))
}

fn check_numbers(arguments: &ArchitectureArguments, convs: &[usize], n_axes: usize) -> Result<(), TopologyError> {
    let n = arguments.n_stages;
    let ensure =
        |good: bool, field, found: String| if good { Ok(()) } else { Err(TopologyError::Number { field, found }) };
    let per_axis = |lists: &[Vec<usize>], allowed: fn(usize) -> bool| {
        lists.len() == n && lists.iter().all(|list| list.len() == n_axes && list.iter().all(|&value| allowed(value)))
    };
    let counts = |list: &[usize], len: usize, max: usize| {
        list.len() == len && list.iter().all(|value| (1..=max).contains(value))
    };
    let (features, decoder) = (&arguments.features_per_stage, &arguments.n_conv_per_stage_decoder);
    let norm = &arguments.norm_op_kwargs;
    let slope = arguments.nonlin_kwargs.negative_slope.unwrap_or(0.01);
    ensure((2..=MAX_STAGES).contains(&n), "n_stages", n.to_string())?;
    ensure(counts(features, n, MAX_FEATURES), "features_per_stage", format!("{features:?}"))?;
    ensure(counts(convs, n, 64), "n_conv_per_stage", format!("{convs:?}"))?;
    ensure(counts(decoder, n - 1, 64), "n_conv_per_stage_decoder", format!("{decoder:?}"))?;
    let odd = |extent| extent % 2 == 1 && extent < 16;
    ensure(per_axis(&arguments.kernel_sizes, odd), "kernel_sizes", format!("{:?}", arguments.kernel_sizes))?;
    let strides = &arguments.strides;
    ensure(per_axis(strides, |stride| (1..=8).contains(&stride)), "strides", format!("{strides:?}"))?;
    ensure(strides[0].iter().all(|&stride| stride == 1), "strides of the first stage", format!("{:?}", strides[0]))?;
    ensure(norm.affine, "norm_op_kwargs.affine", norm.affine.to_string())?;
    ensure(norm.eps.is_finite() && norm.eps > 0.0, "norm_op_kwargs.eps", norm.eps.to_string())?;
    ensure((0.0..1.0).contains(&slope), "nonlin_kwargs.negative_slope", slope.to_string())
}

fn encoder(arguments: &ArchitectureArguments, convs: &[usize], n_channels: usize) -> Vec<Vec<ConvBlock>> {
    let mut n_inputs = n_channels;
    let stage = |s: usize| {
        let n_features = arguments.features_per_stage[s];
        let blocks = (0..convs[s]).map(|i| ConvBlock {
            name: format!("encoder.stages.{s}.0.convs.{i}"),
            n_inputs: if i == 0 { n_inputs } else { n_features },
            n_features,
            kernel: arguments.kernel_sizes[s].clone(),
            stride: if i == 0 { arguments.strides[s].clone() } else { vec![1; arguments.strides[s].len()] },
        });
        let blocks = blocks.collect();
        n_inputs = n_features;
        blocks
    };
    (0..arguments.n_stages).map(stage).collect()
}

fn decoder(arguments: &ArchitectureArguments) -> Vec<DecoderStage> {
    let stage = |s: usize| {
        let skip = arguments.n_stages - 2 - s;
        let n_features = arguments.features_per_stage[skip];
        let block = |i| ConvBlock {
            name: format!("decoder.stages.{s}.convs.{i}"),
            n_inputs: if i == 0 { 2 * n_features } else { n_features },
            n_features,
            kernel: arguments.kernel_sizes[skip].clone(),
            stride: vec![1; arguments.strides[skip].len()],
        };
        DecoderStage {
            upsampling: Upsampling {
                name: format!("decoder.transpconvs.{s}"),
                n_inputs: arguments.features_per_stage[skip + 1],
                n_features,
                stride: arguments.strides[skip + 1].clone(),
            },
            blocks: (0..arguments.n_conv_per_stage_decoder[s]).map(block).collect(),
            head: Head { name: format!("decoder.seg_layers.{s}"), n_inputs: n_features },
        }
    };
    (0..arguments.n_stages - 1).map(stage).collect()
}

/// Why an architecture is not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// An argument that `PlainConvUNet` would build differently, or does not have.
    #[error("architecture: the argument `{argument}`, here {found}, is not supported")]
    Argument {
        /// The argument of the plans.
        argument: String,
        /// Its value.
        found: String,
    },
    /// A class this crate does not know.
    #[error("architecture: `{field}` is `{found}`, only `{expected}` is supported")]
    Class {
        /// The field of the plans.
        field: &'static str,
        /// The class as found.
        found: String,
        /// The class supported.
        expected: String,
    },
    /// A number that is out of range, or a list of the wrong length.
    #[error("architecture: `{field}` cannot be {found}")]
    Number {
        /// The field of the plans.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// The patch cannot be halved as often as the network does.
    #[error("patch {patch:?} is not a multiple of the network's total stride {total_stride:?}")]
    Patch {
        /// The patch.
        patch: Vec<usize>,
        /// Product of the strides per axis.
        total_stride: Vec<usize>,
    },
    /// The residual encoder presets are planned only.
    #[error(
        "`ResidualEncoderUNet` can be planned and preprocessed but is not trained yet; \
         plan with `ExperimentPlanner` for a network that is"
    )]
    ResidualEncoder,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::{ConfigurationName, Plans};

    fn configuration() -> Configuration {
        let plans = Plans::parse(include_str!("../tests/golden/plans/hippocampus.json")).unwrap();
        plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap()
    }

    #[test]
    fn parameters_are_those_of_a_real_state_dict() {
        let golden = include_str!("../tests/golden/plans/hippocampus_3d_fullres_state_dict.txt");
        let unet = UNet::new(&configuration(), 1, 3).unwrap();
        let listed: Vec<_> = unet.parameters().iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect();
        assert_eq!(listed, golden.lines().collect::<Vec<_>>());
    }

    fn check(change: impl FnOnce(&mut Configuration), message: &str) {
        let mut configuration = configuration();
        change(&mut configuration);
        assert_eq!(UNet::new(&configuration, 1, 3).unwrap_err().to_string(), message);
    }

    #[test]
    fn an_architecture_that_would_be_built_wrongly_is_refused() {
        check(
            |c| c.architecture.network_class_name = "some.ResidualUNet".into(),
            "architecture: `network_class_name` is `some.ResidualUNet`, only `PlainConvUNet` is supported",
        );
        check(
            |c| c.architecture.network_class_name = "some.ResidualEncoderUNet".into(),
            "`ResidualEncoderUNet` can be planned and preprocessed but is not trained yet; plan with \
             `ExperimentPlanner` for a network that is",
        );
        check(
            |c| c.architecture.arch_kwargs.encoder = EncoderDepth::Blocks(vec![1, 3, 4, 6]),
            "architecture: the argument `n_blocks_per_stage`, here [1, 3, 4, 6], is not supported",
        );
        check(
            |c| drop(c.architecture.arch_kwargs.other.insert("nonlin_first".into(), true.into())),
            "architecture: the argument `nonlin_first`, here true, is not supported",
        );
        check(
            |c| c.architecture.arch_kwargs.kernel_sizes[0] = vec![2, 3, 3],
            "architecture: `kernel_sizes` cannot be [[2, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]",
        );
        check(|c| c.architecture.arch_kwargs.n_stages = 1, "architecture: `n_stages` cannot be 1");
        check(
            |c| c.architecture.arch_kwargs.features_per_stage = vec![8],
            "architecture: `features_per_stage` cannot be [8]",
        );
        check(
            |c| c.patch_size = vec![40, 56, 36],
            "patch [40, 56, 36] is not a multiple of the network's total stride [8, 8, 8]",
        );
    }
}
