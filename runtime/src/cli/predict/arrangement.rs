//! How a run is arranged so that it keeps `--memory`, decided before the first case.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use ndarray::Array5;
use nnunet::sliding_window::PatchNetwork as _;
use rayon::prelude::*;

use super::Args;
use crate::cli::output;
use crate::host;
use crate::members::Members;
use crate::memory::needs::{CaseNeed, Voxels, Work, network_shape};
use crate::memory::{Footprint, Pace, Plan, Schedule, mib};
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
    let (load, patch) = run_first(predictor, members).context("cannot run the bundle")?;
    let footprint = Footprint::since(before).context("cannot measure the memory of a session")?;
    let (needs, n_patches) = needs(predictor, cases);
    #[expect(clippy::cast_precision_loss, reason = "an estimate of time")]
    let pace = Pace { load: load.as_secs_f64(), inference: patch.as_secs_f64() * n_patches as f64 };
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
    members.keep(schedule.sessions);
    Ok(Arrangement { schedule, predicted: plan.peak(schedule) })
}

/// Loads the first member and runs it; how long loading took, and the patch that was fastest.
fn run_first(predictor: &Predictor<'_>, members: &mut Members<'_>) -> anyhow::Result<(Duration, Duration)> {
    let first = predictor.members().next().context("the bundle has no member")?;
    let [z, y, x] = predictor.model.configuration.patch_zyx();
    let patch = Array5::zeros((1, predictor.model.unet.n_channels, z, y, x));
    let start = Instant::now();
    members.with(&first.id, |network| {
        let (load, mut fastest) = (start.elapsed(), Duration::MAX);
        for _ in 0..N_RUNS {
            let start = Instant::now();
            fastest = fastest.min(network.predict(patch.view(), |_| start.elapsed())?);
        }
        Ok((load, fastest))
    })?
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
