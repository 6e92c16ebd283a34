//! Finds the shared library of ONNX Runtime.
//!
//! The library is code that sees patients' images, so it is named by the command line or lies where this program was
//! put. No environment variable and no search path of the system is asked.

use std::env;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "libonnxruntime.so";
/// Where `cargo xtask setup` puts it, in the folder of the workspace.
const DEVELOPMENT_FOLDER: &str = ".deps/onnxruntime/lib";

/// The library's absolute path: `asked` if given, else `lib/` beside this program or beside its folder, as in a package,
/// else `.deps/` in a folder above it.
///
/// # Errors
///
/// [`LibraryError`] if the file is not there.
pub(crate) fn find(asked: Option<&Path>) -> Result<PathBuf, LibraryError> {
    if let Some(path) = asked {
        return fs_err::canonicalize(path).map_err(|source| LibraryError::Unreadable { source });
    }
    let program = env::current_exe().and_then(fs_err::canonicalize);
    let program = program.map_err(|source| LibraryError::Unreadable { source })?;
    let candidates = candidates(&program);
    let found = candidates.iter().find(|path| path.is_file());
    let found =
        found.ok_or_else(|| LibraryError::Missing { tried: candidates.first().cloned().unwrap_or_default() })?;
    fs_err::canonicalize(found).map_err(|source| LibraryError::Unreadable { source })
}

fn candidates(program: &Path) -> Vec<PathBuf> {
    let folders = program.ancestors().skip(1);
    let installed = folders.clone().take(2).map(|folder| folder.join("lib"));
    let developed = folders.map(|folder| folder.join(DEVELOPMENT_FOLDER));
    installed.chain(developed).map(|folder| folder.join(FILE_NAME)).collect()
}

/// Why the library was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LibraryError {
    /// It is at no place where it could have been installed.
    #[error(
        "ONNX Runtime is not installed: neither `{}` nor a folder `{DEVELOPMENT_FOLDER}` above; `--ort-library` names \
         another place, `cargo xtask setup` brings it",
        tried.display()
    )]
    Missing {
        /// The place of an installation.
        tried: PathBuf,
    },
    /// The path that was asked for leads nowhere.
    #[error("cannot use the library of ONNX Runtime")]
    Unreadable {
        /// What the system said; names the path.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_comes_before_a_workspace() {
        let found = candidates(Path::new("/w/target/release/unnunet"));
        let expected = [
            "/w/target/release/lib/libonnxruntime.so",
            "/w/target/lib/libonnxruntime.so",
            "/w/target/release/.deps/onnxruntime/lib/libonnxruntime.so",
            "/w/target/.deps/onnxruntime/lib/libonnxruntime.so",
            "/w/.deps/onnxruntime/lib/libonnxruntime.so",
            "/.deps/onnxruntime/lib/libonnxruntime.so",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_package_has_its_libraries_beside_the_folder_of_programs() {
        let found = candidates(Path::new("/opt/unnunet-0.1.0-x86_64-linux/bin/unnunet"));
        assert_eq!(found[1], Path::new("/opt/unnunet-0.1.0-x86_64-linux/lib/libonnxruntime.so"));
        assert_eq!(candidates(Path::new("/unnunet")).len(), 2, "nothing lies above the root");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let error = find(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("/nowhere/libonnxruntime.so"), "{source}");
    }
}
