//! The training of one fold: epochs of batches, validation, checkpoints.
//!
//! After every epoch the state is saved last, after whatever else the epoch leaves, so that a training killed at any
//! moment, or without room on the disk, repeats at most one epoch and leaves the same files as an undisturbed one. On the
//! CPU, with the same number of threads of libtorch and the same devices, it leaves them bit by bit.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use imaging::atomic_file;
use nnunet::fold::Fold;
use nnunet::topology::UNet;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tch::TchError;

use crate::checkpoint::{CheckpointError, CheckpointFolder, Latest, TrainingState};
use crate::feed::{self, Batch, Demand};
use crate::initialization::initial_weights;
use crate::journal::{EpochRecord, Journal};
use crate::limits::{EarlyEnd, Ending, Limits, Standing};
use crate::loss::Loss;
use crate::loss_scale::LossScale;
use crate::network::NetworkError;
use crate::presentation::{self, PresentationError};
use crate::pseudo_dice::{Confusion, mean, moving_average};
use crate::replicas::{Devices, Replicas};
use crate::sample::Sampler;
use crate::schedule::Schedule;
use crate::sgd::{Sgd, Step};
use crate::store::StoreError;

/// Everything that a training is made of.
#[derive(Debug)]
pub struct Training {
    /// The network.
    pub topology: UNet,
    /// Foreground structures in network order.
    pub structures: Vec<String>,
    /// What is made small.
    pub loss: Loss,
    /// Learning rate per epoch.
    pub schedule: Schedule,
    /// Epochs that leave a member.
    pub kept_epochs: BTreeSet<u32>,
    /// What may end the training before the schedule does.
    pub limits: Limits,
    /// Training batches of an epoch.
    pub n_iterations: u32,
    /// Validation batches of an epoch.
    pub n_validation: u32,
    /// Seed of every random number.
    pub seed: u64,
    /// The fold.
    pub fold: Fold,
    /// Where the network is trained; every device has a part of each batch.
    pub devices: Devices,
    /// Threads that make batches.
    pub n_workers: usize,
    /// The fold's folder, which exists.
    pub folder: PathBuf,
    /// Source of training patches.
    pub sampler: Sampler,
    /// Source of validation patches.
    pub validation: Sampler,
}

/// How a training begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With new weights.
    Afresh,
    /// After the last epoch that was saved.
    Resume,
}

/// Is told how the training goes.
pub trait Observer {
    /// An iteration of an epoch was done; its loss.
    fn iteration(&mut self, epoch: u32, iteration: u32, loss: f64);
    /// An epoch was done and saved.
    fn epoch(&mut self, record: &EpochRecord);
}

/// Network and optimizer between two epochs.
struct Progress {
    replicas: Replicas,
    optimizer: Sgd,
    next_epoch: u32,
    ema: Option<f64>,
    best_ema: Option<f64>,
    best_epoch: u32,
    /// Where precision is mixed: on CUDA.
    loss_scale: Option<LossScale>,
}

impl Training {
    /// Trains to the end of the schedule, or of the limits.
    ///
    /// # Errors
    ///
    /// [`TrainingError`] if a case cannot be read, a file not be written, the loss is no longer finite, or libtorch
    /// refuses.
    pub fn run(&self, start: Start, observer: &mut dyn Observer) -> Result<Ending, TrainingError> {
        let began = Instant::now();
        self.check_shares()?;
        atomic_file::sweep(&self.folder).map_err(|source| TrainingError::Sweep { source })?;
        let checkpoints = CheckpointFolder::new(&self.folder);
        let mut progress = match start {
            Start::Afresh => self.begin()?,
            Start::Resume => self.resume(&checkpoints)?,
        };
        // Where the training has ended before, the budget of this run does not matter.
        let ended = Limits { time_budget: None, ..self.limits };
        if let Some(ending) = self.ending(ended, &progress, Duration::ZERO) {
            return self.end(ending);
        }
        EarlyEnd::forget(&self.folder).map_err(|source| TrainingError::EarlyEnd { source })?;
        let journal = Journal::new(self.folder.join(presentation::CSV), &self.structures);
        let mut journal = journal.resume(progress.next_epoch).map_err(|source| TrainingError::Journal { source })?;
        let pool = self.pool()?;
        let demand = Demand {
            epochs: progress.next_epoch..self.schedule.n_epochs(),
            n_training: self.n_iterations,
            n_validation: self.n_validation,
            n_axes: self.topology.n_axes,
        };
        std::thread::scope(|scope| {
            let batches = feed::start(scope, &pool, &self.sampler, &self.validation, demand.clone())
                .map_err(|source| TrainingError::Thread { source })?;
            for epoch in demand.epochs {
                let record = self.epoch(epoch, &mut progress, &batches, observer)?;
                journal.add(&record).map_err(|source| TrainingError::Journal { source })?;
                presentation::write(&self.folder, &journal)?;
                self.save(&checkpoints, &mut progress, &record)?;
                observer.epoch(&record);
                if let Some(ending) = self.ending(self.limits, &progress, began.elapsed()) {
                    return self.end(ending);
                }
            }
            Ok(Ending::Schedule)
        })
    }

