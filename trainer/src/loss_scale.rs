//! The factor that keeps small gradients of half precision from becoming zero.
//!
//! Follows `torch.amp.GradScaler`, as nnU-Net uses it: the loss is multiplied before the backward pass and the gradients
//! are divided after it; where one of them is not finite, the step is skipped and the factor halved; after 2000 steps in
//! a row that were taken, it is doubled. Departs where no factor helps any more: then the training has diverged, which
//! nnU-Net does not notice.

use serde::{Deserialize, Serialize};

use crate::sgd::Step;

const FIRST: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const STEPS_TO_GROW: u32 = 2000;
/// Gradients that are not finite below this factor are not so because of it.
const SMALLEST: f64 = 1.0 / 65_536.0;

/// The factor and how many steps in a row it has served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    factor: f64,
    n_taken: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: FIRST, n_taken: 0 }
    }
}

impl LossScale {
    /// What the loss is multiplied with.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether steps were skipped until no factor can be the reason.
    pub fn is_exhausted(&self) -> bool {
        self.factor < SMALLEST
    }

    /// Learns how a step went.
    pub fn update(&mut self, step: Step) {
        match step {
            Step::Skipped => *self = Self { factor: self.factor * BACKOFF, n_taken: 0 },
            Step::Taken if self.n_taken + 1 >= STEPS_TO_GROW => {
                *self = Self { factor: self.factor * GROWTH, n_taken: 0 };
            }
            Step::Taken => self.n_taken += 1,
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "powers of two are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_halved_by_a_skipped_step_and_doubled_after_two_thousand_taken_ones() {
        let mut scale = LossScale::default();
        scale.update(Step::Skipped);
        assert_eq!(scale.factor(), 32_768.0);
        for _ in 0..1999 {
            scale.update(Step::Taken);
        }
        assert_eq!(scale.factor(), 32_768.0);
        scale.update(Step::Taken);
        assert_eq!(scale.factor(), 65_536.0);
        // A skipped step begins the count anew.
        (0..1999).for_each(|_| scale.update(Step::Taken));
        scale.update(Step::Skipped);
        scale.update(Step::Taken);
        assert_eq!(scale.factor(), 32_768.0);
    }

    #[test]
    fn a_factor_is_exhausted_after_two_to_the_sixteenth_has_failed_on_either_side_of_one() {
        let mut scale = LossScale::default();
        for _ in 0..32 {
            assert!(!scale.is_exhausted());
            scale.update(Step::Skipped);
        }
        assert!(!scale.is_exhausted());
        scale.update(Step::Skipped);
        assert!(scale.is_exhausted());
    }
}
