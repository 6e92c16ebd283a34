//! Initial weights: He's normal distribution for every convolution, as nnU-Net's `InitWeights_He(1e-2)`.
//!
//! Standard deviation `sqrt(2 / (1 + 0.01²) / fan_in)`, where libtorch takes as fan-in the second axis of the weight
//! times the kernel's voxels: input channels of a convolution, *output* channels of a transposed one. Biases are 0,
//! norms scale by 1 and shift by 0, but the last norm of a residual block scales by 0 (`init_last_bn_before_add_to_0`).
//! The numbers come from our own streams, so that they do not depend on libtorch.

use nnunet::fold::Fold;
use nnunet::topology::{Parameter, ParameterRole, UNet};

use crate::random::{self, Purpose, Stream};
use crate::weights::{Tensor, Weights};

const NEGATIVE_SLOPE: f64 = 0.01;

/// Weights to start the training of a fold from; every parameter has a stream of its own.
///
/// # Panics
///
/// Never: values are made in the number that the shape says.
pub fn initial_weights(topology: &UNet, seed: u64, fold: Fold) -> Weights {
    let mut weights = Weights::default();
    for (index, parameter) in (0..).zip(topology.parameters()) {
        let stream = Stream { seed, fold, purpose: Purpose::Weights, epoch: 0, iteration: 0, index };
        let values = values(&parameter, &stream);
        let tensor = Tensor { shape: parameter.shape, values };
        weights.insert(parameter.name, tensor).expect("as many values as the shape says");
    }
    weights
}

fn values(parameter: &Parameter, stream: &Stream) -> Vec<f32> {
    let len = parameter.shape.iter().product();
    match parameter.role {
        ParameterRole::Bias | ParameterRole::NormShift | ParameterRole::ResidualScale => vec![0.0; len],
        ParameterRole::NormScale => vec![1.0; len],
        ParameterRole::ConvWeight | ParameterRole::TransposedWeight => {
            let fan_in: usize = parameter.shape[1..].iter().product();
            let std = (2.0 / (1.0 + NEGATIVE_SLOPE.powi(2)) / fan_in as f64).sqrt();
            random::normal(&mut stream.generator(), std, len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(role: ParameterRole, shape: &[usize], expected_std: f64) {
        let parameter = Parameter { name: String::new(), shape: shape.to_vec(), role };
        let stream = Stream { seed: 1, fold: Fold(0), purpose: Purpose::Weights, epoch: 0, iteration: 0, index: 0 };
        let values = values(&parameter, &stream);
        let n = values.len() as f64;
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        // Five standard errors of a variance: std² · sqrt(2 / n).
        let tolerance = 5.0 * expected_std.powi(2) * (2.0 / n).sqrt();
        assert!((variance - expected_std.powi(2)).abs() <= tolerance, "{role:?}: {variance}");
    }

    #[test]
    fn fan_in_is_the_second_axis_times_the_kernel() {
        // sqrt(2 / 1.0001 / (8 · 27)) and sqrt(2 / 1.0001 / (4 · 8)).
        check(ParameterRole::ConvWeight, &[64, 8, 3, 3, 3], 0.096_22);
        check(ParameterRole::TransposedWeight, &[128, 4, 2, 2, 2], 0.249_99);
        check(ParameterRole::Bias, &[10], 0.0);
        check(ParameterRole::ResidualScale, &[10], 0.0);
    }
}
