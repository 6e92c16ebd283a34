//! A folder of cases: read, predicted, scored, written, reported, all at the same time.
//!
//! Three stages of threads in one process. *Readers* read and preprocess the next cases; the networks run on the calling
//! thread ([`inference`]), because a session uses every core; *finishers* restore, score and write ([`finisher`]). Every
//! stage waits until the next one takes what it has, so the [schedule](Schedule) bounds what is in memory.
//!
//! A case always passes through the same lane of readers and the same finisher, and its members in their order: results
//! are the same bytes whatever the schedule. A case that fails is handed to the caller and the batch goes on. Every file
//! appears whole or not at all, and a case's trace last: where there is a trace, everything else is there.

mod finisher;
mod inference;
pub(crate) mod outputs;

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread::{self, Scope};

use imaging::file::FileError;

use crate::members::Members;
use crate::memory::Schedule;
use crate::predict::cases::{CaseError, Found, Prepared, prepare};
use crate::predict::report::DoneCase;
use crate::predict::{PredictError, Predictor};
use crate::progress::Progress;
use outputs::Outputs;

/// What is the same for every case of a run.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    /// How a case is predicted.
    pub(crate) predictor: &'a Predictor<'a>,
    /// Where results go.
    pub(crate) outputs: &'a Outputs<'a>,
    /// Shows how far the run is.
    pub(crate) progress: &'a Progress,
    /// How many cases are where at a time.
    pub(crate) schedule: Schedule,
}

/// A case as it leaves its reader.
struct Arrival {
    index: usize,
    case: String,
    prepared: Result<Prepared, CaseError>,
}

/// A case that is over, in whatever order cases end.
struct Ended {
    index: usize,
    case: String,
    outcome: Result<DoneCase, CaseFailure>,
}

impl<'a> Batch<'a> {
    /// Predicts every case, and hands the outcomes to `on_case` in the order of the cases.
    ///
    /// # Errors
    ///
    /// If the output folders cannot be made. A failed case is no error of the batch.
    pub(crate) fn run(
        self,
        cases: Vec<Found>,
        members: &mut Members<'_>,
        on_case: &mut (dyn FnMut(String, Result<DoneCase, CaseFailure>) + Send),
    ) -> io::Result<()> {
        self.outputs.make_folders()?;
        thread::scope(|scope| {
            let arrivals = self.read(scope, cases);
            let (ends, ended) = channel();
            scope.spawn(move || self.report(ended, on_case));
            let finishers = (0..self.schedule.jobs).map(|_| {
                let (sender, steps) = sync_channel(0);
                let ends = ends.clone();
                scope.spawn(move || self.finish(steps, &ends));
                sender
            });
            self.infer(arrivals, members, &finishers.collect::<Vec<_>>(), &ends);
        });
        Ok(())
    }

    /// Reads the cases in as many lanes as there are jobs, and hands them over in their order.
    fn read<'s>(self, scope: &'s Scope<'s, '_>, cases: Vec<Found>) -> impl Iterator<Item = Arrival> + use<'s, 'a>
    where
        'a: 's,
    {
        let (n_cases, n_lanes) = (cases.len(), self.schedule.jobs);
        let mut lanes: Vec<Vec<(usize, Found)>> = (0..n_lanes).map(|_| Vec::new()).collect();
        for (index, found) in cases.into_iter().enumerate() {
            lanes[index % n_lanes].push((index, found));
        }
        let model = self.predictor.model;
        let start = |lane: Vec<(usize, Found)>| {
            let (sender, arrivals) = sync_channel(0);
            scope.spawn(move || {
                for (index, (case, files)) in lane {
                    let prepared = files.and_then(|files| prepare(&files, model));
                    if sender.send(Arrival { index, case, prepared }).is_err() {
                        break;
                    }
                }
            });
            arrivals
        };
        let lanes: Vec<Receiver<Arrival>> = lanes.into_iter().map(start).collect();
        (0..n_cases).map_while(move |index| lanes[index % n_lanes].recv().ok())
    }

    /// Hands the ends of cases on in the order of the cases.
    fn report(self, ended: Receiver<Ended>, on_case: &mut (dyn FnMut(String, Result<DoneCase, CaseFailure>) + Send)) {
        let mut early = BTreeMap::new();
        let mut next = 0;
        for end in ended {
            self.progress.case_is_over();
            early.insert(end.index, end);
            while let Some(Ended { case, outcome, .. }) = early.remove(&next) {
                on_case(case, outcome);
                next += 1;
            }
        }
    }
}

/// Why a case has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CaseFailure {
    /// It could not be read or preprocessed.
    #[error(transparent)]
    Case {
        /// Why.
        source: CaseError,
    },
    /// The networks could not predict it.
    #[error(transparent)]
    Predict {
        /// Why.
        #[from]
        source: PredictError,
    },
    /// A segmentation or map could not be written.
    #[error("the result cannot be written")]
    Volume {
        /// Why.
        #[from]
        source: FileError,
    },
    /// A trace or probabilities could not be written.
    #[error("the result cannot be written")]
    Write {
        /// Why.
        #[from]
        source: io::Error,
    },
}
