//! `unnunet-train checkpoints`: what a training would keep, before it runs.

use crate::cli::schedule_args::ScheduleArgs;
use crate::cli::{Outcome, output};

/// Prints the epochs that would leave a checkpoint, with cycle and learning rate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only print; there is nothing else this command does.
    #[arg(long, required = true)]
    dry_run: bool,
    #[command(flatten)]
    schedule: ScheduleArgs,
}

/// Prints one line per checkpoint: epoch, cycle, learning rate.
///
/// # Errors
///
/// If schedule and rule do not fit each other.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (schedule, rule) = args.schedule.parse()?;
    let epochs = rule.epochs(&schedule)?;
    output::line("epoch\tcycle\tlearning_rate");
    for &epoch in &epochs {
        output::line(format_args!("{epoch}\t{}\t{:.6}", schedule.cycle(epoch), schedule.rate(epoch)));
    }
    Ok(Outcome::Done)
}
