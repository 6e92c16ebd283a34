//! A counter that nobody can turn back.
//!
//! A disk image that is put back brings old floors with it. Only a counter
//! outside the disk (TPM NV, RPMB) tells: the state says which count it goes
//! with, and the counter goes up whenever a floor does.

use std::cell::Cell;
use std::io;

/// Counts up, and never down.
pub trait MonotonicCounter {
    /// The count; `None` if this device has no counter.
    ///
    /// # Errors
    ///
    /// What the hardware says.
    fn read(&self) -> io::Result<Option<u64>>;

    /// Counts one up.
    ///
    /// # Errors
    ///
    /// What the hardware says.
    fn increase(&self) -> io::Result<()>;
}

/// A device without a counter: an image of its disk can be put back unnoticed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCounter;

impl MonotonicCounter for NoCounter {
    fn read(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn increase(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A counter in memory, for tests: it stands for hardware that outlives the disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryCounter {
    count: Cell<u64>,
}

impl MonotonicCounter for MemoryCounter {
    fn read(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.count.get()))
    }

    fn increase(&self) -> io::Result<()> {
        self.count.set(self.count.get() + 1);
        Ok(())
    }
}

impl<C: MonotonicCounter> MonotonicCounter for &C {
    fn read(&self) -> io::Result<Option<u64>> {
        (**self).read()
    }

    fn increase(&self) -> io::Result<()> {
        (**self).increase()
    }
}
