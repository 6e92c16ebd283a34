//! Which target to run on: the one asked for, or the fastest of those that can.
//!
//! Nobody knows beforehand whether a provider is fast on a processor, so one patch is run on each. All candidates
//! compute with `f32`: a choice for speed must not change the result beyond rounding.

use std::time::Instant;

use nnunet::sliding_window::PatchNetwork as _;
use serde::Serialize;

use crate::engine::{Precision, Provider, Target};
use crate::members::Networks;
use crate::probe::Probe;
use crate::self_test::SelfTestError;

/// Timed runs per candidate, after one that warms up.
const N_RUNS: usize = 3;

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
    pub(crate) provider: Provider,
    /// Best time of one patch; `null` if the candidate cannot run the model here.
    pub(crate) seconds_per_patch: Option<f64>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Takes the provider asked for, or measures all of them.
///
/// # Errors
///
/// [`SelfTestError`] if the probe case cannot be used, or no provider runs the model.
pub(crate) fn choose(
    networks: Networks<'_>,
    asked: Option<Provider>,
    precision: Precision,
) -> Result<Choice, SelfTestError> {
    let threads = networks.engine.n_threads();
    // Below f32 there is one provider, and a choice between precisions is not ours to make.
    let only = asked.or((precision == Precision::Bf16).then_some(Provider::Openvino));
    if let Some(provider) = only {
        return Ok(Choice { target: Target { provider, precision }, threads, measured: Vec::new() });
    }
    let probe = Probe::read(networks.bundle, networks.model)?;
    let mut measured = Vec::new();
    let mut best: Option<(f64, Target)> = None;
    let mut failure = None;
    for &provider in networks.engine.providers() {
        let target = Target { provider, precision };
        match seconds_per_patch(networks, target, &probe) {
            Ok(seconds) => {
                measured.push(Measurement { provider, seconds_per_patch: Some(seconds), reason: None });
                if best.is_none_or(|(fastest, _)| seconds < fastest) {
                    best = Some((seconds, target));
                }
            }
            Err(error) => {
                let reason = Some(chain(&error));
                measured.push(Measurement { provider, seconds_per_patch: None, reason });
                failure = Some(error);
            }
        }
    }
    match (best, failure) {
        (Some((_, target)), _) => Ok(Choice { target, threads, measured }),
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("the provider `cpu` is always there"),
    }
}

fn seconds_per_patch(networks: Networks<'_>, target: Target, probe: &Probe) -> Result<f64, SelfTestError> {
    let id = &networks.model.members[0].id;
    let mut network = networks.load(target, id)?;
    let mut run = || {
        let start = Instant::now();
        let result = network.predict(probe.patch.view());
        result.map(|_| start.elapsed().as_secs_f64()).map_err(|source| SelfTestError::Run { id: id.clone(), source })
    };
    run()?;
    let mut best = f64::INFINITY;
    for _ in 0..N_RUNS {
        best = best.min(run()?);
    }
    Ok(best)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
