//! What a checked bundle hands out, and the types that prove the checks.
//!
//! [`VerifiedBundle`] and [`IntactBundle`] have no public constructor: whoever
//! holds one knows that its checks were made. Both keep the one file that was
//! opened; every load reads from it and hashes again before bytes get out, so
//! that a file changed underneath is noticed.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::check::Check;
use crate::container::Archive;
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::key::KeyId;
use crate::manifest::{FileEntry, Manifest, MemberId};
use crate::rule::Rule;
use crate::sealed::{Filling, SealedModel};

/// Why the entries and the manifest of a bundle do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The manifest lists a file that is not there.
    #[error("`{path}` is in the manifest but not in the archive")]
    FileMissing {
        /// The listed file.
        path: EntryPath,
    },

    /// An entry is in no list.
    #[error("`{path}` is in the archive but not in the manifest")]
    FileUnlisted {
        /// The entry.
        path: EntryPath,
    },

    /// An entry is longer or shorter than its manifest says.
    #[error("`{path}` has {actual} bytes, the manifest states {expected}")]
    FileSize {
        /// The entry.
        path: EntryPath,
        /// What the manifest states.
        expected: u64,
        /// What the header states.
        actual: u64,
    },

    /// The bytes of an entry are not those that were listed.
    #[error("`{path}` has the digest {actual}, the manifest states {expected}")]
    FileDigest {
        /// The entry.
        path: EntryPath,
        /// What the manifest states.
        expected: Digest,
        /// What was read.
        actual: Digest,
    },

    /// Someone asked for an entry that the bundle does not have.
    #[error("the bundle has no file `{path}`")]
    UnknownFile {
        /// The requested path.
        path: EntryPath,
    },

    /// Someone asked for a member that the bundle does not have.
    #[error("the bundle has no member `{id}`")]
    UnknownMember {
        /// The requested member.
        id: MemberId,
    },
}

impl ContentError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::FileMissing { .. } => Rule::FileMissing,
            Self::FileUnlisted { .. } => Rule::FileUnlisted,
            Self::FileSize { .. } => Rule::FileSize,
            Self::FileDigest { .. } => Rule::FileDigest,
            Self::UnknownFile { .. } | Self::UnknownMember { .. } => Rule::EntryUnknown,
        }
    }
}

/// Something that a user should know although the bundle passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Warning {
    /// The bundle's channel is `dev`: its makers do not stand by it.
    DevelopmentChannel,
    /// The trust document has expired: a newer one should have come.
    TrustExpired,
    /// Nobody's signature was checked.
    SignaturesNotChecked,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DevelopmentChannel => "the bundle is of the channel `dev`",
            Self::TrustExpired => "the trust document has expired; ask for a newer one",
            Self::SignaturesNotChecked => "no signature of the bundle was checked",
        })
    }
}

/// What can be asked of a bundle whose entries have the digests of its manifest.
pub trait BundleContents {
    /// The manifest.
    fn manifest(&self) -> &Manifest;

    /// SHA-256 of `manifest.json`, which identifies the bundle.
    fn manifest_sha256(&self) -> &Digest;

    /// The content of the file at `path`, hashed again while it is loaded.
    ///
    /// # Errors
    ///
    /// [`ContentError::UnknownFile`]; [`ContentError::FileDigest`] if the bytes
    /// changed since they were verified; [`crate::ContainerError::EntrySize`]
    /// beyond the limit for one load; [`BundleError::Io`].
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, BundleError>;

    /// The ONNX file of the member `id`, as [`BundleContents::read`].
    ///
    /// # Errors
    ///
    /// [`ContentError::UnknownMember`], else as [`BundleContents::read`].
    fn member_model(&self, id: &MemberId) -> Result<Vec<u8>, BundleError>;

    /// The ONNX file of the member `id`, in sealed memory: read once, hashed on
    /// the way, and inspected before anything else sees it (step 10).
    ///
    /// # Errors
    ///
    /// As [`BundleContents::member_model`], and [`BundleError::Onnx`] if the
    /// model holds something that must not reach ONNX Runtime.
    fn load_model(&self, id: &MemberId) -> Result<SealedModel, BundleError>;

    /// The checks that were made, in their order.
    fn checks(&self) -> &[Check];

    /// What a user should know although the bundle passed.
    fn warnings(&self) -> &[Warning];
}