    /// Checks that every replica has a sample of every batch; asked by [`Training::run`], and by whoever has something
    /// to lose before.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Shares`].
    pub fn check_shares(&self) -> Result<(), TrainingError> {
        let batch_size = self.sampler.batch_size.min(self.validation.batch_size);
        let n_replicas = self.devices.n_replicas();
        if n_replicas > batch_size {
            return Err(TrainingError::Shares { n_replicas, batch_size });
        }
        Ok(())
    }

    /// Whether the training ends before the next epoch.
    fn ending(&self, limits: Limits, progress: &Progress, elapsed: Duration) -> Option<Ending> {
        let epoch = progress.next_epoch.checked_sub(1)?;
        let standing = Standing { epoch, best_epoch: progress.best_epoch, elapsed };
        limits.ending(&self.schedule, standing)
    }

    /// Leaves word of an end by patience.
    fn end(&self, ending: Ending) -> Result<Ending, TrainingError> {
        if let Ending::Patience(end) = ending {
            end.write(&self.folder).map_err(|source| TrainingError::EarlyEnd { source })?;
        }
        Ok(ending)
    }

    fn pool(&self) -> Result<ThreadPool, TrainingError> {
        let builder = ThreadPoolBuilder::new().num_threads(self.n_workers).thread_name(|i| format!("worker {i}"));
        builder.build().map_err(|source| TrainingError::Pool { source })
    }

    fn begin(&self) -> Result<Progress, TrainingError> {
        let weights = initial_weights(&self.topology, self.seed, self.fold);
        let replicas = Replicas::new(&self.topology, &weights, &self.devices)?;
        let optimizer = Sgd::new(replicas.first().parameters())?;
        let loss_scale = self.devices.first.is_cuda().then(LossScale::default);
        Ok(Progress { replicas, optimizer, next_epoch: 0, ema: None, best_ema: None, best_epoch: 0, loss_scale })
    }

    fn resume(&self, checkpoints: &CheckpointFolder) -> Result<Progress, TrainingError> {
        let Latest { state, weights, momentum } = checkpoints.load_latest()?;
        let replicas = Replicas::new(&self.topology, &weights, &self.devices)?;
        let optimizer = Sgd::resume(replicas.first(), &self.topology, &momentum)?;
        // Killed between the two files of the best checkpoint: the epoch that is repeated was better, and is again.
        let is_whole = checkpoints.load("best").is_ok();
        let (ema, best_ema) = (state.ema_pseudo_dice, state.best_ema_pseudo_dice.filter(|_| is_whole));
        let best_epoch = state.best_epoch.unwrap_or(state.epoch);
        let loss_scale = self.devices.first.is_cuda().then(|| state.loss_scale.unwrap_or_default());
        let next_epoch = state.epoch.saturating_add(1);
        Ok(Progress { replicas, optimizer, next_epoch, ema, best_ema, best_epoch, loss_scale })
    }

    fn epoch(
        &self,
        epoch: u32,
        progress: &mut Progress,
        batches: &Receiver<Result<Batch, StoreError>>,
        observer: &mut dyn Observer,
    ) -> Result<EpochRecord, TrainingError> {
        let began = Instant::now();
        let learning_rate = self.schedule.rate(epoch);
        let (mut sum, mut n_finite) = (0.0, 0_u32);
        for iteration in 0..self.n_iterations {
            let batch = next(batches)?;
            let (loss, step) = self.step(progress, &batch, learning_rate)?;
            // In half precision a batch may have no finite loss, and with its step it is left out.
            let is_skipped = step == Step::Skipped && !progress.loss_scale.is_some_and(|scale| scale.is_exhausted());
            if loss.is_finite() {
                (sum, n_finite) = (sum + loss, n_finite + 1);
            }
            if !(is_skipped || step == Step::Taken && loss.is_finite()) {
                return Err(TrainingError::Diverged { epoch, iteration, learning_rate });
            }
            observer.iteration(epoch, iteration, loss);
        }
        // A smaller scale helps gradients only: where no loss at all is finite, nothing is learned any more.
        if n_finite == 0 {
            return Err(TrainingError::Diverged {
                epoch,
                iteration: self.n_iterations.saturating_sub(1),
                learning_rate,
            });
        }
        let training_loss = sum / f64::from(n_finite);
        let (validation_loss, pseudo_dice) = self.validate(&mut progress.replicas, batches)?;
        progress.ema = moving_average(progress.ema, mean(&pseudo_dice));
        Ok(EpochRecord {
            epoch,
            cycle: self.schedule.cycle(epoch),
            learning_rate,
            training_loss,
            validation_loss,
            pseudo_dice,
            ema_pseudo_dice: progress.ema,
            seconds: began.elapsed().as_secs_f64(),
            // A clock before 1970 is shown as 1970.
            finished: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        })
    }

