//! Adds a signature to a bundle.

use std::path::Path;

use crate::container::{Archive, Measured, Source, write_archive};
use crate::contents::BundleContents;
use crate::entry_path::EntryPath;
use crate::envelope::{SignatureFile, Statement};
use crate::error::BundleError;
use crate::key::{KeyId, SigningKey};
use crate::limits::Limits;
use crate::verify::UnverifiedBundle;

/// Signs `bundle` with `key` and writes the result to `output`, which may be
/// the same file.
///
/// The bundle is checked as [`UnverifiedBundle::check`] does, so that nobody
/// signs what no reader would take. Other signatures stay; an earlier one of
/// the same key is replaced. Signing twice gives the same bytes.
///
/// # Errors
///
/// Whatever [`UnverifiedBundle::check`] refuses;
/// [`crate::ContainerError::SignatureCount`] if there are eight others;
/// [`BundleError::Io`].
pub fn sign(bundle: &Path, key: &SigningKey, output: &Path) -> Result<KeyId, BundleError> {
    let intact = UnverifiedBundle::open(bundle, &Limits::default())?.check()?;
    let statement = Statement::of_manifest(intact.manifest(), *intact.manifest_sha256());
    let signature = SignatureFile::sign(&statement, key);
    write_with(&intact.into_archive(), &signature, output)?;
    Ok(signature.key_id())
}

/// Writes the entries of `archive` and `signature` to `output`; an earlier signature of the same key is replaced.
pub(crate) fn write_with(archive: &Archive, signature: &SignatureFile, output: &Path) -> Result<(), BundleError> {
    let mut entries = entries_but(archive, signature.path());
    let (added, _) = Measured::new(signature.path().clone(), Source::Bytes(signature.to_json()))?;
    entries.push(added);
    write_archive(output, entries, &Limits::default())
}

fn entries_but<'a>(archive: &'a Archive, replaced: &EntryPath) -> Vec<Measured<'a>> {
    let kept = archive.records().filter(|record| record.path != *replaced);
    let measured = |record: &_| Measured { record: Clone::clone(record), source: Source::Entry(archive) };
    kept.map(measured).collect()
}
