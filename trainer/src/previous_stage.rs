//! The previous stage of a cascade: whether every case has its prediction, before a training begins.
//!
//! Follows nnU-Net in taking the predictions from the previous stage's training under the same plans, where every case
//! was predicted by the fold that never saw it. Departs in looking for all of them at once and comparing their grids.

use std::path::PathBuf;

use bundle_format::Digest;
use nnunet::dataset::CaseId;
use nnunet::plans::ConfigurationName;
use serde::{Deserialize, Serialize};

use crate::stage_predictions::{PredictionError, StagePredictions, StoredPrediction};
use crate::store::StoredCase;

/// What a training says of its previous stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousStage {
    /// The configuration whose segmentations the network sees.
    pub configuration: ConfigurationName,
    /// Input channels that hold them, one per foreground label, behind those of the image.
    pub n_channels: usize,
    /// Digest of the segmentations of all cases of the split.
    pub predictions: Digest,
}

/// A case without a prediction that can be used.
#[derive(Debug)]
pub struct Unusable {
    /// The case.
    pub case: CaseId,
    /// Where its prediction is described.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: PredictionError,
}

/// Opens the predictions of cases, in their order.
///
/// # Errors
///
/// Every case whose prediction is missing, damaged or of another grid.
pub fn open<'a>(
    predictions: &StagePredictions,
    cases: impl IntoIterator<Item = &'a StoredCase>,
) -> Result<Vec<StoredPrediction>, Vec<Unusable>> {
    let (mut opened, mut unusable) = (Vec::new(), Vec::new());
    for stored in cases {
        match of_case(predictions, stored) {
            Ok(prediction) => opened.push(prediction),
            Err(reason) => {
                let case = stored.case().clone();
                unusable.push(Unusable { path: predictions.path(&case), case, reason });
            }
        }
    }
    if unusable.is_empty() { Ok(opened) } else { Err(unusable) }
}

/// Digest over the segmentations of cases, which does not depend on their order.
pub fn digest<'a>(predictions: impl IntoIterator<Item = &'a StoredPrediction>) -> Digest {
    let line = |of: &StoredPrediction| format!("{}  {}\n", of.record.labels, of.record.case);
    let mut lines: Vec<String> = predictions.into_iter().map(line).collect();
    lines.sort_unstable();
    Digest::of(lines.concat().as_bytes())
}

/// Opens the prediction of a case.
///
/// # Errors
///
/// [`PredictionError`] if it is missing, damaged or of another grid.
pub(crate) fn of_case(
    predictions: &StagePredictions,
    stored: &StoredCase,
) -> Result<StoredPrediction, PredictionError> {
    let prediction = predictions.open(stored.case())?;
    let (found, expected) = (prediction.record.shape, stored.record.shape);
    if found == expected {
        Ok(prediction)
    } else {
        Err(PredictionError::Grid { path: predictions.path(stored.case()), expected, found })
    }
}
