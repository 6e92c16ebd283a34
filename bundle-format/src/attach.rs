//! Adds a signature that was made elsewhere.

use std::path::Path;

use crate::contents::BundleContents;
use crate::envelope::{Statement, read_foreign};
use crate::error::BundleError;
use crate::key::{KeyId, PublicKey};
use crate::limits::Limits;
use crate::sign::write_with;
use crate::verify::UnverifiedBundle;

/// Adds `signature`, the content of a file that another tool made with `key`,
/// to `bundle`, and writes the result to `output`, which may be the same file.
///
/// The bundle is checked as [`UnverifiedBundle::check`] does; the signature
/// must be valid and cover exactly the bundle's files. It is put into the
/// format's one spelling: canonical JSON, lower s, the key's own name.
///
/// # Errors
///
/// Whatever [`UnverifiedBundle::check`] refuses; [`crate::SignatureError`] and
/// [`crate::StatementError`] for a signature of another form, key or coverage;
/// [`crate::ContainerError::SignatureCount`] if there are eight others;
/// [`BundleError::Io`]. `output` is as it was then.
pub fn attach(bundle: &Path, signature: &[u8], key: &PublicKey, output: &Path) -> Result<KeyId, BundleError> {
    let intact = UnverifiedBundle::open(bundle, &Limits::default())?.check()?;
    let signature = read_foreign(signature, key)?;
    let statement = Statement::parse(signature.payload())?;
    let manifest_sha256 = *intact.manifest_sha256();
    statement.check_manifest_digest(manifest_sha256)?;
    statement.check_coverage(intact.manifest(), manifest_sha256)?;
    write_with(&intact.into_archive(), &signature, output)?;
    Ok(signature.key_id())
}
