//! How a run is arranged so that it keeps `--memory`, decided before the first case.

use anyhow::Context as _;
use ndarray::Array5;
use nnunet::sliding_window::PatchNetwork as _;
use rayon::prelude::*;

use super::Args;
use crate::cli::output;
use crate::host;
use crate::members::Members;
use crate::memory::needs::{CaseNeed, Voxels, Work};
use crate::memory::{Footprint, Plan, Schedule, mib};
use crate::predict::Predictor;
use crate::predict::cases::Found;

/// Runs of the first session: ONNX Runtime plans its buffers in the first and takes them in the second.
const N_RUNS: usize = 2;

/// A schedule and what it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrangement {
    /// How the run is arranged.
    pub(super) schedule: Schedule,
    /// What it needs at most, bytes.
    pub(super) predicted: u64,
}

/// Loads the first member, measures it, and arranges the run; `before` is what was resident before any session.
///
/// # Errors
///
/// If the provider cannot be used, and if the run would need more than `--memory`.
pub(super) fn arrange(
    args: &Args,
    predictor: &Predictor<'_>,
    members: &mut Members<'_>,
    cases: &[Found],
    before: u64,
) -> anyhow::Result<Arrangement> {
    // A provider that cannot be used fails the run here, and not every case.
    run_first(predictor, members).context("cannot run the bundle")?;
    let footprint = Footprint::since(before).context("cannot measure the memory of a session")?;
    let plan = Plan::new(footprint, predictor.members().count(), needs(predictor, cases));
    let jobs = args.jobs.min(cases.len().try_into().unwrap_or(std::num::NonZeroUsize::MIN));
    let schedule = match args.memory {
        Some(limit) => plan.within(limit.0, jobs)?,
        None => plan.schedule(footprint.resident + host::memory_left(), jobs).unwrap_or_else(|| {
            let least = plan.least();
            let needed = mib(plan.peak(least));
            output::note(format_args!("warning: the run may need {needed} MiB, more than this machine has left"));
            least
        }),
    };
    members.keep(schedule.sessions);
    Ok(Arrangement { schedule, predicted: plan.peak(schedule) })
}

fn run_first(predictor: &Predictor<'_>, members: &mut Members<'_>) -> anyhow::Result<()> {
    let first = predictor.members().next().context("the bundle has no member")?;
    let [z, y, x] = predictor.model.configuration.patch_zyx();
    let patch = Array5::zeros((1, predictor.model.unet.n_channels, z, y, x));
    members.with(&first.id, |network| (0..N_RUNS).try_for_each(|_| network.predict(patch.view()).map(drop)))??;
    Ok(())
}

/// What every case takes that can be read as far as its header.
fn needs(predictor: &Predictor<'_>, cases: &[Found]) -> Vec<CaseNeed> {
    let work = Work::of(predictor);
    let need = |(_, files): &Found| {
        let geometry = imaging::file::read_geometry(files.as_ref().ok()?.channels.first()?).ok()?;
        Some(work.need(Voxels::of(&geometry, predictor.model)))
    };
    cases.par_iter().filter_map(need).collect()
}
