//! What a finished prediction says of itself: `report.json`, and the trace of every case.
//!
//! A folder may have been through many hands. So sizes are limited before anything is read, a case's name must be one
//! that can be joined to a folder, numbers must be ones that can be drawn, and a trace must be of the case and of the
//! bundle that it stands for.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use imaging::file::Format;
use indexmap::IndexMap;
use nnunet::calibration::{Decision, Promise};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::predict::trace::FORMAT;

/// Some 100,000 cases.
const MAX_REPORT_BYTES: u64 = 256 << 20;
/// Thousands of members and folds.
const MAX_TRACE_BYTES: u64 = 4 << 20;
/// Scores and seconds beyond it are none.
const MAX_NUMBER: f64 = 1e9;

/// `report.json`.
#[derive(Debug, Deserialize)]
pub(super) struct RunReport {
    format: u32,
    pub(super) bundle: BundleFacts,
    pub(super) program: ProgramFacts,
    pub(super) device: DeviceFacts,
    pub(super) options: OptionFacts,
    pub(super) calibration: CalibrationFacts,
    #[serde(default)]
    pub(super) postprocessing: Vec<Vec<u8>>,
    pub(super) members: Vec<String>,
    pub(super) stage_seconds: IndexMap<String, f64>,
    pub(super) wall_seconds: f64,
    pub(super) cases: Vec<ListedCase>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BundleFacts {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) manifest_sha256: String,
    #[serde(default)]
    pub(super) signers: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ProgramFacts {
    pub(super) unnunet: String,
    pub(super) onnxruntime: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeviceFacts {
    pub(super) provider: String,
    pub(super) precision: String,
    pub(super) threads: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct OptionFacts {
    pub(super) step: f64,
    pub(super) mirrored_axes: Vec<usize>,
    pub(super) temperature: f32,
    pub(super) uncertainty: Vec<UncertaintyMethod>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CalibrationFacts {
    pub(super) promise: Option<Promise>,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// A case of the run, and how it ended.
#[derive(Debug, Deserialize)]
pub(super) struct ListedCase {
    pub(super) case: String,
    pub(super) status: Status,
    /// The error and its causes, if it failed.
    #[serde(default)]
    pub(super) error: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Done,
    Failed,
}

/// `<case>.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    format: u32,
    case: String,
    inputs: Vec<Input>,
    bundle: TracedBundle,
    pub(super) selected_fold: Option<Fold>,
    pub(super) disagreement: Option<f64>,
    pub(super) expectation: Option<Expected>,
    pub(super) scores: Vec<FoldScore>,
    pub(super) seconds: IndexMap<String, f64>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

/// A channel file; its digest is not asked for.
#[derive(Debug, Deserialize)]
struct Input {
    file: String,
}

#[derive(Debug, Deserialize)]
struct TracedBundle {
    manifest_sha256: String,
}

/// What was expected of a case.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Expected {
    pub(super) dice: Option<f64>,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) decision: Decision,
}

/// Score of one fold, or of the mean over the folds, by one method.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FoldScore {
    pub(super) fold: Option<Fold>,
    pub(super) method: UncertaintyMethod,
    pub(super) score: Option<f64>,
}

impl RunReport {
    /// Reads the report of the run whose output is `folder`.
    ///
    /// # Errors
    ///
    /// [`FolderError`] naming the file and what is wrong with it.
    pub(super) fn read(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join("report.json");
        let report: Self = read_json(&path, MAX_REPORT_BYTES)?;
        if report.format != FORMAT {
            return Err(FolderError::Format { path, found: report.format });
        }
        for (stage, &seconds) in &report.stage_seconds {
            check(&path, &format!("stage_seconds.{stage}"), seconds, MAX_NUMBER)?;
        }
        check(&path, "wall_seconds", report.wall_seconds, MAX_NUMBER)?;
        Ok(report)
    }

    /// The method whose score selected the fold.
    pub(super) fn method(&self) -> Option<UncertaintyMethod> {
        self.options.uncertainty.first().copied()
    }
}

impl Trace {
    /// Reads the trace of `case` of the run.
    ///
    /// # Errors
    ///
    /// [`FolderError`] naming the file and what is wrong with it.
    pub(super) fn read(folder: &Path, case: &CaseId, run: &RunReport) -> Result<Self, FolderError> {
        let path = folder.join(format!("{case}.json"));
        let trace: Self = read_json(&path, MAX_TRACE_BYTES)?;
        if trace.format != FORMAT {
            return Err(FolderError::Format { path, found: trace.format });
        }
        if trace.case != case.as_str() {
            return Err(FolderError::Case { path, found: trace.case });
        }
        if trace.bundle.manifest_sha256 != run.bundle.manifest_sha256 {
            return Err(FolderError::Bundle { path });
        }
        for score in trace.scores.iter().filter_map(|score| score.score) {
            check(&path, "scores.score", score, MAX_NUMBER)?;
        }
        for (stage, &seconds) in &trace.seconds {
            check(&path, &format!("seconds.{stage}"), seconds, MAX_NUMBER)?;
        }
        check(&path, "disagreement", trace.disagreement.unwrap_or_default(), 1.0)?;
        if let Some(Expected { dice, interval, .. }) = trace.expectation {
            let [low, high] = interval.unwrap_or_default();
            for value in [dice.unwrap_or_default(), low, high] {
                check(&path, "expectation", value, 1.0)?;
            }
        }
        Ok(trace)
    }

    /// Score of the result.
    pub(super) fn score(&self, method: UncertaintyMethod) -> Option<f64> {
        let is_result = |score: &&FoldScore| score.fold == self.selected_fold && score.method == method;
        self.scores.iter().find(is_result)?.score
    }

    /// Sum over the stages.
    pub(super) fn total_seconds(&self) -> f64 {
        self.seconds.values().sum()
    }

    /// Name of the file of the first channel, and the ending that the case's files have.
    pub(super) fn first_channel(&self) -> Option<(&str, &str)> {
        let name = self.inputs.first()?.file.as_str();
        let (digits, ending) = name.strip_prefix(self.case.as_str())?.strip_prefix('_')?.split_at_checked(4)?;
        let is_channel = digits.bytes().all(|byte| byte.is_ascii_digit()) && Format::of(ending).is_some();
        is_channel.then_some((name, ending))
    }
}

fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, FolderError> {
    let read = || {
        // A pipe would be waited for.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other(format!("`{}` is no file", path.display())));
        }
        let mut text = Vec::new();
        fs::File::open(path)?.take(limit + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|source| FolderError::Read { source })?;
    if text.len() as u64 > limit {
        return Err(FolderError::TooLarge { path: path.to_owned(), limit });
    }
    serde_json::from_slice(&text).map_err(|source| FolderError::Json { path: path.to_owned(), source })
}

fn check(path: &Path, field: &str, value: f64, largest: f64) -> Result<(), FolderError> {
    if (0.0..=largest).contains(&value) {
        return Ok(());
    }
    Err(FolderError::Number { path: path.to_owned(), field: field.to_owned(), found: value, largest })
}

/// Why a file of the folder says nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FolderError {
    /// Made by another bundle than the run.
    #[error("`{}` is of another bundle than `report.json`", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
    },
    /// It speaks of another case.
    #[error("`{}` is of case `{found}`", path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// A file of another version.
    #[error("`{}` has format {found}, expected {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// As found.
        found: u32,
    },
    /// The text has not this shape.
    #[error("`{}` is malformed", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A number that cannot be meant.
    #[error("`{field}` of `{}` is {found}, expected 0 to {largest}", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// As found.
        found: f64,
        /// Largest that is taken.
        largest: f64,
    },
    /// It cannot be read.
    #[error("cannot read what the run left")]
    Read {
        /// Which file and why.
        source: io::Error,
    },
    /// More bytes than any run leaves.
    #[error("`{}` has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
    },
}

