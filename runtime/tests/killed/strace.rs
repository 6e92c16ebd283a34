//! The system calls of a command on a folder, and the command with one of them gone wrong.
//!
//! `strace` first only watches: every call that names the folder, or a file open in it, is a [`Point`]. Then the command
//! runs again with a fault at one point: the kernel kills it before that call is carried out, which is also after the
//! one before, or the call fails with an error of the system.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Calls that open, change, flush, lock or name a file. Those that an architecture lacks are passed over.
const CALLS: [&str; 25] = [
    "chmod",
    "copy_file_range",
    "fchmod",
    "fchmodat",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "open",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sync_file_range",
    "unlink",
    "unlinkat",
    "write",
    "writev",
];

/// The n-th call of a name in a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    call: String,
    n: usize,
}

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed as the call begins.
    Kill,
    /// The disk is full, then and later.
    Full,
    /// The call fails once, for no reason that can be told.
    Broken,
}

impl Fault {
    fn injection(self, point: &Point) -> String {
        let Point { call, n } = point;
        match self {
            Self::Kill => format!("inject={call}:signal=KILL:when={n}"),
            Self::Full => format!("inject={call}:error=ENOSPC:when={n}+"),
            Self::Broken => format!("inject={call}:error=EIO:when={n}"),
        }
    }
}

/// Whether `strace` is here and may trace.
pub(crate) fn is_here() -> bool {
    Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success())
}

/// Every call of `command` on `folder`, in order.
pub(crate) fn points(command: &Command, folder: &Path, log: &Path) -> Vec<Point> {
    let calls = CALLS.map(|call| format!("?{call}")).join(",");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-y", "-s", "0", "-o"]).arg(log).arg("-e").arg(format!("trace={calls}"));
    run(traced, command);
    let folder = folder.to_str().unwrap();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points = Vec::new();
    let text = fs_err::read_to_string(log).unwrap();
    for line in text.lines() {
        // `1234  rename("/a", "/b") = 0`; the end of a call that another thread interrupted has no name before the `(`.
        let Some((process, (call, arguments))) =
            line.split_once(' ').and_then(|(process, rest)| Some((process, rest.trim_start().split_once('(')?)))
        else {
            continue;
        };
        if !CALLS.contains(&call) {
            continue;
        }
        let n = counts.entry((process, call)).or_default();
        *n += 1;
        if arguments.contains(folder) {
            points.push(Point { call: call.to_owned(), n: *n });
        }
    }
    points
}

/// Runs `command` with `fault` at `point`; `None` if it was killed.
pub(crate) fn run_with(command: &Command, point: &Point, fault: Fault) -> Option<Output> {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={}", point.call));
    traced.arg("-e").arg(fault.injection(point));
    let output = run(traced, command);
    // `strace` ends as the program that it watches.
    let is_killed = output.status.signal() == Some(9);
    (!is_killed).then_some(output)
}

/// `tracer`, with `command` at the end of its line.
fn run(mut tracer: Command, command: &Command) -> Output {
    tracer.arg("--").arg(command.get_program()).args(command.get_args());
    tracer.output().unwrap()
}
