//! The encoder: plain convolutions, or residual blocks behind a stem.
//!
//! Follows `PlainConvEncoder`, and `ResidualEncoder` with `BasicBlockD` (the block of ResNet-D): two convolutions, of
//! which the second has no rectifier before the addition, and a shortcut that averages where the block is strided and
//! projects where the number of feature maps changes.

use super::{ArchitectureArguments, ConvBlock, EncoderDepth};

/// One block of an encoder level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncoderBlock {
    /// A convolution block, or the stem of a residual encoder.
    Plain(ConvBlock),
    /// Two convolutions beside a shortcut.
    Residual(Box<ResidualBlock>),
}

/// Two convolutions whose result is added to the shortcut's, then a leaky rectifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualBlock {
    /// Name of the block.
    pub name: String,
    /// Has the block's stride and a rectifier.
    pub first: ConvBlock,
    /// Has no rectifier.
    pub second: ConvBlock,
    /// What is added.
    pub shortcut: Shortcut,
}

/// The way around the convolutions of a residual block; the input itself if neither part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcut {
    /// Window and stride of the average, where the block is strided.
    pub pooling: Option<Vec<usize>>,
    /// 1×1 convolution that never has a bias, and a norm without rectifier, where the feature maps change.
    pub projection: Option<ConvBlock>,
}

impl EncoderBlock {
    /// Stride per axis.
    pub fn stride(&self) -> &[usize] {
        match self {
            Self::Plain(block) => &block.stride,
            Self::Residual(block) => &block.first.stride,
        }
    }

    /// Feature maps that the block makes.
    pub fn n_features(&self) -> usize {
        match self {
            Self::Plain(block) => block.n_features,
            Self::Residual(block) => block.second.n_features,
        }
    }
}

/// The levels of checked arguments, full resolution first.
pub(super) fn stages(arguments: &ArchitectureArguments, n_channels: usize) -> Vec<Vec<EncoderBlock>> {
    match &arguments.encoder {
        EncoderDepth::Convolutions(convs) => plain(arguments, convs, n_channels),
        EncoderDepth::Blocks(blocks) => residual(arguments, blocks, n_channels),
    }
}

fn plain(arguments: &ArchitectureArguments, convs: &[usize], n_channels: usize) -> Vec<Vec<EncoderBlock>> {
    let mut n_inputs = n_channels;
    let stage = |s: usize| {
        let n_features = arguments.features_per_stage[s];
        let blocks = (0..convs[s]).map(|i| {
            EncoderBlock::Plain(ConvBlock {
                name: format!("encoder.stages.{s}.0.convs.{i}"),
                n_inputs: if i == 0 { n_inputs } else { n_features },
                n_features,
                kernel: arguments.kernel_sizes[s].clone(),
                stride: if i == 0 { arguments.strides[s].clone() } else { vec![1; arguments.strides[s].len()] },
            })
        });
        let blocks = blocks.collect();
        n_inputs = n_features;
        blocks
    };
    (0..arguments.n_stages).map(stage).collect()
}

fn residual(arguments: &ArchitectureArguments, blocks: &[usize], n_channels: usize) -> Vec<Vec<EncoderBlock>> {
    let mut n_inputs = arguments.features_per_stage[0];
    let stem = ConvBlock {
        name: "encoder.stem.convs.0".into(),
        n_inputs: n_channels,
        n_features: n_inputs,
        kernel: arguments.kernel_sizes[0].clone(),
        stride: vec![1; arguments.strides[0].len()],
    };
    let stage = |s: usize| {
        let n_features = arguments.features_per_stage[s];
        let blocks = (0..blocks[s]).map(|i| {
            let name = format!("encoder.stages.{s}.blocks.{i}");
            let stride = if i == 0 { arguments.strides[s].clone() } else { vec![1; arguments.strides[s].len()] };
            let n_inputs = if i == 0 { n_inputs } else { n_features };
            residual_block(name, [n_inputs, n_features], &arguments.kernel_sizes[s], stride)
        });
        let blocks: Vec<_> = blocks.map(|block| EncoderBlock::Residual(Box::new(block))).collect();
        n_inputs = n_features;
        blocks
    };
    let mut stages: Vec<_> = (0..arguments.n_stages).map(stage).collect();
    stages[0].insert(0, EncoderBlock::Plain(stem));
    stages
}

fn residual_block(
    name: String,
    [n_inputs, n_features]: [usize; 2],
    kernel: &[usize],
    stride: Vec<usize>,
) -> ResidualBlock {
    let ones = vec![1; stride.len()];
    let pooling = (stride != ones).then(|| stride.clone());
    // The parts of the shortcut are numbered, and the average comes first.
    let place = usize::from(pooling.is_some());
    let projection = (n_inputs != n_features).then(|| ConvBlock {
        name: format!("{name}.skip.{place}"),
        n_inputs,
        n_features,
        kernel: ones.clone(),
        stride: ones.clone(),
    });
    let conv = |part: &str, n_inputs, stride| ConvBlock {
        name: format!("{name}.{part}"),
        n_inputs,
        n_features,
        kernel: kernel.to_vec(),
        stride,
    };
    let (first, second) = (conv("conv1", n_inputs, stride), conv("conv2", n_features, ones));
    ResidualBlock { first, second, shortcut: Shortcut { pooling, projection }, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(features: [usize; 2], stride: &[usize], pooling: Option<&[usize]>, projection: Option<&str>) {
        let block = residual_block("b".into(), features, &[3, 3], stride.to_vec());
        assert_eq!(block.shortcut.pooling.as_deref(), pooling);
        assert_eq!(block.shortcut.projection.map(|block| block.name).as_deref(), projection);
        assert_eq!((&block.first.stride[..], &block.second.stride[..]), (stride, &[1, 1][..]));
    }

    #[test]
    fn a_shortcut_averages_where_it_is_strided_and_projects_where_feature_maps_change() {
        check([4, 4], &[1, 1], None, None);
        check([4, 8], &[1, 1], None, Some("b.skip.0"));
        check([4, 4], &[1, 2], Some(&[1, 2]), None);
        check([4, 8], &[2, 2], Some(&[2, 2]), Some("b.skip.1"));
    }
}
