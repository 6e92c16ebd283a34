//! The files of a case: maps, folds' segmentations, probabilities, the segmentation, and last the trace.

use std::io;
use std::path::Path;
use std::time::Instant;

use fs_err as fs;
use imaging::file::{self, Format};
use imaging::{Dimensionality, Geometry, Volume, atomic_file, npz};
use ndarray::Array3;

use super::CaseFailure;
use crate::predict::report::DoneCase;
use crate::predict::trace::{FORMAT, RunFacts, Seconds, Trace, scores, warnings};
use crate::predict::{Prediction, Predictor};
use crate::resume::{self, FileDigest, RunKey};

/// Folder of the folds' own segmentations, inside the output folder.
const FOLDS_FOLDER: &str = "folds";
/// In there, the folder of the mean over the folds.
const MEAN_FOLDER: &str = "mean";

/// Where the results of a run go.
pub(crate) struct Outputs<'a> {
    /// How cases are predicted.
    pub(crate) predictor: &'a Predictor<'a>,
    /// What the traces say about the run.
    pub(crate) facts: &'a RunFacts,
    /// What decides the results.
    pub(crate) key: RunKey,
    /// The output folder.
    pub(crate) folder: &'a Path,
}

/// A case whose result is to be written.
pub(crate) struct Finishing {
    /// Its name.
    pub(crate) case: String,
    /// What it was read from.
    pub(crate) inputs: Vec<FileDigest>,
    /// The grid of its image.
    pub(crate) geometry: Geometry,
}

impl Outputs<'_> {
    /// Makes the folders that a run writes to.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(crate) fn make_folders(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder)?;
        if self.predictor.keeps_folds {
            for (fold, _) in self.predictor.folds {
                fs::create_dir_all(self.folder.join(FOLDS_FOLDER).join(fold.to_string()))?;
            }
            fs::create_dir_all(self.folder.join(FOLDS_FOLDER).join(MEAN_FOLDER))?;
        }
        Ok(())
    }

    /// Every file of a case but its trace, relative to the output folder.
    pub(crate) fn names(&self, case: &str) -> Vec<String> {
        let Predictor { methods, folds, keeps_folds, keeps_probabilities, .. } = self.predictor;
        let with_map = methods.iter().enumerate().filter(|(_, method)| method.has_map());
        let mut names: Vec<_> = with_map.map(|(i, _)| self.map_name(case, i)).collect();
        if *keeps_folds {
            let folds = folds.iter().map(|(fold, _)| fold.to_string()).chain([MEAN_FOLDER.to_owned()]);
            names.extend(folds.map(|folder| self.fold_name(case, &folder)));
        }
        if *keeps_probabilities {
            names.push(npz_name(case));
        }
        names.push(self.segmentation_name(case));
        names
    }

    /// Writes all files of a case.
    ///
    /// # Errors
    ///
    /// [`CaseFailure::Volume`] or [`CaseFailure::Write`] naming the file; there is no trace then.
    pub(crate) fn write(
        &self,
        finishing: Finishing,
        prediction: Prediction,
        seconds: Seconds,
    ) -> Result<DoneCase, CaseFailure> {
        let mut done = self.summarize(&prediction, seconds);
        let start = Instant::now();
        self.write_volumes(&finishing.case, prediction, &finishing.geometry)?;
        let outputs = resume::outputs(self.folder, &self.names(&finishing.case))?;
        done.seconds.write = start.elapsed().as_secs_f64();
        self.write_trace(finishing, outputs, &done)?;
        Ok(done)
    }

    fn summarize(&self, prediction: &Prediction, seconds: Seconds) -> DoneCase {
        let scores = scores(prediction, self.predictor);
        let score = DoneCase::score_of(&scores, prediction.selection);
        DoneCase {
            selected_fold: prediction.selection,
            score,
            expectation: self.predictor.calibrated.expect(prediction.selection, score),
            disagreement: prediction.disagreement,
            seconds,
            warnings: warnings(prediction, self.predictor.rules),
            scores,
        }
    }

    fn write_volumes(&self, case: &str, prediction: Prediction, geometry: &Geometry) -> Result<(), CaseFailure> {
        for (i, map) in prediction.result.maps.into_iter().enumerate() {
            let Some(voxels) = map else { continue };
            let volume = Volume { voxels, geometry: geometry.clone() };
            file::write_map(&self.folder.join(self.map_name(case, i)), &volume)?;
        }
        let write = |name: String, segmentation: Array3<u8>| {
            let volume = Volume { voxels: segmentation, geometry: geometry.clone() };
            file::write_labels(&self.folder.join(name), &volume)
        };
        for (fold, assessment) in prediction.folds {
            if let Some(segmentation) = assessment.segmentation {
                write(self.fold_name(case, &fold.to_string()), segmentation)?;
            }
        }
        if let Some(segmentation) = prediction.mean.segmentation {
            write(self.fold_name(case, MEAN_FOLDER), segmentation)?;
        }
        if let Some(probabilities) = &prediction.result.probabilities {
            npz::write(&self.folder.join(npz_name(case)), "probabilities", probabilities)?;
        }
        write(self.segmentation_name(case), prediction.result.segmentation)?;
        Ok(())
    }

    fn write_trace(&self, finishing: Finishing, outputs: Vec<FileDigest>, done: &DoneCase) -> Result<(), CaseFailure> {
        let Finishing { case, inputs, geometry } = finishing;
        // A stack's spacing lies in a file that has the trace's name; there it must stay.
        let is_stack = matches!(self.predictor.model.format, Format::Tif | Format::Tiff)
            && geometry.dimensionality() == Dimensionality::Three;
        let trace = Trace {
            format: FORMAT,
            case: &case,
            key: self.key.of_case(&inputs),
            inputs,
            outputs,
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
        Ok(atomic_file::write(&self.folder.join(format!("{case}.json")), &text)?)
    }

    /// The map of the `i`-th method.
    fn map_name(&self, case: &str, i: usize) -> String {
        let suffix = if i == 0 { String::new() } else { format!("_{}", self.predictor.methods[i]) };
        let model = self.predictor.model;
        format!("{case}_uncertainty{suffix}{}", model.format.map_ending(&model.file_ending))
    }

    fn fold_name(&self, case: &str, folder: &str) -> String {
        format!("{FOLDS_FOLDER}/{folder}/{}", self.segmentation_name(case))
    }

    fn segmentation_name(&self, case: &str) -> String {
        format!("{case}{}", self.predictor.model.file_ending)
    }
}

fn npz_name(case: &str) -> String {
    format!("{case}.npz")
}
