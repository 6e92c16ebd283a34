//! Which cases an earlier run has finished.
//!
//! A case's trace is written last and holds a key: the digest of everything that decides the result, which are the
//! channel files, the bundle, the options and the programs. A case is finished if its trace has the key that this run
//! would give it, and every output that belongs to it is there with the digest in the trace.

use std::io;
use std::path::Path;

use bundle_format::Digest;
use fs_err::{self as fs, File};
use nnunet::calibration::Expectation;
use nnunet::fold::Fold;
use serde::{Deserialize, Serialize};

use crate::predict::cases::CaseFiles;
use crate::predict::report::DoneCase;
use crate::predict::trace::{FORMAT, FoldScores, Seconds};

/// Largest trace that is read.
const MAX_TRACE_BYTES: u64 = 16 << 20;

/// A file by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileDigest {
    /// Its name, or its path in the output folder.
    pub(crate) file: String,
    /// Digest of its content.
    pub(crate) sha256: Digest,
}

/// The digest of everything that decides the results of a run beside the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunKey(Digest);

impl RunKey {
    /// The key of a run described by `facts`.
    ///
    /// # Errors
    ///
    /// Never for plain data.
    pub(crate) fn of(facts: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self(Digest::of(&serde_json::to_vec(facts)?)))
    }

    /// The key of a case that is read from these files.
    pub(crate) fn of_case(self, inputs: &[FileDigest]) -> Digest {
        let files = inputs.iter().map(|input| format!("{} {}\n", input.sha256, input.file));
        Digest::of(format!("{}\n{}", self.0, files.collect::<String>()).as_bytes())
    }
}

/// Names and digests of a case's files.
///
/// # Errors
///
/// If one cannot be read.
pub(crate) fn inputs<'a>(files: impl Iterator<Item = &'a Path>) -> io::Result<Vec<FileDigest>> {
    let digest = |path: &Path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(FileDigest { file, sha256: Digest::of_reader(File::open(path)?)? })
    };
    files.map(digest).collect()
}

/// Digests of the files with these names in `folder`.
///
/// # Errors
///
/// If one cannot be read.
pub(crate) fn outputs(folder: &Path, names: &[String]) -> io::Result<Vec<FileDigest>> {
    let digest = |name: &String| {
        let sha256 = Digest::of_reader(File::open(folder.join(name))?)?;
        Ok(FileDigest { file: name.clone(), sha256 })
    };
    names.iter().map(digest).collect()
}

/// What a trace says of a finished case; the rest is about the run.
#[derive(Debug, Deserialize)]
struct Finished {
    format: u32,
    key: Digest,
    outputs: Vec<FileDigest>,
    selected_fold: Option<Fold>,
    disagreement: Option<f64>,
    expectation: Option<Expectation>,
    scores: Vec<FoldScores>,
    seconds: Seconds,
    warnings: Vec<String>,
}

/// The result of a case if `folder` holds it as this run would make it, with all files of these `names`.
///
/// Whatever is not as it must be makes the case one to be predicted.
pub(crate) fn finished(
    key: RunKey,
    files: &CaseFiles,
    (folder, case): (&Path, &str),
    names: &[String],
) -> Option<DoneCase> {
    let trace = folder.join(format!("{case}.json"));
    if fs::metadata(&trace).ok()?.len() > MAX_TRACE_BYTES {
        return None;
    }
    let finished: Finished = serde_json::from_slice(&fs::read(&trace).ok()?).ok()?;
    // Names come from this run and never from the trace, which may say anything.
    let is_named = finished.outputs.iter().map(|output| &output.file).eq(names);
    let is_whole = finished.format == FORMAT
        && is_named
        && key.of_case(&inputs(files.all()).ok()?) == finished.key
        && outputs(folder, names).is_ok_and(|found| found == finished.outputs);
    is_whole.then(|| DoneCase {
        selected_fold: finished.selected_fold,
        score: DoneCase::score_of(&finished.scores, finished.selected_fold),
        disagreement: finished.disagreement,
        expectation: finished.expectation,
        seconds: finished.seconds,
        warnings: finished.warnings,
        scores: finished.scores,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    const NAMES: [&str; 2] = ["a_uncertainty.nii.gz", "a.nii.gz"];

    fn files(folder: &TempDir) -> CaseFiles {
        CaseFiles { channels: vec![folder.path().join("a_0000.nii.gz")], previous_stage: None }
    }

    /// A folder with a finished case `a`, read from one file.
    fn finished_case(key: RunKey) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a_0000.nii.gz", "image");
        for name in NAMES {
            write(name, name);
        }
        let inputs = inputs(files(&folder).all()).unwrap();
        let trace = json!({
            "format": FORMAT, "case": "a", "key": key.of_case(&inputs), "inputs": inputs,
            "outputs": outputs(folder.path(), &NAMES.map(str::to_owned)).unwrap(),
            "selected_fold": 1, "disagreement": 0.25, "expectation": null,
            "scores": [
                {"fold": 0, "method": "class-entropy", "score": 3.5, "structures": {"heart": 3.5}},
                {"fold": 1, "method": "class-entropy", "score": 0.1, "structures": {"heart": null}},
            ],
            "seconds": Seconds { read: 0.5, ..Seconds::default() }, "warnings": ["w"], "more": {},
        });
        write("a.json", &trace.to_string());
        folder
    }

    fn find(folder: &TempDir, key: RunKey, names: &[&str]) -> Option<DoneCase> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        finished(key, &files(folder), (folder.path(), "a"), &names)
    }

    #[test]
    fn a_finished_case_comes_back_as_its_trace_says() {
        let key = RunKey::of(&"run").unwrap();
        let done = find(&finished_case(key), key, &NAMES).unwrap();
        assert_eq!((done.selected_fold, done.score, done.disagreement), (Some(Fold(1)), Some(0.1), Some(0.25)));
        assert_eq!((done.scores.len(), done.warnings.len(), done.seconds.read.to_bits()), (2, 1, 0.5_f64.to_bits()));
    }

    #[test]
    fn another_run_or_another_set_of_outputs_is_not_this_one() {
        let key = RunKey::of(&"run").unwrap();
        let folder = finished_case(key);
        assert!(find(&folder, RunKey::of(&"other").unwrap(), &NAMES).is_none());
        assert!(find(&folder, key, &NAMES[..1]).is_none());
        assert!(find(&folder, key, &["a_uncertainty.nii.gz", "a.nii.gz", "a.npz"]).is_none());
    }

    #[test]
    fn a_change_of_any_file_makes_a_case_one_to_be_predicted() {
        let key = RunKey::of(&"run").unwrap();
        for name in ["a_0000.nii.gz", NAMES[0], NAMES[1], "a.json"] {
            let folder = finished_case(key);
            fs::write(folder.path().join(name), "changed").unwrap();
            assert!(find(&folder, key, &NAMES).is_none(), "{name} was changed");
            fs::remove_file(folder.path().join(name)).unwrap();
            assert!(find(&folder, key, &NAMES).is_none(), "{name} is missing");
        }
    }

    #[test]
    fn names_and_contents_of_the_inputs_are_in_the_key() {
        let key = RunKey::of(&"run").unwrap();
        let input = |file: &str, text: &str| FileDigest { file: file.into(), sha256: Digest::of(text.as_bytes()) };
        let base = key.of_case(&[input("a", "1"), input("b", "2")]);
        assert_ne!(base, key.of_case(&[input("a", "2"), input("b", "1")]));
        assert_ne!(base, key.of_case(&[input("b", "1"), input("a", "2")]));
        assert_ne!(base, key.of_case(&[input("a", "1")]));
    }
}
