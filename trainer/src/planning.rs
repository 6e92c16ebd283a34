//! From a raw data set to its fingerprint, plans and splits, each under the name that nnU-Net gives it.
//!
//! Every step reads what the step before it wrote, so that steps can be run one by one or all at once, and nothing is
//! done twice: the fingerprint stands as long as the files do that it was measured from. Plans that are made anew keep
//! the configurations that a user has added to the file, as nnU-Net does.

mod error;
mod source;

use std::path::{Path, PathBuf};

use bundle_format::Digest;
use imaging::atomic_file;
use nnunet::dataset::CaseId;
use nnunet::fingerprint::Fingerprint;
use nnunet::fold::Split;
use nnunet::planner::{PlanOptions, plan};
use nnunet::plans::{ConfigurationName, Plans};
use serde::Serialize;
use serde_json::Value;

pub use error::PlanningError;

use crate::cross_validation;
use crate::preparation::{self, PreparationError, Prepared};
use crate::raw_dataset::{RawDataset, read_text};
use crate::store::Store;
use source::{Record, Source};

/// Name of the fingerprint's file.
const FINGERPRINT: &str = "dataset_fingerprint.json";

/// The only class that preprocesses here.
const PREPROCESSOR: &str = "DefaultPreprocessor";

/// nnU-Net's reader that turns images to a standard orientation, which is not done here.
const REORIENTING_READER: &str = "NibabelIOWithReorient";

/// Configurations that nnU-Net preprocesses unless told which; the cascade takes the cases of `3d_fullres`.
const PREPROCESSED: [&str; 3] = ["2d", "3d_fullres", "3d_lowres"];

/// A raw data set, and the folder that everything made from it goes to.
#[derive(Debug)]
pub struct Workplace {
    /// The data set.
    pub raw: RawDataset,
    /// Its name, such as `Dataset004_Hippocampus`.
    pub name: String,
    /// Folder of fingerprint, plans and preprocessed cases.
    pub folder: PathBuf,
}

/// What became of each case.
pub type CaseResults = Vec<(CaseId, Result<Prepared, PreparationError>)>;

/// Whether a fingerprint that is there may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// If none of the files it was measured from has changed.
    Unchanged,
    /// Never.
    Never,
}

/// Where a fingerprint came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// From the cases, now.
    Anew,
    /// From the file, whose cases have not changed.
    Before,
}

