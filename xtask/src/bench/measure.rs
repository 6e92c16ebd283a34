//! Wall time and peak memory of a program.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::console;
use crate::workspace;

/// Between two looks at a running program's memory.
const PERIOD: Duration = Duration::from_millis(2);

/// What a run cost.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    /// Seconds from start to end.
    pub(super) wall_s: f64,
    /// Most resident memory, libraries included, bytes.
    pub(super) resident: u64,
    /// Most memory of its own (data, not mapped files) at any look, bytes.
    pub(super) own: u64,
    /// What it wrote to stdout.
    pub(super) stdout: String,
}

/// Prints the command line, runs it to its end and watches its memory. Linux only.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(super) fn run(mut command: Command) -> Result<Cost> {
    let line = workspace::line_of(&command);
    console::say(&format!("$ {line}"));
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run `{line}`"))?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let reader = thread::spawn(move || std::io::read_to_string(stdout));
    let status_file = format!("/proc/{}/status", child.id());
    let (mut resident, mut own) = (0, 0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Ok(text) = fs_err::read_to_string(&status_file) {
            resident = resident.max(field(&text, "VmHWM:"));
            own = own.max(field(&text, "RssAnon:"));
        }
        thread::sleep(PERIOD);
    };
    let wall_s = start.elapsed().as_secs_f64();
    let stdout = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    ensure!(status.success(), "`{line}` ended with {status}: {stdout}");
    Ok(Cost { wall_s, resident, own, stdout })
}

/// Bytes of a field that is given in kB; 0 if it is not there.
fn field(status: &str, name: &str) -> u64 {
    let value =
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    value.map_or(0, |kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_status_are_read_in_bytes() {
        let status = "Name:\tcat\nVmHWM:\t    2048 kB\nRssAnon:\t      96 kB\n";
        assert_eq!(
            (field(status, "VmHWM:"), field(status, "RssAnon:"), field(status, "VmPTE:")),
            (2 << 20, 96 << 10, 0)
        );
    }

    #[test]
    fn a_program_that_fails_is_an_error_and_one_that_ends_has_a_cost() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        assert!(run(shell("exit 2")).unwrap_err().to_string().contains("exit status: 2"));
        let cost = run(shell("echo out; sleep 0.1")).unwrap();
        assert!(cost.wall_s >= 0.1 && cost.resident > 0 && cost.stdout == "out\n");
    }
}
