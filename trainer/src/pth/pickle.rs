//! A pickle machine that builds plain data and executes nothing.
//!
//! Knows the opcodes of protocols 2 to 5 that `torch.save` emits ([Python's `pickletools`] describes them) and a closed
//! list of names ([`Global`]). Values lie in one list and refer to each other by number, so that nothing recurses, a
//! value that contains itself is harmless, and memory is bounded by the pickle's length: every opcode makes at most
//! one value. Departs from Python by refusing every other name and opcode, and bytes behind the end.
//!
//! [Python's `pickletools`]: https://docs.python.org/3/library/pickletools.html

mod error;
mod global;
mod machine;
mod tree;

pub use error::PickleError;
pub use global::{Global, StorageKind};
pub use tree::{Ref, Storage, TensorView, Tree, Value};

/// Runs a pickle.
///
/// # Errors
///
/// [`PickleError`] with the offset of the opcode that is refused.
pub fn read(bytes: &[u8]) -> Result<Tree, PickleError> {
    machine::Machine::new(bytes).run()
}

#[cfg(test)]
mod tests;
