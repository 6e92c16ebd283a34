//! Batches made ahead of the training loop, so that libtorch never waits for them.
//!
//! One thread goes through the iterations in their order and makes the samples of a batch on a pool of workers.
//! Which worker makes a sample does not matter: every sample has its own stream of random numbers.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use tch::{Device, Kind, TchError, Tensor};

use crate::sample::Sampler;
use crate::store::StoreError;

/// Batches made ahead; enough to even out slow samples.
const N_AHEAD: usize = 3;

/// Images and targets of one iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    n_samples: usize,
    image: Vec<f32>,
    image_shape: Vec<i64>,
    targets: Vec<(Vec<u8>, Vec<i64>)>,
}

impl Batch {
    /// Images of the batch.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Images `[n, channel, (z,) y, x]` of some samples on a device.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    ///
    /// # Panics
    ///
    /// If there are not as many samples.
    pub fn images(&self, samples: &Range<usize>, device: Device) -> Result<Tensor, TchError> {
        let (image, shape) = self.part(&self.image, &self.image_shape, samples);
        Tensor::f_from_slice(image)?.f_reshape(shape)?.f_to(device)
    }

    /// Labels `[n, (z,) y, x]` of some samples per decoder stage, finest first, on a device.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    ///
    /// # Panics
    ///
    /// If there are not as many samples.
    pub fn targets(&self, samples: &Range<usize>, device: Device) -> Result<Vec<Tensor>, TchError> {
        let target = |(labels, shape): &(Vec<u8>, Vec<i64>)| {
            let (labels, shape) = self.part(labels, shape, samples);
            Tensor::f_from_slice(labels)?.f_reshape(shape)?.f_to(device)?.f_to_kind(Kind::Int64)
        };
        self.targets.iter().map(target).collect()
    }

    fn part<'a, T>(&self, values: &'a [T], shape: &[i64], samples: &Range<usize>) -> (&'a [T], Vec<i64>) {
        let n_values = values.len() / self.n_samples;
        let mut shape = shape.to_vec();
        shape[0] = extent(samples.len());
        (&values[samples.start * n_values..samples.end * n_values], shape)
    }
}

/// What is asked for per epoch.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Epochs, counted from 0.
    pub epochs: Range<u32>,
    /// Training batches of an epoch.
    pub n_training: u32,
    /// Validation batches that follow them.
    pub n_validation: u32,
    /// Spatial axes of the network: slices lose their first axis for 2.
    pub n_axes: usize,
}

/// Starts making batches: per epoch the training batches, then the validation batches.
///
/// The thread ends with the last batch, after an error, or when the receiver is dropped.
///
/// # Errors
///
/// If the system has no thread left.
pub fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    pool: &'env ThreadPool,
    training: &'env Sampler,
    validation: &'env Sampler,
    demand: Demand,
) -> std::io::Result<Receiver<Result<Batch, StoreError>>> {
    let (sender, receiver) = sync_channel(N_AHEAD);
    let make_all = move || {
        for epoch in demand.epochs.clone() {
            for (sampler, n) in [(training, demand.n_training), (validation, demand.n_validation)] {
                for iteration in 0..n {
                    let batch = pool.install(|| make(sampler, epoch, iteration, demand.n_axes));
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            }
        }
    };
    Builder::new().name("feed".into()).spawn_scoped(scope, make_all)?;
    Ok(receiver)
}

fn make(sampler: &Sampler, epoch: u32, iteration: u32, n_axes: usize) -> Result<Batch, StoreError> {
    let n_samples = u32::try_from(sampler.batch_size).expect("checked plans have batches of at most 2^16");
    let sample = |index| sampler.sample(epoch, iteration, index);
    let samples = (0..n_samples).into_par_iter().map(sample).collect::<Result<Vec<_>, _>>()?;
    let n = samples.len();
    let n_voxels: usize = sampler.geometry.patch.iter().product();
    let n_channels = samples.first().map_or(0, |sample| sample.image.len() / n_voxels);
    let targets = sampler.target_shapes.iter().enumerate().map(|(stage, shape)| {
        let labels = samples.iter().flat_map(|sample| sample.targets[stage].iter().copied()).collect();
        (labels, [&[extent(n)], &spatial(*shape, n_axes)[..]].concat())
    });
    let targets = targets.collect();
    let image_shape = [&[extent(n), extent(n_channels)], &spatial(sampler.geometry.patch, n_axes)[..]].concat();
    let image = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
    Ok(Batch { n_samples: n, image, image_shape, targets })
}

fn spatial(zyx: [usize; 3], n_axes: usize) -> Vec<i64> {
    zyx[3 - n_axes..].iter().copied().map(extent).collect()
}

fn extent(extent: usize) -> i64 {
    i64::try_from(extent).expect("an extent in memory is below 2^63")
}
