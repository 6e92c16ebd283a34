//! Where things are, and how another program is started.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::console;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the workspace").to_path_buf()
}

/// The folder of the native libraries, to which `.cargo/config.toml` points.
pub(crate) fn deps() -> PathBuf {
    root().join(".deps")
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A `cargo` command in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(cargo_program());
    command.current_dir(root());
    command
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// Builds both programs with optimization.
///
/// # Errors
///
/// When one does not compile.
pub(crate) fn build_release() -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--release", "--package", "trainer", "--package", "runtime"]);
    let line = line_of(&command);
    console::say(&format!("$ {line}"));
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// A program that [`build_release`] built, run in the workspace's folder.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(target().join("release").join(name));
    command.current_dir(root());
    command
}

/// `command` as one would type it in the workspace's folder.
///
/// Arguments with characters that a shell would touch are quoted, and paths
/// inside the workspace are written relative to it.
pub(crate) fn line_of(command: &Command) -> String {
    let root = format!("{}/", root().display());
    let program = command.get_program();
    // Cargo is found through the path, wherever rustup keeps the real one.
    let program = if program == cargo_program() { OsStr::new("cargo") } else { program };
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy().replace(&root, "")))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new(root().join("target/release/unnunet"));
        command.args(["predict", "--title", "it's a demo", ""]);
        assert_eq!(line_of(&command), r"target/release/unnunet predict --title 'it'\''s a demo' ''");
    }
}
