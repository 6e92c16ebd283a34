//! Learning rate per epoch: nnU-Net's poly schedule, and cycles that restart high to leave one minimum for another.
//!
//! With `T` epochs in `C` cycles of `Tc = T / C` epochs, `t = e mod Tc`:
//!
//! ```text
//! C = 1:      0.01 · (1 − e / T)^0.9                                        nnU-Net's `PolyLRScheduler`
//! unnunet:    0.1 at t = 0, else 0.01 · (1 − min(t, ⌊γ·Tc⌋) / T)^0.9        as UnnUNet
//! per-cycle:  0.1 at t = 0, else 0.01 · (1 − min(t, ⌊γ·Tc⌋) / Tc)^0.9       falls within every cycle
//! ```

use serde::{Deserialize, Serialize};

const INITIAL_RATE: f64 = 0.01;
const RESTART_RATE: f64 = 0.1;
const EXPONENT: f64 = 0.9;
/// More epochs than any training has.
const MAX_EPOCHS: u32 = 1_000_000;

/// Over how many epochs the rate falls where there is more than one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Over the whole training, so that it hardly falls within a cycle.
    Unnunet,
    /// Over one cycle.
    PerCycle,
}

/// A checked schedule: cycles divide the epochs, and the rate is defined for each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Schedule {
    n_epochs: u32,
    n_cycles: u32,
    gamma: f64,
    decay: Decay,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    epochs: u32,
    cycles: u32,
    gamma: f64,
    decay: Decay,
}

impl Schedule {
    /// A schedule of `n_cycles` equal cycles; from `gamma` (0 to 1) of a cycle on the rate stays as it is.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] if there is no epoch or no cycle, the cycles do not divide the epochs, or `gamma` is out of
    /// range.
    pub fn new(n_epochs: u32, n_cycles: u32, gamma: f64, decay: Decay) -> Result<Self, ScheduleError> {
        if n_epochs == 0 || n_epochs > MAX_EPOCHS {
            return Err(ScheduleError::Epochs { found: n_epochs });
        }
        if n_cycles == 0 || !n_epochs.is_multiple_of(n_cycles) {
            return Err(ScheduleError::Cycles { epochs: n_epochs, cycles: n_cycles });
        }
        if !(0.0..=1.0).contains(&gamma) {
            return Err(ScheduleError::Gamma { found: gamma });
        }
        Ok(Self { n_epochs, n_cycles, gamma, decay })
    }

    /// Epochs of the whole training, `T`.
    pub fn n_epochs(&self) -> u32 {
        self.n_epochs
    }

    /// Cycles, `C`.
    pub fn n_cycles(&self) -> u32 {
        self.n_cycles
    }

    /// Epochs of one cycle, `Tc`.
    pub fn cycle_length(&self) -> u32 {
        self.n_epochs / self.n_cycles
    }

    /// Over how many epochs the rate falls.
    pub fn decay(&self) -> Decay {
        self.decay
    }

    /// The cycle that an epoch belongs to.
    pub fn cycle(&self, epoch: u32) -> u32 {
        epoch / self.cycle_length()
    }

    /// Learning rate of an epoch, counted from 0.
    ///
    /// # Panics
    ///
    /// If the epoch is not one of the schedule's.
    pub fn rate(&self, epoch: u32) -> f64 {
        assert!(epoch < self.n_epochs, "epoch {epoch} of {} has no learning rate", self.n_epochs);
        if self.n_cycles == 1 {
            return poly(f64::from(epoch), self.n_epochs);
        }
        let length = self.cycle_length();
        let t = epoch % length;
        if t == 0 {
            return RESTART_RATE;
        }
        let falling = f64::from(t).min((self.gamma * f64::from(length)).floor());
        match self.decay {
            Decay::Unnunet => poly(falling, self.n_epochs),
            Decay::PerCycle => poly(falling, length),
        }
    }
}

