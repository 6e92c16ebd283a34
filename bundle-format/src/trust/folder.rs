//! The trust folder: where a device finds the document that it believes.
//!
//! `trust.dsse.json` in it holds the one document that is in force. The folder
//! decides what a device accepts, so it must be a real folder that only its
//! owner can write to, and so must the file. Changes take a lock, follow the
//! rule of succession, and appear by rename.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::chain::MAX_FILE_BYTES;
use super::{SignedTrust, TrustClock, TrustError, TrustUpdate, follow_chain, parse_trust};
use crate::atomic_file::{Existing, write_whole};
use crate::container::open_regular;
use crate::error::BundleError;

/// The document's name in its folder.
const FILE_NAME: &str = "trust.dsse.json";
/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A trust folder that passed the checks on links and permissions.
#[derive(Clone, Debug)]
pub struct TrustFolder {
    path: PathBuf,
}

/// A trust folder that this process alone may change, until it is dropped.
#[derive(Debug)]
pub struct LockedTrust {
    folder: TrustFolder,
    current: SignedTrust,
    _lock: File,
}

impl TrustFolder {
    /// Looks at the folder, but not yet at what is in it.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`]; [`TrustError::Folder`] for a link, and where others than the owner can write.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let metadata = fs_err::symlink_metadata(path).map_err(BundleError::io(path))?;
        if !metadata.is_dir() {
            return Err(TrustError::Folder { path: path.to_path_buf() }.into());
        }
        refuse_writable(path, metadata.permissions().mode())?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Makes the folder, if it is missing, and puts a first document into it.
    ///
    /// # Errors
    ///
    /// [`TrustError::Exists`] if there is a document already; as [`TrustFolder::open`].
    pub fn create(path: &Path, first: &SignedTrust) -> Result<Self, BundleError> {
        match fs_err::create_dir(path) {
            Ok(()) => fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).map_err(BundleError::io(path))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(BundleError::io(path)(error)),
        }
        let folder = Self::open(path)?;
        let file = folder.file();
        if file.symlink_metadata().is_ok() {
            return Err(TrustError::Exists { path: file }.into());
        }
        folder.write(first, Existing::Keep)?;
        Ok(folder)
    }

    /// The document in force.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`], [`BundleError::NotRegularFile`], or why the document was refused.
    pub fn read(&self) -> Result<SignedTrust, BundleError> {
        let (text, mode) = read_bounded(&self.file())?;
        refuse_writable(&self.file(), mode)?;
        Ok(parse_trust(&text)?.verify()?)
    }

    /// Waits until no other process changes the folder, and reads the document.
    ///
    /// # Errors
    ///
    /// As [`TrustFolder::read`].
    pub fn lock(&self) -> Result<LockedTrust, BundleError> {
        let io = || BundleError::io(&self.path);
        let lock: File = fs_err::File::open(&self.path).map_err(io())?.into_file();
        lock.lock().map_err(io())?;
        Ok(LockedTrust { folder: self.clone(), current: self.read()?, _lock: lock })
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE_NAME)
    }

    fn write(&self, trust: &SignedTrust, existing: Existing) -> Result<(), BundleError> {
        let path = self.file();
        write_whole(&path, 0o644, existing, &mut |file| {
            file.write_all(&trust.envelope().to_line()).map_err(BundleError::io(&path))
        })
    }
}

impl LockedTrust {
    /// The document in force.
    pub fn current(&self) -> &SignedTrust {
        &self.current
    }

    /// Puts `next` into force, by the rule of succession.
    ///
    /// # Errors
    ///
    /// As [`SignedTrust::succeeded_by`]; [`BundleError::Io`]. The document in force stays then.
    pub fn replace(&mut self, next: SignedTrust) -> Result<(), BundleError> {
        let next = self.current.succeeded_by(next)?;
        self.put(next)
    }

    /// Follows the chain in the file at `path`; the last link comes into force.
    ///
    /// # Errors
    ///
    /// As [`follow_chain`]; [`TrustError::Expired`] if that is enforced; [`BundleError::Io`]. The document in force
    /// stays then.
    pub fn update(&mut self, path: &Path, clock: &TrustClock) -> Result<TrustUpdate, BundleError> {
        let (text, _) = read_bounded(path)?;
        let update = follow_chain(&self.current, &text)?;
        if let TrustUpdate::New(next) = &update {
            clock.check(next.document())?;
            self.put((**next).clone())?;
        }
        Ok(update)
    }

    fn put(&mut self, next: SignedTrust) -> Result<(), BundleError> {
        self.folder.write(&next, Existing::Replace)?;
        self.current = next;
        Ok(())
    }
}

/// Reads a trust file, not yet in force, that may lack signatures.
///
/// # Errors
///
/// [`BundleError::Io`], [`BundleError::NotRegularFile`], or why the envelope was refused.
pub fn read_trust_file(path: &Path) -> Result<super::TrustEnvelope, BundleError> {
    let (text, _) = read_bounded(path)?;
    Ok(parse_trust(&text)?)
}

/// Writes a trust file that is not in force, whole or not at all.
///
/// # Errors
///
/// [`BundleError::Io`].
pub fn write_trust_file(path: &Path, envelope: &super::TrustEnvelope) -> Result<(), BundleError> {
    write_whole(path, 0o644, Existing::Replace, &mut |file| {
        file.write_all(&envelope.to_line()).map_err(BundleError::io(path))
    })
}

/// The content and the mode of a regular file, which is never larger than a trust file may be.
fn read_bounded(path: &Path) -> Result<(Vec<u8>, u32), BundleError> {
    let (file, metadata) = open_regular(path)?;
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text).map_err(BundleError::io(path))?;
    Ok((text, metadata.permissions().mode()))
}

fn refuse_writable(path: &Path, mode: u32) -> Result<(), TrustError> {
    if mode & WRITABLE_BY_OTHERS == 0 { Ok(()) } else { Err(TrustError::Folder { path: path.to_path_buf() }) }
}
