//! `run.json`: the settings that made a training.
//!
//! A training is only continued with the settings it was begun with; otherwise the result would be that of neither.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use nnunet::fold::{Fold, Split};
use nnunet::plans::{ConfigurationName, Plans};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint_rule::CheckpointRule;
use crate::previous_stage::PreviousStage;
use crate::raw_dataset::{RawDatasetError, read_text};
use crate::schedule::Schedule;
use imaging::atomic_file;

/// Everything that decides the result of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Program and version.
    pub program: String,
    /// Folder name of the data set.
    pub dataset: String,
    /// The configuration.
    pub configuration: ConfigurationName,
    /// Digest of the plans.
    pub plans: Digest,
    /// The fold.
    pub fold: Fold,
    /// Its cases.
    pub split: Split,
    /// Epochs, cycles and learning rate.
    pub schedule: Schedule,
    /// Which epochs leave a member.
    pub checkpoints: CheckpointRule,
    /// Training iterations of an epoch.
    pub iterations: u32,
    /// Validation iterations of an epoch.
    pub validation_iterations: u32,
    /// Seed of every random number.
    pub seed: u64,
    /// Threads of libtorch, on which its rounding depends.
    pub threads: usize,
    /// The previous stage, in a cascade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_stage: Option<PreviousStage>,
    /// What else the training was made with; a continued training may differ in it.
    #[serde(default)]
    pub origin: Origin,
}

/// What made a training, for whoever wants to know it later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Digest of `splits_final.json`, of which the training has one split.
    pub splits: Option<Digest>,
    /// Version of libtorch that the program was built for.
    pub libtorch: String,
    /// Git revision of the program's source code.
    pub revision: String,
    /// Where it was begun, one replica on each.
    #[serde(default)]
    pub devices: Vec<String>,
}

impl Origin {
    /// A training by this program, with one split of the file of this digest.
    pub fn of_this_program(splits: Digest) -> Self {
        // The build script finds both.
        let known = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
        Self {
            splits: Some(splits),
            libtorch: known(option_env!("UNNUNET_LIBTORCH")),
            revision: known(option_env!("UNNUNET_REVISION")),
            devices: Vec::new(),
        }
    }
}

impl RunRecord {
    /// Digest of plans.
    ///
    /// # Errors
    ///
    /// [`RunRecordError::Json`] if they cannot be written as JSON.
    pub fn digest(plans: &Plans) -> Result<Digest, RunRecordError> {
        let path = PathBuf::from("plans.json");
        serde_json::to_vec(plans).map(|text| Digest::of(&text)).map_err(|source| RunRecordError::Json { path, source })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`RunRecordError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), RunRecordError> {
        let malformed = |source| RunRecordError::Json { path: path.to_owned(), source };
        let text = serde_json::to_vec_pretty(self).map_err(malformed)?;
        atomic_file::write(path, &text).map_err(|source| RunRecordError::Write { source })
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`RunRecordError::Read`], or [`RunRecordError::Json`] if it is no record.
    pub fn read(path: &Path) -> Result<Self, RunRecordError> {
        let malformed = |source| RunRecordError::Json { path: path.to_owned(), source };
        serde_json::from_str(&read_text(path)?).map_err(malformed)
    }

    /// Checks that a training was begun with these settings.
    ///
    /// # Errors
    ///
    /// [`RunRecordError::Differs`] naming the first setting that is another.
    pub fn check_same(&self, path: &Path) -> Result<(), RunRecordError> {
        let malformed = |source| RunRecordError::Json { path: path.to_owned(), source };
        let text = read_text(path)?;
        let begun: Value = serde_json::from_str(&text).map_err(malformed)?;
        let wanted = serde_json::to_value(self).map_err(malformed)?;
        // A setting that one of the two does not say is null there.
        let fields = [&begun, &wanted].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
        let fields: BTreeSet<_> = fields.filter(|field| *field != "origin").collect();
        for field in fields {
            let [found, wanted] = [&begun, &wanted].map(|record| record.get(field).unwrap_or(&Value::Null));
            if found != wanted {
                let (found, wanted) = (found.to_string(), wanted.to_string());
                return Err(RunRecordError::Differs { path: path.to_owned(), field: field.clone(), found, wanted });
            }
        }
        Ok(())
    }
}

/// Why a training cannot be recorded or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunRecordError {
    /// A setting is not the one that the training was begun with.
    #[error("`{}`: the training was begun with `{field}` {found}, now it is {wanted}", path.display())]
    Differs {
        /// The record.
        path: PathBuf,
        /// The setting.
        field: String,
        /// Its value then.
        found: String,
        /// Its value now.
        wanted: String,
    },
    /// The record is malformed.
    #[error("`{}` is no record of a training", path.display())]
    Json {
        /// The record.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The record cannot be read.
    #[error("the record of the training cannot be read")]
    Read {
        /// Which file, and why.
        #[from]
        source: RawDatasetError,
    },
    /// The record cannot be written.
    #[error("the record of the training cannot be written")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Decay;

    #[test]
    fn another_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let record = RunRecord {
            program: "p".into(),
            dataset: "Dataset001_A".into(),
            configuration: ConfigurationName("2d".into()),
            plans: Digest::of(b""),
            fold: Fold(0),
            split: Split { train: vec![], val: vec![] },
            schedule: Schedule::new(4, 2, 0.8, Decay::Unnunet).unwrap(),
            checkpoints: CheckpointRule::Late(1),
            iterations: 3,
            validation_iterations: 1,
            seed: 7,
            threads: 2,
            previous_stage: None,
            origin: Origin {
                splits: Some(Digest::of(b"s")),
                libtorch: "2".into(),
                revision: "a".into(),
                devices: vec![],
            },
        };
        record.write(&path).unwrap();
        record.check_same(&path).unwrap();
        RunRecord { origin: Origin::default(), ..record.clone() }.check_same(&path).unwrap();
        assert_eq!(RunRecord::read(&path).unwrap(), record);
        let stage = PreviousStage {
            configuration: ConfigurationName("3d_lowres".into()),
            n_channels: 2,
            predictions: Digest::of(b"p"),
        };
        let cascade = RunRecord { previous_stage: Some(stage), ..record.clone() };
        assert!(cascade.check_same(&path).unwrap_err().to_string().contains("with `previous_stage` null, now it is {"));
        let error = RunRecord { seed: 8, ..record.clone() }.check_same(&path).unwrap_err().to_string();
        assert!(error.ends_with("the training was begun with `seed` 7, now it is 8"), "{error}");
        cascade.write(&path).unwrap();
        assert_eq!(RunRecord::read(&path).unwrap(), cascade);
        let error = record.check_same(&path).unwrap_err().to_string();
        assert!(error.ends_with("now it is null"), "{error}");
    }
}
