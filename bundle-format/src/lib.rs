//! The signed container: manifest, canonical zip, signatures, verification.
//!
//! A bundle is one file that holds the networks of an ensemble, everything
//! needed to run them, and signatures over all of it. The flow is
//!
//! 1. [`UnverifiedBundle::open`] checks that the file is a canonical archive;
//! 2. [`UnverifiedBundle::verify`] checks signatures, manifest and the digest
//!    of every entry, and is the only way to a [`VerifiedBundle`];
//! 3. [`BundleContents::member_model`] hands out the bytes of one network,
//!    hashed again on the way from the same open file.
//!
//! ```no_run
//! use bundle_format::{BundleContents, Limits, PublicKey, TrustedKeys, UnverifiedBundle};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = TrustedKeys::single(PublicKey::from_pem(&fs_err::read_to_string("vendor.pub")?)?);
//! let bundle = UnverifiedBundle::open("model.unb".as_ref(), &Limits::default())?.verify(&keys)?;
//! for member in &bundle.manifest().members {
//!     let onnx = bundle.member_model(&member.id)?;
//!     println!("{}: {} bytes", member.id, onnx.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Writers go the other way: a [`ManifestDraft`] and the files go into a
//! [`BundleBuilder`], and [`sign()`] adds a signature. [`UnverifiedBundle::check`]
//! yields an [`IntactBundle`], which is whole but not trusted; `inspect` and the
//! self-test before signing use it.
//!
//! Every file is hostile until verified: sizes are limited before memory is
//! taken, nothing is read twice to decide one question, and each refusal has a
//! stable [`Rule`]. The crate reads no clock and no environment.
//!
//! `docs/bundle-format.md` is normative; comments cite its steps.

mod atomic_file;
mod builder;
mod check;
mod container;
mod contents;
mod digest;
mod entry_path;
mod envelope;
mod error;
mod json;
mod key;
mod limits;
mod manifest;
mod rule;
mod sign;
pub mod store;
mod trust;
mod verify;

pub use builder::{BuildError, BundleBuilder};
pub use check::Check;
pub use container::ContainerError;
pub use contents::{BundleContents, ContentError, IntactBundle, VerifiedBundle, Warning};
pub use digest::{Digest, DigestError};
pub use entry_path::{EntryPath, EntryPathError};
pub use envelope::{SignatureError, StatementError};
pub use error::BundleError;
pub use json::JsonError;
pub use key::{KeyError, KeyId, PublicKey, SigningKey};
pub use limits::Limits;
pub use manifest::{
    Arch, BundleId, Channel, Documents, ExecutionProvider, FileEntry, Host, Manifest, ManifestDraft, ManifestError,
    Member, MemberId, OnnxProfile, Provenance, RequirementError, Requirements, Role, SelfTest, SemanticVersion, Text,
    Timestamp, Token, ValueError,
};
pub use rule::Rule;
pub use sign::sign;
pub use trust::TrustedKeys;
pub use verify::{UnverifiedBundle, verify_with_checks};
