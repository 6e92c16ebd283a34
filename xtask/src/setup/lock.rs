//! The lock file: which wheels, with which digest, and what of them is kept.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Component;

/// `native-libraries.json`, as committed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    format: u32,
    /// `<os>-<arch>` as `std::env::consts` has them.
    platform: String,
    components: BTreeMap<String, Vec<Wheel>>,
}

/// One wheel, pinned by its digest.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wheel {
    /// Name and version as pip wants them.
    pub(crate) name: String,
    pub(crate) version: String,
    /// File name on the package index.
    pub(crate) file: String,
    /// Bytes, for the progress line.
    pub(crate) size: u64,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Platform tag that makes pip choose this file on any machine.
    pub(crate) tag: String,
    /// What is unpacked, and where to; the first rule that fits wins.
    pub(crate) unpack: Vec<Rule>,
    /// Prefixes of entries that no rule applies to.
    #[serde(default)]
    pub(crate) skip: Vec<String>,
    /// Symbolic links to make: path under `.deps/` → target beside it.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
}

/// Entries whose name starts with `from` are unpacked with `to` in its place.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Lock {
    /// Reads the lock file that this program was built with.
    ///
    /// # Errors
    ///
    /// When it has another format, or is for another kind of machine.
    pub(crate) fn committed() -> Result<Self> {
        let text = include_str!("../../native-libraries.json");
        let lock: Self = serde_json::from_str(text).context("cannot read `xtask/native-libraries.json`")?;
        ensure!(lock.format == 1, "`native-libraries.json` has format {}, expected 1", lock.format);
        let here = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        if lock.platform != here {
            bail!("the locked native libraries are for {}, this machine is {here}", lock.platform);
        }
        Ok(lock)
    }

    /// The wheels of `component`.
    ///
    /// # Errors
    ///
    /// When the lock file does not list it.
    pub(crate) fn wheels(&self, component: Component) -> Result<&[Wheel]> {
        self.components
            .get(component.name())
            .map(Vec::as_slice)
            .with_context(|| format!("`native-libraries.json` lacks `{}`", component.name()))
    }
}

/// What the stamp of an installed component holds: its part of the lock.
///
/// The text itself rather than its digest, so that one can read what is there.
pub(crate) fn stamp(wheels: &[Wheel]) -> String {
    serde_json::to_string_pretty(wheels).expect("a wheel has only text and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_lock_pins_every_wheel_by_digest() {
        let lock = Lock::committed().unwrap();
        for component in Component::ALL {
            for wheel in lock.wheels(component).unwrap() {
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.name);
                assert!(wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
                assert!(!wheel.file.contains('/'), "{}", wheel.file);
            }
        }
    }
}
