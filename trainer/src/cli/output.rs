//! What the program writes: results to stdout, everything for people to stderr.
//!
//! A closed pipe is no error: whoever reads has seen enough.

use std::io::{self, Write as _};

/// Writes one line to stdout.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes one line to stderr.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes an error and its causes to stderr, each cause indented below.
pub fn report(error: &anyhow::Error) {
    let mut causes = error.chain();
    if let Some(top) = causes.next() {
        note(format_args!("error: {top}"));
    }
    for cause in causes {
        note(format_args!("  caused by: {cause}"));
    }
}
