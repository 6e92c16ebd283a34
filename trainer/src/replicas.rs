//! Copies of one network on several devices that train on a batch together.
//!
//! Every copy, here called replica, has a part of the batch and a thread. The loss is one function of sums over all
//! parts ([`crate::loss::sums`]): they are brought to the first device, where the loss learns its gradient with respect
//! to them; from there every replica goes back alone. The gradients of the parameters are added on the first device,
//! in the order of the devices, and after the optimizer's step its weights are copied to the others. Instance norm
//! knows one image at a time, so nothing else goes between the parts, and the result is that of one device but for the
//! order in which gradients are added.
//!
//! Follows nnU-Net's distributed trainer, which also shares out a batch of the size that the plans ask for. Departs in
//! parts that differ by at most one sample, where nnU-Net gives the last device what is left; in weighting every voxel
//! alike, where nnU-Net averages the parts' cross-entropies; in leaving out the coarsest stage, which nnU-Net then gives
//! a weight of 1e-6 to keep its processes in step; and in threads of one process.

use std::ops::Range;
use std::thread;

use nnunet::topology::UNet;
use tch::{Device, TchError, Tensor};

use crate::feed::Batch;
use crate::loss::sums::StageSums;
use crate::loss::{Loss, deep_supervision_weights};
use crate::network::{Network, NetworkError};
use crate::weights::Weights;

/// Where a network is trained: at least one device, each with a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Keeps the optimizer; weights are saved from here.
    pub first: Device,
    /// Further ones.
    pub others: Vec<Device>,
}

impl Devices {
    /// A single device.
    pub fn one(first: Device) -> Self {
        Self { first, others: Vec::new() }
    }

    /// All of them, in order.
    pub fn all(&self) -> impl Iterator<Item = Device> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// How many there are.
    pub fn n_replicas(&self) -> usize {
        1 + self.others.len()
    }
}

/// One network per device, with the same weights between two steps.
#[derive(Debug)]
pub struct Replicas {
    first: Network,
    others: Vec<Network>,
}

/// What a replica makes of its part of a batch.
#[derive(Debug)]
pub struct Part {
    /// What the loss needs of every decoder stage.
    sums: Vec<StageSums>,
    /// Logits `[n, output, (z,) y, x]` at full resolution.
    pub logits: Tensor,
    /// Their labels `[n, (z,) y, x]`.
    pub target: Tensor,
}

