//! Trains nnU-Nets with cyclic checkpoints on libtorch and exports them as bundles.

pub mod atomic_file;
pub mod weights;
