//! `validation/scores.json` and `scores.csv`: score and Dice of every case, together and per structure.
//!
//! What a calibration rests on, for whoever wants to look at it or fit something else. Dice is that of the result as the
//! runtime gives it: after the training's postprocessing, where there is one. What is undefined is `null`, or empty.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use imaging::atomic_file;
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::postprocessing::Step;
use serde::{Deserialize, Serialize};

use super::{MemberFacts, MethodScores, ResultsError};
use crate::raw_dataset::read_text;

/// Version of this file's format.
const FORMAT: u32 = 1;
/// Columns of the CSV; an empty structure stands for all of them: its Dice is their mean.
const COLUMNS: [&str; 5] = ["case", "method", "structure", "score", "Dice"];

/// Scores and Dice of a fold's validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldScores {
    format: u32,
    /// The fold.
    pub fold: Fold,
    /// Who predicted.
    pub members: Vec<MemberFacts>,
    /// What their logits were divided by.
    pub temperature: f32,
    /// What was done to the segmentations before Dice.
    pub postprocessing: Vec<Step>,
    /// The cases, in the order of the split.
    pub cases: Vec<ScoredCase>,
}

/// Scores and Dice of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredCase {
    /// The case.
    pub case: CaseId,
    /// Mean over the structures that are defined.
    pub dice: Option<f64>,
    /// Of every structure by its name.
    pub structures: BTreeMap<String, Option<f64>>,
    /// By every method.
    pub scores: Vec<MethodScores>,
}

impl FoldScores {
    /// Where the file lies in a validation's folder.
    pub fn path(validation: &Path) -> PathBuf {
        validation.join("scores.json")
    }

    pub(super) fn new(
        fold: Fold,
        members: Vec<MemberFacts>,
        temperature: f32,
        postprocessing: &[Step],
        cases: Vec<ScoredCase>,
    ) -> Self {
        Self { format: FORMAT, fold, members, temperature, postprocessing: postprocessing.to_vec(), cases }
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`ResultsError::Read`], or [`ResultsError::Json`] if it is no such file, or one of another version.
    pub fn read(validation: &Path) -> Result<Self, ResultsError> {
        let path = Self::path(validation);
        let text = read_text(&path)?;
        let refuse = |source| ResultsError::Json { path: path.clone(), source };
        let scores: Self = serde_json::from_str(&text).map_err(refuse)?;
        if scores.format != FORMAT {
            return Err(refuse(serde::de::Error::custom(format_args!("format {}", scores.format))));
        }
        Ok(scores)
    }

    /// Writes both files.
    pub(super) fn write(&self, validation: &Path) -> Result<(), ResultsError> {
        let path = Self::path(validation);
        let text =
            serde_json::to_vec_pretty(self).map_err(|source| ResultsError::Json { path: path.clone(), source })?;
        let write = |path: &Path, content: &[u8]| {
            atomic_file::write(path, content).map_err(|source| ResultsError::Write { source })
        };
        write(&path, &text)?;
        write(&validation.join("scores.csv"), &self.csv()?)
    }

    fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        for case in &self.cases {
            for of_method in &case.scores {
                let method = of_method.method.name();
                let whole = [case.case.as_str(), method, "", &number(of_method.score), &number(case.dice)];
                writer.write_record(whole)?;
                for (structure, &score) in &of_method.structures {
                    let dice = number(case.structures.get(structure).copied().flatten());
                    writer.write_record([case.case.as_str(), method, structure, &number(score), &dice])?;
                }
            }
        }
        writer.into_inner().map_err(|error| csv::Error::from(io::Error::other(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use nnunet::uncertainty::UncertaintyMethod;

    use super::*;

    #[test]
    fn a_line_holds_score_and_dice_and_nothing_where_there_is_none() {
        let structures = |values: [Option<f64>; 2]| ["a".to_owned(), "b".to_owned()].into_iter().zip(values).collect();
        let scores = MethodScores {
            method: UncertaintyMethod::ClassEntropy,
            score: Some(0.5),
            structures: structures([Some(0.25), None]),
        };
        let case = ScoredCase {
            case: CaseId::new("x").unwrap(),
            dice: Some(0.75),
            structures: structures([Some(0.75), None]),
            scores: vec![scores],
        };
        let folder = tempfile::tempdir().unwrap();
        let file = FoldScores::new(Fold(0), Vec::new(), 1.0, &[], vec![case]);
        file.write(folder.path()).unwrap();
        assert_eq!(FoldScores::read(folder.path()).unwrap(), file);
        let text = fs_err::read_to_string(folder.path().join("scores.csv")).unwrap();
        let expected = "case,method,structure,score,Dice\n\
                        x,class-entropy,,0.5,0.75\nx,class-entropy,a,0.25,0.75\nx,class-entropy,b,,\n";
        assert_eq!(text, expected);
        let other =
            fs_err::read_to_string(FoldScores::path(folder.path())).unwrap().replace("format\": 1", "format\": 2");
        fs_err::write(FoldScores::path(folder.path()), other).unwrap();
        assert!(matches!(FoldScores::read(folder.path()), Err(ResultsError::Json { .. })));
    }
}