impl Workplace {
    /// Opens the raw data set in `raw` and makes its folder below `preprocessed`.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if the data set is incomplete or its folder cannot be made.
    pub fn open(raw: &Path, preprocessed: &Path) -> Result<Self, PlanningError> {
        let raw = RawDataset::open(raw)?;
        let name = raw.folder.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| PlanningError::Name { folder: raw.folder.clone() })?.to_owned();
        let folder = preprocessed.join(&name);
        fs_err::create_dir_all(&folder).map_err(|source| PlanningError::Write { source })?;
        Ok(Self { raw, name, folder })
    }

    /// The fingerprint: the file's if `reuse` allows and its record fits, else measured anew and written. `done` is
    /// called after each case that is measured.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if a case cannot be read or measured, or the result not be written.
    pub fn fingerprint(
        &self,
        reuse: Reuse,
        done: &(dyn Fn() + Sync),
    ) -> Result<(Fingerprint, Measured), PlanningError> {
        let reader = self.raw.json.other.get("overwrite_image_reader_writer").and_then(Value::as_str);
        check_reader(reader.unwrap_or_default())?;
        let source = Source::of(&self.raw)?;
        if reuse == Reuse::Unchanged
            && let Some(kept) = self.kept(&source)
        {
            return Ok((kept, Measured::Before));
        }
        let fingerprint = preparation::fingerprint(&self.raw, done)?;
        let text = json(&fingerprint)?;
        let record = json(&Record::new(Digest::of(&text), source))?;
        self.write(FINGERPRINT, &text)?;
        self.write(source::FILE_NAME, &record)?;
        Ok((fingerprint, Measured::Anew))
    }

    /// The fingerprint of the file if it is whole and of these sources. What cannot be read is no fingerprint to keep.
    fn kept(&self, source: &Source) -> Option<Fingerprint> {
        let record: Record = serde_json::from_str(&read_text(&self.folder.join(source::FILE_NAME)).ok()?).ok()?;
        let text = read_text(&self.folder.join(FINGERPRINT)).ok()?;
        record.is_of(Digest::of(text.as_bytes()), source).then(|| serde_json::from_str(&text).ok())?
    }

    /// The fingerprint that was written, by this program or by nnU-Net.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if it is missing, malformed, or of another number of cases.
    pub fn read_fingerprint(&self) -> Result<Fingerprint, PlanningError> {
        let path = self.folder.join(FINGERPRINT);
        if !path.is_file() {
            return Err(PlanningError::NoFingerprint { path });
        }
        let fingerprint: Fingerprint = serde_json::from_str(&read_text(&path)?)
            .map_err(|source| PlanningError::Fingerprint { path: path.clone(), source })?;
        let (expected, actual) = (self.raw.cases.len(), fingerprint.spacings.len());
        if expected != actual {
            return Err(PlanningError::Cases { path, expected, actual });
        }
        Ok(fingerprint)
    }

    /// Plans, and writes plans and `dataset.json`. Configurations of earlier plans of this name stay if these
    /// have none of their name.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if an option cannot be met, earlier plans are malformed, or a file not be written.
    pub fn plan(&self, fingerprint: &Fingerprint, options: &PlanOptions) -> Result<Plans, PlanningError> {
        let mut plans = plan(fingerprint, &self.raw.json, options)
            .map_err(|source| PlanningError::Plan { name: self.name.clone(), source })?;
        if let Some(earlier) = self.earlier_plans(&plans.plans_name)? {
            plans.keep_configurations_of(&earlier);
        }
        self.write("dataset.json", read_text(&self.raw.folder.join("dataset.json"))?.as_bytes())?;
        self.write(&format!("{}.json", plans.plans_name), &json(&plans)?)?;
        Ok(plans)
    }

    /// Writes the splits.
    ///
    /// # Errors
    ///
    /// [`PlanningError::Write`].
    pub fn write_splits(&self, splits: &[Split]) -> Result<(), PlanningError> {
        self.write(cross_validation::FILE_NAME, &json(&splits)?)
    }

    /// The plans of a name.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if there are none, or they are malformed.
    pub fn read_plans(&self, name: &str) -> Result<Plans, PlanningError> {
        let missing = || PlanningError::NoPlans { path: self.plans_path(name) };
        self.earlier_plans(name)?.ok_or_else(missing)
    }

    fn earlier_plans(&self, name: &str) -> Result<Option<Plans>, PlanningError> {
        let path = self.plans_path(name);
        if !path.is_file() {
            return Ok(None);
        }
        let plans = Plans::parse(&read_text(&path)?).map_err(|source| PlanningError::Plans { path, source })?;
        Ok(Some(plans))
    }

    fn plans_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Preprocesses all training cases for a configuration; `done` is called after each. A case that fails does not
    /// keep the others from being done.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] if there is no such configuration, or the plans ask for a preprocessor or a reader that is
    /// not known here.
    pub fn preprocess(
        &self,
        plans: &Plans,
        name: &ConfigurationName,
        done: &(dyn Fn() + Sync),
    ) -> Result<CaseResults, PlanningError> {
        check_reader(&plans.image_reader_writer)?;
        let unusable = |source| PlanningError::Plans { path: self.plans_path(&plans.plans_name), source };
        let mut configuration = plans.configuration(name).map_err(unusable)?;
        if configuration.preprocessor_name != PREPROCESSOR {
            return Err(PlanningError::Preprocessor { found: configuration.preprocessor_name });
        }
        // The second stage of a cascade has the cases of the configuration that it inherits from.
        configuration.other.shift_remove("previous_stage");
        let store = Store::new(self.folder.join(&configuration.data_identifier));
        Ok(preparation::prepare(&self.raw, plans, &configuration, &store, done))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), PlanningError> {
        atomic_file::write(&self.folder.join(name), content).map_err(|source| PlanningError::Write { source })
    }
}

/// The configurations to preprocess for: those asked for, else those of the plans that nnU-Net preprocesses.
///
/// # Errors
///
/// [`nnunet::plans::PlansError`] if one that is asked for is missing or malformed.
pub fn configurations(plans: &Plans, wanted: &[String]) -> Result<Vec<ConfigurationName>, nnunet::plans::PlansError> {
    let usual = PREPROCESSED.into_iter().filter(|name| plans.configurations.contains_key(*name)).map(str::to_owned);
    let names = if wanted.is_empty() { usual.collect() } else { wanted.to_vec() };
    let names: Vec<_> = names.into_iter().map(ConfigurationName).collect();
    for name in &names {
        plans.configuration(name)?;
    }
    Ok(names)
}

fn check_reader(name: &str) -> Result<(), PlanningError> {
    if name == REORIENTING_READER { Err(PlanningError::Reader { found: name.to_owned() }) } else { Ok(()) }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, PlanningError> {
    serde_json::to_vec_pretty(value).map_err(|source| PlanningError::Write { source: source.into() })
}
