//! The few operations on files that a store and a trust folder are made of.
//!
//! Both must survive a crash between any two of them. So they are a trait:
//! [`Disk`] is the thin real one, and the tests put in one that kills, cuts
//! power, writes short or is full at the n-th operation. Nothing here is
//! durable before [`FileSystem::sync`], as on a real disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::Path;

use crate::container::open_regular;
use crate::limits::Limits;

/// State and bundles are for the service alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What a store and a trust folder ask of the file system.
///
/// No operation follows a symbolic link at the end of its path.
pub trait FileSystem {
    /// Holds the lock as long as it lives; ends with the process, however that ends.
    type Lock;

    /// Takes the lock at `path`; `None` if another process has it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;

    /// Waits for the lock of a folder itself, so that no file has to lie in it for that.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn lock_folder(&self, folder: &Path) -> io::Result<Self::Lock>;

    /// Makes a folder; one that is there already is fine.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in any order; those that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Who may read and write a folder; `None` if it is none, or a link.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn folder_mode(&self, path: &Path) -> io::Result<Option<u32>>;

    /// The size of a file in bytes; `None` if nothing has the name.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn size(&self, path: &Path) -> io::Result<Option<u64>>;

    /// At most `n_bytes` of a file from `offset` on; fewer only at its end.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read(&self, path: &Path, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>>;

    /// At most `n_bytes` of a regular file with its mode, from one opening; `None` if it is none, or a link.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_regular(&self, path: &Path, n_bytes: usize) -> io::Result<Option<(Vec<u8>, u32)>>;

    /// Makes a file of `content`, or gives the file that is there this content.
    ///
    /// # Errors
    ///
    /// What the system says; a part may be written.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Adds to the end of a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// What the system says; a part may be written.
    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Cuts a file off after `n_bytes`.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn cut(&self, path: &Path, n_bytes: u64) -> io::Result<()>;

    /// Says who may read and write a file or folder, whatever the umask.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Copies the regular file `outside`, which is read once, to `path`.
    ///
    /// # Errors
    ///
    /// What the system says; a part may be written.
    fn copy_in(&self, outside: &Path, path: &Path) -> io::Result<()>;

    /// Waits until a file's content, or a folder's list of names, survives a loss of power.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or folder another name; a file that has it is replaced.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// Options that neither follow a link nor wait for a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

impl FileSystem for Disk {
    /// The open file: the kernel's `flock` ends with it.
    type Lock = File;

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = options().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<File> {
        let file = options().read(true).open(folder)?;
        file.lock()?;
        Ok(file)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let is_folder = fs_err::symlink_metadata(path)?.is_dir();
                if is_folder { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
            }
            made => made,
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(entries.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn folder_mode(&self, path: &Path) -> io::Result<Option<u32>> {
        let metadata = fs_err::symlink_metadata(path)?;
        Ok(metadata.is_dir().then(|| metadata.permissions().mode()))
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs_err::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = options().read(true).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut content = Vec::new();
        file.take(n_bytes as u64).read_to_end(&mut content)?;
        Ok(content)
    }

    fn read_regular(&self, path: &Path, n_bytes: usize) -> io::Result<Option<(Vec<u8>, u32)>> {
        let Some((file, metadata)) = open_regular(path)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(n_bytes as u64).read_to_end(&mut content)?;
        Ok(Some((content, metadata.permissions().mode())))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        options().write(true).create(true).truncate(true).open(path)?.write_all(content)
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        options().append(true).create(true).open(path)?.write_all(content)
    }

    fn cut(&self, path: &Path, n_bytes: u64) -> io::Result<()> {
        options().write(true).open(path)?.set_len(n_bytes)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        // Of what was opened, so that no link is followed to something else.
        options().read(true).open(path)?.set_permissions(PermissionsExt::from_mode(mode))
    }

    fn copy_in(&self, outside: &Path, path: &Path) -> io::Result<()> {
        let source = options().read(true).open(outside)?;
        if !source.metadata()?.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut copy = options().write(true).create(true).truncate(true).open(path)?;
        // One byte more than the limit, so that a larger file is refused and not cut.
        io::copy(&mut source.take(Limits::default().archive_bytes + 1), &mut copy)?;
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        options().read(true).open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs_err::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs_err::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs_err::remove_dir(path)
    }
}
