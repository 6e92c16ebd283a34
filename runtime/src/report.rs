//! A finished prediction as one page: `unnunet report`.
//!
//! From the output folder of `unnunet predict`, and from images and references where they are given: the cases, the
//! slices in which they are least certain, and what the scores are worth. The folder is read, never written; what of it
//! cannot be read is named on the page, and the rest goes on.

mod case;
mod chart;
mod diagrams;
mod folder;
mod markup;
mod outline;
mod page;
mod picture;
mod scale;
mod slice;
mod statistics;
mod view;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nnunet::dataset::LabelSet;

use case::{Case, State};
pub(crate) use folder::FolderError;
use folder::RunReport;
use scale::Scale;
use statistics::Statistics;

/// Where a report comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Output folder of `unnunet predict`.
    pub(crate) folder: &'a Path,
    /// Folder of the images, for the background of pictures.
    pub(crate) images: Option<&'a Path>,
    /// Folder of reference segmentations.
    pub(crate) reference: Option<&'a Path>,
    /// Structures to compare; every label by itself if there are none.
    pub(crate) labels: Option<&'a LabelSet>,
}

/// How many pictures there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pictures {
    /// Cases that are shown, the least certain ones.
    pub(crate) n_cases: usize,
    /// Slices of each.
    pub(crate) n_slices: usize,
}

/// A finished page.
pub(crate) struct Made {
    /// The page.
    pub(crate) html: String,
    /// Case and problem, of everything that could not be read.
    pub(crate) problems: Vec<(String, String)>,
    /// Cases of the run.
    pub(crate) n_cases: usize,
    /// Cases that were compared with a reference.
    pub(crate) n_compared: usize,
}

/// What is on the page.
struct Report<'a> {
    run: &'a RunReport,
    /// In the order of the table.
    cases: Vec<Case>,
    /// `None` without references.
    statistics: Option<Statistics>,
    /// Axis of the scores in every diagram.
    scores: Scale,
}

/// Makes the page of a run.
///
/// # Errors
///
/// [`ReportError`] if the folder is not that of a finished run, or a folder of images or references holds nothing of it.
pub(crate) fn make(sources: &Sources<'_>, pictures: Pictures) -> Result<Made, ReportError> {
    let run = RunReport::read(sources.folder)?;
    let mut names = BTreeSet::new();
    let listed = |listed| {
        let mut case = Case::listed(listed, sources.folder, &run);
        if !names.insert(case.name.clone()) {
            case.forget("`report.json` names the case twice");
        }
        case
    };
    let mut cases: Vec<Case> = run.cases.iter().map(listed).collect();
    cases.sort_by(concern);
    let mut n_shown = 0;
    for case in &mut cases {
        let shows = case.trace.is_some() && n_shown < pictures.n_cases;
        case.look(sources, if shows { pictures.n_slices } else { 0 });
        n_shown += usize::from(!case.slices.is_empty());
    }
    // What could not be read is known only now.
    cases.sort_by(concern);
    for (folder, remark) in [(sources.reference, case::NO_REFERENCE), (sources.images, case::NO_IMAGE)] {
        let looked: Vec<_> = cases.iter().filter(|case| case.trace.is_some()).collect();
        let has_none = |case: &&Case| case.remarks.iter().any(|found| found == remark);
        if let Some(folder) = folder.filter(|_| !looked.is_empty() && looked.iter().all(has_none)) {
            return Err(ReportError::NothingInFolder { folder: folder.to_owned() });
        }
    }
    let scores = Scale::of(cases.iter().filter_map(|case| case.score));
    let statistics = sources.reference.map(|_| Statistics::of(&cases, run.calibration.promise, &scores));
    let problems =
        |case: &Case| case.problems.iter().map(|problem| (case.name.clone(), problem.clone())).collect::<Vec<_>>();
    let problems = cases.iter().flat_map(problems).collect();
    let (n_cases, n_compared) = (cases.len(), cases.iter().filter(|case| case.agreement.is_some()).count());
    let html = page::page(&Report { run: &run, cases, statistics, scores })?;
    Ok(Made { html, problems, n_cases, n_compared })
}

/// The order of concern: what failed, then what has no score, then the least certain.
fn concern(a: &Case, b: &Case) -> Ordering {
    let failed = |case: &Case| case.state().min(State::Review);
    let score = |case: &Case| case.score.unwrap_or(f64::INFINITY);
    failed(a).cmp(&failed(b)).then(score(b).total_cmp(&score(a))).then_with(|| a.name.cmp(&b.name))
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReportError {
    /// Not a run's output.
    #[error("there is no finished run to report")]
    Folder {
        /// Which file and why.
        #[from]
        source: FolderError,
    },
    /// A folder of images or references that belongs to other cases.
    #[error("`{}` has no file of any case of the run", folder.display())]
    NothingInFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A picture is too large to be one.
    #[error("a picture cannot be made")]
    Picture {
        /// Why.
        #[from]
        source: png::EncodingError,
    },
}
