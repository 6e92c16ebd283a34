//! The demo's work folder, which every run starts afresh.

use std::path::Path;

use anyhow::{Result, bail};
use fs_err as fs;

/// Lies in every folder that a demo made, and permits the next to empty it.
const MARKER: &str = ".made-by-xtask-demo";

/// Makes `work` an empty folder.
///
/// # Errors
///
/// When it holds anything that no demo made.
pub(super) fn prepare(work: &Path) -> Result<()> {
    if work.exists() {
        let is_empty = fs::read_dir(work)?.next().is_none();
        if !is_empty && !work.join(MARKER).is_file() {
            bail!("`{}` was not made by a demo and is not empty; name another folder", work.display());
        }
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work)?;
    fs::write(work.join(MARKER), "`cargo xtask demo` empties this folder when it starts.\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_demo_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.md"), "years").unwrap();
        prepare(folder.path()).unwrap_err();
        assert!(folder.path().join("thesis.md").exists());
    }

    #[test]
    fn a_demo_empties_what_a_demo_made() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        prepare(&work).unwrap();
        fs::write(work.join("old"), "").unwrap();
        prepare(&work).unwrap();
        assert!(!work.join("old").exists());
    }
}
