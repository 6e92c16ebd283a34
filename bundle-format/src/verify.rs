//! The verification order.

use std::path::Path;

use crate::check::Check;
use crate::contents::{IntactBundle, VerifiedBundle};
use crate::error::BundleError;
use crate::limits::Limits;
use crate::trust::TrustedKeys;

/// A file that is a canonical archive; nothing else is known of it.
#[derive(Debug)]
pub struct UnverifiedBundle;

impl UnverifiedBundle {
    /// Opens the file and checks the container (steps 1 and 2).
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`], [`BundleError::NotRegularFile`], [`BundleError::Container`].
    pub fn open(_path: &Path, _limits: &Limits) -> Result<Self, BundleError> {
        unimplemented!()
    }

    /// Checks signatures, manifest and every digest.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn verify(self, _keys: &TrustedKeys) -> Result<VerifiedBundle, BundleError> {
        unimplemented!()
    }

    /// Checks manifest and every digest, but trusts nobody.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(self) -> Result<IntactBundle, BundleError> {
        unimplemented!()
    }
}

/// Opens and verifies, and returns the checks made even if one failed.
pub fn verify_with_checks(
    _path: &Path,
    _limits: &Limits,
    _keys: &TrustedKeys,
) -> (Vec<Check>, Result<VerifiedBundle, BundleError>) {
    unimplemented!()
}
