//! Builds `unnunet` where neither Python nor libtorch can be found.
//!
//! The runtime must need neither, and not only by its list of crates: a build script may look for either. So what is
//! packaged is built in a folder of its own with a search path from which Python is missing, and `LIBTORCH` leads nowhere.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::folder;
use crate::console;
use crate::workspace;

/// What a search path may not hold: every name that starts so, also those of programs that would find a Python.
const PYTHONS: [&str; 3] = ["py", "pip", "conda"];
/// Where libtorch is not. Set rather than removed, as `.cargo/config.toml` would bring it back.
const NO_LIBTORCH: &str = "/nonexistent/libtorch";

/// Builds `unnunet` with optimization, without symbols; returns where it lies.
///
/// # Errors
///
/// When it does not compile.
pub(super) fn program() -> Result<PathBuf> {
    let target = folder().join("build");
    let tools = target.join("tools");
    link_tools(&std::env::var_os("PATH").context("PATH is not set")?, &tools)?;
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--locked", "--package", "runtime", "--target-dir"]).arg(&target);
    let line = workspace::line_of(&command);
    console::say(&format!("$ {line}    # without Python and libtorch"));
    command.env("PATH", &tools).env("LIBTORCH", NO_LIBTORCH).env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags());
    // Compiling in pieces would give other bytes.
    command.env_remove("CARGO_INCREMENTAL");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(target.join("release/unnunet"))
}

/// Keeps the builder's folders out of the program: they are nobody's business, and would make its bytes depend on them.
fn flags() -> String {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    let workspace = format!("--remap-path-prefix={}=unnunet", workspace::root().display());
    let cargo = cargo.map(|cargo| format!("--remap-path-prefix={}=cargo", cargo.display()));
    // Cargo's own separator, so that a path may hold blanks.
    std::iter::once(workspace).chain(cargo).collect::<Vec<_>>().join("\u{1f}")
}

/// Fills the folder `tools` with links to every program of the search path but Python's; the first of a name wins.
fn link_tools(path: &OsStr, tools: &Path) -> Result<()> {
    if tools.exists() {
        fs::remove_dir_all(tools)?;
    }
    fs::create_dir_all(tools)?;
    for folder in std::env::split_paths(path) {
        // A folder of the path that is not there is nothing unusual.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let link = tools.join(&name);
            let is_python = PYTHONS.iter().any(|python| name.to_string_lossy().starts_with(python));
            if !is_python && link.symlink_metadata().is_err() {
                fs::os::unix::fs::symlink(entry.path(), link)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_path_of_a_build_has_everything_but_python() {
        let work = tempfile::tempdir().unwrap();
        let (first, second) = (work.path().join("first"), work.path().join("second"));
        for (folder, names) in
            [(&first, &["cc", "python3"][..]), (&second, &["cc", "ld", "pip3.11", "pyenv", "python"][..])]
        {
            fs::create_dir_all(folder).unwrap();
            for name in names {
                fs::write(folder.join(name), "").unwrap();
            }
        }
        let path = std::env::join_paths([&first, &work.path().join("nowhere"), &second]).unwrap();
        let tools = work.path().join("tools");
        link_tools(&path, &tools).unwrap();
        let mut found: Vec<_> =
            fs::read_dir(&tools).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        assert_eq!(found, ["cc", "ld"]);
        assert_eq!(fs::read_link(tools.join("cc")).unwrap(), first.join("cc"), "the first of a name wins");
    }
}
