//! Commands that run once: what has succeeded is marked and not run again.
//!
//! What a command prints goes into a file, since a training prints thousands of lines and the table should be found.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use imaging::atomic_file;

use crate::console;
use crate::workspace;

/// Lines of a failed command's output that the error shows.
const N_LAST_LINES: usize = 15;

/// A folder of logs and marks.
#[derive(Debug)]
pub(super) struct Steps {
    folder: PathBuf,
}

impl Steps {
    /// Steps below `work`.
    pub(super) fn new(work: &Path) -> Self {
        Self { folder: work.join("steps") }
    }

    /// Runs `command` unless a step of this name has succeeded.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails.
    pub(super) fn once(&self, name: &str, command: impl FnOnce() -> Result<Command>) -> Result<()> {
        let Some(mark) = self.to_do(name) else { return Ok(()) };
        let mut command = command()?;
        let line = line_of(&command);
        console::say(&format!("$ {line}"));
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(format!("{name}.log"));
        let log = fs::File::create(&path)?;
        let also = log.try_clone()?;
        command.stdin(Stdio::null()).stdout(log.into_file()).stderr(also.into_file());
        let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
        ensure!(status.success(), "`{line}` ended with {status}; the end of `{}`:\n{}", path.display(), end_of(&path)?);
        Ok(atomic_file::write(&mark, line.as_bytes())?)
    }

    /// Does `work` unless a step of this name has succeeded.
    ///
    /// # Errors
    ///
    /// Whatever `work` says.
    pub(super) fn once_with(&self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(mark) = self.to_do(name) else { return Ok(()) };
        work()?;
        fs::create_dir_all(&self.folder)?;
        Ok(atomic_file::write(&mark, b"")?)
    }

    /// The mark to make when the step has succeeded; `None` if it has.
    fn to_do(&self, name: &str) -> Option<PathBuf> {
        let mark = self.folder.join(format!("{name}.done"));
        if mark.is_file() {
            console::say(&format!("{name}: done before, `{}`", mark.display()));
            return None;
        }
        Some(mark)
    }
}

/// `command` as one would type it, with the environment variables it sets.
fn line_of(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| Some((name.to_string_lossy(), value?.to_string_lossy())));
    let root = format!("{}/", workspace::root().display());
    let set = set.map(|(name, value)| format!("{name}={}", value.replace(&root, "$PWD/")));
    set.chain([workspace::line_of(command)]).collect::<Vec<_>>().join(" ")
}

fn end_of(path: &Path) -> Result<String> {
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(N_LAST_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("MARK", "1");
        command
    }

    #[test]
    fn a_step_that_failed_runs_again_and_one_that_succeeded_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let steps = Steps::new(folder.path());
        let count = folder.path().join("count");
        let script = format!("echo run >> {}; echo words; test $(wc -l < {0}) = 2", count.display());
        let error = steps.once("step", || Ok(shell(&script))).unwrap_err().to_string();
        assert!(error.contains("MARK=1 sh -c") && error.ends_with("words"), "{error}");
        steps.once("step", || Ok(shell(&script))).unwrap();
        steps.once("step", || Ok(shell("exit 1"))).unwrap();
        assert_eq!(fs::read_to_string(count).unwrap(), "run\nrun\n");
    }
}
