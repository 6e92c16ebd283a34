//! The signature envelope.

use crate::rule::Rule;

/// Why a signature was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// x
    #[error("x")]
    Missing,
}

impl SignatureError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        Rule::SignaturePresent
    }
}
/// Why a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// x
    #[error("x")]
    Schema,
}

impl StatementError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        Rule::StatementSchema
    }
}
