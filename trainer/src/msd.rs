//! From the Medical Segmentation Decathlon's layout to nnU-Net's raw one.
//!
//! Results in what nnU-Net's `convert_MSD_dataset.py` results in: channels along the fourth axis become files,
//! images with three axes and references are copied byte for byte, and `dataset.json` is turned round. Departs from
//! it:
//!
//! - Channels keep the type in which they are stored, see [`imaging::nifti::Volumes`].
//! - Every file appears whole or not at all, `dataset.json` as the last, and only if every image could be converted;
//!   whoever was interrupted goes on by running the same again.
//! - An image with another number of volumes than `modality` has entries is refused.
//! - `imagesTs` may be missing.

use std::io;
use std::path::{Path, PathBuf};

use imaging::atomic_file;
use imaging::nifti::{NiftiError, Volumes};
use nnunet::dataset::CaseId;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde_json::Value;

use crate::raw_dataset::{RawDatasetError, read_text};

mod description;

pub use description::DescriptionError;

/// Ending of all files of the decathlon.
const ENDING: &str = ".nii.gz";

/// Left in the target's folder from the first file on: which data set is being converted into it.
const RECORD: &str = ".convert-msd.json";

/// What to do for one file of the decathlon.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    source: PathBuf,
    /// One target per channel; of a reference, one.
    targets: Vec<PathBuf>,
}

/// A conversion that can begin, or go on.
#[derive(Debug)]
pub struct Conversion {
    target: PathBuf,
    steps: Vec<Step>,
    /// The source's `dataset.json`.
    source: Value,
    /// The converted `dataset.json`.
    converted: Value,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converted {
    /// It was written.
    Anew,
    /// It was there already.
    Already,
}

impl Conversion {
    /// Looks at the task's folder `source` and the data set's folder `target`, and writes nothing.
    ///
    /// # Errors
    ///
    /// [`MsdError`] if the source has not the decathlon's layout, or the target holds something else.
    pub fn new(source: &Path, target: &Path) -> Result<Self, MsdError> {
        let path = source.join("dataset.json");
        let json: Value =
            serde_json::from_str(&read_text(&path)?).map_err(|source| MsdError::Json { path: path.clone(), source })?;
        let (converted, n_channels) =
            description::convert(&json).map_err(|source| MsdError::Description { path, source })?;
        let mut steps = Vec::new();
        for (folder, n_targets) in [("imagesTr", Some(n_channels)), ("imagesTs", Some(n_channels)), ("labelsTr", None)]
        {
            let names = match names(&source.join(folder)) {
                Err(error) if folder == "imagesTs" && error.kind() == io::ErrorKind::NotFound => continue,
                names => names.map_err(|error| MsdError::Read { path: source.join(folder), source: error })?,
            };
            for name in names {
                let stem = name.strip_suffix(ENDING).unwrap_or(&name);
                CaseId::new(stem).map_err(|_| MsdError::Name { path: source.join(folder).join(&name) })?;
                let targets = match n_targets {
                    Some(n) => (0..n).map(|channel| format!("{stem}_{channel:04}{ENDING}")).collect(),
                    None => vec![name.clone()],
                };
                let targets = targets.into_iter().map(|name| target.join(folder).join(name)).collect();
                steps.push(Step { source: source.join(folder).join(name), targets });
            }
        }
        check_target(target, &json)?;
        Ok(Self { target: target.to_owned(), steps, source: json, converted })
    }

    /// Number of files to convert.
    pub fn n_files(&self) -> usize {
        self.steps.len()
    }

