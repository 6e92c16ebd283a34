//! Which target to run on: the one asked for, or the fastest of those that can.
//!
//! Nobody knows beforehand whether a provider is fast on a processor, so one patch is run on each. A choice for speed must
//! not change the result beyond rounding: candidates compute with `f32`, and with less only if the precision is left
//! open, the bundle's calibration was checked there, and the self-test passes on this machine. A GPU must pass it in any
//! precision.

use std::time::Instant;

use nnunet::sliding_window::PatchNetwork as _;
use serde::Serialize;

use crate::engine::{Precision, Provider, Target};
use crate::expectation;
use crate::members::Networks;
use crate::model::Model;
use crate::probe::Probe;
use crate::self_test::{self, SelfTestError};

/// Timed runs per candidate, after one that warms up; fewer where one takes long.
const N_RUNS: usize = 3;
/// Seconds of runs after which one more would tell nothing new.
const LONG: f64 = 0.5;
/// How many times as long as the fastest candidate a long first run on processors may take. A GPU may tune itself for
/// longer than that.
const TOO_SLOW: f64 = 2.0;

/// The target, and how it was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Choice {
    /// The target.
    #[serde(flatten)]
    pub(crate) target: Target,
    /// Threads that a session computes with.
    pub(crate) threads: usize,
    /// Seconds per patch of each candidate; empty if there was nothing to choose.
    pub(crate) measured: Vec<Measurement>,
}

/// One candidate's time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    /// The candidate.
    #[serde(flatten)]
    pub(crate) target: Target,
    /// Best time of one patch, of a slow candidate the first; `null` if the candidate cannot run the model here.
    pub(crate) seconds_per_patch: Option<f64>,
    /// Why it cannot, or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Takes what was asked for, and measures where `None` leaves a choice.
///
/// # Errors
///
/// [`SelfTestError`] if the probe case cannot be used, or no candidate runs the model.
pub(crate) fn choose(
    networks: Networks<'_>,
    provider: Option<Provider>,
    precision: Option<Precision>,
) -> Result<Choice, SelfTestError> {
    let threads = networks.engine.n_threads();
    let candidates = candidates(networks, provider, precision);
    if let [target] = candidates[..] {
        return Ok(Choice { target, threads, measured: Vec::new() });
    }
    let probe = Probe::read(networks.bundle, networks.model)?;
    let (mut failure, mut fastest) = (None, f64::INFINITY);
    let mut measure = |target| {
        let seconds = seconds_per_patch(networks, target, &probe, fastest);
        fastest = seconds.as_ref().map_or(fastest, |&seconds| fastest.min(seconds));
        let reason = seconds.as_ref().err().map(|error| chain(error));
        let measurement = Measurement { target, seconds_per_patch: seconds.as_ref().ok().copied(), reason };
        failure = seconds.err().or(failure.take());
        measurement
    };
    // The general provider comes last, so that it can be seen early to be too slow.
    let mut measured: Vec<_> = candidates.into_iter().rev().map(&mut measure).collect();
    let mut order: Vec<_> = (0..measured.len()).filter(|&i| measured[i].seconds_per_patch.is_some()).collect();
    order.sort_by(|&a, &b| seconds(&measured[a]).total_cmp(&seconds(&measured[b])));
    for i in order {
        let target = measured[i].target;
        match refusal(networks, target) {
            None => return Ok(Choice { target, threads, measured }),
            reason => measured[i].reason = reason,
        }
    }
    Err(failure.expect("the provider `cpu` is always there, and in single precision it needs no test"))
}

/// What may run: below single precision only what was asked for, or what the bundle permits.
fn candidates(networks: Networks<'_>, provider: Option<Provider>, precision: Option<Precision>) -> Vec<Target> {
    let precisions = match precision {
        Some(precision) => vec![precision],
        None => [Precision::F32, Precision::Bf16].into_iter().filter(|at| permits(networks.model, *at)).collect(),
    };
    let providers = provider.map_or_else(|| networks.engine.providers().to_vec(), |provider| vec![provider]);
    let pairs = |precision| providers.iter().map(move |&provider| Target { provider, precision });
    let all = precisions.iter().flat_map(|&precision| pairs(precision));
    let able: Vec<_> = all.clone().filter(|target| target.provider.computes_with(target.precision)).collect();
    // Nothing is able to: the first is taken, and says why it cannot.
    if able.is_empty() { all.take(1).collect() } else { able }
}

/// Whether the bundle lets networks compute so without being asked to.
fn permits(model: &Model, precision: Precision) -> bool {
    let Some(reduced) = expectation::reduced(precision) else { return true };
    model.calibration.as_ref().is_some_and(|calibration| calibration.checked_at.contains(&reduced))
}

/// Why a candidate must not run although it can: below single precision or on a GPU, a self-test that it does not pass.
fn refusal(networks: Networks<'_>, target: Target) -> Option<String> {
    if expectation::reduced(target.precision).is_none() && !target.provider.is_gpu() {
        return None;
    }
    match self_test::run(networks, target) {
        Ok(test) if test.passed => None,
        Ok(_) => Some("the self-test does not pass".to_owned()),
        Err(error) => Some(chain(&error)),
    }
}

fn seconds(measurement: &Measurement) -> f64 {
    measurement.seconds_per_patch.unwrap_or(f64::INFINITY)
}

/// The best time of one patch, or an upper bound of it that is far above `fastest`.
fn seconds_per_patch(
    networks: Networks<'_>,
    target: Target,
    probe: &Probe,
    fastest: f64,
) -> Result<f64, SelfTestError> {
    let id = &networks.model.members[0].id;
    let mut network = networks.load(target, id)?;
    let mut run = || {
        let start = Instant::now();
        let result = network.predict(probe.patch.view(), |_| start.elapsed().as_secs_f64());
        result.map_err(|source| SelfTestError::Run { id: id.clone(), source })
    };
    let first = run()?;
    if !target.provider.is_gpu() && first > LONG && first > TOO_SLOW * fastest {
        return Ok(first);
    }
    let (mut best, mut total) = (f64::INFINITY, 0.0);
    for _ in 0..N_RUNS {
        let seconds = run()?;
        (best, total) = (best.min(seconds), total + seconds);
        if total > LONG {
            break;
        }
    }
    Ok(best)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
