//! The U-Net in libtorch, built from the topology.
//!
//! Layers are `dynamic_network_architectures`' `PlainConvUNet`: convolution, instance norm, leaky rectifier; transposed
//! convolutions upward, the upsampled features before the skip's; one head per decoder stage. Tensors are held by name
//! and not in a `VarStore`, because weights and momentum are saved under nnU-Net's names by this crate.

use std::collections::BTreeMap;

use nnunet::topology::{ConvBlock, Head, UNet, Upsampling};
use tch::{Device, Kind, TchError, Tensor};

use crate::weights::{self, Weights, WeightsError};

/// A network whose parameters require gradients.
#[derive(Debug)]
pub struct Network {
    encoder: Vec<Vec<Block>>,
    decoder: Vec<Stage>,
    parameters: Vec<(String, Tensor)>,
    device: Device,
}

#[derive(Debug)]
struct Block {
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

#[derive(Debug)]
struct Stage {
    upsampling: Transposed,
    blocks: Vec<Block>,
    head: Linear,
}

#[derive(Debug)]
struct Transposed {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: Vec<i64>,
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Network {
    /// Builds the network of `topology` with these weights.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Weights`] if a parameter is missing, unknown, not finite or of another shape;
    /// [`NetworkError::Torch`] if the device has no room.
    ///
    /// # Panics
    ///
    /// Never: checked weights have every parameter, and the topology lists those of its layers.
    pub fn new(topology: &UNet, weights: &Weights, device: Device) -> Result<Self, NetworkError> {
        weights.check(topology)?;
        let mut parameters = Vec::new();
        for parameter in topology.parameters() {
            let values = weights.get(&parameter.name).expect("checked weights have every parameter");
            let tensor = Tensor::f_from_slice(&values.values)?.f_reshape(extents(&values.shape))?.f_to(device)?;
            parameters.push((parameter.name, tensor.f_set_requires_grad(true)?));
        }
        let build = Builder {
            tensors: parameters.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect(),
            eps: topology.norm_eps,
            slope: slope(topology.negative_slope, device)?,
        };
        let blocks = |blocks: &[ConvBlock]| blocks.iter().map(|block| build.block(block)).collect();
        let encoder = topology.encoder.iter().map(|stage| blocks(stage)).collect();
        let decoder = topology.decoder.iter().map(|stage| Stage {
            upsampling: build.upsampling(&stage.upsampling),
            blocks: blocks(&stage.blocks),
            head: build.head(&stage.head),
        });
        Ok(Self { encoder, decoder: decoder.collect(), parameters, device })
    }

    /// Where the parameters lie.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Decoder stages, each with a head.
    pub fn n_heads(&self) -> usize {
        self.decoder.len()
    }

    /// Logits of the `n_heads` finest decoder stages, finest first, for a batch `[n, channel, (z,) y, x]`.
    ///
    /// # Errors
    ///
    /// libtorch's own, if the batch has not the network's channels or is no multiple of its strides.
    ///
    /// # Panics
    ///
    /// Never: a topology has at least two stages, and every decoder stage a skip.
    pub fn heads(&self, batch: &Tensor, n_heads: usize) -> Result<Vec<Tensor>, TchError> {
        let mut skips: Vec<Tensor> = Vec::with_capacity(self.encoder.len());
        for stage in &self.encoder {
            let input = skips.last().unwrap_or(batch).shallow_clone();
            skips.push(forward(stage, input)?);
        }
        let mut features = skips.pop().expect("a topology has at least two stages");
        let mut logits = Vec::with_capacity(n_heads);
        for (index, stage) in self.decoder.iter().enumerate() {
            let skip = skips.pop().expect("every decoder stage has a skip");
            let upsampled = stage.upsampling.forward(&features)?;
            features = forward(&stage.blocks, Tensor::f_cat(&[upsampled, skip], 1)?)?;
            if index + n_heads >= self.decoder.len() {
                logits.push(stage.head.forward(&features)?);
            }
        }
        logits.reverse();
        Ok(logits)
    }

    /// Logits at full resolution, `[n, output, (z,) y, x]`, without gradients.
    ///
    /// # Errors
    ///
    /// As [`Network::heads`].
    pub fn logits(&self, batch: &Tensor) -> Result<Tensor, TchError> {
        let mut heads = tch::no_grad(|| self.heads(batch, 1))?;
        Ok(heads.remove(0))
    }

    /// Parameters by name, in the order of nnU-Net's `state_dict`. The tensors share their memory with the network.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// A copy of the weights.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn weights(&self) -> Result<Weights, NetworkError> {
        copy_named(self.parameters.iter().map(|(name, tensor)| (name.as_str(), tensor)))
    }
}

/// Copies named tensors of any device into memory of our own.
///
/// # Errors
///
/// libtorch's own.
///
/// # Panics
///
/// Never: extents of a tensor are not negative.
pub fn copy_named<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<Weights, NetworkError> {
    let mut weights = Weights::default();
    for (name, tensor) in tensors {
        let tensor = tensor.f_detach()?.f_to(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut values = vec![0.0; tensor.numel()];
        tensor.f_copy_data(&mut values, tensor.numel())?;
        let shape = tensor.size().into_iter().map(|extent| usize::try_from(extent).expect("extents are positive"));
        weights.insert(name, weights::Tensor { shape: shape.collect(), values })?;
    }
    Ok(weights)
}

/// The binding offers `leaky_relu` with libtorch's default slope only; `prelu` with a constant is the same function.
fn slope(negative_slope: f64, device: Device) -> Result<Option<Tensor>, TchError> {
    if negative_slope.to_bits() == 0.01_f64.to_bits() {
        return Ok(None);
    }
    Tensor::f_from_slice(&[negative_slope])?.f_to_kind(Kind::Float)?.f_to(device).map(Some)
}

struct Builder<'a> {
    tensors: BTreeMap<&'a str, &'a Tensor>,
    eps: f64,
    slope: Option<Tensor>,
}

impl Builder<'_> {
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

fn forward(blocks: &[Block], input: Tensor) -> Result<Tensor, TchError> {
    blocks.iter().try_fold(input, |features, block| block.forward(&features))
}

impl Block {
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (bias, dilation) = (self.bias.as_ref(), vec![1; self.stride.len()]);
        let convolved = match self.stride.len() {
            2 => input.f_conv2d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1)?,
            _ => input.f_conv3d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1)?,
        };
        let (none, scale, shift) = (None::<&Tensor>, Some(&self.scale), Some(&self.shift));
        let mut normed = convolved.f_instance_norm(scale, shift, none, none, true, 0.1, self.eps, true)?;
        match &self.slope {
            None => normed.f_leaky_relu_(),
            Some(slope) => normed.f_prelu(slope),
        }
    }
}

