//! Unpacks a verified bundle into a new folder.
//!
//! Names were checked when the archive was opened: none is absolute, leads
//! upward or goes through a file. The files are written into a folder of
//! another name beside the new one, hashed again on the way, and the folder
//! appears by a rename that replaces nothing.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};

use crate::contents::{BundleContents, CheckedArchive, ContentError, VerifiedBundle};
use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::manifest::MANIFEST_PATH;

impl VerifiedBundle {
    /// Writes every entry, signatures and manifest among them, to the new folder `folder`.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`] if `folder` exists or cannot be written;
    /// [`ContentError::FileDigest`] if bytes changed since they were verified.
    /// There is no `folder` then, and nothing of it is left behind.
    pub fn extract(&self, folder: &Path) -> Result<(), BundleError> {
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let staging = tempfile::Builder::new()
            .prefix(".unnunet-extract-")
            .permissions(PermissionsExt::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(BundleError::io(folder))?;
        let contents = self.checked();
        for record in contents.archive.records() {
            write_entry(contents, *self.manifest_sha256(), &record.path, staging.path())?;
        }
        renameat_with(CWD, staging.path(), CWD, folder, RenameFlags::NOREPLACE)
            .map_err(|errno| BundleError::io(folder)(errno.into()))?;
        // The folder has another name now; there is nothing to clean up.
        let _ = staging.keep();
        fs_err::File::open(parent).and_then(|folder| folder.sync_all()).map_err(BundleError::io(parent))
    }
}

fn write_entry(
    contents: &CheckedArchive,
    manifest_sha256: Digest,
    path: &EntryPath,
    folder: &Path,
) -> Result<(), BundleError> {
    let target = folder.join(path.as_str());
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent).map_err(BundleError::io(parent))?;
    }
    let mut file = fs_err::File::create_new(&target).map_err(BundleError::io(&target))?;
    let mut sha256 = Sha256::new();
    contents.archive.for_each_chunk(path, &mut |chunk| {
        sha256.update(chunk);
        file.write_all(chunk).map_err(BundleError::io(&target))
    })?;
    let actual = Digest::finish(sha256);
    let stated = match path.as_str() {
        MANIFEST_PATH => Some(manifest_sha256),
        // A signature is its own proof; its checksum was compared.
        _ => contents.manifest.file(path).map(|file| file.sha256),
    };
    if let Some(expected) = stated.filter(|expected| *expected != actual) {
        return Err(ContentError::FileDigest { path: path.clone(), expected, actual }.into());
    }
    file.sync_all().map_err(BundleError::io(&target))
}
