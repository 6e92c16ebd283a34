//! The two streams: results for anyone on stdout, complaints on stderr.
//!
//! A closed pipe (`cargo xtask demo | head`) is not worth a panic, so failed
//! writes are dropped here and nowhere else.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Result;

/// Writes one line to stdout.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Writes one line to stderr.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Does `work` on a line that says what it is, and how long it took.
///
/// # Errors
///
/// Those of `work`; the line is broken off, so that the message stands alone.
pub(crate) fn step<T>(what: &str, outcome: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut stdout = io::stdout();
    let _ = write!(stdout, "{what} … ");
    let _ = stdout.flush();
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    say(&match done {
        Ok(_) => format!("{outcome} in {seconds:.1} s"),
        Err(_) => format!("failed after {seconds:.1} s"),
    });
    done
}
