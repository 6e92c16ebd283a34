//! The probe case of a bundle: one real patch and what libtorch makes of it.
//!
//! A runtime on another machine repeats the patch and compares its logits with these, which shows that graph, weights
//! and kernels agree. All logits of a large patch would outweigh the models, so that every n-th is kept, n odd, lest
//! only one parity of a power-of-two axis be seen.

use std::fmt::{self, Display, Formatter};

use ndarray::{Array4, ArrayView4, s};
use nnunet::dataset::CaseId;
use tch::{TchError, Tensor};

use crate::network::Network;
use crate::weights::{self, Weights, WeightsError};

/// Most logits kept per member.
const MAX_LOGITS: usize = 1 << 16;
/// Name of the tensor in `selftest/input.bin`.
const IMAGE: &str = "image";

/// What a probe patch was cut from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The middle of a preprocessed case.
    Case(CaseId),
    /// The middle of an image that was named when the networks were imported.
    Image(String),
    /// Seeded normal noise: what a normalized image looks like to a kernel but not to a radiologist.
    Noise,
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(case) => write!(f, "the middle of case `{case}`"),
            Self::Image(name) => write!(f, "the middle of image `{name}`"),
            Self::Noise => f.write_str("a patch of seeded noise, not of an image"),
        }
    }
}

/// The middle of a preprocessed case, as the network sees it, and the logits of the members so far.
#[derive(Debug)]
pub struct Probe {
    patch: weights::Tensor,
    stride: usize,
    expected: Weights,
}

impl Probe {
    /// Takes the central patch of a preprocessed case.
    ///
    /// `image` is `[channel, z, y, x]`, `patch` the extent of the network's input, `[(z,) y, x]`, and `n_outputs` the
    /// number of its logit channels. An axis shorter than the patch is padded with zeros on both sides, as in
    /// prediction. A patch without z is the middle slice.
    pub fn new(image: &ArrayView4<'_, f32>, patch: &[usize], n_outputs: usize) -> Self {
        let extent = match *patch {
            [y, x] => [1, y, x],
            [z, y, x] => [z, y, x],
            _ => [1, 1, 1],
        };
        let values = center(image, extent).into_raw_vec_and_offset().0;
        let shape = [&[image.dim().0], patch].concat();
        let stride = stride(n_outputs * patch.iter().product::<usize>());
        Self { patch: weights::Tensor { shape, values }, stride, expected: Weights::default() }
    }

    /// Every how many logits one is kept.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Runs the patch through a member's network and keeps its logits under the member's name.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Torch`] if libtorch refuses, [`ProbeError::NotFinite`] if the network overflows on real data.
    ///
    /// # Panics
    ///
    /// Never: the patch lies in memory, so that its extents are small.
    pub fn run(&mut self, member: &str, network: &Network) -> Result<(), ProbeError> {
        let logits = self.logits(network)?;
        let mut values = vec![0.0_f32; logits.numel()];
        logits.f_copy_data(&mut values, logits.numel())?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ProbeError::NotFinite { member: member.to_owned(), index, found: values[index] });
        }
        let kept: Vec<f32> = values.into_iter().step_by(self.stride).collect();
        self.expected.insert(member, weights::Tensor { shape: vec![kept.len()], values: kept })?;
        Ok(())
    }

    /// All logits of the patch, in C order.
    pub(crate) fn logits(&self, network: &Network) -> Result<Tensor, ProbeError> {
        let extent = |&extent| i64::try_from(extent).expect("a tensor in memory has extents below 2^63");
        let shape: Vec<i64> = [1].into_iter().chain(self.patch.shape.iter().map(extent)).collect();
        let batch = Tensor::f_from_slice(&self.patch.values)?.f_reshape(shape)?.f_to(network.device())?;
        Ok(network.logits(&batch)?.f_to(tch::Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?)
    }

    /// Content of `selftest/input.bin` and `selftest/expected.bin`.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Weights`] never in practice: the patch has as many values as its shape.
    pub fn into_files(self) -> Result<(Vec<u8>, Vec<u8>), ProbeError> {
        let mut input = Weights::default();
        input.insert(IMAGE, self.patch)?;
        Ok((input.to_bytes(), self.expected.to_bytes()))
    }
}

/// The smallest odd number that leaves at most [`MAX_LOGITS`] of `n_values`.
fn stride(n_values: usize) -> usize {
    n_values.div_ceil(MAX_LOGITS) | 1
}

/// The central block of extent `[z, y, x]`, zero where the image is smaller.
fn center(image: &ArrayView4<'_, f32>, extent: [usize; 3]) -> Array4<f32> {
    let (n_channels, z, y, x) = image.dim();
    let mut patch = Array4::zeros((n_channels, extent[0], extent[1], extent[2]));
    let axes = [0, 1, 2].map(|axis| overlap([z, y, x][axis], extent[axis]));
    let from = axes.map(|(from, _, n)| from..from + n);
    let to = axes.map(|(_, to, n)| to..to + n);
    let [from_z, from_y, from_x] = from;
    let [to_z, to_y, to_x] = to;
    patch.slice_mut(s![.., to_z, to_y, to_x]).assign(&image.slice(s![.., from_z, from_y, from_x]));
    patch
}

/// First index in the image, first index in the patch, and how many indices they share.
fn overlap(image: usize, patch: usize) -> (usize, usize, usize) {
    (image.saturating_sub(patch) / 2, patch.saturating_sub(image) / 2, image.min(patch))
}

/// Why a probe could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Weights are finite, but what they compute is not.
    #[error("member `{member}`: logit {index} of the probe case is {found}")]
    NotFinite {
        /// The member.
        member: String,
        /// Index in C order.
        index: usize,
        /// The logit.
        found: f32,
    },
    /// libtorch refused.
    #[error("libtorch could not run the probe case")]
    Torch {
        /// What it said.
        #[from]
        source: TchError,
    },
    /// A tensor has not the size that its shape says.
    #[error("the probe case cannot be written")]
    Weights {
        /// Which tensor.
        #[from]
        source: WeightsError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stride_is_the_smallest_odd_one_that_fits() {
        for (n_values, expected) in [(1, 1), (65_536, 1), (65_537, 3), (3 * 65_536, 3), (3 * 65_536 + 1, 5)] {
            assert_eq!(stride(n_values), expected, "{n_values}");
            assert!(n_values.div_ceil(expected) <= MAX_LOGITS);
        }
    }

    fn check(shape: [usize; 3], patch: &[usize], expected: &[f32]) {
        let [z, y, x] = shape;
        let image = Array4::from_shape_fn((1, z, y, x), |(_, k, j, i)| (100 * k + 10 * j + i + 1) as f32);
        let probe = Probe::new(&image.view(), patch, 2);
        assert_eq!(probe.patch.values, expected);
        assert_eq!(probe.patch.shape, [&[1], patch].concat());
    }

    #[test]
    fn the_patch_is_the_middle_of_the_image() {
        check([3, 3, 3], &[1, 1], &[112.0]);
        check([1, 4, 5], &[2, 2], &[12.0, 13.0, 22.0, 23.0]);
        check([4, 2, 2], &[2, 1, 2], &[101.0, 102.0, 201.0, 202.0]);
    }

    #[test]
    fn an_image_smaller_than_the_patch_lies_in_zeros() {
        check([1, 1, 2], &[3, 2], &[0.0, 0.0, 1.0, 2.0, 0.0, 0.0]);
        check([1, 1, 1], &[1, 1, 4], &[0.0, 1.0, 0.0, 0.0]);
    }
}
