//! Memory that was freed goes back to the system.
//!
//! glibc raises the size from which on blocks are mapped, and unmapped when they are freed, with every such block that
//! is freed, up to 32 MiB. From then on smaller ones are cut out of heaps, and stay there as gaps that what comes next may
//! not fit: weights and buffers of sessions that are gone, and what loading the next one takes for a moment.

/// Whether [`return_large_blocks`] does what it says: with glibc's allocator.
pub(crate) const RETURNS_LARGE_BLOCKS: bool = cfg!(all(target_os = "linux", target_env = "gnu"));

/// Keeps nothing of large blocks that are freed. To be called before there are any.
pub(crate) fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::return_large_blocks();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, c_int, mallopt};

    /// Blocks of so many bytes go back to the system as soon as they are freed. Smaller ones are asked for so often that
    /// their pages had better be kept; at this size no time is lost.
    const LARGE: c_int = 4 << 20;
    /// What a heap keeps at its end, where buffers come and go: two of the largest, as glibc does.
    const KEPT: c_int = 2 * LARGE;

    #[expect(unsafe_code, reason = "the C library has no safe interface")]
    pub(super) fn return_large_blocks() {
        // SAFETY: both calls take two numbers, and say with a third whether they know them.
        unsafe {
            mallopt(M_MMAP_THRESHOLD, LARGE);
            mallopt(M_TRIM_THRESHOLD, KEPT);
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;
    use crate::memory::{mib, resident};

    #[test]
    fn large_blocks_go_back_to_the_system() {
        const MIB: usize = 1 << 20;
        // Touched, or they would take no memory.
        let block = |n: usize| vec![1_u8; n * MIB];
        let left_of_blocks = || {
            // The largest block that was freed is what glibc goes by.
            drop(block(24));
            let before = resident().unwrap();
            let blocks: Vec<_> = (0..16).map(|_| block(8)).collect();
            // What lies behind them on the heap keeps it from shrinking.
            let behind = block(1);
            drop(blocks);
            let left = resident().unwrap().saturating_sub(before);
            drop(behind);
            mib(left)
        };
        let by_default = left_of_blocks();
        return_large_blocks();
        let left = left_of_blocks();
        assert!(by_default >= 100 && left <= 20, "{by_default} MiB, then {left} MiB");
    }
}
