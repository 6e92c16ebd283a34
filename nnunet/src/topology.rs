//! The U-Net as plain data, from which the trainer builds modules and the exporter a graph.
//!
//! Follows `PlainConvUNet` and `ResidualEncoderUNet` of `dynamic_network_architectures`: an encoder of convolution
//! blocks (convolution, instance norm, leaky rectifier) or of residual blocks behind a stem, a decoder of transposed
//! convolutions, skip connections and blocks, and a 1×1 head per decoder stage. Parameters carry the names of its
//! `state_dict`. Departs from it by refusing what it would build wrongly or not at all: unknown classes and arguments,
//! even kernels, lengths that disagree.

mod check;
mod encoder;
mod error;

pub use encoder::{EncoderBlock, ResidualBlock, Shortcut};
pub use error::TopologyError;

use crate::plans::{ArchitectureArguments, Configuration, EncoderDepth};

/// Most feature maps or output channels of one convolution.
const MAX_FEATURES: usize = 4096;

/// Convolution, instance norm and, where its place in the network does not say otherwise, leaky rectifier.
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
    /// Blocks per encoder level, full resolution first; a residual encoder's stem is the first block of the first.
    pub encoder: Vec<Vec<EncoderBlock>>,
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
    /// Scale of the last instance norm of a residual block, which starts at zero: the block begins as its shortcut.
    ResidualScale,
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
    /// [`TopologyError`] if the architecture is not a `PlainConvUNet` or `ResidualEncoderUNet` with instance norm and
    /// leaky rectifier, or its numbers disagree with each other or with the patch.
    pub fn new(configuration: &Configuration, n_channels: usize, n_outputs: usize) -> Result<Self, TopologyError> {
        let arguments = check::arguments(&configuration.architecture, configuration.n_axes())?;
        for (field, found) in [("input channels", n_channels), ("output channels", n_outputs)] {
            if !(1..=MAX_FEATURES).contains(&found) {
                return Err(TopologyError::Number { field, found: found.to_string() });
            }
        }
        let unet = Self {
            n_axes: configuration.n_axes(),
            n_channels,
            n_outputs,
            encoder: encoder::stages(arguments, n_channels),
            decoder: decoder(arguments),
            conv_bias: arguments.conv_bias,
            norm_eps: arguments.norm_op_kwargs.eps,
            negative_slope: arguments.nonlin_kwargs.negative_slope.unwrap_or(0.01),
        };
        unet.fits(&configuration.patch_size)?;
        Ok(unet)
    }

    /// The class of `dynamic_network_architectures` that this is.
    pub fn class_name(&self) -> &'static str {
        let is_residual = |block: &EncoderBlock| matches!(block, EncoderBlock::Residual(_));
        if self.encoder.iter().flatten().any(is_residual) { "ResidualEncoderUNet" } else { "PlainConvUNet" }
    }

    /// Product of all strides per axis: patch extents must be multiples of it.
    pub fn total_stride(&self) -> Vec<usize> {
        let strides = self.encoder.iter().map(|blocks| blocks[0].stride());
        strides.fold(vec![1; self.n_axes], |total, stride| total.iter().zip(stride).map(|(t, s)| t * s).collect())
    }

    /// All parameters in the order of nnU-Net's `state_dict`: encoder, decoder blocks, upsamplings, heads.
    pub fn parameters(&self) -> Vec<Parameter> {
        let encoder = self.encoder.iter().flatten().flat_map(|block| match block {
            EncoderBlock::Plain(block) => self.of_block(block),
            EncoderBlock::Residual(block) => self.of_residual(block),
        });
        let decoder_blocks = self.decoder.iter().flat_map(|stage| &stage.blocks);
        let mut all: Vec<_> = encoder.chain(decoder_blocks.flat_map(|block| self.of_block(block))).collect();
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
        let mut parameters = of_conv(block);
        if self.conv_bias {
            parameters.push(parameter(&block.name, "conv.bias", vec![block.n_features], ParameterRole::Bias));
        }
        parameters.extend(of_norm(block, ParameterRole::NormScale));
        parameters
    }

    fn of_residual(&self, block: &ResidualBlock) -> Vec<Parameter> {
        let mut parameters = self.of_block(&block.first);
        parameters.extend(self.of_block(&block.second));
        if let Some(last) = parameters.iter_mut().rev().find(|parameter| parameter.role == ParameterRole::NormScale) {
            last.role = ParameterRole::ResidualScale;
        }
        if let Some(projection) = &block.shortcut.projection {
            parameters.extend(of_conv(projection));
            parameters.extend(of_norm(projection, ParameterRole::NormScale));
        }
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

fn of_conv(block: &ConvBlock) -> Vec<Parameter> {
    let shape = [&[block.n_features, block.n_inputs], &block.kernel[..]].concat();
    vec![parameter(&block.name, "conv.weight", shape, ParameterRole::ConvWeight)]
}

fn of_norm(block: &ConvBlock, scale: ParameterRole) -> [Parameter; 2] {
    [("norm.weight", scale), ("norm.bias", ParameterRole::NormShift)]
        .map(|(suffix, role)| parameter(&block.name, suffix, vec![block.n_features], role))
}

fn parameter(name: &str, suffix: &str, shape: Vec<usize>, role: ParameterRole) -> Parameter {
    Parameter { name: format!("{name}.{suffix}"), shape, role }
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

    #[test]
    fn parameters_of_a_residual_encoder_are_those_of_a_real_state_dict() {
        let golden = include_str!("../tests/golden/plans/residual_state_dict.txt");
        let mut configuration = configuration();
        configuration.architecture.network_class_name = "unet.ResidualEncoderUNet".into();
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.features_per_stage = vec![4, 8, 8, 12];
        arguments.encoder = EncoderDepth::Blocks(vec![1, 3, 2, 1]);
        arguments.n_conv_per_stage_decoder = vec![1, 2, 1];
        arguments.strides[3] = vec![1, 1, 1];
        let unet = UNet::new(&configuration, 2, 3).unwrap();
        let listed: Vec<_> = unet.parameters().iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect();
        assert_eq!(listed, golden.lines().collect::<Vec<_>>());
        let residual = |p: &&Parameter| p.role == ParameterRole::ResidualScale;
        let names: Vec<_> = unet.parameters().iter().filter(residual).map(|p| p.name.clone()).collect();
        assert_eq!(names.len(), 1 + 3 + 2 + 1);
        assert!(names.iter().all(|name| name.ends_with(".conv2.norm.weight")), "{names:?}");
        assert_eq!(unet.class_name(), "ResidualEncoderUNet");
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
            "architecture: the argument `n_conv_per_stage`, here [2, 2, 2, 2], is not supported",
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
