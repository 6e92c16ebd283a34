//! The smallest root that a program linked to glibc and libstdc++ can start in.
//!
//! It holds the loader and libraries of four packages that are in every Debian and Ubuntu, since `apt` and `dpkg` need
//! them: libc6, libgcc-s1, libstdc++6, zlib1g. There is no shell, no `/etc`, no `/dev`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

/// Starts every program; where it lies is written into them.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: [&str; 8] = [
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libz.so.1",
];
/// Where the loader looks: on Debian, then elsewhere.
const FOLDERS: [&str; 4] = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"];

/// Makes the root at `root` out of this machine's libraries; returns its path.
///
/// # Errors
///
/// When one is missing here.
pub(super) fn make(root: &Path) -> Result<PathBuf> {
    let libraries = LIBRARIES.iter().map(|name| find(name).with_context(|| format!("this machine has no `{name}`")));
    for path in std::iter::once(Ok(PathBuf::from(LOADER))).chain(libraries) {
        let path = path?;
        let copy = root.join(path.strip_prefix("/").context("system libraries have absolute paths")?);
        fs::create_dir_all(copy.parent().context("a library lies in a folder")?)?;
        // Follows links, so that the name that is asked for holds the library itself.
        fs::copy(&path, copy)?;
    }
    for place in ["proc", "mnt"] {
        fs::create_dir_all(root.join(place))?;
    }
    Ok(fs::canonicalize(root)?)
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_loader_libraries_and_two_empty_places() {
        let work = tempfile::tempdir().unwrap();
        let root = make(&work.path().join("root")).unwrap();
        assert!(root.join("lib64/ld-linux-x86-64.so.2").is_file());
        let mut places: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        places.sort();
        assert!(places.iter().all(|name| ["lib", "lib64", "mnt", "proc", "usr"].iter().any(|known| name == known)));
        assert_eq!(fs::read_dir(root.join("mnt")).unwrap().count(), 0);
    }
}
