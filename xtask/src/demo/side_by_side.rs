//! Several programs at a time, each line of theirs under its name.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::console;
use crate::workspace;

/// Prints the command lines, starts all of them, and waits for all.
///
/// # Errors
///
/// When one cannot be started or fails; the others run to their end first.
pub(super) fn run(commands: Vec<(String, Command)>) -> Result<()> {
    let mut children = Vec::new();
    for (name, mut command) in commands {
        let line = workspace::line_of(&command);
        console::say(&format!("$ {line}"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        children.push((name, child.with_context(|| format!("cannot run `{line}`")), line));
    }
    let watch = |(name, child, line): (String, Result<Child>, String)| {
        let mut child = child?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(|| forward(stdout, |text| console::say(&format!("{name}: {text}"))));
            scope.spawn(|| forward(stderr, |text| console::warn(&format!("{name}: {text}"))));
        });
        let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
        ensure!(status.success(), "`{line}` ended with {status}");
        Ok(())
    };
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let watchers: Vec<_> = children.into_iter().map(|child| scope.spawn(move || watch(child))).collect();
        let join = |watcher: thread::ScopedJoinHandle<'_, Result<()>>| {
            watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        watchers.into_iter().map(join).collect()
    });
    results.into_iter().collect()
}

/// Hands on each line; what is no text ends the stream.
fn forward(stream: Option<impl Read>, say: impl Fn(&str)) {
    for line in stream.into_iter().flat_map(|stream| BufReader::new(stream).lines()).map_while(Result::ok) {
        say(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_is_named_and_the_others_end_first() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("done");
        let slow = shell(&format!("sleep 0.3; echo line; touch {}", mark.display()));
        let error = run(vec![("a".into(), shell("exit 3")), ("b".into(), slow)]).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("exit status: 3"), "{error}");
        assert!(mark.exists());
    }

    #[test]
    fn all_succeeding_is_success() {
        run(vec![("a".into(), shell("true")), ("b".into(), shell("echo b >&2"))]).unwrap();
    }
}
