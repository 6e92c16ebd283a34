//! Cross-crate tests, and the phantoms they and the demo share.
