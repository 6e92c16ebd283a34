//! The two programs as a user starts them.
//!
//! A test of this crate cannot ask cargo for the binaries of another crate, so
//! `cargo xtask test` builds them first and says where in `UNNUNET_PROGRAMS`;
//! without it they are expected beside the test's own folder of build outputs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command that starts `unnunet`.
///
/// # Panics
///
/// When it was not built.
pub fn unnunet() -> Command {
    Command::new(path_of("unnunet"))
}

/// A command that starts `unnunet-train`.
///
/// # Panics
///
/// When it was not built.
pub fn unnunet_train() -> Command {
    Command::new(path_of("unnunet-train"))
}

/// Runs `command` to its end; returns what it wrote to stdout.
///
/// # Panics
///
/// When its exit status is not 0.
pub fn succeed(command: &mut Command) -> String {
    let output = outcome(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command` to its end, however that is.
///
/// # Panics
///
/// When it cannot be started.
pub fn outcome(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

fn path_of(name: &str) -> PathBuf {
    let folder = std::env::var_os("UNNUNET_PROGRAMS").map(PathBuf::from).or_else(beside_this_test);
    let path = folder.unwrap_or_default().join(name);
    assert!(path.is_file(), "`{}` is missing; run `cargo xtask test`, which builds both programs", path.display());
    path
}

/// `target/<profile>`, when this is `target/<profile>/deps/<test>`.
fn beside_this_test() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    test.parent().and_then(Path::parent).map(Path::to_path_buf)
}