#[cfg(test)]
mod tests {
    use bundle_format::Digest;
    use imaging::atomic_file;
    use nnunet::calibration::Expectation;
    use serde_json::{Value, json};

    use super::*;
    use crate::choice::Choice;
    use crate::engine::{Precision, Provider, Target};
    use crate::expectation;
    use crate::member_choice::MemberChoice;
    use crate::memory::{Loaded, Schedule};
    use crate::predict::report::{CaseOutcome, DoneCase, MemoryFacts, Outcome, Report};
    use crate::predict::rules::Rules;
    use crate::predict::trace::{self, RunFacts, Seconds};
    use crate::resume::FileDigest;

    const CASE: &str = "heart_007";
    const SCHEDULE: Schedule = Schedule { sessions: Loaded::All, chunk: 1, jobs: 1 };

    fn facts() -> RunFacts {
        let method = UncertaintyMethod::ClassEntropy;
        let promise = Promise { method, temperature: 1.25, level: 0.9, minimum_dice: 0.7, risk: 0.05 };
        RunFacts {
            bundle: trace::BundleFacts {
                id: "site/hearts".to_owned(),
                version: "1.0.0".to_owned(),
                manifest_sha256: "ab".to_owned(),
                signers: vec!["cd".to_owned()],
            },
            program: trace::ProgramFacts {
                unnunet: "0.1.0",
                onnxruntime: "1.24".to_owned(),
                onnxruntime_library: String::new(),
            },
            device: Choice {
                target: Target { provider: Provider::Cpu, precision: Precision::F32 },
                threads: 2,
                measured: Vec::new(),
            },
            options: trace::OptionFacts {
                step: 0.5,
                mirrored_axes: vec![1, 2],
                temperature: 1.25,
                uncertainty: vec![method, UncertaintyMethod::TotalEntropy],
                rules: Rules::default(),
                members: MemberChoice::All,
            },
            calibration: expectation::CalibrationFacts { promise: Some(promise), reason: None },
            deviation: None,
            postprocessing: vec![vec![1, 2]],
        }
    }

