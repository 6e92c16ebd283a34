//! `unnunet-train preprocess`: from plans to preprocessed cases.

use nnunet::plans::{ConfigurationName, Plans};

use crate::cli::planning_args::{DatasetArgs, JobsArgs};
use crate::cli::{Outcome, output, progress};
use crate::planning::{Workplace, configurations};
use crate::preparation::Prepared;

/// Preprocesses the training cases of planned data sets.
///
/// Nothing is preprocessed again as long as neither its files nor what the plans say about it have changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    unnunet-train preprocess -d 4\n  \
    unnunet-train preprocess -d 4 -c 3d_fullres --plans-name nnUNetResEncUNetLPlans --jobs 2")]
pub struct Args {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Configurations to preprocess for [default: those of `2d`, `3d_fullres` and `3d_lowres` that are planned].
    #[arg(short, long = "configuration", num_args = 1.., value_name = "CONFIGURATION")]
    configuration: Vec<String>,
    /// Name of the plans.
    #[arg(long, default_value = "nnUNetPlans", value_name = "NAME")]
    plans_name: String,
    #[command(flatten)]
    jobs: JobsArgs,
}

/// Preprocesses every data set asked for.
///
/// # Errors
///
/// If a data set has no such plans; a case that cannot be preprocessed is reported and leaves
/// [`Outcome::SomeFailed`].
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.jobs.start()?;
    args.dataset.each(|workplace| all(workplace, &workplace.read_plans(&args.plans_name)?, &args.configuration))
}

/// Preprocesses one data set for several configurations, or for nnU-Net's usual ones if none is wanted.
///
/// # Errors
///
/// If a configuration is missing or cannot be preprocessed for.
pub fn all(workplace: &Workplace, plans: &Plans, wanted: &[String]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    for name in configurations(plans, wanted)? {
        if one(workplace, plans, &name)? == Outcome::SomeFailed {
            outcome = Outcome::SomeFailed;
        }
    }
    Ok(outcome)
}

fn one(workplace: &Workplace, plans: &Plans, name: &ConfigurationName) -> anyhow::Result<Outcome> {
    let bar = progress::cases("preprocessing", workplace.raw.cases.len());
    let results = workplace.preprocess(plans, name, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let count =
        |wanted: Prepared| results.iter().filter(|(_, result)| result.as_ref().is_ok_and(|&r| r == wanted)).count();
    let (anew, already) = (count(Prepared::Anew), count(Prepared::Already));
    let n_failed = results.len() - anew - already;
    for (_, result) in results {
        if let Err(error) = result {
            output::report(&error.into());
        }
    }
    output::line(format_args!("{name}: {anew} cases preprocessed, {already} already there, {n_failed} failed"));
    Ok(if n_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
}
