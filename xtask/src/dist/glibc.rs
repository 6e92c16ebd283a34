//! The oldest glibc that programs and libraries run with.
//!
//! Every function that a file takes from glibc carries the version that brought it, as text such as `GLIBC_2.34`; the
//! loader refuses the file where the system's is older. The text stands in the file's table of strings, so that it can be
//! found without understanding the rest.

use std::fmt;

const MARK: &[u8] = b"GLIBC_";

/// A version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl From<(u32, u32)> for Version {
    fn from((major, minor): (u32, u32)) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The newest version that `bytes` name; `None` if they name none.
pub(super) fn needed(bytes: &[u8]) -> Option<Version> {
    let starts = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).map(|(at, _)| at);
    starts.filter_map(|at| version(&bytes[at + MARK.len()..])).max()
}

/// The version at the start of `bytes`, up to the zero that ends the text: `2.34`, or `2.2.5`, whose last part counts for nothing.
fn version(bytes: &[u8]) -> Option<Version> {
    let end = bytes.iter().take(16).position(|&byte| byte == 0)?;
    let mut parts = std::str::from_utf8(&bytes[..end]).ok()?.split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return None;
    };
    Some(Version { major, minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_and_numbers_compare_as_numbers() {
        let table = b"\0strlen\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0GLIBCXX_3.4.30\0GLIBC_PRIVATE\0GLIBC_2.";
        assert_eq!(needed(table), Some((2, 34).into()));
        assert_eq!(needed(table).unwrap().to_string(), "2.34");
        assert_eq!(needed(b"a script"), None);
    }
}
