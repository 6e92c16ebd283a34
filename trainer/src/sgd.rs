//! Stochastic gradient descent with Nesterov momentum, weight decay and gradient clipping.
//!
//! Momentum 0.99, decay 3e-5 and a gradient norm of at most 12 are nnU-Net's; the update is `torch.optim.SGD`'s. It is
//! written here because the binding's optimizer cannot hand out its momentum, without which a training cannot be
//! resumed exactly. A parameter without gradient (the head of a stage without loss) stays as it is.

use tch::{Kind, TchError, Tensor};

use crate::network::{self, Network, NetworkError};
use crate::weights::Weights;

const MOMENTUM: f64 = 0.99;
const WEIGHT_DECAY: f64 = 3e-5;
const MAX_GRADIENT_NORM: f64 = 12.0;
/// Keeps a gradient of zero from being divided by zero, as `clip_grad_norm_`.
const NORM_EPS: f64 = 1e-6;

/// The optimizer of one network: a momentum buffer per parameter.
#[derive(Debug)]
pub struct Sgd {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    momentum: Tensor,
}

impl Sgd {
    /// An optimizer without momentum yet.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn new(parameters: &[(String, Tensor)]) -> Result<Self, TchError> {
        let slot = |(name, parameter): &(String, Tensor)| {
            let (name, momentum) = (name.clone(), parameter.f_detach()?.f_zeros_like()?);
            Ok(Slot { name, parameter: parameter.shallow_clone(), momentum })
        };
        Ok(Self { slots: parameters.iter().map(slot).collect::<Result<_, TchError>>()? })
    }

    /// An optimizer for the network `topology` describes, that goes on with saved momentum.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Weights`] if the momentum is not this network's.
    pub fn resume(
        network: &Network,
        topology: &nnunet::topology::UNet,
        momentum: &Weights,
    ) -> Result<Self, NetworkError> {
        let saved = Network::new(topology, momentum, network.device())?;
        let mut optimizer = Self::new(network.parameters())?;
        for (slot, (_, momentum)) in optimizer.slots.iter_mut().zip(saved.parameters()) {
            slot.momentum = momentum.f_detach()?;
        }
        Ok(optimizer)
    }

    /// A copy of the momentum, named as the parameters.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn momentum(&self) -> Result<Weights, NetworkError> {
        network::copy_named(self.slots.iter().map(|slot| (slot.name.as_str(), &slot.momentum)))
    }

    /// Clips the gradients, updates every parameter that has one, and forgets the gradients.
    ///
    /// ```text
    /// g ← clip(g) + decay · w        b ← momentum · b + g        w ← w − rate · (g + momentum · b)
    /// ```
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn step(&mut self, rate: f64) -> Result<(), TchError> {
        tch::no_grad(|| {
            let with_gradient: Vec<(&mut Slot, Tensor)> = self
                .slots
                .iter_mut()
                .map(|slot| slot.parameter.f_grad().map(|gradient| (slot, gradient)))
                .filter(|slot| slot.as_ref().map_or(true, |(_, gradient)| gradient.defined()))
                .collect::<Result<_, _>>()?;
            let Some(scale) = clipping_scale(with_gradient.iter().map(|(_, gradient)| gradient))? else {
                return Ok(());
            };
            for (slot, mut gradient) in with_gradient {
                slot.update(gradient.f_mul_(&scale)?, rate)?;
                let _ = gradient.f_zero_()?;
            }
            Ok(())
        })
    }
}

impl Slot {
    fn update(&mut self, mut gradient: Tensor, rate: f64) -> Result<(), TchError> {
        let _ = gradient.f_add_(&self.parameter.f_mul_scalar(WEIGHT_DECAY)?)?;
        let _ = self.momentum.f_mul_scalar_(MOMENTUM)?.f_add_(&gradient)?;
        let _ = gradient.f_add_(&self.momentum.f_mul_scalar(MOMENTUM)?)?.f_mul_scalar_(rate)?;
        let _ = self.parameter.f_sub_(&gradient)?;
        Ok(())
    }
}

/// `min(1, 12 / norm)` over all gradients together; `None` if there is none.
fn clipping_scale<'a>(gradients: impl Iterator<Item = &'a Tensor>) -> Result<Option<Tensor>, TchError> {
    let norms: Vec<Tensor> = gradients.map(Tensor::f_norm).collect::<Result<_, _>>()?;
    if norms.is_empty() {
        return Ok(None);
    }
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_add_scalar(NORM_EPS)?;
    let scale = norm.f_reciprocal()?.f_mul_scalar(MAX_GRADIENT_NORM)?.f_clamp_max(1.0)?;
    Ok(Some(scale.f_to_kind(Kind::Float)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of single precision after three steps with values of order 10.
    const TOLERANCE: f64 = 1e-5;

    #[test]
    fn three_steps_are_those_of_torch() {
        let golden = Weights::from_bytes(include_bytes!("../tests/golden/sgd.safetensors")).unwrap();
        let tensor = |name: String| {
            let tensor = golden.get(&name).unwrap();
            let shape: Vec<i64> = tensor.shape.iter().map(|&extent| extent.try_into().unwrap()).collect();
            Tensor::from_slice(&tensor.values).reshape(shape)
        };
        let start = |name: &str| (name.to_owned(), tensor(format!("start.{name}")).set_requires_grad(true));
        let parameters = [start("a"), start("b")];
        let mut optimizer = Sgd::new(&parameters).unwrap();
        for step in 0..3 {
            for (name, parameter) in &parameters {
                // The gradient of Σ g · w is g.
                (parameter * tensor(format!("gradient.{step}.{name}"))).sum(Kind::Float).backward();
            }
            optimizer.step(0.1 / f64::from(step + 1)).unwrap();
            for (name, parameter) in &parameters {
                let expected = tensor(format!("after.{step}.{name}"));
                let difference = (parameter - expected).abs().max().double_value(&[]);
                assert!(difference < TOLERANCE, "step {step}, {name}: {difference}");
            }
        }
    }

    #[test]
    fn a_parameter_without_gradient_is_left_alone() {
        let alone = [("a".to_owned(), Tensor::from_slice(&[2.0_f32]).set_requires_grad(true))];
        Sgd::new(&alone).unwrap().step(0.1).unwrap();
        assert_eq!(alone[0].1, Tensor::from_slice(&[2.0_f32]));
    }
}
