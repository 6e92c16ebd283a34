//! `unnunet-train fingerprint`: measures raw data sets.

use crate::cli::planning_args::{DatasetArgs, JobsArgs, MeasureArgs};
use crate::cli::{Outcome, output, progress};
use crate::planning::{Measured, Reuse, Workplace};
use nnunet::fingerprint::Fingerprint;

/// Measures shapes, spacings and intensities of data sets, from which they are planned.
///
/// Nothing is measured again as long as no file of the data set has changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    unnunet-train fingerprint -d 4\n  \
    unnunet-train fingerprint -d Dataset004_Hippocampus 500 --jobs 2 --clean")]
pub struct Args {
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    jobs: JobsArgs,
}

/// Measures every data set asked for.
///
/// # Errors
///
/// If a case cannot be read or measured.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.jobs.start()?;
    args.measure.verify(&args.dataset)?;
    args.dataset.each(|workplace| {
        measure(workplace, args.measure.reuse())?;
        Ok(Outcome::Done)
    })
}

/// Measures one data set and says whether that was needed.
///
/// # Errors
///
/// If a case cannot be read or measured.
pub fn measure(workplace: &Workplace, reuse: Reuse) -> anyhow::Result<Fingerprint> {
    let bar = progress::cases("measuring", workplace.raw.cases.len());
    let (fingerprint, measured) = workplace.fingerprint(reuse, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let (name, n) = (&workplace.name, fingerprint.spacings.len());
    match measured {
        Measured::Anew => output::line(format_args!("{name}: {n} cases measured")),
        Measured::Before => output::line(format_args!("{name}: {n} cases unchanged, fingerprint kept")),
    }
    Ok(fingerprint)
}
