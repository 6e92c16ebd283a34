//! The stage in the middle: networks, chunk by chunk of cases, member by member.
//!
//! In a chunk every member predicts every case before the next member does. Where all sessions stay loaded a chunk is
//! one case; else it is so many that loading a member takes little of the time, as far as memory holds them, and a member
//! begins once all logits of the one before are restored.

use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};
use std::time::Instant;

use nnunet::preprocess::Preprocessed;

use super::finisher::{Begun, Step};
use super::{Arrival, Batch, CaseFailure, Ended};
use crate::members::{MemberError, Members};
use crate::memory::Loaded;
use crate::model::ModelMember;
use crate::network::Network;
use crate::predict::PredictError;
use crate::predict::trace::Seconds;

/// A case between its first member and its last.
struct Waiting<'s> {
    index: usize,
    preprocessed: Preprocessed,
    finisher: &'s SyncSender<Step>,
    has_failed: bool,
}

impl Waiting<'_> {
    /// Hands on a step of this case. A finisher is gone only if it panicked, which ends the run.
    fn send(&self, step: Step) {
        let _ = self.finisher.send(step);
    }

    fn fail(&mut self, failure: CaseFailure) {
        self.has_failed = true;
        self.send(Step::Fail { index: self.index, failure });
    }
}

impl Batch<'_> {
    /// Runs every member on every arrival.
    pub(super) fn infer(
        self,
        mut arrivals: impl Iterator<Item = Arrival>,
        members: &mut Members<'_>,
        finishers: &[SyncSender<Step>],
        ends: &Sender<Ended>,
    ) {
        loop {
            let mut chunk = self.next_chunk(&mut arrivals, finishers, ends);
            if chunk.is_empty() {
                return;
            }
            for (n_before, member) in self.predictor.members().enumerate() {
                let start = Instant::now();
                let run = members.with(&member.id, |network| {
                    let load = start.elapsed().as_secs_f64();
                    if n_before > 0 {
                        self.make_room(finishers);
                    }
                    self.run_member(member, network, &mut chunk, load);
                });
                if let Err(error) = run {
                    fail_all(&mut chunk, error);
                }
                if chunk.iter().all(|case| case.has_failed) {
                    break;
                }
            }
        }
    }

    /// Waits until all logits so far are restored, where memory is spared: those of the next member would lie beside them.
    ///
    /// They have had the time in which a session was loaded.
    fn make_room(self, finishers: &[SyncSender<Step>]) {
        if self.schedule.sessions == Loaded::One {
            for finisher in finishers {
                let _ = finisher.send(Step::Pause);
            }
        }
    }

    /// The next cases that could be read; those that could not are over.
    fn next_chunk<'s>(
        self,
        arrivals: &mut impl Iterator<Item = Arrival>,
        finishers: &'s [SyncSender<Step>],
        ends: &Sender<Ended>,
    ) -> Vec<Waiting<'s>> {
        let mut chunk = Vec::new();
        while chunk.len() < self.schedule.chunk
            && let Some(Arrival { index, case, prepared }) = arrivals.next()
        {
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(source) => {
                    self.progress.case_is_left_out();
                    let _ = ends.send(Ended { index, case, outcome: Err(CaseFailure::Case { source }) });
                    continue;
                }
            };
            self.progress.case_begins(&case, self.predictor.n_patches(&prepared.preprocessed));
            let finisher = &finishers[index % finishers.len()];
            let waiting = Waiting { index, preprocessed: prepared.preprocessed, finisher, has_failed: false };
            let (geometry, properties) = (prepared.geometry, waiting.preprocessed.properties.clone());
            let (inputs, seconds) = (prepared.inputs, prepared.seconds);
            waiting.send(Step::Begin(Box::new(Begun { index, case, inputs, geometry, properties, seconds })));
            chunk.push(waiting);
        }
        chunk
    }

    /// Runs one member on all cases of the chunk; the first of them bears what loading took.
    fn run_member(self, member: &ModelMember, network: &mut Network, chunk: &mut [Waiting<'_>], mut load: f64) {
        for case in chunk.iter_mut().filter(|case| !case.has_failed) {
            let (start, before) = (Instant::now(), network.seconds());
            let on_patch = &mut || self.progress.patch_is_done();
            match self.predictor.logits(&case.preprocessed, member, network, on_patch) {
                Ok(logits) => {
                    let (network, session) = (start.elapsed().as_secs_f64(), network.seconds() - before);
                    let seconds = Seconds { load: std::mem::take(&mut load), network, session, ..Seconds::default() };
                    case.send(Step::Logits { index: case.index, logits, seconds });
                }
                Err(source) => case.fail(CaseFailure::Predict { source }),
            }
        }
    }
}

/// A member that cannot be loaded fails every case that waits for it.
fn fail_all(chunk: &mut [Waiting<'_>], error: MemberError) {
    let error = Arc::new(error);
    for case in chunk.iter_mut().filter(|case| !case.has_failed) {
        let source = PredictError::Member { source: Arc::clone(&error) };
        case.fail(CaseFailure::Predict { source });
    }
}
