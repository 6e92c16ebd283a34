//! The layers of a network: blocks, shortcuts, transposed convolutions and heads.
//!
//! A block is convolution, instance norm, leaky rectifier. The second block of a residual one has no rectifier before
//! the sum, nor has the projection of its shortcut, which averages first where the block is strided (ResNet-D).

use std::collections::BTreeMap;

use nnunet::topology::{self, ConvBlock, EncoderBlock, Head, ResidualBlock, UNet, Upsampling};
use tch::{Device, Kind, TchError, Tensor};

/// A block of the encoder.
#[derive(Debug)]
pub(super) enum Encoding {
    Plain(Block),
    Residual(Box<Residual>),
}

/// Convolution, norm, rectifier.
#[derive(Debug)]
pub(super) struct Block {
    weight: Tensor,
    bias: Option<Tensor>,
    scale: Tensor,
    shift: Tensor,
    stride: Vec<i64>,
    padding: Vec<i64>,
    eps: f64,
    /// Slope below zero where it is not libtorch's default.
    slope: Option<Tensor>,
}

/// Two blocks beside a shortcut.
#[derive(Debug)]
pub(super) struct Residual {
    first: Block,
    second: Block,
    /// Window and stride of the shortcut's average.
    pooling: Option<Vec<i64>>,
    projection: Option<Block>,
}

/// A stage of the decoder.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) upsampling: Transposed,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Linear,
}

/// Transposed convolution.
#[derive(Debug)]
pub(super) struct Transposed {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: Vec<i64>,
}

/// A head.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

/// Makes layers of named tensors.
pub(super) struct Builder<'a> {
    tensors: BTreeMap<&'a str, &'a Tensor>,
    eps: f64,
    slope: Option<Tensor>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(topology: &UNet, parameters: &'a [(String, Tensor)], device: Device) -> Result<Self, TchError> {
        Ok(Self {
            tensors: parameters.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect(),
            eps: topology.norm_eps,
            slope: slope(topology.negative_slope, device)?,
        })
    }

    pub(super) fn encoder(&self, blocks: &[EncoderBlock]) -> Vec<Encoding> {
        let build = |block: &EncoderBlock| match block {
            EncoderBlock::Plain(block) => Encoding::Plain(self.block(block)),
            EncoderBlock::Residual(block) => Encoding::Residual(Box::new(self.residual(block))),
        };
        blocks.iter().map(build).collect()
    }

    pub(super) fn decoder(&self, stage: &topology::DecoderStage) -> Stage {
        Stage {
            upsampling: self.upsampling(&stage.upsampling),
            blocks: stage.blocks.iter().map(|block| self.block(block)).collect(),
            head: self.head(&stage.head),
        }
    }

    fn residual(&self, block: &ResidualBlock) -> Residual {
        Residual {
            first: self.block(&block.first),
            second: self.block(&block.second),
            pooling: block.shortcut.pooling.as_deref().map(extents),
            projection: block.shortcut.projection.as_ref().map(|block| self.block(block)),
        }
    }

    fn tensor(&self, name: &str, suffix: &str) -> Option<Tensor> {
        self.tensors.get(format!("{name}.{suffix}").as_str()).map(|tensor| tensor.shallow_clone())
    }

    fn known(&self, name: &str, suffix: &str) -> Tensor {
        self.tensor(name, suffix).expect("the topology lists the parameters of its layers")
    }

    fn block(&self, block: &ConvBlock) -> Block {
        let name = &block.name;
        Block {
            weight: self.known(name, "conv.weight"),
            bias: self.tensor(name, "conv.bias"),
            scale: self.known(name, "norm.weight"),
            shift: self.known(name, "norm.bias"),
            stride: extents(&block.stride),
            padding: block.kernel.iter().map(|&extent| extent_i64(extent / 2)).collect(),
            eps: self.eps,
            slope: self.slope.as_ref().map(Tensor::shallow_clone),
        }
    }

    fn upsampling(&self, upsampling: &Upsampling) -> Transposed {
        let name = &upsampling.name;
        Transposed {
            weight: self.known(name, "weight"),
            bias: self.tensor(name, "bias"),
            stride: extents(&upsampling.stride),
        }
    }

    fn head(&self, head: &Head) -> Linear {
        Linear { weight: self.known(&head.name, "weight"), bias: self.known(&head.name, "bias") }
    }
}

impl Encoding {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(block) => block.forward(input),
            Self::Residual(block) => block.forward(input),
        }
    }
}

impl Residual {
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let mut shortcut = input.shallow_clone();
        if let Some(window) = &self.pooling {
            let zeros = vec![0; window.len()];
            shortcut = match window.len() {
                2 => shortcut.f_avg_pool2d(window, window, &zeros, false, true, None)?,
                _ => shortcut.f_avg_pool3d(window, window, &zeros, false, true, None)?,
            };
        }
        if let Some(projection) = &self.projection {
            shortcut = projection.conv_norm(&shortcut)?;
        }
        let sum = self.second.conv_norm(&self.first.forward(input)?)?.f_add(&shortcut)?;
        self.second.rectify(sum)
    }
}

impl Block {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        self.rectify(self.conv_norm(input)?)
    }

    fn conv_norm(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (bias, dilation) = (self.bias.as_ref(), vec![1; self.stride.len()]);
        let convolved = match self.stride.len() {
            2 => input.f_conv2d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1)?,
            _ => input.f_conv3d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1)?,
        };
        let (none, scale, shift) = (None::<&Tensor>, Some(&self.scale), Some(&self.shift));
        convolved.f_instance_norm(scale, shift, none, none, true, 0.1, self.eps, true)
    }

    fn rectify(&self, mut features: Tensor) -> Result<Tensor, TchError> {
        match &self.slope {
            None => features.f_leaky_relu_(),
            Some(slope) => features.f_prelu(slope),
        }
    }
}

impl Transposed {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias, stride) = (&self.weight, self.bias.as_ref(), &self.stride);
        let (zeros, ones) = (vec![0; stride.len()], vec![1; stride.len()]);
        match stride.len() {
            2 => input.f_conv_transpose2d(weight, bias, stride, &zeros, &zeros, 1, &ones),
            _ => input.f_conv_transpose3d(weight, bias, stride, &zeros, &zeros, 1, &ones),
        }
    }
}

impl Linear {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (ones, zeros) = (vec![1; self.weight.dim() - 2], vec![0; self.weight.dim() - 2]);
        match ones.len() {
            2 => input.f_conv2d(&self.weight, Some(&self.bias), &ones, &zeros, &ones, 1),
            _ => input.f_conv3d(&self.weight, Some(&self.bias), &ones, &zeros, &ones, 1),
        }
    }
}

/// The binding offers `leaky_relu` with libtorch's default slope only; `prelu` with a constant is the same function.
fn slope(negative_slope: f64, device: Device) -> Result<Option<Tensor>, TchError> {
    if negative_slope.to_bits() == 0.01_f64.to_bits() {
        return Ok(None);
    }
    Tensor::f_from_slice(&[negative_slope])?.f_to_kind(Kind::Float)?.f_to(device).map(Some)
}

/// Extents as libtorch takes them.
pub(super) fn extents(extents: &[usize]) -> Vec<i64> {
    extents.iter().copied().map(extent_i64).collect()
}

fn extent_i64(extent: usize) -> i64 {
    i64::try_from(extent).expect("a tensor in memory has extents below 2^63")
}
