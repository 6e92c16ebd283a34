//! Trains nnU-Nets with cyclic checkpoints on libtorch and exports them as bundles.

fn main() {}
