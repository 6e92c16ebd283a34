//! How the cases of a data set are split: the flags of every command that writes splits.

use std::collections::BTreeSet;
use std::path::Path;

use nnunet::fold::Split;
use nnunet::grouping::Grouping;

use crate::cross_validation::{self, SplitsError};
use crate::raw_dataset::RawDataset;

/// Flags that say how cases are split.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SplitArgs {
    /// Keep cases that belong together on the same side of every split: a regular expression whose first capture
    /// group, or whole match, names the group of a case, such as the patient: `--group-by '^(patient\d+)_'`. An
    /// existing `splits_final.json` must agree.
    #[arg(long, value_name = "REGEX")]
    group_by: Option<Grouping>,
}

impl SplitArgs {
    /// The splits of a data set: those of the `splits_final.json` in its raw folder, else in its `preprocessed`
    /// folder, else five new ones. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`SplitsError`] if the file does not fit the cases or the grouping, or no splits can be made.
    pub fn of(&self, raw: &RawDataset, preprocessed: &Path) -> Result<Vec<Split>, SplitsError> {
        let files = [raw.folder.as_path(), preprocessed].map(|folder| folder.join(cross_validation::FILE_NAME));
        let cases: BTreeSet<_> = raw.cases.keys().cloned().collect();
        match &self.group_by {
            Some(grouping) => cross_validation::read_or_make_grouped(&files, &cases, grouping),
            None => cross_validation::read_or_make(&files, &cases),
        }
    }
}
