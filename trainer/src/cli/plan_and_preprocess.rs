//! `unnunet-train plan-and-preprocess`: from raw data sets to plans and preprocessed cases in one go.

use crate::cli::planning_args::{DatasetArgs, JobsArgs, MeasureArgs, PlanArgs};
use crate::cli::split_args::SplitArgs;
use crate::cli::{Outcome, fingerprint, plan, preprocess};
use crate::planning::{Workplace, configurations};

/// Measures and plans data sets as nnU-Net does, and preprocesses their training cases.
///
/// The same as `fingerprint`, `plan` and `preprocess` one after the other; nothing is done twice.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    unnunet-train plan-and-preprocess -d 4\n  \
    unnunet-train plan-and-preprocess -d 4 -c 3d_fullres --planner nnUNetPlannerResEncM\n  \
    unnunet-train plan-and-preprocess -d 4 500 --no-preprocess")]
pub struct Args {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Configurations to preprocess for [default: those of `2d`, `3d_fullres` and `3d_lowres` that are planned].
    #[arg(short, long = "configuration", num_args = 1.., value_name = "CONFIGURATION")]
    configuration: Vec<String>,
    /// Only measure and plan.
    #[arg(long)]
    no_preprocess: bool,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    splits: SplitArgs,
    #[command(flatten)]
    jobs: JobsArgs,
}

/// Plans and preprocesses every data set asked for.
///
/// # Errors
///
/// If a data set cannot be planned; a case that cannot be preprocessed is reported and leaves
/// [`Outcome::SomeFailed`].
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.jobs.start()?;
    args.measure.verify(&args.dataset)?;
    args.dataset.each(|workplace| one(args, workplace))
}

fn one(args: &Args, workplace: &Workplace) -> anyhow::Result<Outcome> {
    // Splits that cannot be made are worth knowing before the cases are measured.
    let splits = args.splits.of(&workplace.raw, &workplace.folder)?;
    let fingerprint = fingerprint::measure(workplace, args.measure.reuse())?;
    let plans = plan::make(workplace, &fingerprint, &args.plan)?;
    workplace.write_splits(&splits)?;
    if args.no_preprocess {
        // A configuration that is not there is worth knowing now.
        configurations(&plans, &args.configuration)?;
        return Ok(Outcome::Done);
    }
    preprocess::all(workplace, &plans, &args.configuration)
}