    /// Converts what is not there yet, files in parallel; `done` is called after each. A file that fails does not
    /// keep the others from being done, but `dataset.json` from being written.
    ///
    /// # Errors
    ///
    /// [`MsdError::Write`] if a folder or `dataset.json` cannot be written.
    pub fn run(&self, done: &(dyn Fn() + Sync)) -> Result<Vec<Result<Converted, MsdError>>, MsdError> {
        for folder in ["imagesTr", "imagesTs", "labelsTr"] {
            let folder = self.target.join(folder);
            fs_err::create_dir_all(&folder).map_err(|source| MsdError::Write { path: folder.clone(), source })?;
        }
        write_json(&self.target.join(RECORD), &self.source)?;
        let convert = |step: &Step| {
            let converted = step.run();
            done();
            converted
        };
        let results: Vec<_> = self.steps.par_iter().map(convert).collect();
        if results.iter().all(Result::is_ok) {
            write_json(&self.target.join("dataset.json"), &self.converted)?;
        }
        Ok(results)
    }
}

impl Step {
    fn run(&self) -> Result<Converted, MsdError> {
        if self.is_done()? {
            return Ok(Converted::Already);
        }
        let unreadable = |source| MsdError::Nifti { source };
        let volumes = Volumes::open(&self.source).map_err(unreadable)?;
        match &self.targets[..] {
            [target] if volumes.n_axes() <= 3 => copy(&self.source, target)?,
            targets => volumes.write(targets).map_err(unreadable)?,
        }
        Ok(Converted::Anew)
    }

    /// Every target is there, and none is older than the source.
    fn is_done(&self) -> Result<bool, MsdError> {
        let modified = |path: &Path| fs_err::metadata(path).and_then(|metadata| metadata.modified());
        let read = |source| MsdError::Read { path: self.source.clone(), source };
        let source = modified(&self.source).map_err(read)?;
        Ok(self.targets.iter().all(|target| modified(target).is_ok_and(|target| target >= source)))
    }
}

fn copy(source: &Path, target: &Path) -> Result<(), MsdError> {
    let mut file =
        fs_err::File::open(source).map_err(|error| MsdError::Read { path: source.to_owned(), source: error })?;
    atomic_file::write_with(target, |target| io::copy(&mut file, target).map(drop))
        .map_err(|source| MsdError::Write { path: target.to_owned(), source })
}

/// The target must be new, or hold a conversion of the same data set.
fn check_target(target: &Path, source: &Value) -> Result<(), MsdError> {
    let is_empty = !target.exists()
        || fs_err::read_dir(target)
            .map_err(|source| MsdError::Read { path: target.to_owned(), source })?
            .next()
            .is_none();
    if is_empty {
        return Ok(());
    }
    let record = target.join(RECORD);
    let recorded = record.is_file().then(|| read_text(&record)).transpose()?;
    let same = recorded.is_some_and(|text| serde_json::from_str::<Value>(&text).is_ok_and(|json| json == *source));
    if same { Ok(()) } else { Err(MsdError::Occupied { folder: target.to_owned() }) }
}

/// Visible files with the decathlon's ending, sorted. macOS leaves `._` files beside the real ones.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.ends_with(ENDING)
            && !name.starts_with(['.', '_'])
            && entry.path().is_file()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn write_json(path: &Path, value: &Value) -> Result<(), MsdError> {
    atomic_file::write(path, format!("{value:#}\n").as_bytes())
        .map_err(|source| MsdError::Write { path: path.to_owned(), source })
}

/// Why a task of the decathlon cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MsdError {
    /// `dataset.json` has not the decathlon's shape.
    #[error("`{}` is not as the decathlon has it", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DescriptionError,
    },
    /// `dataset.json` is no JSON.
    #[error("`{}` is malformed", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file's name cannot be a case's.
    #[error("the name of `{}` cannot be a case's", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// An image cannot be split.
    #[error("an image cannot be converted")]
    Nifti {
        /// Which, and why.
        source: NiftiError,
    },
    /// The target is in use.
    #[error("`{}` holds another data set already; choose another number or remove it", folder.display())]
    Occupied {
        /// The target's folder.
        folder: PathBuf,
    },
    /// The system refused to read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The description cannot be read.
    #[error("the task cannot be read")]
    Text {
        /// Which file, and why.
        #[from]
        source: RawDatasetError,
    },
    /// The system refused to write.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
