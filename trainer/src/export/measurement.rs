//! What a patch costs on the machine that exports, in time and memory.
//!
//! Measured with libtorch on the probe patch and one member: another library and another machine, but the same
//! arithmetic, so that a reader can tell seconds from minutes before anything is deployed. The figures differ from run to
//! run, and so they are left out where a bundle must be reproducible.

use std::time::Instant;

use crate::memory;
use crate::network::Network;
use crate::probe::{Probe, ProbeError};

/// Patches that are timed; the median counts.
const N_RUNS: usize = 3;

/// Whether to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    /// Measure, and let the model card say so.
    Take,
    /// Leave it, for a bundle that is the same every time.
    Leave,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Of one patch and one member.
    pub(super) seconds_per_patch: f64,
    /// By which the process grew meanwhile, MiB; `None` where the system does not say.
    pub(super) peak_mib: Option<f64>,
    /// Threads of libtorch.
    pub(super) n_threads: i32,
}

impl Measured {
    /// Runs the probe patch a few times.
    pub(super) fn take(probe: &Probe, network: &Network) -> Result<Self, ProbeError> {
        let before = restart_peak();
        let mut seconds = Vec::with_capacity(N_RUNS);
        for _ in 0..N_RUNS {
            let start = Instant::now();
            let _logits = probe.logits(network)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        let peak_mib = before.zip(status_mib("VmHWM")).map(|(before, peak)| (peak - before).max(0.0));
        Ok(Self { seconds_per_patch: seconds[N_RUNS / 2], peak_mib, n_threads: tch::get_num_threads() })
    }
}

/// Lets the peak of this process's memory begin anew, and says what it takes now, MiB.
fn restart_peak() -> Option<f64> {
    fs_err::write("/proc/self/clear_refs", "5").ok()?;
    status_mib("VmRSS")
}

/// A field of `/proc/self/status`, MiB.
#[expect(clippy::cast_precision_loss, reason = "a process has less than 2^53 bytes")]
fn status_mib(name: &str) -> Option<f64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    memory::field(&status, name).map(|bytes| bytes as f64 / f64::from(1 << 20))
}
