//! A file system whose n-th change goes wrong.
//!
//! Only what changes the disk or waits for it is counted: being killed before a
//! read is being killed before the change after it.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::rc::Rc;

use bundle_format::store::FileSystem;

use crate::simulated_disk::Cut;

/// What goes wrong at the chosen change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends before it; nothing of it happens, nor anything later.
    Killed,
    /// The process ends in the middle of it: a write is half done.
    KilledHalfway,
    /// The disk is full: a write is half done, and so is every later one; what needs no space works.
    Full,
    /// It fails once: a write is half done.
    Once,
}

/// Every fault at every change of an operation; power stays.
pub(crate) fn faults(n_changes: u64) -> impl Iterator<Item = (u64, Fault, Cut)> {
    let all = [Fault::Killed, Fault::KilledHalfway, Fault::Full, Fault::Once];
    (0..n_changes).flat_map(move |n| all.map(|fault| (n, fault, Cut::None)))
}

/// Power lost before and in every change of an operation, and, at `n_changes`, when it is over.
pub(crate) fn power_losses(n_changes: u64) -> impl Iterator<Item = (u64, Fault, Cut)> {
    (0..=n_changes).flat_map(|n| {
        let drawn = (0..12).map(move |draw| Cut::Random(n * 12 + draw));
        let before = [Cut::AllLost, Cut::AllKept].into_iter().chain(drawn).map(move |cut| (n, Fault::Killed, cut));
        before.chain([(n, Fault::KilledHalfway, Cut::AllKept)])
    })
}

/// `inner`, with a fault at one change.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<F> {
    pub(crate) inner: F,
    fault: Option<(u64, Fault)>,
    n_changes: Rc<Cell<u64>>,
}

/// How a change ends.
enum Verdict {
    Works,
    Half(io::Error),
    Fails(io::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    NeedsSpace,
    NeedsNone,
}

impl<F> Faulty<F> {
    /// Without a fault: it only counts.
    pub(crate) fn none(inner: F) -> Self {
        Self { inner, fault: None, n_changes: Rc::default() }
    }

    pub(crate) fn at(inner: F, n: u64, fault: Fault) -> Self {
        Self { inner, fault: Some((n, fault)), n_changes: Rc::default() }
    }

    /// How many changes there were.
    pub(crate) fn n_changes(&self) -> u64 {
        self.n_changes.get()
    }

    fn judge(&self, kind: Kind) -> Verdict {
        let n = self.n_changes.get();
        self.n_changes.set(n + 1);
        let Some((at, fault)) = self.fault.filter(|(at, _)| n >= *at) else {
            return Verdict::Works;
        };
        let killed = || io::Error::other("killed");
        let full = || io::Error::from(ErrorKind::StorageFull);
        match fault {
            Fault::KilledHalfway if n == at => Verdict::Half(killed()),
            Fault::Killed | Fault::KilledHalfway => Verdict::Fails(killed()),
            Fault::Full if kind == Kind::NeedsSpace => Verdict::Half(full()),
            Fault::Once if n == at => Verdict::Half(io::Error::other("input/output error")),
            Fault::Full | Fault::Once => Verdict::Works,
        }
    }

    /// A change that is done or not.
    fn whole<T>(&self, kind: Kind, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.judge(kind) {
            Verdict::Works => change(),
            Verdict::Half(error) | Verdict::Fails(error) => Err(error),
        }
    }

    /// A change that can be half done.
    fn parted(&self, change: impl FnOnce() -> io::Result<()>, half: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.judge(Kind::NeedsSpace) {
            Verdict::Works => change(),
            Verdict::Fails(error) => Err(error),
            Verdict::Half(error) => half().and(Err(error)),
        }
    }
}

impl<F: FileSystem> FileSystem for Faulty<F> {
    type Lock = F::Lock;

    fn lock(&self, path: &Path) -> io::Result<Option<F::Lock>> {
        self.inner.lock(path)
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<F::Lock> {
        self.inner.lock_folder(folder)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        // A folder that is there needs no space.
        let kind = if self.inner.size(path)?.is_some() { Kind::NeedsNone } else { Kind::NeedsSpace };
        self.whole(kind, || self.inner.create_folder(path))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.names(folder)
    }

    fn folder_mode(&self, path: &Path) -> io::Result<Option<u32>> {
        self.inner.folder_mode(path)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        self.inner.size(path)
    }

    fn read(&self, path: &Path, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        self.inner.read(path, offset, n_bytes)
    }

    fn read_regular(&self, path: &Path, n_bytes: usize) -> io::Result<Option<(Vec<u8>, u32)>> {
        self.inner.read_regular(path, n_bytes)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.parted(|| self.inner.write(path, content), || self.inner.write(path, &content[..content.len() / 2]))
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.parted(|| self.inner.append(path, content), || self.inner.append(path, &content[..content.len() / 2]))
    }

    fn cut(&self, path: &Path, n_bytes: u64) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.cut(path, n_bytes))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.set_mode(path, mode))
    }

    fn copy_in(&self, outside: &Path, path: &Path) -> io::Result<()> {
        let half = || {
            self.inner.copy_in(outside, path)?;
            let n_bytes = self.inner.size(path)?.unwrap_or(0);
            self.inner.cut(path, n_bytes / 2)
        };
        self.parted(|| self.inner.copy_in(outside, path), half)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.sync(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.remove_file(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Kind::NeedsNone, || self.inner.remove_folder(path))
    }
}
