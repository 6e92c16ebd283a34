//! The U-Net in libtorch, built from the topology.
//!
//! Layers are those of `dynamic_network_architectures`' `PlainConvUNet` and `ResidualEncoderUNet` (`layers`):
//! transposed convolutions upward, the upsampled features before the skip's; one head per decoder stage. Tensors are
//! held by name and not in a `VarStore`, because weights and momentum are saved under nnU-Net's names by this crate.

mod layers;
#[cfg(test)]
mod tests;

use nnunet::topology::UNet;
use tch::{Device, Kind, TchError, Tensor};

use crate::weights::{self, Weights, WeightsError};
use layers::{Builder, Encoding, Stage, extents};

/// A network whose parameters require gradients.
#[derive(Debug)]
pub struct Network {
    encoder: Vec<Vec<Encoding>>,
    decoder: Vec<Stage>,
    parameters: Vec<(String, Tensor)>,
    device: Device,
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
        let build = Builder::new(topology, &parameters, device)?;
        let encoder = topology.encoder.iter().map(|blocks| build.encoder(blocks)).collect();
        let decoder = topology.decoder.iter().map(|stage| build.decoder(stage)).collect();
        Ok(Self { encoder, decoder, parameters, device })
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
            skips.push(stage.iter().try_fold(input, |features, block| block.forward(&features))?);
        }
        let mut features = skips.pop().expect("a topology has at least two stages");
        let mut logits = Vec::with_capacity(n_heads);
        for (index, stage) in self.decoder.iter().enumerate() {
            let skip = skips.pop().expect("every decoder stage has a skip");
            let upsampled = stage.upsampling.forward(&features)?;
            features = Tensor::f_cat(&[upsampled, skip], 1)?;
            for block in &stage.blocks {
                features = block.forward(&features)?;
            }
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
