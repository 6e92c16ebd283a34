//! The verification order.
//!
//! The steps are those of `docs/bundle-format.md`, "Verification order", and
//! have its numbers. Nothing of a step is looked at before the one before it
//! passed: a statement is not parsed before its signature is valid, and the
//! manifest not before its digest is the signed one.
//!
//! Step 8 (requirements) needs the machine: the runtime makes it with
//! [`crate::Requirements::check`]. Step 10 (inside of the ONNX files) is made
//! on every load, [`crate::BundleContents::load_model`].

use std::path::Path;

use crate::check::{Check, CheckLog};
use crate::container::{Archive, OpenFile, is_signature};
use crate::contents::{CheckedArchive, ContentError, IntactBundle, VerifiedBundle, Warning};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::envelope::{SignatureError, SignatureFile, Statement};
use crate::error::BundleError;
use crate::key::KeyId;
use crate::limits::Limits;
use crate::manifest::{Channel, MANIFEST_PATH, Manifest};
use crate::payload::check_payload;
use crate::trust::{Freshness, TrustedKeys};

const FILE: (u8, &str) = (1, "file");
const CONTAINER: (u8, &str) = (2, "container");
const SIGNATURES: (u8, &str) = (3, "signatures");
const STATEMENTS: (u8, &str) = (4, "statements");
const MANIFEST: (u8, &str) = (5, "manifest");
const POLICY: (u8, &str) = (6, "policy");
const FILES: (u8, &str) = (7, "files");
const PAYLOAD: (u8, &str) = (9, "payload");

/// A file that is a canonical archive; nothing else is known of it.
#[derive(Debug)]
pub struct UnverifiedBundle {
    archive: Archive,
    log: CheckLog,
}