    fn done() -> DoneCase {
        let score = |fold, method, score| trace::FoldScores { fold, method, score, structures: IndexMap::new() };
        DoneCase {
            selected_fold: Some(Fold(3)),
            score: Some(1.5),
            disagreement: Some(0.25),
            expectation: Some(Expectation { dice: Some(0.8), interval: Some([0.7, 0.9]), decision: Decision::Accept }),
            seconds: Seconds { network: 2.0, write: 0.5, ..Seconds::default() },
            warnings: vec!["unsure".to_owned()],
            scores: vec![
                score(Some(Fold(3)), UncertaintyMethod::TotalEntropy, Some(9.0)),
                score(Some(Fold(3)), UncertaintyMethod::ClassEntropy, Some(1.5)),
                score(None, UncertaintyMethod::ClassEntropy, None),
            ],
        }
    }

    /// What `unnunet predict` writes of one case, into `folder`; `change` is made to the trace.
    fn write(folder: &Path, change: impl FnOnce(&mut Value)) {
        let (facts, done) = (facts(), done());
        let trace = trace::Trace {
            format: FORMAT,
            case: CASE,
            key: Digest::of(b"key"),
            inputs: vec![FileDigest { file: format!("{CASE}_0000.nii.gz"), sha256: Digest::of(b"image") }],
            outputs: Vec::new(),
            run: &facts,
            members: vec!["fold_3/checkpoint_9".to_owned()],
            selected_fold: done.selected_fold,
            disagreement: done.disagreement,
            expectation: done.expectation,
            scores: done.scores.clone(),
            seconds: done.seconds,
            warnings: done.warnings.clone(),
            spacing: None,
        };
        let mut trace = serde_json::to_value(&trace).unwrap();
        change(&mut trace);
        let failed = Outcome::Failed { error: vec!["no".to_owned()] };
        let cases = [(CASE, Outcome::Done(done)), ("lost", failed)];
        let report = Report {
            format: FORMAT,
            run: &facts,
            members: vec!["fold_3/checkpoint_9".to_owned()],
            n_done: 1,
            n_failed: 1,
            n_accepted: Some(1),
            n_to_review: Some(0),
            stage_seconds: Seconds { network: 2.0, ..Seconds::default() },
            wall_seconds: 3.0,
            memory: MemoryFacts { limit_bytes: None, predicted_bytes: 2, peak_bytes: 1, schedule: SCHEDULE },
            cases: &cases.map(|(case, outcome)| CaseOutcome { case: case.to_owned(), outcome }),
        };
        atomic_file::write(&folder.join(format!("{CASE}.json")), trace.to_string().as_bytes()).unwrap();
        atomic_file::write(&folder.join("report.json"), &serde_json::to_vec(&report).unwrap()).unwrap();
    }

    #[test]
    fn what_predict_writes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), |_| ());
        let run = RunReport::read(folder.path()).unwrap();
        assert_eq!((run.device.provider.as_str(), run.device.precision.as_str()), ("cpu", "f32"));
        assert_eq!((run.stage_seconds["network"], run.wall_seconds), (2.0, 3.0));
        assert_eq!(run.cases.iter().map(|case| case.status).collect::<Vec<_>>(), [Status::Done, Status::Failed]);
        assert_eq!(run.cases[1].error, ["no"]);
        let trace = Trace::read(folder.path(), &CaseId::new(CASE).unwrap(), &run).unwrap();
        assert_eq!(run.method().and_then(|method| trace.score(method)), Some(1.5));
        assert_eq!(trace.first_channel(), Some(("heart_007_0000.nii.gz", ".nii.gz")));
        assert_eq!((trace.total_seconds(), trace.expectation.and_then(|found| found.dice)), (2.5, Some(0.8)));
    }

    fn refuse(change: impl FnOnce(&mut Value), words: &str) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), change);
        let run = RunReport::read(folder.path()).unwrap();
        let error = Trace::read(folder.path(), &CaseId::new(CASE).unwrap(), &run).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_trace_that_cannot_be_of_the_case_is_refused() {
        refuse(|trace| trace["format"] = json!(9), "has format 9, expected 2");
        refuse(|trace| trace["case"] = json!("other"), "is of case `other`");
        refuse(|trace| trace["bundle"]["manifest_sha256"] = json!("cd"), "is of another bundle");
        refuse(|trace| trace["scores"][0]["score"] = json!(-1.0), "is -1, expected 0 to 1000000000");
        refuse(|trace| trace["expectation"]["interval"][1] = json!(1.5), "`expectation`");
        refuse(|trace| trace["seconds"]["network"] = json!(1e12), "`seconds.network`");
        refuse(|trace| trace["scores"] = json!({}), "is malformed");
    }

    #[test]
    fn a_channel_that_leads_elsewhere_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x_0000.nii.gz", "heart_007_0000.exe", "heart_007_00.nii.gz", "heart_007_00é0.nii.gz", ""] {
            write(folder.path(), |trace| trace["inputs"] = json!([{ "file": name }]));
            let run = RunReport::read(folder.path()).unwrap();
            let trace = Trace::read(folder.path(), &CaseId::new(CASE).unwrap(), &run).unwrap();
            assert_eq!(trace.first_channel(), None, "{name}");
        }
    }
}
