//! Finds the shared library of ONNX Runtime.
//!
//! The library is code that sees patients' images, so it is named by the command line or lies where this program was
//! put. No environment variable and no search path of the system is asked.

use std::env;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "libonnxruntime.so";
/// Where `cargo xtask setup` puts it, in the folder of the workspace.
const DEVELOPMENT_FOLDER: &str = ".deps/onnxruntime/lib";

/// The library's absolute path: `asked` if given, else `lib/` beside this program, else `.deps/` in a folder above it.
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
    let beside = program.parent().map(|folder| folder.join("lib").join(FILE_NAME));
    let above = program.ancestors().skip(1).map(|folder| folder.join(DEVELOPMENT_FOLDER).join(FILE_NAME));
    beside.into_iter().chain(above).collect()
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
            "/w/target/release/.deps/onnxruntime/lib/libonnxruntime.so",
            "/w/target/.deps/onnxruntime/lib/libonnxruntime.so",
            "/w/.deps/onnxruntime/lib/libonnxruntime.so",
            "/.deps/onnxruntime/lib/libonnxruntime.so",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let error = find(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("/nowhere/libonnxruntime.so"), "{source}");
    }
}
