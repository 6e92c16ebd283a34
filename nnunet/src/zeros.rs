//! Zeros that lie in memory.
//!
//! The system hands out memory page by page as it is touched. A page that is read before it is written is handed out twice:
//! first one that all zeros share, then one of its own, and every processor is interrupted for it. Sums of a large case
//! begin with such a read, so their zeros are written beforehand, by all threads.

use rayon::prelude::*;

/// Values that a thread writes at least: fewer are written before another thread has come from its own work.
const CHUNK: usize = 1 << 20;

/// `n` zeros.
pub(crate) fn zeros<T: Default + Copy + Send>(n: usize) -> Vec<T> {
    rayon::iter::repeat_n(T::default(), n).with_min_len(CHUNK).collect()
}