fn poly(elapsed: f64, whole: u32) -> f64 {
    INITIAL_RATE * (1.0 - elapsed / f64::from(whole)).powf(EXPONENT)
}

impl TryFrom<Parts> for Schedule {
    type Error = ScheduleError;

    fn try_from(parts: Parts) -> Result<Self, ScheduleError> {
        Self::new(parts.epochs, parts.cycles, parts.gamma, parts.decay)
    }
}

impl From<Schedule> for Parts {
    fn from(schedule: Schedule) -> Self {
        let Schedule { n_epochs: epochs, n_cycles: cycles, gamma, decay } = schedule;
        Self { epochs, cycles, gamma, decay }
    }
}

/// Why there is no such schedule.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The cycles are not equally long, or there are none.
    #[error("{cycles} cycles do not divide {epochs} epochs into equal parts")]
    Cycles {
        /// Epochs asked for.
        epochs: u32,
        /// Cycles asked for.
        cycles: u32,
    },
    /// No epoch, or more than any training has.
    #[error("a training cannot have {found} epochs; expected 1 to {MAX_EPOCHS}")]
    Epochs {
        /// Epochs asked for.
        found: u32,
    },
    /// Not a fraction.
    #[error("gamma cannot be {found}; expected 0 to 1")]
    Gamma {
        /// The value asked for.
        found: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n_cycles: u32, decay: Decay, expected: [f64; 10]) {
        let schedule = Schedule::new(10, n_cycles, 0.8, decay).unwrap();
        for (epoch, expected) in (0..).zip(expected) {
            let found = schedule.rate(epoch);
            // Rates are written with eight decimals below.
            assert!((found - expected).abs() < 5e-9, "epoch {epoch}: {found}, expected {expected}");
        }
    }

    #[test]
    fn one_cycle_is_nnunets_poly_schedule() {
        let rates = [
            0.01,
            0.009_095_33,
            0.008_180_52,
            0.007_254_18,
            0.006_314_46,
            0.005_358_87,
            0.004_383_83,
            0.003_383_83,
            0.002_349_24,
            0.001_258_93,
        ];
        check(1, Decay::Unnunet, rates);
        check(1, Decay::PerCycle, rates);
    }

    #[test]
    fn a_cycle_restarts_high_and_stays_level_after_gamma() {
        // Tc = 5, ⌊0.8 · 5⌋ = 4: t = 1, 2, 3, 4 fall over 10 epochs …
        let cycle = [0.1, 0.009_095_33, 0.008_180_52, 0.007_254_18, 0.006_314_46];
        check(2, Decay::Unnunet, [cycle, cycle].concat().try_into().unwrap());
        // … or over 5, where 1 − t/5 = 0.8, 0.6, 0.4, 0.2.
        let cycle = [0.1, 0.008_180_52, 0.006_314_46, 0.004_383_83, 0.002_349_24];
        check(2, Decay::PerCycle, [cycle, cycle].concat().try_into().unwrap());
    }

    #[test]
    fn gamma_levels_the_rate_before_the_cycle_ends() {
        let schedule = Schedule::new(20, 2, 0.5, Decay::PerCycle).unwrap();
        let level = schedule.rate(5);
        assert!((6..10).all(|epoch| schedule.rate(epoch).to_bits() == level.to_bits()));
        assert!(schedule.rate(4) > level);
    }

    #[test]
    fn cycles_must_divide_the_epochs() {
        let error = Schedule::new(10, 3, 0.8, Decay::Unnunet).unwrap_err();
        assert_eq!(error.to_string(), "3 cycles do not divide 10 epochs into equal parts");
        assert!(Schedule::new(10, 0, 0.8, Decay::Unnunet).is_err());
        assert!(Schedule::new(0, 1, 0.8, Decay::Unnunet).is_err());
        assert!(Schedule::new(10, 2, f64::NAN, Decay::Unnunet).is_err());
    }
}
