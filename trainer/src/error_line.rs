//! Errors as one line of a longer report.

use std::error::Error;
use std::iter;

/// An error and its causes, from the outermost in.
pub(crate) fn of(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_dataset::read_text;

    #[test]
    fn a_line_ends_with_the_innermost_cause() {
        let error = read_text("none/at/all".as_ref()).unwrap_err();
        let line = of(&error);
        assert!(line.starts_with(&error.to_string()) && line.contains("none/at/all"), "{line}");
        assert!(line.ends_with("(os error 2)"), "{line}");
    }
}
