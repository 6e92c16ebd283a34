//! From a raw data set to a fingerprint, and to preprocessed cases in a store; as many cases at a time as there are
//! threads in the current pool, which they share.
//!
//! A case is preprocessed again only if its files or what the plans say about preprocessing have changed: patch, batch
//! and network may change freely.

use std::io;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use nnunet::dataset::CaseId;
use nnunet::fingerprint::{CaseFingerprint, Fingerprint, FingerprintError};
use nnunet::foreground;
use nnunet::plans::{Configuration, Plans};
use nnunet::preprocess::{PreprocessError, preprocess};
use serde_json::Value;

use crate::raw_dataset::{RawCase, RawDataset, RawDatasetError};
use crate::store::{StagedCase, Store, StoreError};
use crate::workers;

/// Fields of a configuration that do not bear on the preprocessed arrays.
const IRRELEVANT: [&str; 6] =
    ["architecture", "batch_size", "patch_size", "batch_dice", "median_image_size_in_voxels", "next_stage"];

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// It was preprocessed.
    Anew,
    /// It had been, from the same files and plans.
    Already,
}

/// Measures all training cases; `done` is called after each.
///
/// # Errors
///
/// [`PreparationError`] of the first case, in their order, that cannot be measured; or if they do not fit together.
pub fn fingerprint(raw: &RawDataset, done: &(dyn Fn() + Sync)) -> Result<Fingerprint, PreparationError> {
    let n_cases = raw.cases.len();
    let measure = |(case, files): (&CaseId, &RawCase)| {
        let (image, labels) =
            raw.read(files).map_err(|source| PreparationError::Raw { case: case.clone(), source: source.into() })?;
        let fingerprint = CaseFingerprint::of(&image, &labels, n_cases)
            .map_err(|source| PreparationError::Fingerprint { case: Some(case.clone()), source });
        done();
        fingerprint
    };
    let listed: Vec<_> = raw.cases.iter().collect();
    // Kept in order, so that the error reported does not depend on which thread was first.
    let measured: Vec<_> = workers::map(&listed, |&pair| measure(pair));
    let cases = measured.into_iter().collect::<Result<_, _>>()?;
    Fingerprint::merge(cases).map_err(|source| PreparationError::Fingerprint { case: None, source })
}

/// Preprocesses all training cases for a configuration; `done` is called after each. A case that fails does not keep
/// the others from being done.
pub fn prepare(
    raw: &RawDataset,
    plans: &Plans,
    configuration: &Configuration,
    store: &Store,
    done: &(dyn Fn() + Sync),
) -> Vec<(CaseId, Result<Prepared, PreparationError>)> {
    let listed: Vec<_> = raw.cases.iter().collect();
    let prepare = |(case, files): (&CaseId, &RawCase)| {
        let job = Job { raw, plans, configuration, store, case, files };
        (case.clone(), job.run())
    };
    let commit = |(case, staged): (CaseId, Result<Option<StagedCase>, PreparationError>)| {
        let commit = |staged: Option<StagedCase>| match staged {
            Some(staged) => staged.commit().map(|()| Prepared::Anew),
            None => Ok(Prepared::Already),
        };
        let result = staged.and_then(|staged| Ok(commit(staged)?));
        done();
        (case, result)
    };
    workers::map_and_finish(&listed, |&pair| prepare(pair), commit)
}

struct Job<'a> {
    raw: &'a RawDataset,
    plans: &'a Plans,
    configuration: &'a Configuration,
    store: &'a Store,
    case: &'a CaseId,
    files: &'a RawCase,
}

impl Job<'_> {
    /// Writes the case; `None` if it had been.
    fn run(&self) -> Result<Option<StagedCase>, PreparationError> {
        let case = || self.case.clone();
        let source = self.source()?;
        if self.store.holds(self.case, &source) {
            return Ok(None);
        }
        let (image, labels) = self
            .raw
            .read(self.files)
            .map_err(|source| PreparationError::Raw { case: case(), source: source.into() })?;
        let preprocessed = preprocess(image, Some(labels), self.plans, self.configuration)
            .map_err(|source| PreparationError::Preprocess { case: case(), source })?;
        Ok(Some(self.store.stage(self.case, source, &preprocessed, &foreground::structures(&self.raw.labels))?))
    }

    /// Digest of everything that the preprocessed arrays are made from.
    fn source(&self) -> Result<Digest, PreparationError> {
        let mut text = relevant_plans(self.plans, self.configuration).to_string();
        for path in self.files.channels.iter().chain([&self.files.labels]) {
            let unreadable = |source| PreparationError::Read { path: path.clone(), source };
            text.push_str(&digest_of(path).map_err(unreadable)?.to_string());
        }
        Ok(Digest::of(text.as_bytes()))
    }
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    Digest::of_reader(fs_err::File::open(path)?)
}

fn relevant_plans(plans: &Plans, configuration: &Configuration) -> Value {
    let mut fields = serde_json::to_value(configuration).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| !IRRELEVANT.contains(&name.as_str()));
    }
    serde_json::json!({
        "configuration": fields,
        "transpose_forward": plans.transpose_forward,
        "intensities": plans.foreground_intensity_properties_per_channel,
    })
}

/// Why a data set could not be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreparationError {
    /// A case, or the cases together, have no fingerprint.
    #[error("{} has no fingerprint", case.as_ref().map_or("the data set".to_owned(), |case| format!("case `{case}`")))]
    Fingerprint {
        /// The case; `None` for all together.
        case: Option<CaseId>,
        /// Why.
        source: FingerprintError,
    },
    /// A case does not fit the plans.
    #[error("case `{case}` cannot be preprocessed")]
    Preprocess {
        /// The case.
        case: CaseId,
        /// Why.
        source: PreprocessError,
    },
    /// A case cannot be read.
    #[error("case `{case}` cannot be read")]
    Raw {
        /// The case.
        case: CaseId,
        /// Why.
        source: Box<RawDatasetError>,
    },
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A case could not be stored.
    #[error("a preprocessed case cannot be stored")]
    Store {
        /// Which, and why.
        #[from]
        source: StoreError,
    },
}

#[cfg(test)]
mod tests {
    use nnunet::plans::ConfigurationName;

    use super::*;

    #[test]
    fn patch_and_network_do_not_make_cases_stale_but_spacing_does() {
        let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
        let before = relevant_plans(&plans, &configuration);
        let mut other = configuration.clone();
        other.patch_size = vec![8, 8, 8];
        other.architecture.arch_kwargs.features_per_stage = vec![1];
        assert_eq!(relevant_plans(&plans, &other), before);
        other.spacing[0] = 2.0;
        assert_ne!(relevant_plans(&plans, &other), before);
    }
}
