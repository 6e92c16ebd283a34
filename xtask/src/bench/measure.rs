//! Wall time and peak memory of a program.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::console;
use crate::workspace;

/// Between two looks at a running program's memory.
const PERIOD: Duration = Duration::from_millis(2);

/// Between two looks at the memory of all that it started, at least.
const TREE_PERIOD: Duration = Duration::from_millis(200);

/// The same in times of what a look takes, which grows with the memory: the program shall have the processors.
const TREE_PAUSE: u32 = 50;

/// What a run cost.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    /// Seconds from start to end.
    pub(super) wall_s: f64,
    /// Most resident memory, libraries included, bytes.
    pub(super) resident: u64,
    /// Most memory of its own (data, not mapped files) at any look, bytes.
    pub(super) own: u64,
    /// Most memory of it and all that it started at any look, bytes; pages that they share are divided among them.
    pub(super) tree: u64,
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
    let (mut resident, mut own, mut tree) = (0, 0, 0);
    let (mut looked_at_tree, mut pause) = (start, TREE_PERIOD);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if looked_at_tree.elapsed() >= pause {
            let look = Instant::now();
            tree = tree.max(of_tree(child.id()));
            pause = TREE_PERIOD.max(look.elapsed() * TREE_PAUSE);
            looked_at_tree = Instant::now();
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
    Ok(Cost { wall_s, resident, own, tree, stdout })
}

/// Proportional memory of a process and its descendants, bytes; of those that end meanwhile, nothing.
fn of_tree(root: u32) -> u64 {
    let read = |pid: u32, name: &str| fs_err::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let names = fs_err::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let processes = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = processes.filter_map(|pid| Some((pid, parent(&read(pid, "status"))?))).collect();
    let (mut total, mut left) = (0, vec![root]);
    while let Some(pid) = left.pop() {
        total += field(&read(pid, "smaps_rollup"), "Pss:");
        left.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| child));
    }
    total
}

/// The parent that a process's status names.
fn parent(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
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

    #[test]
    fn memory_of_what_a_process_started_counts() {
        let alone = of_tree(std::process::id());
        let mut child = Command::new("sh").args(["-c", "sleep 5; true"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(300));
        let (own, with_child) = (of_tree(child.id()), of_tree(std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(alone > 0 && own > 0 && with_child > own, "{alone} {own} {with_child}");
    }
}
