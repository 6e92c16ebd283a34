//! Where a store's state and history lie, and how both change at once.
//!
//! A change is one rename: the new `state/device.json`, which holds the new
//! record of the audit log as well, replaces the old one. The record is added
//! to the log after that. A crash in between leaves a log that lacks its last
//! record or has a part of it; [`Journal::recover`] completes it from the state.

use std::io;
use std::path::{Path, PathBuf};

use super::audit::{Chain, MAX_LINE_BYTES, Record};
use super::counter::MonotonicCounter;
use super::error::{AuditBreach, StoreError};
use super::file_system::FileSystem;
use super::state::{DeviceState, MAX_STATE_BYTES};
use super::transition::Step;
use crate::digest::Digest;
use crate::error::BundleError;
use crate::manifest::Timestamp;

/// How much of the log is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Names under `store/` that are no bundles.
const STAGING_NAME: &str = ".tmp-install";

/// The files of one store.
#[derive(Debug)]
pub(super) struct Journal<F> {
    pub(super) fs: F,
    pub(super) root: PathBuf,
}

impl<F: FileSystem> Journal<F> {
    pub(super) fn state_folder(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.state_folder().join("lock")
    }

    fn state_file(&self) -> PathBuf {
        self.state_folder().join("device.json")
    }

    fn log_file(&self) -> PathBuf {
        self.state_folder().join("audit.jsonl")
    }