/// An archive with its manifest; every entry had its digest when it was checked.
#[derive(Debug)]
pub(crate) struct CheckedArchive {
    pub(crate) archive: Archive,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_sha256: Digest,
    pub(crate) checks: Vec<Check>,
    pub(crate) warnings: Vec<Warning>,
}

impl CheckedArchive {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, BundleError> {
        let unknown = || ContentError::UnknownFile { path: path.clone() };
        let file = self.manifest.file(path).ok_or_else(unknown)?;
        let content = self.archive.read(path, self.archive.limits().loaded_bytes)?.ok_or_else(unknown)?;
        check_digest(file, Digest::of(&content))?;
        Ok(content)
    }

    fn member_model(&self, id: &MemberId) -> Result<Vec<u8>, BundleError> {
        let unknown = || ContentError::UnknownMember { id: id.clone() };
        let member = self.manifest.member(id).ok_or_else(unknown)?;
        self.read(&member.model)
    }

    fn load_model(&self, id: &MemberId) -> Result<SealedModel, BundleError> {
        let unknown = || ContentError::UnknownMember { id: id.clone() };
        let path = &self.manifest.member(id).ok_or_else(unknown)?.model;
        let file = self.manifest.file(path).ok_or_else(|| ContentError::UnknownFile { path: path.clone() })?;
        self.archive.check_size(path, self.archive.limits().loaded_bytes)?;
        let (mut memory, mut sha256) = (Filling::new(path)?, Sha256::new());
        self.archive.for_each_chunk(path, &mut |chunk| {
            sha256.update(chunk);
            memory.push(chunk)
        })?;
        check_digest(file, Digest::finish(sha256))?;
        memory.seal(&self.manifest.onnx)
    }
}

/// Compares what was read with what the manifest states.
pub(crate) fn check_digest(file: &FileEntry, actual: Digest) -> Result<(), ContentError> {
    if actual == file.sha256 {
        return Ok(());
    }
    let (path, expected) = (file.path.clone(), file.sha256);
    Err(ContentError::FileDigest { path, expected, actual })
}

/// A bundle that passed every step of the verification order.
#[derive(Debug)]
pub struct VerifiedBundle {
    contents: CheckedArchive,
    signers: Vec<KeyId>,
    trust_version: Option<u32>,
}

impl VerifiedBundle {
    pub(crate) fn new(contents: CheckedArchive, signers: Vec<KeyId>, trust_version: Option<u32>) -> Self {
        Self { contents, signers, trust_version }
    }

    pub(crate) fn checked(&self) -> &CheckedArchive {
        &self.contents
    }

    /// The trusted keys that signed.
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// The version of the trust document that admitted the bundle; `None` where one key was trusted.
    pub fn trust_version(&self) -> Option<u32> {
        self.trust_version
    }
}

/// A bundle that is whole: container, manifest and digests fit. **Nobody
/// vouches for it**; whoever can write the file can make one.
#[derive(Debug)]
pub struct IntactBundle {
    contents: CheckedArchive,
    claimed_signers: Vec<KeyId>,
}

impl IntactBundle {
    pub(crate) fn new(contents: CheckedArchive, claimed_signers: Vec<KeyId>) -> Self {
        Self { contents, claimed_signers }
    }

    pub(crate) fn into_archive(self) -> Archive {
        self.contents.archive
    }

    /// The keys that the signature files name. Their signatures were not checked.
    pub fn claimed_signers(&self) -> &[KeyId] {
        &self.claimed_signers
    }
}

/// Both proofs hand out the same contents.
macro_rules! delegate_contents {
    ($name:ident) => {
        impl BundleContents for $name {
            fn manifest(&self) -> &Manifest {
                &self.contents.manifest
            }

            fn manifest_sha256(&self) -> &Digest {
                &self.contents.manifest_sha256
            }

            fn read(&self, path: &EntryPath) -> Result<Vec<u8>, BundleError> {
                self.contents.read(path)
            }

            fn member_model(&self, id: &MemberId) -> Result<Vec<u8>, BundleError> {
                self.contents.member_model(id)
            }

            fn load_model(&self, id: &MemberId) -> Result<SealedModel, BundleError> {
                self.contents.load_model(id)
            }

            fn checks(&self) -> &[Check] {
                &self.contents.checks
            }

            fn warnings(&self) -> &[Warning] {
                &self.contents.warnings
            }
        }
    };
}

delegate_contents!(VerifiedBundle);
delegate_contents!(IntactBundle);
