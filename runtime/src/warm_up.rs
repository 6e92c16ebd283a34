//! The first runs of a network, after which its pace and its memory are known.
//!
//! ONNX Runtime plans its buffers in the first run and takes them in the second, so there are at least two.

use std::time::Instant;

use bundle_format::MemberId;
use ndarray::Array5;
use nnunet::sliding_window::PatchNetwork as _;

use crate::engine::Target;
use crate::members::Networks;
use crate::network::Network;
use crate::self_test::SelfTestError;

/// Timed runs at most, after the first.
const N_RUNS: usize = 3;
/// Seconds of runs after which one more would tell nothing new.
const LONG: f64 = 0.25;

/// What is loaded and run.
pub(crate) struct WarmUp<'a> {
    /// Where the network comes from.
    pub(crate) networks: Networks<'a>,
    /// Whose it is.
    pub(crate) id: &'a MemberId,
    /// `[1, channel, z, y, x]`.
    pub(crate) patch: Array5<f32>,
}

/// A network that has run.
pub(crate) struct WarmNetwork {
    /// Where it runs.
    pub(crate) target: Target,
    /// Ready for cases.
    pub(crate) network: Network,
    /// Seconds that loading it took.
    pub(crate) load: f64,
    /// Best time of one patch; of a network that has run once, that run's.
    pub(crate) seconds_per_patch: f64,
    /// Whether it has run more than once.
    pub(crate) is_warm: bool,
}

impl WarmNetwork {
    /// Whether a run of it takes so long that each of them counts.
    pub(crate) fn is_long(&self) -> bool {
        self.seconds_per_patch > LONG
    }
}

impl WarmUp<'_> {
    /// Loads the network and runs it until its time is known.
    ///
    /// # Errors
    ///
    /// [`SelfTestError`] if it cannot be loaded or run.
    pub(crate) fn run(&self, target: Target) -> Result<WarmNetwork, SelfTestError> {
        self.finish(self.begin(target)?)
    }

    /// Loads the network and runs it once.
    ///
    /// # Errors
    ///
    /// [`SelfTestError`] if it cannot be loaded or run.
    pub(crate) fn begin(&self, target: Target) -> Result<WarmNetwork, SelfTestError> {
        let start = Instant::now();
        let mut network = self.networks.load(target, self.id)?;
        let load = start.elapsed().as_secs_f64();
        let seconds_per_patch = self.time(&mut network)?;
        Ok(WarmNetwork { target, network, load, seconds_per_patch, is_warm: false })
    }

    /// Runs the network again, until its time is known.
    ///
    /// # Errors
    ///
    /// [`SelfTestError::Run`].
    pub(crate) fn finish(&self, mut warm: WarmNetwork) -> Result<WarmNetwork, SelfTestError> {
        let mut total = 0.0;
        for _ in 0..N_RUNS {
            let seconds = self.time(&mut warm.network)?;
            warm.seconds_per_patch = warm.seconds_per_patch.min(seconds);
            total += seconds;
            if total > LONG {
                break;
            }
        }
        warm.is_warm = true;
        Ok(warm)
    }

    fn time(&self, network: &mut Network) -> Result<f64, SelfTestError> {
        let start = Instant::now();
        let seconds = network.predict(self.patch.view(), |_| start.elapsed().as_secs_f64());
        seconds.map_err(|source| SelfTestError::Run { id: self.id.clone(), source })
    }
}