    pub(super) fn bundles_folder(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(super) fn bundle_folder(&self, digest: Digest) -> PathBuf {
        self.bundles_folder().join(digest.to_string())
    }

    pub(super) fn bundle_file(&self, digest: Digest) -> PathBuf {
        bundle_in(&self.bundle_folder(digest))
    }

    pub(super) fn staging_folder(&self) -> PathBuf {
        self.bundles_folder().join(STAGING_NAME)
    }

    /// The folders of a store, made durably.
    pub(super) fn create_folders(&self) -> Result<(), BundleError> {
        for folder in [self.root.clone(), self.state_folder(), self.bundles_folder()] {
            self.fs.create_folder(&folder).map_err(BundleError::io(&folder))?;
        }
        self.sync(&self.root)?;
        let above = self.root.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.sync(above.unwrap_or(Path::new(".")))
    }

    /// The state as it is; `None` if there is none.
    pub(super) fn read_state(&self) -> Result<Option<DeviceState>, BundleError> {
        let file = self.state_file();
        let Some(actual) = self.size(&file)? else {
            return Ok(None);
        };
        if actual > MAX_STATE_BYTES {
            return Err(StoreError::TooLong { file: "state/device.json", actual, limit: MAX_STATE_BYTES }.into());
        }
        // One byte beyond the limit shows a file that grew meanwhile.
        let text = self.fs.read(&file, 0, CHUNK_BYTES + 1).map_err(BundleError::io(&file))?;
        Ok(Some(DeviceState::parse(&text)?))
    }

    /// The latest state, with a log that ends as it says; a new store gets its first state.
    pub(super) fn recover(&self, now: &Timestamp) -> Result<DeviceState, BundleError> {
        if let Some(state) = self.read_state()? {
            self.complete_log(&state)?;
            return Ok(state);
        }
        let bundles = self.bundles_folder();
        let names = self.fs.names(&bundles).map_err(BundleError::io(&bundles))?;
        if self.size(&self.log_file())?.is_some() || names.iter().any(|name| name != STAGING_NAME) {
            return Err(StoreError::StateLost.into());
        }
        let state = DeviceState::new(Record::first(now.clone()));
        self.write_state(&state)?;
        self.complete_log(&state)?;
        Ok(state)
    }

    /// Writes a step: state first, then the log. Returns the new state.
    pub(super) fn write(
        &self,
        step: Step,
        record: Record,
        counter: &dyn MonotonicCounter,
    ) -> Result<DeviceState, BundleError> {
        let Step { mut state, .. } = step;
        state.trust_version = state.trust_version.max(record.trust_version);
        state.audit.bytes += record.line().len() as u64;
        state.audit.last = record;
        self.write_state(&state)?;
        let counted = || -> io::Result<()> {
            if counter.read()?.is_some_and(|count| count < state.counter) { counter.increase() } else { Ok(()) }
        };
        counted().map_err(BundleError::io(self.state_file()))?;
        self.complete_log(&state)?;
        Ok(state)
    }

    fn write_state(&self, state: &DeviceState) -> Result<(), BundleError> {
        let text = state.to_json();
        let (actual, limit) = (text.len() as u64, MAX_STATE_BYTES);
        if actual > limit {
            return Err(StoreError::TooLong { file: "state/device.json", actual, limit }.into());
        }
        let (file, temporary) = (self.state_file(), self.state_folder().join("device.json.tmp"));
        self.fs.write(&temporary, &text).map_err(BundleError::io(&temporary))?;
        self.sync(&temporary)?;
        self.fs.rename(&temporary, &file).map_err(BundleError::io(&file))?;
        self.sync(&self.state_folder())
    }

    /// Gives the log its last record, if a crash kept it from it.
    fn complete_log(&self, state: &DeviceState) -> Result<(), BundleError> {
        let (file, line, n) = (self.log_file(), state.audit.last.line(), state.audit.last.n);
        let refuse = |n, breach| Err(StoreError::Audit { n, breach }.into());
        let size = self.size(&file)?;
        let is_new = size.is_none();
        let size = size.unwrap_or(0);
        let Some(start) = state.audit.bytes.checked_sub(line.len() as u64).filter(|&start| start <= size) else {
            return refuse(n, AuditBreach::Missing);
        };
        if size > state.audit.bytes {
            return refuse(n + 1, AuditBreach::Unknown);
        }
        if !is_new {
            self.check_line_before(start, &state.audit.last)?;
            let tail = self.fs.read(&file, start, line.len()).map_err(BundleError::io(&file))?;
            if tail == line {
                return Ok(());
            }
            if tail.ends_with(b"\n") {
                return refuse(n, AuditBreach::Different);
            }
            if !tail.is_empty() {
                self.fs.cut(&file, start).map_err(BundleError::io(&file))?;
            }
        }
        self.fs.append(&file, &line).map_err(BundleError::io(&file))?;
        self.sync(&file)?;
        if is_new { self.sync(&self.state_folder()) } else { Ok(()) }
    }

    /// The line that ends at `start` is the one that `record` is chained to: nothing may be completed after another.
    fn check_line_before(&self, start: u64, record: &Record) -> Result<(), BundleError> {
        let file = self.log_file();
        let n_bytes = start.min(MAX_LINE_BYTES as u64 + 2);
        let length = usize::try_from(n_bytes).expect("it is at most the longest line");
        let before = self.fs.read(&file, start - n_bytes, length).map_err(BundleError::io(&file))?;
        let line = match before.strip_suffix(b"\n") {
            Some(lines) => lines.rsplit(|&byte| byte == b'\n').next().unwrap_or_default(),
            None => &before[..],
        };
        let is_whole = before.is_empty() == (record.n == 0);
        if is_whole && Digest::of(line) == record.previous {
            return Ok(());
        }
        Err(StoreError::Audit { n: record.n, breach: AuditBreach::Unchained }.into())
    }

    /// Reads the whole log and compares it with the state; returns the number of records.
    pub(super) fn verify_log(&self, state: &DeviceState, each: &mut dyn FnMut(&Record)) -> Result<u64, BundleError> {
        let file = self.log_file();
        let mut chain = Chain::default();
        let (mut offset, mut rest) = (0, Vec::new());
        loop {
            let chunk = match self.size(&file)? {
                Some(_) => self.fs.read(&file, offset, CHUNK_BYTES).map_err(BundleError::io(&file))?,
                None => Vec::new(),
            };
            if chunk.is_empty() {
                break;
            }
            offset += chunk.len() as u64;
            rest.extend_from_slice(&chunk);
            let n_whole = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            for line in rest[..n_whole].split_inclusive(|&byte| byte == b'\n') {
                each(chain.push(&line[..line.len() - 1])?);
            }
            rest.drain(..n_whole);
            if rest.len() > MAX_LINE_BYTES {
                return Err(StoreError::Audit { n: chain.n_records(), breach: AuditBreach::Malformed }.into());
            }
        }
        // A last line without its end is what a crash leaves of the state's last record.
        let n_records = chain.n_records();
        if !rest.is_empty() && n_records != state.audit.last.n {
            return Err(StoreError::Audit { n: n_records, breach: AuditBreach::Malformed }.into());
        }
        Ok(chain.finish(state)?)
    }

    /// Removes what no state knows: bundles that were being installed or removed when a crash came.
    pub(super) fn sweep(&self, state: &DeviceState) -> Result<(), BundleError> {
        let bundles = self.bundles_folder();
        let names = self.fs.names(&bundles).map_err(BundleError::io(&bundles))?;
        let is_stray = |name: &&String| match name.parse::<Digest>() {
            Ok(digest) => !state.installed.contains_key(&digest),
            Err(_) => *name == STAGING_NAME,
        };
        let mut strays = names.iter().filter(is_stray).peekable();
        if strays.peek().is_none() {
            return Ok(());
        }
        strays.try_for_each(|name| self.remove_bundle_folder(&bundles.join(name)))?;
        self.sync(&bundles)
    }

    fn remove_bundle_folder(&self, folder: &Path) -> Result<(), BundleError> {
        let names = self.fs.names(folder).map_err(BundleError::io(folder))?;
        for name in names {
            let file = folder.join(name);
            self.fs.remove_file(&file).map_err(BundleError::io(&file))?;
        }
        self.fs.remove_folder(folder).map_err(BundleError::io(folder))
    }

    pub(super) fn size(&self, path: &Path) -> Result<Option<u64>, BundleError> {
        self.fs.size(path).map_err(BundleError::io(path))
    }

    pub(super) fn sync(&self, path: &Path) -> Result<(), BundleError> {
        self.fs.sync(path).map_err(BundleError::io(path))
    }
}

/// The one file of a bundle's folder.
pub(super) fn bundle_in(folder: &Path) -> PathBuf {
    folder.join("bundle.unb")
}
