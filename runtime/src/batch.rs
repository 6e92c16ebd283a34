//! A folder of cases, one after the other: predicted, written, reported.
//!
//! While the networks work on one case, the next is read and preprocessed on another thread; no further, so that at
//! most two cases are in memory. A case that fails is handed to the caller and the batch goes on. Every file appears
//! whole or not at all, and a case's trace last: where there is a trace, everything else is there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use fs_err as fs;
use imaging::file::{self, FileError, Format};
use imaging::{Dimensionality, Geometry, Volume, atomic_file, npz};
use ndarray::Array3;

use crate::members::Members;
use crate::predict::cases::{CaseError, Found, Prepared, prepare};
use crate::predict::report::DoneCase;
use crate::predict::trace::{FORMAT, RunFacts, Seconds, Trace, scores, warnings};
use crate::predict::{PredictError, Prediction, Predictor, Watch};
use crate::progress::Progress;

/// Folder of the folds' own segmentations, inside the output folder.
const FOLDS_FOLDER: &str = "folds";
/// In there, the folder of the mean over the folds.
const MEAN_FOLDER: &str = "mean";

/// What is the same for every case of a run.
pub(crate) struct Batch<'a> {
    /// How a case is predicted.
    pub(crate) predictor: &'a Predictor<'a>,
    /// What the traces say about the run.
    pub(crate) facts: &'a RunFacts,
    /// Where outputs go.
    pub(crate) output: &'a Path,
    /// Shows how far the run is.
    pub(crate) progress: &'a Progress,
}

/// A case on its way from the reading thread.
struct Arrival {
    case: String,
    inputs: Vec<String>,
    prepared: Result<Prepared, CaseError>,
}

impl Batch<'_> {
    /// Predicts every case, and hands each outcome to `on_case` when it is known.
    ///
    /// # Errors
    ///
    /// If the output folders cannot be made. A failed case is no error of the batch.
    pub(crate) fn run(
        &self,
        cases: Vec<Found>,
        members: &mut Members<'_>,
        on_case: &mut dyn FnMut(String, Result<DoneCase, CaseFailure>),
    ) -> io::Result<()> {
        self.make_folders()?;
        let model = self.predictor.model;
        let (sender, arrivals) = sync_channel(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                for (case, files) in cases {
                    let names = files.as_ref().map(|files| names(files)).unwrap_or_default();
                    let prepared = files.and_then(|files| prepare(&files, model));
                    if sender.send(Arrival { case, inputs: names, prepared }).is_err() {
                        break;
                    }
                }
            });
            for arrival in arrivals {
                let (case, inputs) = (arrival.case, arrival.inputs);
                let done = match arrival.prepared {
                    Ok(prepared) => self.case(&case, inputs, &prepared, members),
                    Err(source) => Err(CaseFailure::Case { source }),
                };
                self.progress.case_is_over();
                on_case(case, done);
            }
        });
        Ok(())
    }

    fn make_folders(&self) -> io::Result<()> {
        fs::create_dir_all(self.output)?;
        if self.predictor.keeps_folds {
            for (fold, _) in self.predictor.folds {
                fs::create_dir_all(self.output.join(FOLDS_FOLDER).join(fold.to_string()))?;
            }
            fs::create_dir_all(self.output.join(FOLDS_FOLDER).join(MEAN_FOLDER))?;
        }
        Ok(())
    }

    fn case(
        &self,
        case: &str,
        inputs: Vec<String>,
        prepared: &Prepared,
        members: &mut Members<'_>,
    ) -> Result<DoneCase, CaseFailure> {
        let mut seconds = prepared.seconds;
        self.progress.case_begins(case, self.predictor.n_patches(&prepared.preprocessed));
        let mut on_patch = || self.progress.patch_is_done();
        let mut watch = Watch { on_patch: &mut on_patch, seconds: &mut seconds };
        let prediction = self.predictor.predict(prepared, members, &mut watch)?;
        let start = Instant::now();
        self.write_volumes(case, &prediction, &prepared.geometry)?;
        seconds.write = start.elapsed().as_secs_f64();
        let done = self.summarize(&prediction, seconds);
        self.write_trace(case, inputs, &done, &prepared.geometry)?;
        Ok(done)
    }

    fn summarize(&self, prediction: &Prediction, seconds: Seconds) -> DoneCase {
        let scores = scores(prediction, self.predictor);
        let of_result = scores.iter().find(|scores| scores.fold == prediction.selection);
        let score = of_result.and_then(|scores| scores.score);
        DoneCase {
            selected_fold: prediction.selection,
            score,
            expectation: self.predictor.calibrated.expect(prediction.selection, score),
            disagreement: prediction.disagreement,
            seconds,
            warnings: warnings(prediction),
            scores,
        }
    }

    fn write_volumes(&self, case: &str, prediction: &Prediction, geometry: &Geometry) -> Result<(), CaseFailure> {
        let ending = &self.predictor.model.file_ending;
        let name = format!("{case}{ending}");
        for (i, (method, map)) in self.predictor.methods.iter().zip(&prediction.result.maps).enumerate() {
            let suffix = if i == 0 { String::new() } else { format!("_{method}") };
            let ending = self.predictor.model.format.map_ending(ending);
            let path = self.output.join(format!("{case}_uncertainty{suffix}{ending}"));
            let Some(map) = map else { continue };
            file::write_map(&path, &Volume { voxels: map.clone(), geometry: geometry.clone() })?;
        }
        let write = |folder: PathBuf, segmentation: &Array3<u8>| {
            let volume = Volume { voxels: segmentation.clone(), geometry: geometry.clone() };
            file::write_labels(&folder.join(&name), &volume)
        };
        let folds = self.output.join(FOLDS_FOLDER);
        for (fold, assessment) in &prediction.folds {
            if let Some(segmentation) = &assessment.segmentation {
                write(folds.join(fold.to_string()), segmentation)?;
            }
        }
        if let Some(segmentation) = &prediction.mean.segmentation {
            write(folds.join(MEAN_FOLDER), segmentation)?;
        }
        if let Some(probabilities) = &prediction.result.probabilities {
            npz::write(&self.output.join(format!("{case}.npz")), "probabilities", probabilities)?;
        }
        write(self.output.to_owned(), &prediction.result.segmentation)?;
        Ok(())
    }

    fn write_trace(
        &self,
        case: &str,
        inputs: Vec<String>,
        done: &DoneCase,
        geometry: &Geometry,
    ) -> Result<(), CaseFailure> {
        // A stack's spacing lies in a file that has the trace's name; there it must stay.
        let is_stack = matches!(self.predictor.model.format, Format::Tif | Format::Tiff)
            && geometry.dimensionality() == Dimensionality::Three;
        let trace = Trace {
            format: FORMAT,
            case,
            inputs,
            run: self.facts,
            members: self.predictor.member_names(),
            selected_fold: done.selected_fold,
            disagreement: done.disagreement,
            expectation: done.expectation,
            scores: done.scores.clone(),
            seconds: done.seconds,
            warnings: done.warnings.clone(),
            spacing: is_stack.then(|| geometry.spacing().zyx()),
        };
        let text = serde_json::to_vec_pretty(&trace).map_err(io::Error::from)?;
        Ok(atomic_file::write(&self.output.join(format!("{case}.json")), &text)?)
    }
}

fn names(files: &[PathBuf]) -> Vec<String> {
    files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned()).collect()
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
