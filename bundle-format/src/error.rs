//! The error of every operation on bundles, with its rule.

use std::io;
use std::path::PathBuf;

use crate::container::ContainerError;
use crate::contents::ContentError;
use crate::entry_path::EntryPath;
use crate::envelope::{SignatureError, StatementError};
use crate::key::KeyError;
use crate::manifest::{ManifestError, RequirementError};
use crate::onnx::OnnxError;
use crate::rule::Rule;
use crate::store::StoreError;
use crate::trust::{PolicyError, TrustError};

/// Why a bundle, a key or a device was refused.
///
/// [`BundleError::code`] and [`BundleError::exit_code`] are stable; the text is
/// for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The path names a folder, a device, or a symbolic link.
    #[error("`{}` is not a regular file", path.display())]
    NotRegularFile {
        /// The refused path.
        path: PathBuf,
    },

    /// The container breaks a rule.
    #[error(transparent)]
    Container(#[from] ContainerError),

    /// The manifest breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),

    /// A signature file breaks a rule or is not by a trusted key.
    #[error(transparent)]
    Signature(#[from] SignatureError),

    /// The signed statement breaks a rule.
    #[error(transparent)]
    Statement(#[from] StatementError),

    /// Entries and manifest disagree.
    #[error(transparent)]
    Content(#[from] ContentError),

    /// A key could not be read.
    #[error(transparent)]
    Key(#[from] KeyError),

    /// This machine cannot run the bundle.
    #[error(transparent)]
    Requirement(#[from] RequirementError),

    /// A model holds something that must not reach ONNX Runtime.
    #[error("`{path}` is not handed to ONNX Runtime")]
    Onnx {
        /// The model.
        path: EntryPath,
        /// What it holds.
        source: OnnxError,
    },
    /// A trust document, or a change of it, breaks a rule.
    #[error(transparent)]
    Trust(#[from] TrustError),

    /// The trust does not admit the bundle.
    #[error(transparent)]
    Policy(#[from] PolicyError),

    /// A bundle could not be put together.
    #[error(transparent)]
    Build(#[from] crate::builder::BuildError),

    /// The device's store refuses, or cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BundleError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Io { .. } => Rule::Io,
            Self::NotRegularFile { .. } => Rule::RegularFile,
            Self::Container(error) => error.rule(),
            Self::Manifest(error) => error.rule(),
            Self::Signature(error) => error.rule(),
            Self::Statement(error) => error.rule(),
            Self::Content(error) => error.rule(),
            Self::Key(error) => error.rule(),
            Self::Requirement(error) => error.rule(),
            Self::Onnx { source, .. } => source.rule(),
            Self::Trust(error) => error.rule(),
            Self::Policy(error) => error.rule(),
            Self::Build(error) => error.rule(),
            Self::Store(error) => error.rule(),
        }
    }

    /// The stable code of the broken rule, for example `E201`.
    pub fn code(&self) -> &'static str {
        self.rule().code()
    }

    /// The exit status that a program ends with because of this error.
    pub fn exit_code(&self) -> u8 {
        self.rule().exit_code()
    }

    /// Wraps what the system said about `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
