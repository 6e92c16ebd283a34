//! The ordered list of checks that a verification made.
//!
//! `unnunet bundle verify --json` prints it for the device's history file, so
//! that a refusal can be read without the bundle at hand.

use serde::Serialize;

use crate::error::BundleError;

/// One step of the verification order and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Number of the step in `docs/bundle-format.md`, "Verification order".
    pub step: u8,
    /// What the step looks at.
    pub name: &'static str,
    /// Whether the bundle passed.
    pub passed: bool,
    /// The code of the broken rule, if it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// The checks made so far.
#[derive(Debug, Default)]
pub(crate) struct CheckLog {
    checks: Vec<Check>,
}

impl CheckLog {
    /// Runs one step and records its outcome.
    pub(crate) fn run<T>(
        &mut self,
        (step, name): (u8, &'static str),
        check: impl FnOnce() -> Result<T, BundleError>,
    ) -> Result<T, BundleError> {
        let outcome = check();
        self.checks.push(Check {
            step,
            name,
            passed: outcome.is_ok(),
            code: outcome.as_ref().err().map(BundleError::code),
        });
        outcome
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    pub(crate) fn into_checks(self) -> Vec<Check> {
        self.checks
    }
}
