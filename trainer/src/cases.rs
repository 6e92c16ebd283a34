//! The cases of one split in reach of the sampler: whole in memory as long as there is room, else read in parts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nnunet::dataset::CaseId;

use crate::block::Block;
use crate::store::{Store, StoreError, StoredCase};

/// Opened cases and what is kept of them.
#[derive(Debug)]
pub struct Cases {
    stored: Vec<StoredCase>,
    kept: Vec<OnceLock<Arc<Block>>>,
    room: AtomicU64,
}

impl Cases {
    /// Opens all cases; whole cases are kept in at most `room` bytes of memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`] naming the first case that is missing or damaged.
    pub fn open(store: &Store, cases: &[CaseId], room: u64) -> Result<Self, StoreError> {
        let stored = cases.iter().map(|case| store.open(case)).collect::<Result<Vec<_>, _>>()?;
        let kept = stored.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { stored, kept, room: AtomicU64::new(room) })
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there is no case.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Most bytes that whole cases will take in memory, asked before any is read.
    pub fn most_bytes(&self) -> u64 {
        let all = self.stored.iter().map(StoredCase::n_bytes).fold(0, u64::saturating_add);
        all.min(self.room.load(Ordering::Relaxed))
    }

    /// A case by its number.
    ///
    /// # Panics
    ///
    /// If there are not as many cases.
    pub fn get(&self, index: usize) -> &StoredCase {
        &self.stored[index]
    }

    /// What a patch that reaches from `first` to before `end` needs of a case: at least the voxels of the case in
    /// between, and never nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    ///
    /// # Panics
    ///
    /// If there are not as many cases.
    pub fn block(&self, index: usize, (first, end): ([i64; 3], [i64; 3])) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.kept[index].get() {
            return Ok(Arc::clone(block));
        }
        let stored = &self.stored[index];
        let n_bytes = stored.n_bytes();
        let take = |room: u64| room.checked_sub(n_bytes);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let block = Arc::new(stored.read()?);
            // Another thread may have been faster; what it read is the same.
            return Ok(Arc::clone(self.kept[index].get_or_init(|| block)));
        }
        let shape = stored.record.shape;
        let within = |coordinate: i64, last: usize| usize::try_from(coordinate).unwrap_or(0).min(last);
        let lower: [usize; 3] = std::array::from_fn(|axis| within(first[axis], shape[axis] - 1));
        let upper = std::array::from_fn(|axis| within(end[axis], shape[axis]).max(lower[axis] + 1));
        stored.read_block(lower, upper).map(Arc::new)
    }
}
