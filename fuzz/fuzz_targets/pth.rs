//! No bytes make the pickle machine of the import panic, and it never keeps more values than there are bytes.
//!
//! The machine is compiled from the trainer's source, because the crate itself needs libtorch.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../trainer/src/pth"]
#[allow(dead_code, unused_imports, reason = "the trainer uses the rest")]
mod pth {
    pub mod pickle;
}

use pth::pickle::{self, Value};

fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = pickle::read(bytes) else { return };
    let root = tree.root();
    let _ = (tree.kind(root), tree.integer(root), tree.text(root));
    for key in ["network_weights", "current_epoch", "trainer_name", "init_args", "inference_allowed_mirroring_axes"] {
        let Ok(Some(entry)) = tree.entry(root, key) else { continue };
        if let Value::Dict(entries) = tree.value(entry) {
            assert!(entries.len() <= bytes.len());
        }
    }
});
