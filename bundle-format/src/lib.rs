//! The signed container: manifest, canonical zip, signatures, verification.
//!
//! A bundle is one file that holds the networks of an ensemble, everything
//! needed to run them, and signatures over all of it. The flow is
//!
//! 1. [`UnverifiedBundle::open`] checks that the file is a canonical archive;
//! 2. [`UnverifiedBundle::verify`] checks signatures, manifest and the digest
//!    of every entry, and is the only way to a [`VerifiedBundle`];
//! 3. [`BundleContents::load_model`] hands out one network in sealed memory,
//!    hashed again on the way from the same open file and inspected there.
//!
//! ```no_run
//! use bundle_format::{BundleContents, Limits, PublicKey, TrustedKeys, UnverifiedBundle};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = TrustedKeys::single(PublicKey::from_pem(&fs_err::read_to_string("vendor.pub")?)?);
//! let bundle = UnverifiedBundle::open("model.unb".as_ref(), &Limits::default())?.verify(&keys)?;
//! for member in &bundle.manifest().members {
//!     let model = bundle.load_model(&member.id)?;
//!     println!("{}: {} bytes at {}", member.id, model.n_bytes(), model.path().display());
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
//! [`TrustedKeys`] says whom to believe: one key, or what a [`TrustDocument`]
//! in a [`TrustFolder`] says, which its roots signed.
//!
//! Every file is hostile until verified: sizes are limited before memory is
//! taken, nothing is read twice to decide one question, and each refusal has a
//! stable [`Rule`]. The crate reads no clock and no environment.
//!
//! `docs/bundle-format.md` is normative; comments cite its steps.

mod atomic_file;
mod attach;
mod builder;
mod check;
mod container;
mod contents;
mod digest;
mod entry_path;
mod envelope;
mod error;
mod extract;
mod json;
mod key;
mod limits;
mod manifest;
mod onnx;
mod payload;
mod rule;
mod sealed;
mod sign;
pub mod store;
mod trust;
mod verify;

pub use attach::attach;
pub use builder::{BuildError, BundleBuilder};
pub use check::Check;
pub use container::ContainerError;
pub use contents::{BundleContents, ContentError, IntactBundle, VerifiedBundle, Warning};
pub use digest::{Digest, DigestError};
pub use entry_path::{EntryPath, EntryPathError};
pub use envelope::{SignatureError, StatementError, claimed_signer};
pub use error::BundleError;
pub use json::JsonError;
pub use key::{KeyError, KeyId, PublicKey, SigningKey};
pub use limits::Limits;
pub use manifest::{
    Arch, BundleId, Channel, Documents, ExecutionProvider, FileEntry, Host, Manifest, ManifestDraft, ManifestError,
    Member, MemberId, OnnxProfile, Provenance, RequirementError, Requirements, Role, SelfTest, SemanticVersion, Text,
    Timestamp, Token, ValueError,
};
pub use onnx::{OPERATORS, OnnxError, OnnxFacts, check_onnx};
pub use rule::Rule;
pub use sealed::SealedModel;
pub use sign::sign;
pub use trust::{
    Expiry, Freshness, LockedTrust, ModelPattern, PolicyError, RevocationReason, Revoked, RevokedKey, RoleCount, Roots,
    SignedTrust, TrustClock, TrustDocument, TrustDraft, TrustEnvelope, TrustError, TrustFolder, TrustKey, TrustRole,
    TrustSource, TrustUpdate, TrustedKeys, follow_chain, parse_trust, read_trust_file, write_trust_file,
};
pub use verify::{UnverifiedBundle, verify_with_checks};
