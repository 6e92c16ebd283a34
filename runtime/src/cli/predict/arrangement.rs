//! How a run is arranged so that it keeps `--memory`, decided before the first case.

use anyhow::Context as _;
use rayon::prelude::*;

use super::Args;
use crate::cli::output;
use crate::host;
use crate::memory::needs::{CaseNeed, Voxels, Work, network_shape};
use crate::memory::{Footprint, Pace, Plan, Schedule, mib};
use crate::predict::Predictor;
use crate::predict::cases::Found;
use crate::warm_up::WarmNetwork;

/// A schedule and what it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrangement {
    /// How the run is arranged.
    pub(super) schedule: Schedule,
    /// What it needs at most, bytes.
    pub(super) predicted: u64,
}

/// Arranges the run by what the first member's session, `warm`, takes; `before` is what was resident before any session.
///
/// # Errors
///
/// If the run would need more than `--memory`.
pub(super) fn arrange(
    args: &Args,
    predictor: &Predictor<'_>,
    warm: &WarmNetwork,
    cases: &[Found],
    before: u64,
) -> anyhow::Result<Arrangement> {
    let footprint = Footprint::since(before, warm.target.provider).context("cannot measure the memory of a session")?;
    let (needs, n_patches) = needs(predictor, cases);
    #[expect(clippy::cast_precision_loss, reason = "an estimate of time")]
    let pace = Pace { load: warm.load, inference: warm.seconds_per_patch * n_patches as f64 };
    let plan = Plan::new(footprint, pace, predictor.members().count(), needs);
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
    Ok(Arrangement { schedule, predicted: plan.peak(schedule) })
}

/// What every case takes that can be read as far as its header, and the patches of all of them for one member.
fn needs(predictor: &Predictor<'_>, cases: &[Found]) -> (Vec<CaseNeed>, usize) {
    let work = Work::of(predictor);
    let need = |(_, files): &Found| {
        let geometry = imaging::file::read_geometry(files.as_ref().ok()?.channels.first()?).ok()?;
        let shape = network_shape(&geometry, predictor.model);
        let n_patches = shape.map_or(0, |shape| predictor.window.n_patches(shape));
        Some((work.need(Voxels::of(&geometry, shape, predictor.model)), n_patches))
    };
    let (needs, n_patches): (Vec<CaseNeed>, Vec<usize>) = cases.par_iter().filter_map(need).unzip();
    (needs, n_patches.into_iter().fold(0, usize::saturating_add))
}
