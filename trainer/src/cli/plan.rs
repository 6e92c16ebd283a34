//! `unnunet-train plan`: from a fingerprint to plans.

use nnunet::fingerprint::Fingerprint;
use nnunet::plans::{ConfigurationName, Plans};

use crate::cli::planning_args::{DatasetArgs, PlanArgs};
use crate::cli::split_args::SplitArgs;
use crate::cli::{Outcome, output};
use crate::planning::Workplace;

/// Plans data sets as nnU-Net does, from their fingerprints.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    unnunet-train plan -d 4\n  \
    unnunet-train plan -d 4 --planner nnUNetPlannerResEncL\n  \
    unnunet-train plan -d 4 --gpu-memory-target 16 --plans-name nnUNetPlans_16G\n  \
    unnunet-train plan -d 4 --overwrite-target-spacing 1.5 1 1 --plans-name nnUNetPlans_coarse")]
pub struct Args {
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    splits: SplitArgs,
}

/// Plans every data set asked for.
///
/// # Errors
///
/// If a data set has no fingerprint, or an option cannot be met.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.dataset.each(|workplace| {
        let fingerprint = workplace.read_fingerprint()?;
        let splits = args.splits.of(&workplace.raw, &workplace.folder)?;
        make(workplace, &fingerprint, &args.plan)?;
        workplace.write_splits(&splits)?;
        Ok(Outcome::Done)
    })
}

/// Plans one data set and prints its configurations.
///
/// # Errors
///
/// If an option cannot be met, or plans of this name are there that cannot be read.
pub fn make(workplace: &Workplace, fingerprint: &Fingerprint, args: &PlanArgs) -> anyhow::Result<Plans> {
    let options = args.options(&workplace.name)?;
    let plans = workplace.plan(fingerprint, &options)?;
    if args.hides_the_usual_plans() {
        let name = &plans.plans_name;
        output::note(format_args!("note: `{name}` are not the planner's usual plans; `--plans-name` keeps both"));
    }
    for name in plans.configurations.keys().cloned().map(ConfigurationName) {
        let configuration = plans.configuration(&name)?;
        let (patch, batch) = (&configuration.patch_size, configuration.batch_size);
        output::line(format_args!("{name}: patch {patch:?}, batch {batch}, spacing {:?}", configuration.spacing));
    }
    Ok(plans)
}
