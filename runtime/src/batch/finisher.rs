//! The last stage: logits become sums, sums a result, and the result files.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};

use imaging::Geometry;
use ndarray::Array4;
use nnunet::preprocess::CaseProperties;

use super::outputs::Finishing;
use super::{Batch, CaseFailure, Ended};
use crate::predict::report::DoneCase;
use crate::predict::running::Running;
use crate::predict::trace::Seconds;
use crate::resume::FileDigest;

/// What happens to a case, in this order: it begins, its members' logits come, and it may fail.
pub(super) enum Step {
    Begin(Box<Begun>),
    Logits {
        index: usize,
        logits: Array4<f32>,
        seconds: Seconds,
    },
    Fail {
        index: usize,
        failure: CaseFailure,
    },
    /// Nothing; who sends it knows that all before it is done once it is taken.
    Pause,
}

/// A case of which no member's logits have come yet.
pub(super) struct Begun {
    pub(super) index: usize,
    pub(super) case: String,
    pub(super) inputs: Vec<FileDigest>,
    pub(super) geometry: Geometry,
    pub(super) properties: CaseProperties,
    pub(super) seconds: Seconds,
}

/// A case whose logits are coming.
struct Current<'a> {
    running: Running<'a>,
    finishing: Finishing,
}

impl<'a> Batch<'a> {
    /// Takes steps until there are no more. What comes for a case after its end is passed over.
    pub(super) fn finish(self, steps: Receiver<Step>, ends: &Sender<Ended>) {
        let mut cases: BTreeMap<usize, Current<'a>> = BTreeMap::new();
        for step in steps {
            let (index, outcome) = match step {
                Step::Begin(begun) => {
                    let Begun { index, case, inputs, geometry, properties, seconds } = *begun;
                    let running = Running::new(self.predictor, properties, &geometry, seconds);
                    cases.insert(index, Current { running, finishing: Finishing { case, inputs, geometry } });
                    continue;
                }
                Step::Logits { index, logits, seconds } => {
                    let Some(current) = cases.get_mut(&index) else { continue };
                    current.running.seconds += seconds;
                    match current.running.add(logits) {
                        Ok(()) if current.running.is_complete() => (index, None),
                        Ok(()) => continue,
                        Err(source) => (index, Some(CaseFailure::Predict { source })),
                    }
                }
                Step::Fail { index, failure } => (index, Some(failure)),
                Step::Pause => continue,
            };
            if let Some(current) = cases.remove(&index) {
                let case = current.finishing.case.clone();
                let outcome = outcome.map_or_else(|| self.complete(current), Err);
                let _ = ends.send(Ended { index, case, outcome });
            }
        }
    }

    fn complete(self, current: Current<'_>) -> Result<DoneCase, CaseFailure> {
        let (prediction, seconds) = current.running.finish()?;
        self.outputs.write(current.finishing, prediction, seconds)
    }
}
