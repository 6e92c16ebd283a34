//! The digests of all files, on all cores (step 9).
//!
//! SHA-256 of one file is a chain that one core computes; the files of a
//! bundle, which are many and about as large as each other, are shared out.
//! Every worker reads through a buffer of its own, so memory grows with the
//! cores and not with the files. The outcome does not depend on who was first:
//! of several broken files, the first in the manifest's order is reported.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::container::Archive;
use crate::contents::check_digest;
use crate::error::BundleError;
use crate::manifest::FileEntry;

/// Below this, starting another worker takes longer than it saves.
const BYTES_PER_WORKER: u64 = 4 << 20;
/// More cores would wait for memory and disk.
const MAX_WORKERS: usize = 32;

/// Streams every file once; its CRC-32 and SHA-256 must be those that are stated.
pub(crate) fn check_payload(archive: &Archive, files: &[FileEntry]) -> Result<(), BundleError> {
    check_each(files, n_workers(files), &|file| Ok(check_digest(file, archive.digest(&file.path)?)?))
}

fn n_workers(files: &[FileEntry]) -> usize {
    let n_bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
    let useful = usize::try_from(n_bytes / BYTES_PER_WORKER).unwrap_or(MAX_WORKERS).min(files.len());
    // Asked for only where it matters: small bundles need one worker anyway.
    let n_cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if useful < 2 { 1 } else { useful.min(n_cores()).min(MAX_WORKERS) }
}

type CheckFile<'a> = dyn Fn(&FileEntry) -> Result<(), BundleError> + Sync + 'a;

/// Runs `check` on every file, the largest first, and returns the error of the first that failed.
fn check_each(files: &[FileEntry], n_workers: usize, check: &CheckFile<'_>) -> Result<(), BundleError> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&index| Reverse(files[index].size));
    let (next, first) = (AtomicUsize::new(0), Mutex::new(None::<(usize, BundleError)>));
    let work = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Err(error) = check(&files[index]) else { continue };
            let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                *first = Some((index, error));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..n_workers {
            // Without another thread this one does the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let first = first.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::ContentError;
    use crate::digest::Digest;
    use crate::entry_path::EntryPath;
    use crate::manifest::Role;

    fn files(sizes: &[u64]) -> Vec<FileEntry> {
        let file = |(index, &size)| {
            let path = EntryPath::new(format!("models/{index:03}")).unwrap();
            FileEntry { path, role: Role::Onnx, sha256: Digest::of(b""), size }
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn every_file_is_checked_once_however_many_workers_there_are() {
        let files = files(&[5, 1, 9, 9, 0, 3, 7]);
        for n_workers in 1..=8 {
            let seen = Mutex::new(Vec::new());
            check_each(&files, n_workers, &|file| {
                seen.lock().unwrap().push(file.path.clone());
                Ok(())
            })
            .unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort();
            assert!(seen.iter().eq(files.iter().map(|file| &file.path)), "{n_workers} workers");
        }
    }

    #[test]
    fn the_first_broken_file_is_reported_whoever_finds_it() {
        let files = files(&[1, 2, 300, 4, 500, 6]);
        for n_workers in [1, 2, 6] {
            let error = check_each(&files, n_workers, &|file| match file.size {
                2 | 300 | 500 => Err(ContentError::FileMissing { path: file.path.clone() }.into()),
                _ => Ok(()),
            });
            assert!(error.unwrap_err().to_string().contains("models/001"), "{n_workers} workers");
        }
    }

    #[test]
    fn small_bundles_have_one_worker() {
        assert_eq!(n_workers(&files(&[1 << 20; 4])), 1);
        assert_eq!(n_workers(&files(&[8 << 30])), 1);
        assert_eq!(n_workers(&[]), 1);
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        assert_eq!(n_workers(&files(&[8 << 30; 100])), cores.min(MAX_WORKERS));
    }
}
