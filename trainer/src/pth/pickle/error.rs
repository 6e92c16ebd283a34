//! Why a pickle was refused.

/// Why a pickle was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// A dictionary has a key twice.
    #[error("the key `{key}` is there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The pickle ends before its stop, or an argument is cut off.
    #[error("the pickle ends at byte {offset} in the middle of an instruction")]
    End {
        /// Where.
        offset: usize,
    },
    /// A name that stands for code.
    #[error("byte {offset}: the pickle asks for `{module}.{name}`, which is not allowed")]
    Global {
        /// Where.
        offset: usize,
        /// Module of the name.
        module: String,
        /// The name.
        name: String,
    },
    /// More marks or memory places than a checkpoint has.
    #[error("byte {offset}: more than {limit} {what}")]
    Limit {
        /// Where.
        offset: usize,
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// An opcode that no checkpoint needs.
    #[error("byte {offset}: opcode {opcode:#04x} is not known")]
    Opcode {
        /// Where.
        offset: usize,
        /// Its number.
        opcode: u8,
    },
    /// An opcode finds other values than it needs.
    #[error("byte {offset}: expected {expected}")]
    Operand {
        /// Where.
        offset: usize,
        /// What it needs.
        expected: &'static str,
    },
    /// A protocol that is not known.
    #[error("protocol {found}, expected 2 to 5")]
    Protocol {
        /// Its number.
        found: u8,
    },
    /// Something follows the stop.
    #[error("{n_bytes} bytes follow the end of the pickle")]
    Trailing {
        /// How many.
        n_bytes: usize,
    },
}
