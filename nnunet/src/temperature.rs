//! Temperature: by how much the logits of an ensemble overstate what it knows.
//!
//! One number `T` divides all logits before softmax or sigmoid. It is fitted by the negative log-likelihood of references
//! that no member trained on, as in Guo et al., *On Calibration of Modern Neural Networks* (2017), section 4.2. Departs
//! from them in that the likelihood is that of the mean of the members' probabilities, because this is what is given to
//! a user: averaging softens, and the temperature of a single network would soften twice. Regions are each a yes or no
//! of their own, and their likelihoods multiply.
//!
//! The likelihood of a mean is not convex in `T`. So a grid over `ln T` finds the valley, and golden-section search
//! (Kiefer, 1953) its bottom. A best `T` at an end of the grid is none: a sample without errors would ask for `T = 0`.

pub mod draw;

use std::f64::consts::LN_2;

use rayon::prelude::*;

use self::draw::Drawn;
use crate::dataset::LabelSet;
use crate::restore::OutputHead;

/// Temperatures that are searched; beyond them, probabilities are steps or all alike.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Steps of the grid, of about 16 % each.
const N_STEPS: usize = 40;
/// Where the golden section stops, in `ln T`.
const TOLERANCE: f64 = 1e-5;
/// Decimals of a fitted temperature; what follows is noise, and a user may want to type it.
const DECIMALS: f64 = 1e4;

/// Drawn voxels of a case with the logits of every member there.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledCase {
    /// The voxels.
    pub drawn: Drawn,
    /// `[voxel, output]` of each member.
    pub members: Vec<Vec<f32>>,
}

/// A fitted temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Divides the logits; four decimals.
    pub temperature: f32,
    /// Mean negative log-likelihood per voxel without a temperature, bits.
    pub bits_before: f64,
    /// The same with it.
    pub bits_after: f64,
}

/// Fits the temperature to cases, each of which counts alike.
///
/// # Errors
///
/// [`TemperatureError::NoVoxel`] if nothing was drawn, [`TemperatureError::AtLimit`] if the likelihood still rises at an
/// end of the range.
///
/// # Panics
///
/// If a member has not a logit for every output of every voxel, or a label none of its own.
pub fn fit(cases: &[SampledCase], labels: &LabelSet) -> Result<Fit, TemperatureError> {
    let cases: Vec<_> = cases.iter().filter(|case| !case.drawn.is_empty() && !case.members.is_empty()).collect();
    if cases.is_empty() {
        return Err(TemperatureError::NoVoxel);
    }
    let bits = |ln_t: f64| {
        let of_cases: Vec<f64> = cases.par_iter().map(|case| case.bits(labels, ln_t.exp())).collect();
        of_cases.iter().sum::<f64>() / cases.len() as f64
    };
    let ln_t = minimum(bits)?;
    #[expect(clippy::cast_possible_truncation, reason = "rounded to four decimals first")]
    let temperature = ((ln_t.exp() * DECIMALS).round() / DECIMALS) as f32;
    Ok(Fit { temperature, bits_before: bits(0.0), bits_after: bits(f64::from(temperature).ln()) })
}

/// Where a function of `ln T` is least.
fn minimum(f: impl Fn(f64) -> f64) -> Result<f64, TemperatureError> {
    let [low, high] = RANGE.map(f64::ln);
    let at = |i: usize| low + (high - low) * i as f64 / N_STEPS as f64;
    let values: Vec<f64> = (0..=N_STEPS).map(|i| f(at(i))).collect();
    let best = (0..=N_STEPS).reduce(|best, next| if values[next] < values[best] { next } else { best });
    match best {
        Some(best) if best > 0 && best < N_STEPS => Ok(golden_section(f, at(best - 1), at(best + 1))),
        Some(0) => Err(TemperatureError::AtLimit { limit: RANGE[0] }),
        _ => Err(TemperatureError::AtLimit { limit: RANGE[1] }),
    }
}

/// The minimum of a function that falls and then rises between `low` and `high`.
fn golden_section(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let mut left = high - ratio * (high - low);
    let mut right = low + ratio * (high - low);
    let (mut at_left, mut at_right) = (f(left), f(right));
    while high - low > TOLERANCE {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = f(right);
        }
    }
    f64::midpoint(low, high)
}

impl SampledCase {
    /// Weighted negative log-likelihood of the references at a temperature, bits.
    fn bits(&self, labels: &LabelSet, temperature: f64) -> f64 {
        let (head, n_outputs) = (OutputHead::of(labels), labels.n_outputs());
        let mut logs = vec![0.0; self.members.len()];
        let of_voxel = |(index, (label, weight)): (usize, (u8, f64))| {
            let logits = |member: &Vec<f32>| -> Vec<f64> {
                let of_voxel = &member[index * n_outputs..(index + 1) * n_outputs];
                of_voxel.iter().map(|&logit| f64::from(logit) / temperature).collect()
            };
            let members: Vec<_> = self.members.iter().map(logits).collect();
            let nats = match head {
                OutputHead::Softmax => {
                    for (log, logits) in logs.iter_mut().zip(&members) {
                        *log = logits[usize::from(label)] - log_sum_exp(logits);
                    }
                    log_mean(&logs)
                }
                OutputHead::Sigmoid => labels
                    .structures
                    .iter()
                    .enumerate()
                    .map(|(output, structure)| {
                        let sign = if structure.values.contains(&label) { 1.0 } else { -1.0 };
                        for (log, logits) in logs.iter_mut().zip(&members) {
                            *log = -softplus(-sign * logits[output]);
                        }
                        log_mean(&logs)
                    })
                    .sum(),
            };
            -weight * nats / LN_2
        };
        self.drawn.labels_and_weights().enumerate().map(of_voxel).sum()
    }
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// Logarithm of the mean of what these are logarithms of.
fn log_mean(logs: &[f64]) -> f64 {
    log_sum_exp(logs) - (logs.len() as f64).ln()
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Why no temperature fits.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TemperatureError {
    /// The likelihood has no maximum inside the range.
    #[error("the likelihood of the references still rises at a temperature of {limit}")]
    AtLimit {
        /// The end of the range.
        limit: f64,
    },
    /// There is nothing to fit to.
    #[error("no voxel of any case was predicted")]
    NoVoxel,
}

#[cfg(test)]
mod tests;
