//! A model in sealed memory: bytes that were hashed, and that nothing can change any more.
//!
//! A file on disk can be altered between the hash and the load, and ordinary
//! memory by a mistake. So the bytes of a member are read once, hashed on the
//! way into an anonymous file of the kernel, and sealed there (`memfd_create`,
//! `F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL`); the pre-flight
//! and ONNX Runtime read that file. Mapping it would need unsafe code, so it
//! is handed on by its path under `/proc/self/fd`.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::manifest::OnnxProfile;
use crate::onnx::{OnnxFacts, check_onnx};

/// Anonymous memory that is still being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    file: File,
    path: EntryPath,
    n_bytes: u64,
}

/// A member's ONNX file that has its digest and passed the pre-flight, in memory that nobody can write to.
#[derive(Debug)]
pub struct SealedModel {
    file: File,
    n_bytes: u64,
    facts: OnnxFacts,
}

impl Filling {
    /// Empty memory for the entry at `path`.
    pub(crate) fn new(path: &EntryPath) -> Result<Self, BundleError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know that memory need not be executable.
        let memory = memfd_create("unnunet-model", flags | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create("unnunet-model", flags));
        let file = File::from(memory.map_err(|errno| memory_error(path, errno.into()))?);
        Ok(Self { file, path: path.clone(), n_bytes: 0 })
    }

    /// Appends `chunk`.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), BundleError> {
        self.n_bytes += chunk.len() as u64;
        self.file.write_all(chunk).map_err(|source| memory_error(&self.path, source))
    }

    /// Seals what was written and runs the pre-flight on it (step 10).
    pub(crate) fn seal(self, profile: &OnnxProfile) -> Result<SealedModel, BundleError> {
        let Self { mut file, path, n_bytes } = self;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(|errno| memory_error(&path, errno.into()))?;
        file.seek(SeekFrom::Start(0)).map_err(|source| memory_error(&path, source))?;
        match check_onnx(BufReader::new(&file), n_bytes, profile) {
            Ok(facts) => Ok(SealedModel { file, n_bytes, facts }),
            Err(source) => Err(BundleError::Onnx { path, source }),
        }
    }
}

impl SealedModel {
    /// Where this process can open the model; valid as long as this value lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Size of the model, in bytes.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// What the pre-flight found.
    pub fn facts(&self) -> &OnnxFacts {
        &self.facts
    }
}

fn memory_error(path: &EntryPath, source: io::Error) -> BundleError {
    BundleError::io(format!("memory for {path}"))(source)
}
