//! Files that appear whole or not at all.
//!
//! A training that is killed while it saves must leave the previous checkpoint readable, so content goes to a
//! temporary file in the same folder, to the disk, and only then to its name.

use std::io::{self, Write};
use std::path::Path;

use fs_err::File;

/// Writes `content` to `path` by a temporary file and a rename.
///
/// # Errors
///
/// Whatever the system says; the message names the file. `path` is unchanged then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let named = |source: io::Error| io::Error::new(source.kind(), format!("`{}`: {source}", path.display()));
    let mut file = builder().tempfile_in(folder).map_err(named)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(named)?;
    file.persist(path).map_err(|error| named(error.error))?;
    // The rename itself is lost in a power cut unless the folder is on the disk too.
    File::open(folder)?.sync_all()
}

/// Temporary files are readable as the user's umask says, not to the owner alone.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unnunet-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
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
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/a.json"), b"").unwrap_err();
        assert!(error.to_string().contains("none/a.json"), "{error}");
    }
}