impl Transposed {
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias, stride) = (&self.weight, self.bias.as_ref(), &self.stride);
        let (zeros, ones) = (vec![0; stride.len()], vec![1; stride.len()]);
        match stride.len() {
            2 => input.f_conv_transpose2d(weight, bias, stride, &zeros, &zeros, 1, &ones),
            _ => input.f_conv_transpose3d(weight, bias, stride, &zeros, &zeros, 1, &ones),
        }
    }
}

impl Linear {
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (ones, zeros) = (vec![1; self.weight.dim() - 2], vec![0; self.weight.dim() - 2]);
        match ones.len() {
            2 => input.f_conv2d(&self.weight, Some(&self.bias), &ones, &zeros, &ones, 1),
            _ => input.f_conv3d(&self.weight, Some(&self.bias), &ones, &zeros, &ones, 1),
        }
    }
}

fn extents(extents: &[usize]) -> Vec<i64> {
    extents.iter().copied().map(extent_i64).collect()
}

fn extent_i64(extent: usize) -> i64 {
    i64::try_from(extent).expect("a tensor in memory has extents below 2^63")
}

/// Why a network could not be built or its weights not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// libtorch refused.
    #[error("libtorch could not hold the network")]
    Torch {
        /// What it said.
        #[from]
        source: TchError,
    },
    /// The weights are not this network's.
    #[error("the weights do not fit the network")]
    Weights {
        /// Which parameter, and how.
        #[from]
        source: WeightsError,
    },
}

#[cfg(test)]
mod tests {
    use nnunet::plans::{Configuration, ConfigurationName, EncoderDepth, Plans};

    use super::*;

    /// Single precision through seven layers, relative to logits of order 10.
    const TOLERANCE: f64 = 2e-4;

    fn topology(name: &str, change: impl FnOnce(&mut Configuration)) -> UNet {
        let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName(name.into())).unwrap();
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.n_stages = 3;
        arguments.features_per_stage = vec![3, 4, 5];
        arguments.encoder = EncoderDepth::Convolutions(vec![2, 1, 2]);
        arguments.n_conv_per_stage_decoder = vec![1, 2];
        change(&mut configuration);
        UNet::new(&configuration, 2, 3).unwrap()
    }

    fn check(golden: &[u8], topology: &UNet) {
        let golden = Weights::from_bytes(golden).unwrap();
        let mut weights = Weights::default();
        for (name, tensor) in golden.iter().filter(|(name, _)| name.contains("coder")) {
            weights.insert(name, tensor.clone()).unwrap();
        }
        let tensor = |name: &str| {
            let tensor = golden.get(name).unwrap();
            Tensor::from_slice(&tensor.values).reshape(extents(&tensor.shape))
        };
        let network = Network::new(topology, &weights, Device::Cpu).unwrap();
        let heads = network.heads(&tensor("image"), network.n_heads()).unwrap();
        assert_eq!(heads.len(), 2);
        for (i, head) in heads.iter().enumerate() {
            let difference = (head - tensor(&format!("logits.{i}"))).abs().max().double_value(&[]);
            assert!(difference < TOLERANCE, "head {i}: {difference}");
        }
        assert_eq!(network.logits(&tensor("image")).unwrap(), heads[0]);
        assert_eq!(network.weights().unwrap(), weights);
    }

    #[test]
    fn logits_are_those_of_nnunet_in_2d() {
        let topology = topology("2d", |configuration| {
            configuration.patch_size = vec![4, 8];
            let arguments = &mut configuration.architecture.arch_kwargs;
            arguments.kernel_sizes = vec![vec![3, 3], vec![3, 3], vec![1, 3]];
            arguments.strides = vec![vec![1, 1], vec![2, 2], vec![1, 2]];
        });
        check(include_bytes!("../tests/golden/network_2d.safetensors"), &topology);
    }

    #[test]
    fn logits_are_those_of_nnunet_in_3d_with_anisotropic_kernels_and_another_slope() {
        let topology = topology("3d_fullres", |configuration| {
            configuration.patch_size = vec![4, 8, 8];
            let arguments = &mut configuration.architecture.arch_kwargs;
            arguments.kernel_sizes = vec![vec![1, 3, 3], vec![3, 3, 3], vec![3, 3, 3]];
            arguments.strides = vec![vec![1, 1, 1], vec![1, 2, 2], vec![2, 2, 2]];
            arguments.nonlin_kwargs.negative_slope = Some(0.2);
        });
        check(include_bytes!("../tests/golden/network_3d.safetensors"), &topology);
    }
}