impl Replicas {
    /// Builds the network of `topology` with these weights on every device.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn new(topology: &UNet, weights: &Weights, devices: &Devices) -> Result<Self, NetworkError> {
        let replica = |device| Network::new(topology, weights, device);
        let others = devices.others.iter().map(|&device| replica(device)).collect::<Result<_, _>>()?;
        Ok(Self { first: replica(devices.first)?, others })
    }

    /// The replica whose weights the optimizer changes.
    pub fn first(&self) -> &Network {
        &self.first
    }

    /// The loss of a batch with the parts it consists of, without gradients.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn evaluate(&mut self, batch: &Batch, loss: &Loss) -> Result<(f64, Vec<Part>), TchError> {
        let parts = self.forward(batch, |network, samples| tch::no_grad(|| Part::of(network, batch, loss, samples)))?;
        let sums = leaves(&parts, self.first.device())?;
        let loss = tch::no_grad(|| loss.of_sums(&sums, &self.weights()))?;
        Ok((loss.f_double_value(&[])?, parts))
    }

    /// The loss of a batch; leaves the gradient of `factor` times it with the first replica.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn backward(&mut self, batch: &Batch, loss: &Loss, factor: Option<f64>) -> Result<f64, TchError> {
        let mut parts = self.forward(batch, |network, samples| Part::of(network, batch, loss, samples))?;
        let weights = self.weights();
        let scaled = |loss: &Tensor| match factor {
            Some(factor) => loss.f_mul_scalar(factor),
            None => Ok(loss.shallow_clone()),
        };
        if self.others.is_empty() {
            let sums: Vec<_> = parts.drain(..).map(|part| part.sums).collect();
            let total = loss.of_sums(&sums, &weights)?;
            scaled(&total)?.f_backward()?;
            return total.f_double_value(&[]);
        }
        let leaves = leaves(&parts, self.first.device())?;
        let total = loss.of_sums(&leaves, &weights)?;
        scaled(&total)?.f_backward()?;
        on_each(parts.into_iter().zip(leaves).collect(), |(part, leaves)| part.backward(&leaves))?;
        self.gather_gradients()?;
        total.f_double_value(&[])
    }

    /// Copies the first replica's weights to the others.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn broadcast(&mut self) -> Result<(), TchError> {
        tch::no_grad(|| {
            for other in &self.others {
                for ((_, from), (_, to)) in self.first.parameters().iter().zip(other.parameters()) {
                    to.shallow_clone().f_copy_(from)?;
                }
            }
            Ok(())
        })
    }

    fn weights(&self) -> Vec<f64> {
        deep_supervision_weights(self.first.n_heads())
    }

    /// Gives every replica its samples.
    fn forward(
        &mut self,
        batch: &Batch,
        job: impl Fn(&Network, &Range<usize>) -> Result<Part, TchError> + Sync,
    ) -> Result<Vec<Part>, TchError> {
        let shares = shares(batch.n_samples(), 1 + self.others.len());
        let replicas = std::iter::once(&mut self.first).chain(&mut self.others);
        on_each(replicas.zip(shares).collect(), |(network, samples)| job(network, &samples))
    }

    /// Adds the others' gradients to the first's, and forgets them.
    fn gather_gradients(&self) -> Result<(), TchError> {
        tch::no_grad(|| {
            for other in &self.others {
                for ((_, to), (_, from)) in self.first.parameters().iter().zip(other.parameters()) {
                    let mut gradient = from.f_grad()?;
                    // The head of a stage without loss has none.
                    if gradient.defined() {
                        let _ = to.f_grad()?.f_add_(&gradient.f_to(to.device())?)?;
                        let _ = gradient.f_zero_()?;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Part {
    /// In mixed precision on CUDA, as nnU-Net.
    fn of(network: &Network, batch: &Batch, loss: &Loss, samples: &Range<usize>) -> Result<Self, TchError> {
        let device = network.device();
        let (image, mut targets) = (batch.images(samples, device)?, batch.targets(samples, device)?);
        tch::autocast(device.is_cuda(), || {
            let mut logits = network.heads(&image, targets.len())?;
            let sums = loss.sums(&logits, &targets)?;
            Ok(Self { sums, logits: logits.swap_remove(0), target: targets.swap_remove(0) })
        })
    }

    /// Goes back from the sums, whose gradients the leaves have.
    fn backward(self, leaves: &[StageSums]) -> Result<(), TchError> {
        let Self { sums, logits, target } = self;
        // Their memory is wanted for gradients.
        drop((logits, target));
        let weighted = sums.iter().zip(leaves).map(|(sums, leaf)| sums.weighted_by_gradient(leaf));
        let weighted = weighted.collect::<Result<Vec<_>, _>>()?;
        Tensor::f_stack(&weighted, 0)?.f_sum(tch::Kind::Float)?.f_backward()
    }
}

/// The sums of all parts on one device, cut off from the networks.
fn leaves(parts: &[Part], device: Device) -> Result<Vec<Vec<StageSums>>, TchError> {
    let of_part = |part: &Part| part.sums.iter().map(|sums| sums.leaf(device)).collect();
    parts.iter().map(of_part).collect()
}

/// Parts of `n_samples` that differ by at most one sample, the larger ones first.
fn shares(n_samples: usize, n_parts: usize) -> Vec<Range<usize>> {
    let begin = |part: usize| part * (n_samples / n_parts) + part.min(n_samples % n_parts);
    (0..n_parts).map(|part| begin(part)..begin(part + 1)).collect()
}

/// Does a job on every item: on the first in this thread, on every other in one of its own. Results keep the order.
fn on_each<T: Send, R: Send>(items: Vec<T>, job: impl Fn(T) -> Result<R, TchError> + Sync) -> Result<Vec<R>, TchError> {
    let mut items = items.into_iter();
    let Some(first) = items.next() else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let job = &job;
        let start = |item| {
            scope.spawn(move || {
                // A new thread learns from this how many threads libtorch may use.
                tch::get_num_threads();
                job(item)
            })
        };
        let others: Vec<_> = items.map(start).collect();
        let mut results = vec![job(first)];
        results.extend(
            others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        results.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_the_batch_in_order_and_differ_by_at_most_one() {
        assert_eq!(shares(5, 2), [0..3, 3..5]);
        assert_eq!(shares(6, 3), [0..2, 2..4, 4..6]);
        assert_eq!(shares(4, 3), [0..2, 2..3, 3..4]);
        assert_eq!(shares(2, 2), [0..1, 1..2]);
    }

    #[test]
    fn results_keep_the_order_and_any_error_is_the_result() {
        assert_eq!(on_each(vec![1, 2, 3], |item| Ok(10 * item)).unwrap(), [10, 20, 30]);
        let fails = |item| if item == 2 { Err(TchError::Kind("two".into())) } else { Ok(item) };
        assert!(on_each(vec![1, 2, 3], fails).is_err());
    }
}
