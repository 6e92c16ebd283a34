//! What a run needs at most, said before it starts, and how it is arranged to need no more than it may.
//!
//! What libraries and sessions take is measured, because it depends on provider, precision and version: the first
//! session is made, runs twice, and the process is asked how much it grew. All members have one topology, so the others
//! are like it. What the cases take follows from their shapes ([`needs`]). From both follows the need of a [`Schedule`].
//!
//! Of the schedules that lose no time worth mentioning by loading members, the one is taken that needs least. So memory
//! stops growing with the number of members as soon as a chunk of cases takes less than the sessions would, and that
//! chunk depends on how long loading takes beside predicting, not on how many members there are.
//!
//! Without a limit the memory that the machine has left decides between schedules, and nothing is refused.

pub(crate) mod limit;
pub(crate) mod needs;

use std::cmp::Reverse;
use std::io;
use std::num::NonZeroUsize;

use fs_err as fs;
use serde::Serialize;

use crate::allocator;
use crate::engine::Provider;
use needs::CaseNeed;

/// What an allocator keeps between pieces of memory that are in use, and buffers too small to be counted.
const SLACK: u64 = 64 << 20;
/// The same, as a part of what is counted: one in so many bytes.
const SLACK_SHARE: u64 = 10;
/// What loading members again may take to save memory, as a part of the time inside the networks.
const RELOADING_SHARE: f64 = 0.02;

/// Memory of this process before the first case, measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// In use, with one session that has run; bytes.
    pub(crate) resident: u64,
    /// By which that session grew it.
    pub(crate) session: u64,
    /// The most so far: loading a session takes more than keeping it.
    pub(crate) peak: u64,
    /// What sessions may leave behind that are gone, together.
    pub(crate) left: u64,
}

impl Footprint {
    /// Measures what a session of the provider has taken since `before`.
    ///
    /// On a processor a session that is gone leaves no [large block](allocator) behind, and the small ones serve the next.
    /// What a GPU's libraries or another allocator keep is not known; it is taken to be as much as one session.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub(crate) fn since(before: u64, provider: Provider) -> io::Result<Self> {
        let resident = resident()?;
        let session = resident.saturating_sub(before);
        let leaves_little = allocator::RETURNS_LARGE_BLOCKS && !provider.is_gpu();
        Ok(Self { resident, session, peak: peak()?, left: if leaves_little { 0 } else { session } })
    }
}

/// How long networks take; seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Loading one member, measured.
    pub(crate) load: f64,
    /// One member on every case of the run, from the time of one patch.
    pub(crate) inference: f64,
}

/// Memory of this process that is in use, bytes.
///
/// # Errors
///
/// If the system does not say.
pub(crate) fn resident() -> io::Result<u64> {
    status("VmRSS")
}

/// The most memory of this process so far, bytes.
///
/// # Errors
///
/// If the system does not say.
pub(crate) fn peak() -> io::Result<u64> {
    status("VmHWM")
}

fn status(name: &str) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("`/proc/self/status` has no {name}"));
    field(&text, name).ok_or_else(missing)
}

/// A field of one of the kernel's tables, bytes.
pub(crate) fn field(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// How many sessions are loaded at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Loaded {
    /// Every member's, for the whole run.
    All,
    /// One member's, which predicts a chunk of cases and is dropped.
    One,
}

/// How a run is arranged. Results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Schedule {
    /// Sessions at a time.
    pub(crate) sessions: Loaded,
    /// Cases that one member predicts before the next member does.
    pub(crate) chunk: usize,
    /// Cases that are read at a time, and cases that are scored and written at a time.
    pub(crate) jobs: usize,
}

impl Schedule {
    /// Cases whose sums are held at a time: each job has whole cases.
    fn n_running(self) -> usize {
        self.jobs * self.chunk.div_ceil(self.jobs)
    }
}

/// What a schedule's memory and its loads follow from.
#[derive(Debug)]
pub(crate) struct Plan {
    footprint: Footprint,
    pace: Pace,
    n_members: usize,
    needs: Vec<CaseNeed>,
}

impl Plan {
    /// For cases of these needs and so many members.
    pub(crate) fn new(footprint: Footprint, pace: Pace, n_members: usize, needs: Vec<CaseNeed>) -> Self {
        Self { footprint, pace, n_members, needs }
    }

    /// The most that the process takes with this schedule, bytes.
    pub(crate) fn peak(&self, schedule: Schedule) -> u64 {
        let Footprint { resident, session, peak, left } = self.footprint;
        let n_more = self.n_members.saturating_sub(1) as u64;
        let sessions = match schedule.sessions {
            Loaded::All => n_more.saturating_mul(session),
            Loaded::One if n_more == 0 => 0,
            Loaded::One => left,
        };
        let loading = peak.saturating_sub(resident);
        let cases = match self.needs[..] {
            [only] => only.alone(self.n_members),
            _ => self.of_many_cases(schedule),
        };
        let more = cases.saturating_add(sessions).saturating_add(loading);
        resident.saturating_add(more).saturating_add(more / SLACK_SHARE).saturating_add(SLACK)
    }

