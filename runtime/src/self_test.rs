//! The self-test: does this machine compute what training computed?
//!
//! The probe patch runs through every member, and the logits are compared with those of the trainer. In single precision
//! the largest difference, as a fraction of the expected logits' range, must stay within what the bundle allows. Below,
//! logits differ by more than that; there the labels they lead to must overlap as the bundle asks, which only a probe
//! case with all its logits can tell.

use bundle_format::MemberId;
use ndarray::{Array4, Array5, Axis};
use nnunet::evaluation::overlaps;
use nnunet::restore::OutputHead;
use nnunet::segmentation::segmentation;
use nnunet::sliding_window::PatchNetwork as _;
use serde::Serialize;

use crate::engine::{Precision, Target};
use crate::members::{MemberError, Networks};
use crate::model::Model;
use crate::network::NetworkError;
use crate::probe::{Probe, ProbeError};

/// The self-test of a bundle on one target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SelfTest {
    /// Where it ran.
    #[serde(flatten)]
    pub(crate) target: Target,
    /// Whether every member passed.
    pub(crate) passed: bool,
    /// Largest allowed difference, as a fraction of the expected logits' range.
    pub(crate) allowed: f64,
    /// The members in the order of the bundle.
    pub(crate) members: Vec<MemberTest>,
}

/// The self-test of one member.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MemberTest {
    /// The member.
    pub(crate) member: MemberId,
    /// Largest difference of a logit.
    pub(crate) difference: f64,
    /// Largest less smallest expected logit.
    pub(crate) range: f64,
    /// Difference by range; `null` if the logits are not finite or do not vary.
    pub(crate) relative: Option<f64>,
    /// Smallest Dice of a structure between expected and found labels, below single precision; `null` if it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dice: Option<f64>,
    /// Whether it is allowed.
    pub(crate) passed: bool,
}

/// Runs the self-test.
///
/// # Errors
///
/// [`SelfTestError`] if the probe case cannot be used or a member does not run. A member that computes something else
/// is no error but has not passed.
pub(crate) fn run(networks: Networks<'_>, target: Target) -> Result<SelfTest, SelfTestError> {
    let model = networks.model;
    let probe = Probe::read(networks.bundle, model)?;
    let allowed = f64::from(networks.bundle.manifest().selftest.max_abs_micro) * 1e-6;
    let mut tests = Vec::with_capacity(model.members.len());
    for member in &model.members {
        let mut network = networks.load(target, &member.id)?;
        let logits = network
            .predict(probe.patch.view(), |logits| logits.to_owned())
            .map_err(|source| SelfTestError::Run { id: member.id.clone(), source })?;
        let stride = model.pipeline.probe_stride;
        let expected = probe.expected(member.id.as_str(), logits.len(), stride)?;
        let found = logits.iter().step_by(stride).copied();
        let test = compare(member.id.clone(), found, &expected, allowed);
        tests.push(match target.precision {
            Precision::F32 => test,
            Precision::Bf16 => {
                let needed = f64::from(networks.bundle.manifest().selftest.min_dice_milli) * 1e-3;
                let dice = dice(&logits, expected, model);
                MemberTest { dice, passed: dice.is_some_and(|dice| dice >= needed), ..test }
            }
        });
    }
    Ok(SelfTest { target, passed: tests.iter().all(|test| test.passed), allowed, members: tests })
}

fn compare(member: MemberId, found: impl Iterator<Item = f32>, expected: &[f32], allowed: f64) -> MemberTest {
    let largest = |largest: f64, (found, &expected): (f32, &f32)| {
        let difference = f64::from(found - expected).abs();
        // `max` would pass over what is not a number.
        if difference.is_nan() { f64::INFINITY } else { largest.max(difference) }
    };
    let difference = found.zip(expected).fold(0.0, largest);
    let bounds = |(low, high): (f32, f32), &value: &f32| (low.min(value), high.max(value));
    let (low, high) = expected.iter().fold((f32::INFINITY, f32::NEG_INFINITY), bounds);
    let range = f64::from(high) - f64::from(low);
    let relative = (range > 0.0).then(|| difference / range).filter(|relative| relative.is_finite());
    let passed = relative.is_some_and(|relative| relative <= allowed);
    MemberTest { member, difference, range, relative, dice: None, passed }
}

/// The smallest Dice of a structure between the labels of `[1, output, z, y, x]` logits and the expected ones; `None` if
/// not all logits are there, or nothing is segmented.
fn dice(found: &Array5<f32>, expected: Vec<f32>, model: &Model) -> Option<f64> {
    let found = found.index_axis(Axis(0), 0).to_owned();
    let expected = Array4::from_shape_vec(found.raw_dim(), expected).ok()?;
    let labels = [expected, found].map(|logits| match model.head {
        OutputHead::Softmax => segmentation(&*logits, &model.labels),
        OutputHead::Sigmoid => segmentation(&*logits.mapv(|logit| 1.0 / (1.0 + (-logit).exp())), &model.labels),
    });
    let overlaps = overlaps(&labels[0], &labels[1], &model.labels).ok()?;
    overlaps.iter().filter_map(|overlap| overlap.dice).min_by(f64::total_cmp)
}

/// Why the self-test could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SelfTestError {
    /// A member cannot be loaded.
    #[error(transparent)]
    Load {
        /// Which and why.
        #[from]
        source: MemberError,
    },
    /// The probe case cannot be used.
    #[error("the bundle's probe case cannot be used")]
    Probe {
        /// Why.
        #[from]
        source: ProbeError,
    },
    /// A member does not run.
    #[error("member `{id}` does not run")]
    Run {
        /// The member.
        id: MemberId,
        /// Why.
        source: NetworkError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[f32], expected: &[f32], relative: Option<f64>, passed: bool) {
        let member = MemberId::new("fold_0/checkpoint_1").unwrap();
        let test = compare(member, found.iter().copied(), expected, 0.01);
        assert_eq!((test.relative, test.passed), (relative, passed), "{found:?}");
    }

    #[test]
    fn differences_count_by_the_range_of_the_expected_logits() {
        check(&[-2.0, 0.0, 2.0], &[-2.0, 0.0, 2.0], Some(0.0), true);
        check(&[-2.0, 0.5, 2.0], &[-2.0, 0.0, 2.0], Some(0.125), false);
    }

    #[test]
    fn what_is_not_finite_or_does_not_vary_does_not_pass() {
        check(&[f32::NAN, 1.0], &[0.0, 1.0], None, false);
        check(&[0.0, f32::INFINITY], &[0.0, 1.0], None, false);
        check(&[1.0, 1.0], &[1.0, 1.0], None, false);
        check(&[], &[], None, false);
    }
}
