//! What the program writes: results to stdout, everything for people to stderr.
//!
//! A closed pipe is no error: whoever reads has seen enough.

use std::fmt::Display;
use std::io::{self, Write as _};

use bundle_format::BundleError;
use serde::Serialize;

/// Writes one line to stdout.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes one JSON value as one line to stdout.
///
/// # Errors
///
/// If the value has a map whose keys are not text.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Writes one line to stderr.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes an error and its causes to stderr, each cause indented below; a bundle's error with its code.
pub(crate) fn report(error: &anyhow::Error) {
    let code = error.chain().find_map(|cause| cause.downcast_ref::<BundleError>()).map(BundleError::code);
    let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let mut previous = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        // A transparent variant repeats its source.
        if text == previous {
            continue;
        }
        match depth {
            0 => note(format_args!("error{code}: {text}")),
            _ => note(format_args!("  caused by: {text}")),
        }
        previous = text;
    }
}
