//! The data set of a demo, and which of its cases nobody trains on.
//!
//! Phantoms come with test cases. Of a real data set, the unseen cases are
//! the validation cases of fold 0; fold 0 then trains on exactly what nnU-Net
//! would train it on, and every further fold on its own training cases minus
//! the unseen ones, so that no network has seen what is predicted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use nnunet::dataset::CaseId;
use nnunet::fold::Split;
use phantoms::hearts::Hearts;

/// Hearts of the demo; drawn again by every run.
const HEARTS: Hearts = Hearts { n_training: 60, n_test: 20, seed: 1 };

/// Where a data set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Phantom,
    Real,
}

/// A raw nnU-Net data set.
#[derive(Debug, Clone)]
pub(crate) struct Material {
    pub(crate) kind: Kind,
    /// Folder name, `DatasetNNN_Name`.
    pub(crate) name: String,
    /// Folder that holds the data set's; `None` until phantoms are drawn.
    raw: Option<PathBuf>,
}

/// What is predicted and compared.
#[derive(Debug, Clone)]
pub(crate) struct Unseen {
    pub(crate) images: PathBuf,
    pub(crate) references: PathBuf,
}

impl Unseen {
    /// Where they lie below a work folder.
    pub(crate) fn below(work: &Path) -> Self {
        Self { images: work.join("unseen/images"), references: work.join("unseen/references") }
    }
}

impl Material {
    /// Phantom hearts.
    pub(crate) fn phantom() -> Self {
        Self { kind: Kind::Phantom, name: Hearts::NAME.to_owned(), raw: None }
    }

    /// The data set in `folder`.
    ///
    /// # Errors
    ///
    /// When it is no data set folder.
    pub(crate) fn real(folder: &Path) -> Result<Self> {
        let folder = fs::canonicalize(folder)?;
        let dataset = folder.join("dataset.json");
        ensure!(dataset.is_file(), "`{}` is missing; --dataset needs a raw nnU-Net data set", dataset.display());
        let name = folder.file_name().and_then(|name| name.to_str()).context("--dataset has no plain name")?;
        let raw = folder.parent().context("--dataset has no parent folder")?;
        Ok(Self { kind: Kind::Real, name: name.to_owned(), raw: Some(raw.to_path_buf()) })
    }

    /// The folder to pass as `--raw`; draws the phantoms into `work` if it is them.
    ///
    /// # Errors
    ///
    /// When a phantom cannot be written.
    pub(crate) fn raw(&self, work: &Path) -> Result<PathBuf> {
        if let Some(raw) = &self.raw {
            return Ok(raw.clone());
        }
        let raw = work.join("raw");
        HEARTS.write(&raw)?;
        Ok(raw)
    }

    /// Lays out the unseen cases, at most `limit`, in folders of their own below `work`.
    ///
    /// On real data this also writes `<preprocessed>/<name>/splits_final.json`
    /// so that no fold trains on one of them.
    ///
    /// # Errors
    ///
    /// When the splits or a case cannot be read or written.
    pub(crate) fn hold_out(&self, raw: &Path, work: &Path, limit: Option<u64>) -> Result<Unseen> {
        let dataset = raw.join(&self.name);
        let (cases, images, references) = match self.kind {
            Kind::Phantom => (cases_in(&dataset.join("labelsTs"))?, "imagesTs", "labelsTs"),
            Kind::Real => {
                let preprocessed = work.join("preprocessed").join(&self.name);
                let splits = read_splits(&dataset, &preprocessed)?;
                let held_out = without_unseen(&splits).context("`splits_final.json` has no fold")?;
                fs::write(preprocessed.join("splits_final.json"), serde_json::to_string_pretty(&held_out)?)?;
                (splits[0].val.clone(), "imagesTr", "labelsTr")
            }
        };
        let unseen = Unseen::below(work);
        for case in evenly_spaced(&cases, limit) {
            let file = format!("{case}.nii.gz");
            link(&dataset.join(references).join(&file), &unseen.references)?;
            for channel in channels_of(case, &dataset.join(images))? {
                link(&channel, &unseen.images)?;
            }
        }
        Ok(unseen)
    }
}

