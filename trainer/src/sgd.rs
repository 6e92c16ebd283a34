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

/// Whether a step changed the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// They were changed.
    Taken,
    /// A gradient was not finite; they are as before.
    Skipped,
}

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

    /// Divides the gradients by `scale`, by which the loss was multiplied, and takes a step if they are finite.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn step_scaled(&mut self, rate: f64, scale: f64) -> Result<Step, TchError> {
        let gradients = tch::no_grad(|| {
            let gradients = self.slots.iter().map(|slot| slot.parameter.f_grad()).collect::<Result<Vec<_>, _>>()?;
            let mut gradients: Vec<_> = gradients.into_iter().filter(Tensor::defined).collect();
            for gradient in &mut gradients {
                let _ = gradient.f_mul_scalar_(1.0 / scale)?;
            }
            Ok::<_, TchError>(gradients)
        })?;
        // The norm is finite only if every gradient is.
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::f_norm).collect::<Result<_, _>>()?;
        let is_finite = norms.is_empty() || Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?.is_finite();
        if is_finite {
            self.step(rate)?;
            return Ok(Step::Taken);
        }
        tch::no_grad(|| gradients.into_iter().try_for_each(|mut gradient| gradient.f_zero_().map(drop)))?;
        Ok(Step::Skipped)
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

    #[test]
    fn a_scaled_step_is_the_step_and_one_that_is_not_finite_changes_nothing() {
        let new = || [("a".to_owned(), Tensor::from_slice(&[2.0_f32, -1.0]).set_requires_grad(true))];
        let backward = |parameters: &[(String, Tensor)], factor: f64| {
            let weights = Tensor::from_slice(&[0.5_f32, 0.25]);
            (&parameters[0].1 * weights * factor).sum(Kind::Float).backward();
        };
        let (plain, scaled) = (new(), new());
        let mut optimizers = [Sgd::new(&plain).unwrap(), Sgd::new(&scaled).unwrap()];
        for _ in 0..2 {
            backward(&plain, 1.0);
            optimizers[0].step(0.1).unwrap();
            backward(&scaled, 1024.0);
            assert_eq!(optimizers[1].step_scaled(0.1, 1024.0).unwrap(), Step::Taken);
            // A power of two scales exactly.
            assert_eq!(plain[0].1, scaled[0].1);
            backward(&scaled, f64::INFINITY);
            assert_eq!(optimizers[1].step_scaled(0.1, 1024.0).unwrap(), Step::Skipped);
            assert_eq!(plain[0].1, scaled[0].1);
        }
    }
}
