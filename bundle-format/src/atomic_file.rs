//! Files that appear whole, or not at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::BundleError;

/// What to do with a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is replaced.
    Replace,
    /// It stays, and writing fails.
    Keep,
}

/// Makes `output` of what `write` writes: temporary file beside it, flush to
/// disk, rename, flush of the folder.
///
/// `mode` is subject to the process's umask.
pub(crate) fn write_whole(
    output: &Path,
    mode: u32,
    existing: Existing,
    write: &mut dyn FnMut(&mut File) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(mode))
        .tempfile_in(folder)
        .map_err(BundleError::io(output))?;
    write(temporary.as_file_mut())?;
    let finish = || -> io::Result<()> {
        temporary.as_file().sync_all()?;
        let renamed = match existing {
            Existing::Replace => temporary.persist(output),
            Existing::Keep => temporary.persist_noclobber(output),
        };
        renamed.map_err(|error| error.error)?;
        fs_err::File::open(folder)?.sync_all()
    };
    finish().map_err(BundleError::io(output))
}
