//! A root of its own for one command, made of the kernel's namespaces by `unshare`.
//!
//! It needs no privilege where the system lets users make namespaces; where it does not, root can.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where the package lies in the sandbox.
pub(super) const PACKAGE: &str = "/mnt/package";
/// Where the inputs lie.
pub(super) const INPUT: &str = "/mnt/input";
/// The one folder that can be written.
pub(super) const OUTPUT: &str = "/mnt/output";

/// Mounts what the sandbox consists of, then becomes the command.
const SCRIPT: &str = include_str!("sandbox.sh");

/// The folders of this machine that a command sees.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// Seen as `/`.
    pub(super) root: PathBuf,
    /// Seen as [`PACKAGE`].
    pub(super) package: PathBuf,
    /// Seen as [`INPUT`].
    pub(super) input: PathBuf,
    /// Seen as [`OUTPUT`].
    pub(super) output: PathBuf,
}

impl Sandbox {
    /// The package's `unnunet` with `arguments` in the sandbox, ready to be run.
    pub(super) fn command(&self, arguments: &[String]) -> Command {
        let mut command = unshare();
        command.args(["sh", "-c", SCRIPT, "sandbox"]);
        command.arg(&self.root).arg(&self.package).arg(&self.input).arg(&self.output).args(arguments);
        // For the script; the command's own home leads nowhere.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent");
        command
    }
}

/// Fails, and says why, where no sandbox can be made.
///
/// # Errors
///
/// When `unshare` is missing or not allowed.
pub(super) fn ensure_possible() -> Result<()> {
    let output = unshare()
        .arg("true")
        .output()
        .context("nothing was checked: `unshare` of util-linux makes the empty root, and cannot be run here")?;
    if !output.status.success() {
        bail!(
            "nothing was checked: this user may not make namespaces here ({}); run as root, or allow unprivileged user \
             namespaces",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// `unshare`, with new namespaces for everything that a command could reach others by; a new network has no device.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"]);
    command
}
