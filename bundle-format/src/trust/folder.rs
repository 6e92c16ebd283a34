//! The trust folder: where a device finds the document that it believes.
//!
//! `trust.dsse.json` in it holds the one document that is in force. The folder
//! decides what a device accepts, so it must be a real folder that only its
//! owner can write to, and so must the file. Changes take a lock, follow the
//! rule of succession, and appear by rename: a crash at any point leaves the
//! old document or the new one. What a crash leaves beside it is written over
//! by the next change.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::chain::MAX_FILE_BYTES;
use super::{SignedTrust, TrustClock, TrustError, TrustUpdate, follow_chain, parse_trust};
use crate::atomic_file::{Existing, write_whole};
use crate::error::BundleError;
use crate::store::{Disk, FileSystem};

/// The document's name in its folder.
const FILE_NAME: &str = "trust.dsse.json";
/// The next document, until it has the name of the one in force.
const TEMPORARY_NAME: &str = "trust.dsse.json.tmp";
/// Everybody may know whom a device trusts.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A trust folder that passed the checks on links and permissions.
#[derive(Clone, Debug)]
pub struct TrustFolder<F = Disk> {
    path: PathBuf,
    fs: F,
}

/// A trust folder that this process alone may change, until it is dropped.
#[derive(Debug)]
pub struct LockedTrust<F: FileSystem = Disk> {
    folder: TrustFolder<F>,
    current: SignedTrust,
    _lock: F::Lock,
}

impl TrustFolder {
    /// Looks at the folder, but not yet at what is in it.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`]; [`TrustError::Folder`] for a link, and where others than the owner can write.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        Self::open_on(Disk, path)
    }

    /// Makes the folder, if it is missing, and puts a first document into it.
    ///
    /// # Errors
    ///
    /// [`TrustError::Exists`] if there is a document already; as [`TrustFolder::open`].
    pub fn create(path: &Path, first: &SignedTrust) -> Result<Self, BundleError> {
        Self::create_on(Disk, path, first)
    }
}

impl<F: FileSystem + Clone> TrustFolder<F> {
    /// As [`TrustFolder::open`], on any file system.
    ///
    /// # Errors
    ///
    /// As [`TrustFolder::open`].
    pub fn open_on(fs: F, path: &Path) -> Result<Self, BundleError> {
        let mode = fs.folder_mode(path).map_err(BundleError::io(path))?;
        let mode = mode.ok_or_else(|| TrustError::Folder { path: path.to_path_buf() })?;
        refuse_writable(path, mode)?;
        Ok(Self { path: path.to_path_buf(), fs })
    }

    /// As [`TrustFolder::create`], on any file system.
    ///
    /// # Errors
    ///
    /// As [`TrustFolder::create`].
    pub fn create_on(fs: F, path: &Path, first: &SignedTrust) -> Result<Self, BundleError> {
        let make = || -> io::Result<()> {
            if fs.size(path)?.is_none() {
                fs.create_folder(path)?;
                // Until here it is its owner's alone; a crash leaves it so.
                fs.set_mode(path, FOLDER_MODE)?;
            }
            Ok(())
        };
        make().map_err(BundleError::io(path))?;
        let folder = Self::open_on(fs, path)?;
        let _lock = folder.take_lock()?;
        let file = folder.file();
        if folder.fs.size(&file).map_err(BundleError::io(&file))?.is_some() {
            return Err(TrustError::Exists { path: file }.into());
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.fs.sync(above).map_err(BundleError::io(above))?;
        folder.write(first)?;
        Ok(folder)
    }

    /// The document in force.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`], [`BundleError::NotRegularFile`], or why the document was refused.
    pub fn read(&self) -> Result<SignedTrust, BundleError> {
        let (text, mode) = read_bounded(&self.fs, &self.file())?;
        refuse_writable(&self.file(), mode)?;
        Ok(parse_trust(&text)?.verify()?)
    }

    /// Waits until no other process changes the folder, and reads the document.
    ///
    /// # Errors
    ///
    /// As [`TrustFolder::read`].
    pub fn lock(&self) -> Result<LockedTrust<F>, BundleError> {
        let lock = self.take_lock()?;
        Ok(LockedTrust { folder: self.clone(), current: self.read()?, _lock: lock })
    }

    fn take_lock(&self) -> Result<F::Lock, BundleError> {
        self.fs.lock_folder(&self.path).map_err(BundleError::io(&self.path))
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE_NAME)
    }

    /// Puts `trust` into the place of the document in force; the caller holds the lock.
    fn write(&self, trust: &SignedTrust) -> Result<(), BundleError> {
        let (file, temporary) = (self.file(), self.path.join(TEMPORARY_NAME));
        let replace = || -> io::Result<()> {
            self.fs.write(&temporary, &trust.envelope().to_line())?;
            self.fs.set_mode(&temporary, FILE_MODE)?;
            self.fs.sync(&temporary)?;
            self.fs.rename(&temporary, &file)
        };
        if let Err(error) = replace() {
            // The first error is the one to report; what stays is written over by the next change.
            let _ = self.fs.remove_file(&temporary);
            return Err(BundleError::io(&file)(error));
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), BundleError> {
        self.fs.sync(&self.path).map_err(BundleError::io(&self.path))
    }
}

impl<F: FileSystem + Clone> LockedTrust<F> {
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
        let (text, _) = read_bounded(&self.folder.fs, path)?;
        let update = follow_chain(&self.current, &text)?;
        match &update {
            TrustUpdate::New(next) => {
                clock.check(next.document())?;
                self.put((**next).clone())?;
            }
            // It may be in force by a change that a crash cut off before the flush of its name.
            TrustUpdate::Current => self.folder.sync()?,
        }
        Ok(update)
    }

    fn put(&mut self, next: SignedTrust) -> Result<(), BundleError> {
        self.folder.write(&next)?;
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
    let (text, _) = read_bounded(&Disk, path)?;
    Ok(parse_trust(&text)?)
}

/// Writes a trust file that is not in force, whole or not at all.
///
/// # Errors
///
/// [`BundleError::Io`].
pub fn write_trust_file(path: &Path, envelope: &super::TrustEnvelope) -> Result<(), BundleError> {
    write_whole(path, FILE_MODE, Existing::Replace, &mut |file| {
        file.write_all(&envelope.to_line()).map_err(BundleError::io(path))
    })
}

/// The content and the mode of a regular file, which is never larger than a trust file may be.
fn read_bounded<F: FileSystem>(fs: &F, path: &Path) -> Result<(Vec<u8>, u32), BundleError> {
    let read = fs.read_regular(path, MAX_FILE_BYTES + 1).map_err(BundleError::io(path))?;
    read.ok_or_else(|| BundleError::NotRegularFile { path: path.to_path_buf() })
}

fn refuse_writable(path: &Path, mode: u32) -> Result<(), TrustError> {
    if mode & WRITABLE_BY_OTHERS == 0 { Ok(()) } else { Err(TrustError::Folder { path: path.to_path_buf() }) }
}
