//! Checking a raw data set: gathers the facts that `nnunet::dataset_check` judges.
//!
//! First what costs nothing, `dataset.json` and the listing of files, then every file once, cases in parallel: grid
//! and voxels come in one reading. Nothing is written.

mod entries;
mod voxels;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use nnunet::dataset::CaseId;
use nnunet::dataset_check::case::{self, CaseFacts};
use nnunet::dataset_check::listing::{self, IMAGES, LABELS, Listing, Present};
use nnunet::dataset_check::{Description, Problem, duplicates};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::cross_validation;
use crate::error_line;
use crate::raw_dataset::{RawDatasetError, environment_variable, read_text};

/// A data set of which `dataset.json` and the file names have been looked at.
#[derive(Debug)]
pub struct Survey {
    folder: PathBuf,
    labels: Option<Vec<u8>>,
    /// Channels that a case must have, where its files may hold several each.
    n_channels: Option<usize>,
    cases: BTreeMap<CaseId, Present>,
    problems: Vec<Problem>,
}

impl Survey {
    /// Reads `dataset.json` and lists the files of a data set.
    ///
    /// # Errors
    ///
    /// [`RawDatasetError`] if the system refuses to read what is there.
    pub fn of(folder: &Path) -> Result<Self, RawDatasetError> {
        let folder = folder.to_owned();
        let description = folder.join("dataset.json");
        if !description.exists() {
            let problems = vec![Problem::MissingFile { file: "dataset.json".into() }];
            return Ok(Self { folder, labels: None, n_channels: None, cases: BTreeMap::new(), problems });
        }
        // Text that is no UTF-8 is no JSON, which is a finding and no failure.
        let text = match read_text(&description) {
            Err(RawDatasetError::Read { source, .. }) if source.kind() == io::ErrorKind::InvalidData => String::new(),
            text => text?,
        };
        let (description, mut problems) = Description::read(&text, &environment_variable);
        let listing = list(&folder, &description, &mut problems)?;
        problems.extend(listing.problems);
        problems.extend(splits(&folder, &listing.cases));
        let n_channels = description.n_channels_to_count();
        Ok(Self { folder, labels: description.labels, n_channels, cases: listing.cases, problems })
    }

    /// Number of cases whose files will be read.
    pub fn n_cases(&self) -> usize {
        self.cases.len()
    }

    /// Reads every file; `done` is called after each case. Returns all problems: of the description, of the listing,
    /// of each case, and what is there twice.
    pub fn finish(self, done: &(dyn Fn() + Sync)) -> Vec<Problem> {
        let Self { folder, labels, n_channels, cases, mut problems } = self;
        let facts: Vec<CaseFacts> = cases
            .into_iter()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(case, present)| {
                let facts = facts(&folder, case, present);
                done();
                facts
            })
            .collect();
        problems.extend(facts.iter().flat_map(|facts| case::check(facts, labels.as_deref())));
        if let Some(expected) = n_channels {
            problems.extend(facts.iter().filter_map(|facts| case::check_n_channels(facts, expected)));
        }
        problems.extend(duplicates::check(&facts));
        problems
    }
}

fn list(folder: &Path, description: &Description, problems: &mut Vec<Problem>) -> Result<Listing, RawDatasetError> {
    if description.listed.is_some() {
        return Ok(listing::of_listed(description, &|path| entries::listed(folder, path)));
    }
    let mut content = |name: &str| -> Result<_, RawDatasetError> {
        let found = entries::of(folder, name)?;
        if found.is_none() {
            problems.push(Problem::MissingFolder { folder: name.to_owned() });
        }
        let found = found.unwrap_or_default();
        problems.extend(found.link_out.map(|target| Problem::LinkOut { file: name.to_owned(), target }));
        Ok(found.entries)
    };
    let (images, labels) = (content(IMAGES)?, content(LABELS)?);
    Ok(listing::of_folders(description, &images, &labels))
}

/// The data set's own splits must fit its cases.
fn splits(folder: &Path, cases: &BTreeMap<CaseId, Present>) -> Option<Problem> {
    let path = folder.join(cross_validation::FILE_NAME);
    if cases.is_empty() || !path.exists() {
        return None;
    }
    let error = cross_validation::read(&path, &cases.keys().cloned().collect()).err()?;
    Some(Problem::Splits { reason: error_line::of(&error) })
}

fn facts(folder: &Path, case: CaseId, present: Present) -> CaseFacts {
    let channels = present.channels.into_iter().map(|file| {
        let image = voxels::image(&folder.join(&file));
        (file, image)
    });
    let channels = channels.collect();
    let labels = present.labels.map(|file| {
        let labels = voxels::labels(&folder.join(&file));
        (file, labels)
    });
    CaseFacts { case, channels, labels }
}
