//! Names of entries: one grammar that every file system and zip reader
//! understands in the same way.
//!
//! One to four components of `[a-z0-9_][a-z0-9_.-]{0,63}`, joined by `/`, at
//! most 128 bytes. No component ends in a dot or is a device name of Windows,
//! so that an unpacked bundle has the same names everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{MANIFEST_PATH, SIGNATURES_FOLDER};

/// Longest name, in bytes.
pub(crate) const MAX_BYTES: usize = 128;
const MAX_COMPONENTS: usize = 4;
const MAX_COMPONENT_BYTES: usize = 64;

/// The name of an entry, for example `models/fold_0/checkpoint_120.onnx`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryPath(String);

/// A text is not the name of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an entry name", text.escape_debug())]
pub struct EntryPathError {
    /// The refused text.
    pub text: String,
}

impl EntryPath {
    /// Checks `text` against the grammar.
    ///
    /// # Errors
    ///
    /// [`EntryPathError`] if it does not match.
    pub fn new(text: impl Into<String>) -> Result<Self, EntryPathError> {
        let text = text.into();
        if matches_grammar(&text) { Ok(Self(text)) } else { Err(EntryPathError { text }) }
    }

    /// The name of the manifest's own entry.
    pub(crate) fn manifest() -> Self {
        Self(MANIFEST_PATH.to_owned())
    }

    /// The name of the signature by the key with this id: 16 hexadecimal digits
    /// are enough to tell eight keys apart.
    pub(crate) fn signature_by(key_id: &Digest) -> Self {
        let id = key_id.to_string();
        Self(format!("{SIGNATURES_FOLDER}/{}.sig", &id[..16]))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `folder` holds this entry, at any depth.
    pub fn is_inside(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The folder that holds this entry; empty at the top.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

fn matches_grammar(text: &str) -> bool {
    text.len() <= MAX_BYTES && text.split('/').count() <= MAX_COMPONENTS && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let lead = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let tail = |byte: u8| lead(byte) || matches!(byte, b'.' | b'-');
    text.len() <= MAX_COMPONENT_BYTES
        && text.bytes().next().is_some_and(lead)
        && text.bytes().all(tail)
        && !text.ends_with('.')
        && !is_device_name(text)
}

/// Windows resolves `nul.txt` to the device `nul`, whatever the extension.
fn is_device_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component);
    match stem {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            let numbered =
                |port| stem.strip_prefix(port).is_some_and(|n: &str| n.len() == 1 && n.as_bytes()[0].is_ascii_digit());
            numbered("com") || numbered("lpt")
        }
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPath({:?})", self.0)
    }
}

impl AsRef<str> for EntryPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryPath {
    type Err = EntryPathError;

    fn from_str(text: &str) -> Result<Self, EntryPathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for EntryPath {
    type Error = EntryPathError;

    fn try_from(text: String) -> Result<Self, EntryPathError> {
        Self::new(text)
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, EntryPath};

    fn check(text: &str, accepted: bool) {
        assert_eq!(EntryPath::new(text).is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn names_that_the_format_gives_keep_the_grammar() {
        check(EntryPath::manifest().as_str(), true);
        let signature = EntryPath::signature_by(&Digest::of(b"abc"));
        assert_eq!(signature.as_str(), "signatures/ba7816bf8f01cfea.sig");
        check(signature.as_str(), true);
    }

    #[test]
    fn a_name_reads_the_same_however_it_is_asked_for() {
        let path = EntryPath::new("models/a.onnx").unwrap();
        assert_eq!((path.as_ref(), path.to_string().as_str()), ("models/a.onnx", "models/a.onnx"));
        assert_eq!(format!("{path:?}"), "EntryPath(\"models/a.onnx\")");
    }

    #[test]
    fn grammar_accepts_plain_names_up_to_four_deep() {
        for text in ["a", "_", "0.1-x", "a/b/c/d", "models/fold_0/checkpoint_120.onnx", "console", "com10", "lpt"] {
            check(text, true);
        }
    }

    #[test]
    fn grammar_refuses_what_some_system_reads_differently() {
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            ".hidden",
            "-a",
            "A",
            "é",
            "a b",
            "a\\b",
            "a\0",
            "a:b",
            "a.",
            "a./b",
            "a/b/c/d/e",
            "nul",
            "con.txt",
            "com1",
            "a/lpt9.x",
            "com0",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn lengths_are_exact() {
        let component = "a".repeat(64);
        check(&component, true);
        check(&format!("{component}a"), false);
        check(&format!("{}/{}", &component[1..], component), true); // 63 + 1 + 64 = 128
        check(&format!("{component}/{component}"), false); // 129
    }
}
