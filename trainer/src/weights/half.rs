//! Weights in half precision, for bundles of half the size.
//!
//! Only tensors of two or more axes are rounded, the kernels of convolutions: they are almost all of the bytes, while
//! biases and the parameters of norms are few and act on whole channels. Rounding is to the nearest even; a value beyond
//! 65504 has no image and is refused, never cut.

use half::f16;

use super::{Tensor, Weights, WeightsError};

/// How weights are stored in a bundle; they are computed with in single precision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// As they were trained.
    #[default]
    F32,
    /// Kernels in half precision.
    F16,
}

impl Weights {
    /// The weights that a file of this format holds.
    ///
    /// # Errors
    ///
    /// [`WeightsError::BeyondHalf`] naming the parameter that half precision cannot hold.
    pub fn rounded(mut self, format: WeightFormat) -> Result<Self, WeightsError> {
        if format == WeightFormat::F32 {
            return Ok(self);
        }
        for (name, tensor) in self.tensors.iter_mut().filter(|(_, tensor)| is_half(tensor)) {
            for (index, value) in tensor.values.iter_mut().enumerate() {
                let rounded = f16::from_f32(*value).to_f32();
                if !rounded.is_finite() && value.is_finite() {
                    return Err(WeightsError::BeyondHalf { name: name.clone(), index, found: *value });
                }
                *value = rounded;
            }
        }
        Ok(self)
    }
}

/// Whether [`WeightFormat::F16`] stores this tensor in half precision.
pub(crate) fn is_half(tensor: &Tensor) -> bool {
    tensor.shape.len() > 1
}

/// Little-endian halves of values that were rounded.
pub(crate) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(values: &[f32]) -> Weights {
        let mut weights = Weights::default();
        weights.insert("kernel", Tensor { shape: vec![1, values.len()], values: values.to_vec() }).unwrap();
        weights.insert("bias", Tensor { shape: vec![1], values: vec![0.1] }).unwrap();
        weights
    }

    #[test]
    fn kernels_are_rounded_to_the_nearest_even_half_and_biases_are_not() {
        // Between 2048 and 4096 halves are two apart; the smallest is 2^-24.
        let rounded = kernel(&[2049.0, 2051.0, 0.1, -0.0, 1e-9, 65519.0]).rounded(WeightFormat::F16).unwrap();
        let expected = [2048.0, 2052.0, 0.099_975_586, -0.0, 0.0, 65504.0];
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&rounded.get("kernel").unwrap().values), bits(&expected));
        assert_eq!(rounded.get("bias").unwrap().values, [0.1]);
        assert_eq!(rounded.clone().rounded(WeightFormat::F16).unwrap(), rounded);
        let as_they_were = kernel(&[0.1]);
        assert_eq!(as_they_were.clone().rounded(WeightFormat::F32).unwrap(), as_they_were);
        assert_eq!(to_bytes(&[1.0, -2.0]), [0x00, 0x3c, 0x00, 0xc0]);
    }

    #[test]
    fn what_half_precision_cannot_hold_is_refused_by_name() {
        let error = kernel(&[1.0, -65520.0]).rounded(WeightFormat::F16).unwrap_err();
        assert_eq!(error.to_string(), "parameter `kernel`: value 1 is -65520, half precision ends at 65504");
    }
}
