//! Why a data set could not be planned or preprocessed.

use std::io;
use std::path::PathBuf;

use nnunet::planner::PlanError;
use nnunet::plans::PlansError;

use crate::preparation::PreparationError;
use crate::raw_dataset::RawDatasetError;

/// Why a data set could not be planned or preprocessed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanningError {
    /// A fingerprint of another training set.
    #[error(
        "`{}` was measured from {actual} cases, the data set has {expected}; run `unnunet-train fingerprint` again",
        path.display()
    )]
    Cases {
        /// The fingerprint.
        path: PathBuf,
        /// Cases of the data set.
        expected: usize,
        /// Cases of the fingerprint.
        actual: usize,
    },
    /// The fingerprint is malformed.
    #[error("`{}` is no fingerprint", path.display())]
    Fingerprint {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The folder of the data set has no name, or none that is text.
    #[error("`{}` has no name that plans could bear", folder.display())]
    Name {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no fingerprint.
    #[error("there is no `{}`; run `unnunet-train fingerprint` first", path.display())]
    NoFingerprint {
        /// Where it should be.
        path: PathBuf,
    },
    /// There are no plans.
    #[error("there is no `{}`; run `unnunet-train plan` first", path.display())]
    NoPlans {
        /// Where they should be.
        path: PathBuf,
    },
    /// The planner refuses.
    #[error("`{name}` cannot be planned")]
    Plan {
        /// The data set.
        name: String,
        /// Why.
        source: PlanError,
    },
    /// Plans are malformed or lack what is asked for.
    #[error("the plans `{}` cannot be used", path.display())]
    Plans {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PlansError,
    },
    /// A case cannot be measured.
    #[error(transparent)]
    Preparation {
        /// Which, and why.
        #[from]
        source: PreparationError,
    },
    /// The plans name a class that preprocesses in a way of its own.
    #[error("the plans ask for the preprocessor `{found}`, only `DefaultPreprocessor` is known")]
    Preprocessor {
        /// The class.
        found: String,
    },
    /// The raw data set is incomplete.
    #[error(transparent)]
    Raw {
        /// What is wrong with it.
        #[from]
        source: RawDatasetError,
    },
    /// A file could not be read.
    #[error("the data set cannot be read")]
    Read {
        /// Which, and what the system said.
        source: io::Error,
    },
    /// The data set or the plans name a reader that turns images, which this program does not.
    #[error("images would have to be turned by the reader `{found}`, which is not supported")]
    Reader {
        /// The class.
        found: String,
    },
    /// A file or folder could not be written.
    #[error("the plans cannot be written")]
    Write {
        /// Which, and what the system said.
        source: io::Error,
    },
}