    fn step(&self, progress: &mut Progress, batch: &Batch, learning_rate: f64) -> Result<(f64, Step), TchError> {
        let factor = progress.loss_scale.map(|scale| scale.factor());
        let loss = progress.replicas.backward(batch, &self.loss, factor)?;
        let step = match &mut progress.loss_scale {
            None => progress.optimizer.step(learning_rate).map(|()| Step::Taken)?,
            Some(scale) => {
                let step = progress.optimizer.step_scaled(learning_rate, scale.factor())?;
                scale.update(step);
                step
            }
        };
        progress.replicas.broadcast()?;
        Ok((loss, step))
    }

    fn validate(
        &self,
        replicas: &mut Replicas,
        batches: &Receiver<Result<Batch, StoreError>>,
    ) -> Result<(f64, Vec<Option<f64>>), TrainingError> {
        let mut confusion = Confusion::new(&self.loss.annotation);
        let mut mean_loss = 0.0;
        for _ in 0..self.n_validation {
            let (loss, parts) = replicas.evaluate(&next(batches)?, &self.loss)?;
            for part in &parts {
                confusion.add(&part.logits, &part.target)?;
            }
            mean_loss += loss / f64::from(self.n_validation);
        }
        Ok((mean_loss, confusion.dice()))
    }

    /// Saves what the epoch leaves, the state last.
    fn save(
        &self,
        checkpoints: &CheckpointFolder,
        progress: &mut Progress,
        record: &EpochRecord,
    ) -> Result<(), TrainingError> {
        let weights = progress.replicas.first().weights()?;
        let is_best = match (progress.ema, progress.best_ema) {
            (Some(ema), Some(best)) => ema > best,
            (ema, None) => ema.is_some() || record.epoch == 0,
            (None, Some(_)) => false,
        };
        let is_kept = self.kept_epochs.contains(&record.epoch);
        if is_best || is_kept {
            let bytes = weights.to_bytes();
            if is_kept {
                checkpoints.save(&record.epoch.to_string(), &bytes, self.fold, record)?;
            }
            if is_best {
                checkpoints.save("best", &bytes, self.fold, record)?;
                (progress.best_ema, progress.best_epoch) = (progress.ema, record.epoch);
            }
        }
        let mut state = TrainingState::new(record, progress.best_ema, progress.best_epoch);
        state.loss_scale = progress.loss_scale;
        checkpoints.save_latest(&Latest { state, weights, momentum: progress.optimizer.momentum()? })?;
        progress.next_epoch = record.epoch + 1;
        Ok(())
    }
}

fn next(batches: &Receiver<Result<Batch, StoreError>>) -> Result<Batch, TrainingError> {
    let batch = batches.recv().map_err(|_| TrainingError::Feed)?;
    Ok(batch?)
}

/// Why a training stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A checkpoint could not be saved or read.
    #[error("a checkpoint failed")]
    Checkpoint {
        /// Which, and why.
        #[from]
        source: CheckpointError,
    },
    /// The loss is infinite or not a number.
    #[error("the training diverged: no finite loss in epoch {epoch}, iteration {iteration}, at rate {learning_rate}")]
    Diverged {
        /// The epoch.
        epoch: u32,
        /// The iteration.
        iteration: u32,
        /// Its learning rate.
        learning_rate: f64,
    },
    /// The file that says how the training ended could not be replaced.
    #[error("cannot keep how the training ended")]
    EarlyEnd {
        /// What the system said.
        source: io::Error,
    },
    /// The thread that makes batches is gone.
    #[error("the thread that makes batches ended before the training")]
    Feed,
    /// The table of the epochs could not be read or written.
    #[error("cannot keep `progress.csv`")]
    Journal {
        /// What the system said.
        source: io::Error,
    },
    /// The network could not be made.
    #[error("the network failed")]
    Network {
        /// Why.
        #[from]
        source: NetworkError,
    },
    /// The workers could not be started.
    #[error("cannot start workers")]
    Pool {
        /// What the system said.
        source: ThreadPoolBuildError,
    },
    /// The course of the training could not be shown.
    #[error("the epochs cannot be shown")]
    Presentation {
        /// Why.
        #[from]
        source: PresentationError,
    },
    /// There are more replicas than a batch has samples.
    #[error("a batch of {batch_size} samples cannot be shared by {n_replicas} devices")]
    Shares {
        /// Devices that were named.
        n_replicas: usize,
        /// Samples of a batch.
        batch_size: usize,
    },
    /// A case could not be read.
    #[error("a preprocessed case failed")]
    Store {
        /// Which, and why.
        #[from]
        source: StoreError,
    },
    /// What a training that was killed has left could not be removed.
    #[error("the folder of the training cannot be cleaned")]
    Sweep {
        /// What the system said, with the file.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// libtorch refused.
    #[error("libtorch failed")]
    Torch {
        /// What it said.
        #[from]
        source: TchError,
    },
}