/// The data set's own splits if it has them (they may group cases by patient), else those that planning made.
fn read_splits(dataset: &Path, preprocessed: &Path) -> Result<Vec<Split>> {
    let own = dataset.join("splits_final.json");
    let path = if own.is_file() { own } else { preprocessed.join("splits_final.json") };
    serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| format!("cannot read `{}`", path.display()))
}

/// `splits` with fold 0's validation cases removed from every further fold.
fn without_unseen(splits: &[Split]) -> Option<Vec<Split>> {
    let (first, further) = splits.split_first()?;
    let unseen: BTreeSet<_> = first.val.iter().collect();
    let seen = |cases: &[CaseId]| cases.iter().filter(|case| !unseen.contains(case)).cloned().collect();
    let further = further.iter().map(|split| Split { train: seen(&split.train), val: seen(&split.val) });
    Some(std::iter::once(first.clone()).chain(further).collect())
}

/// At most `limit` of `cases`, at even steps over their sorted list.
fn evenly_spaced(cases: &[CaseId], limit: Option<u64>) -> Vec<&CaseId> {
    let mut sorted: Vec<_> = cases.iter().collect();
    sorted.sort();
    let n_cases = sorted.len();
    let n_kept = limit.and_then(|limit| usize::try_from(limit).ok()).map_or(n_cases, |limit| limit.min(n_cases));
    (0..n_kept).map(|index| sorted[index * n_cases / n_kept]).collect()
}

/// The cases that have a reference in `folder`.
fn cases_in(folder: &Path) -> Result<Vec<CaseId>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(case) = name.to_str().and_then(|name| name.strip_suffix(".nii.gz")) {
            cases.push(CaseId::new(case)?);
        }
    }
    Ok(cases)
}

/// The channel files `<case>_NNNN.nii.gz` in `folder`.
fn channels_of(case: &CaseId, folder: &Path) -> Result<Vec<PathBuf>> {
    let channels: Vec<_> = (0..10_000)
        .map(|channel| folder.join(format!("{case}_{channel:04}.nii.gz")))
        .take_while(|path| path.is_file())
        .collect();
    ensure!(!channels.is_empty(), "`{case}` has no image in `{}`", folder.display());
    Ok(channels)
}

/// Links `file` into `folder` under its own name.
fn link(file: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = file.file_name().context("a case file has a name")?;
    fs::os::unix::fs::symlink(fs::canonicalize(file)?, folder.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(names: &[&str]) -> Vec<CaseId> {
        names.iter().map(|name| CaseId::new(*name).unwrap()).collect()
    }

    #[test]
    fn no_further_fold_trains_on_an_unseen_case() {
        let splits = [
            Split { train: cases(&["b", "c", "d"]), val: cases(&["a"]) },
            Split { train: cases(&["a", "c", "d"]), val: cases(&["b"]) },
        ];
        let held_out = without_unseen(&splits).unwrap();
        assert_eq!(held_out[0], splits[0]);
        assert_eq!(held_out[1], Split { train: cases(&["c", "d"]), val: cases(&["b"]) });
        assert_eq!(without_unseen(&[]), None);
    }

    #[test]
    fn a_limit_spreads_over_the_sorted_cases() {
        let all = cases(&["f", "e", "d", "c", "b", "a"]);
        let names = |limit| evenly_spaced(&all, limit).into_iter().map(CaseId::as_str).collect::<Vec<_>>();
        assert_eq!(names(Some(3)), ["a", "c", "e"]);
        assert_eq!(names(Some(4)), ["a", "b", "d", "e"]);
        assert_eq!(names(Some(99)).len(), 6);
        assert_eq!(names(None).len(), 6);
    }
}
