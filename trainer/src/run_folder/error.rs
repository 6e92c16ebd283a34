//! Why the folder of a training cannot be used.

use std::io;
use std::path::PathBuf;

use nnunet::fold::{Fold, Member};

use crate::checkpoint::CheckpointError;
use crate::checkpoint_rule::CheckpointRuleError;
use crate::import::ImportError;
use crate::limits::LimitsError;
use crate::run_record::RunRecordError;

/// Why the folder of a training cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// A checkpoint could not be read.
    #[error("member `{member}` cannot be read")]
    Checkpoint {
        /// The member.
        member: Member,
        /// Which file, and why.
        source: CheckpointError,
    },
    /// It is not known whether a fold's training ended early.
    #[error("how the training of {fold} ended is not known")]
    EarlyEnd {
        /// The fold.
        fold: Fold,
        /// Why.
        source: LimitsError,
    },
    /// The folder could not be listed.
    #[error("cannot find the training")]
    Folder {
        /// What the system said, with the folder.
        source: io::Error,
    },
    /// The record of an import cannot be used.
    #[error("{fold} has no usable record of its import")]
    Import {
        /// The fold.
        fold: Fold,
        /// Which file, and why.
        source: Box<ImportError>,
    },
    /// No fold was trained.
    #[error("`{}` holds no `fold_<f>`", folder.display())]
    NoFold {
        /// The folder of the training.
        folder: PathBuf,
    },
    /// A checkpoint's record is that of another.
    #[error("the record of member `{member}` is that of `{found}`")]
    Record {
        /// The member, by its file's name.
        member: Member,
        /// The member that the record names.
        found: Member,
    },
    /// The checkpoint rule of a training does not fit its schedule.
    #[error("the checkpoint rule of {fold} cannot be used")]
    Rule {
        /// The fold.
        fold: Fold,
        /// Why.
        source: CheckpointRuleError,
    },
    /// The record of a training cannot be used.
    #[error("{fold} has no usable record of its training")]
    Run {
        /// The fold.
        fold: Fold,
        /// Which file, and why.
        source: RunRecordError,
    },
    /// A checkpoint that the rule keeps is not there.
    #[error("`{}` lacks checkpoint {epoch}; the training is not finished", folder.display())]
    Unfinished {
        /// The fold's folder.
        folder: PathBuf,
        /// The first epoch that is missing.
        epoch: u32,
    },
}
