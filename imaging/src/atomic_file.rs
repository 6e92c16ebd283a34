//! Files that appear whole or not at all.
//!
//! What is written goes to a temporary name in the same folder, to the disk, and only then to its name: whoever is
//! killed, or finds the disk full, leaves the previous file as it was. It stands in this crate because this is the
//! lowest one that writes files.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use fs_err::File;

/// Writes `content` to `path`.
///
/// # Errors
///
/// Whatever the system says; the message names the file. `path` is unchanged then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// Runs `write` on a temporary file and gives it its name when all of it is on the disk.
///
/// # Errors
///
/// Whatever the system or `write` says. `path` is unchanged then.
pub fn write_with(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    stage(path, write)?.commit()
}

/// Runs `write` on a temporary file, which gets its name when it is committed: the disk takes its time, and whoever has
/// more to do need not wait for it.
///
/// # Errors
///
/// Whatever the system or `write` says. `path` is unchanged then.
pub fn stage(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<Staged> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` names no file", path.display())));
    };
    let temporary = path.with_file_name(temporary_name(name));
    let file = fs_err::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let staged = Staged { file, temporary, path: path.to_owned(), is_committed: false };
    let mut writer = BufWriter::with_capacity(1 << 16, staged.file.try_clone()?);
    write(&mut writer)?;
    writer.flush()?;
    Ok(staged)
}

/// A file that is written but has not got its name yet; it is removed unless it is committed.
#[derive(Debug)]
pub struct Staged {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    is_committed: bool,
}

impl Staged {
    /// Waits until all of it is on the disk, and gives it its name.
    ///
    /// # Errors
    ///
    /// Whatever the system says. The file that had the name is unchanged then.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs_err::rename(&self.temporary, &self.path)?;
        self.is_committed = true;
        sync_folder(&self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_committed {
            // The first error is the one to report; the file may be gone already.
            let _ = fs_err::remove_file(&self.temporary);
        }
    }
}

/// Removes what writers that were killed have left in a folder; says how many files those were.
///
/// Only for a folder that nobody else is writing to: an unfinished file looks the same whether its writer lives.
///
/// # Errors
///
/// Whatever the system says; the message names the file.
pub fn sweep(folder: &Path) -> io::Result<usize> {
    let mut n_removed = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if is_temporary(&entry.file_name()) && entry.file_type()?.is_file() {
            fs_err::remove_file(entry.path())?;
            n_removed += 1;
        }
    }
    Ok(n_removed)
}

/// Whether a name is one that [`temporary_name`] makes.
fn is_temporary(name: &OsStr) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let middle = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp"));
    let numbers = middle.and_then(|middle| middle.rsplit_once('.')?.1.split_once('-'));
    numbers.is_some_and(|(process, counter)| is_number(process) && is_number(counter))
}

fn temporary_name(name: &OsStr) -> OsString {
    /// Distinguishes the files that one process writes at a time.
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    temporary
}

/// The rename itself is lost in a power cut unless the folder is on the disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_replaces_content_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_previous_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        let failing = |file: &mut BufWriter<File>| {
            file.write_all(b"ne")?;
            Err(io::Error::other("interrupted"))
        };
        write_with(&path, failing).unwrap_err();
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_committed_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        drop(stage(&path, |file| file.write_all(b"new")).unwrap());
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let kept =
            ["a.json", ".a.json", ".a.tmp", "a.json.1-2.tmp", ".a.json.1-x.tmp", ".a.json.-2.tmp", ".a.json.12.tmp"];
        for name in kept.iter().chain(&[".a.json.1-2.tmp", ".b.c.d.345-0.tmp"]) {
            fs_err::write(folder.path().join(name), b"x").unwrap();
        }
        // As one that is killed: neither committed nor dropped.
        let staged = stage(&folder.path().join("a.json"), |file| file.write_all(b"new")).unwrap();
        std::mem::forget(staged);
        fs_err::create_dir(folder.path().join(".folder.1-2.tmp")).unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), 3);
        assert_eq!(sweep(folder.path()).unwrap(), 0);
        for name in kept {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
        assert!(sweep(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/a.json"), b"").unwrap_err();
        assert!(error.to_string().contains("none/"), "{error}");
    }
}
