//! Which target to run on: the one asked for, or the fastest of those that can.
//!
//! Nobody knows beforehand whether a provider is fast on a processor, so one patch is run on each. A choice for speed must
//! not change the result beyond rounding: candidates compute with `f32`, and with less only if the precision is left
//! open, the bundle's calibration was checked there, and the self-test passes on this machine. A GPU must pass it in any
//! precision.
//!
//! There is one session at a time. The general provider is tried first, so that the one chosen is mostly the last one made,
//! which is handed on.

use bundle_format::MemberId;
use ndarray::Array5;
use serde::Serialize;

use crate::engine::{Precision, Provider, Target};
use crate::expectation;
use crate::members::Networks;
use crate::model::Model;
use crate::probe::Probe;
use crate::self_test::{self, SelfTestError};
use crate::warm_up::{WarmNetwork, WarmUp};

/// How many times as long as a later run the first may take on processors. A GPU may tune itself for longer.
const WARMING_UP: f64 = 2.0;

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
    /// Whether the network has run more than once.
    #[serde(skip)]
    is_warm: bool,
    /// Why it cannot, or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Takes what was asked for, measures where `None` leaves a choice, and hands over the network of the member `first` there.
///
/// # Errors
///
/// [`SelfTestError`] if the probe case cannot be used, or no candidate runs the model.
pub(crate) fn choose(
    networks: Networks<'_>,
    first: &MemberId,
    provider: Option<Provider>,
    precision: Option<Precision>,
) -> Result<(Choice, WarmNetwork), SelfTestError> {
    let candidates = candidates(networks, provider, precision);
    let (warm, measured) = if let [target] = candidates[..] {
        let [z, y, x] = networks.model.configuration.patch_zyx();
        let patch = Array5::zeros((1, networks.model.unet.n_channels, z, y, x));
        (WarmUp { networks, id: first, patch }.run(target)?, Vec::new())
    } else {
        let patch = Probe::read(networks.bundle, networks.model)?.patch;
        Contest::new(&WarmUp { networks, id: first, patch }).decide(&candidates)?
    };
    Ok((Choice { target: warm.target, threads: networks.engine.n_threads(), measured }, warm))
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

/// Candidates that are measured one after the other.
struct Contest<'a> {
    warm_up: &'a WarmUp<'a>,
    measured: Vec<Measurement>,
    /// The session made last.
    loaded: Option<WarmNetwork>,
    failure: Option<SelfTestError>,
}

impl<'a> Contest<'a> {
    fn new(warm_up: &'a WarmUp<'a>) -> Self {
        Self { warm_up, measured: Vec::new(), loaded: None, failure: None }
    }

    /// The network of the fastest candidate that may run, and what was found of all.
    fn decide(mut self, candidates: &[Target]) -> Result<(WarmNetwork, Vec<Measurement>), SelfTestError> {
        for (i, &target) in candidates.iter().enumerate() {
            // What is slow may have to run no more; the last is loaded anyway.
            let is_last = i + 1 == candidates.len();
            let measurement = self.measure(target, |network| is_last || target.provider.is_gpu() || !network.is_long());
            self.measured.push(measurement);
        }
        while let Some((best, target, seconds)) = best(&self.measured) {
            if let Some(other) = doubtful(&self.measured, seconds) {
                self.measured[other] = self.measure(self.measured[other].target, |_| true);
            } else if let Some(refusal) = self.refusal(target) {
                self.measured[best].reason = Some(refusal);
            } else {
                let loaded = self.loaded.take().filter(|network| network.target == target);
                return Ok((loaded.map_or_else(|| self.warm_up.run(target), Ok)?, self.measured));
            }
        }
        Err(self.failure.expect("the provider `cpu` is always there, and in single precision it needs no test"))
    }

    /// Runs a candidate once and, if `goes_on` says so, until its time is known.
    fn measure(&mut self, target: Target, goes_on: impl FnOnce(&WarmNetwork) -> bool) -> Measurement {
        self.loaded = None;
        let network = self.warm_up.begin(target);
        let network =
            network.and_then(|network| if goes_on(&network) { self.warm_up.finish(network) } else { Ok(network) });
        let measurement = Measurement {
            target,
            seconds_per_patch: network.as_ref().ok().map(|network| network.seconds_per_patch),
            is_warm: network.as_ref().is_ok_and(|network| network.is_warm),
            reason: network.as_ref().err().map(|error| chain(error)),
        };
        match network {
            Ok(network) => self.loaded = Some(network),
            Err(error) => self.failure = Some(error),
        }
        measurement
    }

    /// Why a candidate must not run although it can: below single precision or on a GPU, a self-test that it does not pass.
    fn refusal(&mut self, target: Target) -> Option<String> {
        if expectation::reduced(target.precision).is_none() && !target.provider.is_gpu() {
            return None;
        }
        self.loaded = None;
        match self_test::run(self.warm_up.networks, target) {
            Ok(test) if test.passed => None,
            Ok(_) => Some("the self-test does not pass".to_owned()),
            Err(error) => Some(chain(&error)),
        }
    }
}

impl Measurement {
    /// Seconds per patch, if nothing speaks against the candidate.
    fn eligible(&self) -> Option<f64> {
        self.seconds_per_patch.filter(|_| self.reason.is_none())
    }
}

/// The fastest candidate that nothing speaks against: its place, target and seconds per patch.
fn best(measured: &[Measurement]) -> Option<(usize, Target, f64)> {
    let seconds = |(i, measurement): (usize, &Measurement)| Some((i, measurement.target, measurement.eligible()?));
    measured.iter().enumerate().filter_map(seconds).min_by(|(.., a), (.., b)| a.total_cmp(b))
}

/// A candidate that has run once, and may take less than `seconds` when it is warm.
fn doubtful(measured: &[Measurement], seconds: f64) -> Option<usize> {
    let may_take_less = |first: f64| first < WARMING_UP * seconds;
    measured.iter().position(|other| !other.is_warm && other.eligible().is_some_and(may_take_less))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(seconds_per_patch: f64, is_warm: bool) -> Measurement {
        let target = Target { provider: Provider::Cpu, precision: Precision::F32 };
        Measurement { target, seconds_per_patch: Some(seconds_per_patch), is_warm, reason: None }
    }

    fn place(measured: &[Measurement]) -> Option<usize> {
        best(measured).map(|(place, ..)| place)
    }

    #[test]
    fn the_fastest_is_best_unless_something_speaks_against_it() {
        let mut candidates = [measured(2.0, true), measured(1.0, true), measured(3.0, true)];
        assert_eq!(place(&candidates), Some(1));
        candidates[1].reason = Some("the self-test does not pass".to_owned());
        assert_eq!(place(&candidates), Some(0));
        candidates[0].seconds_per_patch = None;
        assert_eq!(place(&candidates), Some(2));
        candidates[2].seconds_per_patch = None;
        assert_eq!(place(&candidates), None);
    }

    #[test]
    fn a_first_run_is_doubted_below_twice_the_best_time() {
        let doubted = |first| doubtful(&[measured(first, false), measured(1.0, true)], 1.0);
        assert_eq!((doubted(1.9), doubted(2.1)), (Some(0), None));
        // The best itself, if it has run but once.
        assert_eq!(doubtful(&[measured(1.0, false), measured(3.0, true)], 1.0), Some(0));
        // Who must not run is not asked again.
        let mut refused = measured(1.5, false);
        refused.reason = Some("the self-test does not pass".to_owned());
        assert_eq!(doubtful(&[refused, measured(1.0, true)], 1.0), None);
    }
}