    /// Cases are read, predicted, and finished at the same time.
    fn of_many_cases(&self, schedule: Schedule) -> u64 {
        let sum = |n: usize, of: fn(&CaseNeed) -> u64| largest(&self.needs, n, of);
        sum(schedule.jobs, |need| need.prepare)
            .saturating_add(sum(schedule.chunk, |need| need.image))
            .saturating_add(sum(1, |need| need.inference))
            .saturating_add(sum(schedule.n_running(), |need| need.sums))
            .saturating_add(sum(schedule.jobs, |need| need.finish))
    }

    /// A schedule of at most `jobs` jobs that stays below `limit`; `None` if there is none.
    ///
    /// With as many jobs as possible, the one that needs least of those that hardly load a member twice; if none of them
    /// fits, the one that loads members least often, and of equals the one with most jobs.
    pub(crate) fn schedule(&self, limit: u64, jobs: NonZeroUsize) -> Option<Schedule> {
        let fits = |schedule: &Schedule| self.peak(*schedule) <= limit;
        let jobs = (1..=jobs.get()).rev();
        jobs.clone().find_map(|jobs| self.lean(jobs, fits)).or_else(|| {
            let one = jobs.filter_map(|jobs| self.largest_chunk(limit, jobs));
            one.min_by_key(|schedule| (self.n_loads(*schedule), Reverse(schedule.jobs)))
        })
    }

    /// Of the two schedules that lose no time by loading, the one that needs less and `fits`.
    fn lean(&self, jobs: usize, fits: impl Fn(&Schedule) -> bool) -> Option<Schedule> {
        let all = Schedule { sessions: Loaded::All, chunk: 1, jobs };
        let one = Schedule { sessions: Loaded::One, chunk: self.chunk_in_pace(), jobs };
        [all, one].into_iter().filter(fits).min_by_key(|schedule| self.peak(*schedule))
    }

    /// The fewest cases at a time for which loading members anew takes no more than its share of the time. A run of so
    /// many cases is cut into equal chunks.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a negative or endless number of times saturates"
    )]
    fn chunk_in_pace(&self) -> usize {
        let Pace { load, inference } = self.pace;
        let n_more_chunks = (RELOADING_SHARE * inference / load) as usize;
        self.needs.len().div_ceil(n_more_chunks.saturating_add(1)).max(1)
    }

    /// The schedule that needs least.
    pub(crate) fn least(&self) -> Schedule {
        let schedules = [Loaded::All, Loaded::One].map(|sessions| Schedule { sessions, chunk: 1, jobs: 1 });
        let [all, one] = schedules.map(|schedule| (self.peak(schedule), schedule));
        if all.0 <= one.0 { all.1 } else { one.1 }
    }

    /// How often a schedule loads a member.
    pub(crate) fn n_loads(&self, schedule: Schedule) -> usize {
        match schedule.sessions {
            Loaded::All => self.n_members,
            Loaded::One => self.n_members * self.needs.len().div_ceil(schedule.chunk),
        }
    }

    fn largest_chunk(&self, limit: u64, jobs: usize) -> Option<Schedule> {
        let of = |chunk| Schedule { sessions: Loaded::One, chunk, jobs };
        let fits = |chunk: &usize| self.peak(of(*chunk)) <= limit;
        // The need grows with the chunk, so the chunks that fit come first.
        let (mut fitting, mut beyond) = (0, self.needs.len().max(1) + 1);
        while beyond - fitting > 1 {
            let middle = fitting.midpoint(beyond);
            if fits(&middle) { fitting = middle } else { beyond = middle }
        }
        (fitting > 0).then(|| of(fitting))
    }
}

/// The sum over the `n` cases that need most.
fn largest(needs: &[CaseNeed], n: usize, of: fn(&CaseNeed) -> u64) -> u64 {
    let mut bytes: Vec<u64> = needs.iter().map(of).collect();
    bytes.sort_unstable_by(|a, b| b.cmp(a));
    bytes.into_iter().take(n).fold(0, u64::saturating_add)
}

/// A run that would need more memory than it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the run needs up to {} MiB, `--memory` allows {} MiB: {} MiB for the program and one session, the rest for one case \
     at a time", mib(*needed), mib(*allowed), mib(*resident)
)]
pub(crate) struct OverLimit {
    /// What the schedule that needs least needs, bytes.
    pub(crate) needed: u64,
    /// What `--memory` allows, bytes.
    pub(crate) allowed: u64,
    /// What is in use before the first case, bytes.
    pub(crate) resident: u64,
}

impl Plan {
    /// The schedule for a limit that is kept.
    ///
    /// # Errors
    ///
    /// [`OverLimit`] if no schedule stays below it.
    pub(crate) fn within(&self, allowed: u64, jobs: NonZeroUsize) -> Result<Schedule, OverLimit> {
        let refuse = || OverLimit { needed: self.peak(self.least()), allowed, resident: self.footprint.resident };
        self.schedule(allowed, jobs).ok_or_else(refuse)
    }
}

/// Mebibytes, rounded up.
pub(crate) fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests;