impl UnverifiedBundle {
    /// Opens the file and checks the container (steps 1 and 2).
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`], [`BundleError::NotRegularFile`],
    /// [`BundleError::Container`].
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, BundleError> {
        let mut log = CheckLog::default();
        let archive = open_archive(path, limits, &mut log)?;
        Ok(Self { archive, log })
    }

    /// Checks signatures, manifest and every digest (steps 3 to 9).
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn verify(mut self, keys: &TrustedKeys) -> Result<VerifiedBundle, BundleError> {
        verify_archive(self.archive, keys, &mut self.log)
    }

    /// Checks manifest and every digest, but trusts nobody: signatures must be
    /// well formed and cover the files, whoever made them.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(mut self) -> Result<IntactBundle, BundleError> {
        let (archive, log) = (self.archive, &mut self.log);
        let signatures = log.run(SIGNATURES, || read_signatures(&archive))?;
        let claimed_signers = signers(&signatures);
        let mut contents = check_contents(archive, &signatures, None, log)?;
        contents.warnings.push(Warning::SignaturesNotChecked);
        Ok(IntactBundle::new(contents, claimed_signers))
    }
}

/// Opens and verifies, and returns the checks that were made even if the last
/// of them failed.
pub fn verify_with_checks(
    path: &Path,
    limits: &Limits,
    keys: &TrustedKeys,
) -> (Vec<Check>, Result<VerifiedBundle, BundleError>) {
    let mut log = CheckLog::default();
    let verified = open_archive(path, limits, &mut log).and_then(|archive| verify_archive(archive, keys, &mut log));
    (log.into_checks(), verified)
}

/// Steps 1 and 2.
fn open_archive(path: &Path, limits: &Limits, log: &mut CheckLog) -> Result<Archive, BundleError> {
    let file = log.run(FILE, || OpenFile::open(path, limits))?;
    log.run(CONTAINER, || Archive::read_headers(file))
}

fn verify_archive(archive: Archive, keys: &TrustedKeys, log: &mut CheckLog) -> Result<VerifiedBundle, BundleError> {
    let signatures = log.run(SIGNATURES, || {
        let signatures = read_signatures(&archive)?;
        if signatures.is_empty() {
            return Err(SignatureError::Missing.into());
        }
        // A signature that nobody checks would be bytes that anybody can change.
        for signature in &signatures {
            keys.check_key(signature.key_id())?;
            signature.verify(keys)?;
        }
        Ok(signatures)
    })?;
    let signers = signers(&signatures);
    let mut contents = check_contents(archive, &signatures, Some(keys), log)?;
    if keys.freshness() == Freshness::Expired {
        contents.warnings.push(Warning::TrustExpired);
    }
    // Step 11: the only place that makes a `VerifiedBundle`.
    Ok(VerifiedBundle::new(contents, signers, keys.version()))
}

/// Step 3 without the keys: every signature file is well formed.
fn read_signatures(archive: &Archive) -> Result<Vec<SignatureFile>, BundleError> {
    let limit = archive.limits().signature_bytes;
    let mut signatures = Vec::new();
    for record in archive.records().filter(|record| is_signature(&record.path)) {
        let text = read_entry(archive, &record.path, limit)?;
        signatures.push(SignatureFile::parse(&record.path, &text)?);
    }
    Ok(signatures)
}

fn signers(signatures: &[SignatureFile]) -> Vec<KeyId> {
    signatures.iter().map(SignatureFile::key_id).collect()
}

/// Steps 4, 5, 7 and 9; with `keys` also what they say of the bundle, in steps 5 and 6.
fn check_contents(
    archive: Archive,
    signatures: &[SignatureFile],
    keys: Option<&TrustedKeys>,
    log: &mut CheckLog,
) -> Result<CheckedArchive, BundleError> {
    let statements = log.run(STATEMENTS, || {
        let parse = |signature: &SignatureFile| Ok(Statement::parse(signature.payload())?);
        signatures.iter().map(parse).collect::<Result<Vec<_>, BundleError>>()
    })?;
    let signers = signers(signatures);
    let (manifest, manifest_sha256) = log.run(MANIFEST, || {
        let (text, digest) = read_manifest(&archive, &statements)?;
        keys.map_or(Ok(()), |keys| keys.check_manifest_digest(&signers, digest))?;
        Ok((Manifest::parse(&text)?, digest))
    })?;
    if let Some(keys) = keys {
        log.run(POLICY, || Ok(keys.check_policy(&signers, &manifest)?))?;
    }
    log.run(FILES, || {
        check_sets(&archive, &manifest)?;
        for statement in &statements {
            statement.check_coverage(&manifest, manifest_sha256)?;
        }
        Ok(())
    })?;
    log.run(PAYLOAD, || check_payload(&archive, manifest.files()))?;
    let dev = manifest.channel == Channel::Dev;
    let warnings = dev.then_some(Warning::DevelopmentChannel).into_iter().collect();
    let checks = log.checks().to_vec();
    Ok(CheckedArchive { archive, manifest, manifest_sha256, checks, warnings })
}

/// Step 5: the text of the manifest, which is the signed one; only then may it be parsed.
fn read_manifest(archive: &Archive, statements: &[Statement]) -> Result<(Vec<u8>, Digest), BundleError> {
    let path = EntryPath::manifest();
    let text = read_entry(archive, &path, archive.limits().manifest_bytes)?;
    let digest = Digest::of(&text);
    for statement in statements {
        statement.check_manifest_digest(digest)?;
    }
    Ok((text, digest))
}

/// Step 7: entries and manifest list the same files with the same sizes.
fn check_sets(archive: &Archive, manifest: &Manifest) -> Result<(), BundleError> {
    for file in manifest.files() {
        let path = file.path.clone();
        let Some(record) = archive.record(&path) else {
            return Err(ContentError::FileMissing { path }.into());
        };
        let (expected, actual) = (file.size, record.size);
        if expected != actual {
            return Err(ContentError::FileSize { path, expected, actual }.into());
        }
    }
    for record in archive.records() {
        let path = &record.path;
        let listed = path.as_str() == MANIFEST_PATH || is_signature(path) || manifest.file(path).is_some();
        if !listed {
            return Err(ContentError::FileUnlisted { path: path.clone() }.into());
        }
    }
    let pipeline = &manifest.pipeline;
    Ok(archive.check_size(pipeline, archive.limits().pipeline_bytes)?)
}

/// Reads an entry that the archive's records name.
fn read_entry(archive: &Archive, path: &EntryPath, limit: u64) -> Result<Vec<u8>, BundleError> {
    let content = archive.read(path, limit)?;
    content.ok_or_else(|| ContentError::UnknownFile { path: path.clone() }.into())
}
