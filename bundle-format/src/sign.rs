//! Adds a signature to a bundle.

use std::path::Path;

use crate::error::BundleError;
use crate::key::{KeyId, SigningKey};

/// Signs `bundle` with `key` and writes the result to `output`, which may be the same file.
///
/// # Errors
///
/// Whatever `check` refuses; [`BundleError::Io`].
pub fn sign(_bundle: &Path, _key: &SigningKey, _output: &Path) -> Result<KeyId, BundleError> {
    unimplemented!()
}
