//! Flags of the learning-rate schedule and the checkpoint rule, shared by `train` and `checkpoints`.

use anyhow::Context as _;
use clap::ValueEnum;

use crate::checkpoint_rule::{CheckpointRule, DEFAULT_LATE};
use crate::schedule::{Decay, Schedule};

/// Flags of schedule and checkpoints.
#[derive(Debug, Clone, clap::Args)]
pub struct ScheduleArgs {
    /// Epochs of the whole training.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub epochs: u32,
    /// Cycles of the learning rate; must divide the epochs. One cycle is nnU-Net's own schedule.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub cycles: u32,
    /// Fraction of a cycle after which the rate stays level.
    #[arg(long, default_value_t = 0.8, value_name = "FRACTION")]
    pub gamma: f64,
    /// Over what the rate falls: the whole training (`unnunet`) or each cycle.
    #[arg(long, value_enum, default_value_t = ScheduleName::Unnunet)]
    pub schedule: ScheduleName,
    /// Which epochs of each cycle leave a checkpoint.
    #[arg(long, value_enum, default_value_t = RuleName::Late)]
    pub checkpoints: RuleName,
    /// Epochs kept at the end of each cycle [default: 10, or the whole cycle if it is shorter].
    #[arg(long, value_name = "N")]
    pub late: Option<u32>,
}

/// Names of the schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Falls over the whole training.
    Unnunet,
    /// Falls within every cycle.
    PerCycle,
}

/// Names of the checkpoint rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuleName {
    /// The last epochs of each cycle.
    Late,
    /// Six epochs over the last third of each cycle.
    Sparse,
    /// Late and sparse.
    Both,
}

impl ScheduleArgs {
    /// The schedule and the rule that the flags describe.
    ///
    /// # Errors
    ///
    /// If the cycles do not divide the epochs, or the rule asks for more epochs than a cycle has.
    pub fn parse(&self) -> anyhow::Result<(Schedule, CheckpointRule)> {
        let decay = match self.schedule {
            ScheduleName::Unnunet => Decay::Unnunet,
            ScheduleName::PerCycle => Decay::PerCycle,
        };
        let schedule =
            Schedule::new(self.epochs, self.cycles, self.gamma, decay).context("the schedule cannot be used")?;
        let late = self.late.unwrap_or(DEFAULT_LATE.min(schedule.cycle_length()));
        let rule = match self.checkpoints {
            RuleName::Late => CheckpointRule::Late(late),
            RuleName::Sparse => CheckpointRule::Sparse,
            RuleName::Both => CheckpointRule::Both(late),
        };
        rule.epochs(&schedule).context("the checkpoint rule does not fit the schedule")?;
        Ok((schedule, rule))
    }
}
