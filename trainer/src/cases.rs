//! The cases of one split in reach of the sampler: whole in memory as long as there is room, else read in parts. In a
//! cascade, every case has the segmentation of the previous stage beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nnunet::dataset::CaseId;

use crate::block::Block;
use crate::stage_predictions::StoredPrediction;
use crate::store::{Store, StoreError, StoredCase};

/// Opened cases and what is kept of them.
#[derive(Debug)]
pub struct Cases {
    stored: Vec<Held<StoredCase>>,
    /// As many as cases, or none.
    previous: Vec<Held<StoredPrediction>>,
    room: AtomicU64,
}

impl Cases {
    /// Opens all cases; whole cases are kept in at most `room` bytes of memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`] naming the first case that is missing or damaged.
    pub fn open(store: &Store, cases: &[CaseId], room: u64) -> Result<Self, StoreError> {
        let stored = cases.iter().map(|case| store.open(case).map(Held::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { stored, previous: Vec::new(), room: AtomicU64::new(room) })
    }

    /// Puts the segmentation of the previous stage beside every case.
    ///
    /// # Panics
    ///
    /// If they are not those of the cases, in their order and on their grids.
    #[must_use]
    pub fn with_previous_stage(mut self, predictions: Vec<StoredPrediction>) -> Self {
        let fits = |(of, case): (&StoredPrediction, &Held<StoredCase>)| {
            (&of.record.case, of.record.shape) == (case.source.case(), case.source.record.shape)
        };
        assert!(predictions.len() == self.stored.len(), "a prediction per case");
        assert!(predictions.iter().zip(&self.stored).all(fits), "predictions are those of the cases");
        self.previous = predictions.into_iter().map(Held::new).collect();
        self
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there is no case.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// All cases, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &StoredCase> {
        self.stored.iter().map(|held| &held.source)
    }

    /// Most bytes that whole cases will take in memory, asked before any is read.
    pub fn most_bytes(&self) -> u64 {
        let cases = self.stored.iter().map(|held| held.source.n_bytes());
        let previous = self.previous.iter().map(|held| held.source.n_bytes());
        let all = cases.chain(previous).fold(0, u64::saturating_add);
        all.min(self.room.load(Ordering::Relaxed))
    }

    /// A case by its number.
    ///
    /// # Panics
    ///
    /// If there are not as many cases.
    pub fn get(&self, index: usize) -> &StoredCase {
        &self.stored[index].source
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
    pub fn block(&self, index: usize, reach: ([i64; 3], [i64; 3])) -> Result<Arc<Block>, StoreError> {
        self.stored[index].block(&self.room, reach)
    }

    /// As [`Cases::block`], of the previous stage's segmentation, which are the labels of the block; its image has no
    /// channel. `None` if there is no previous stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    pub fn previous_block(&self, index: usize, reach: ([i64; 3], [i64; 3])) -> Result<Option<Arc<Block>>, StoreError> {
        self.previous.get(index).map(|held| held.block(&self.room, reach)).transpose()
    }
}

/// Files that blocks are read from.
trait Source {
    fn shape(&self) -> [usize; 3];
    /// Bytes of all of it in memory.
    fn n_bytes(&self) -> u64;
    fn read_block(&self, lower: [usize; 3], upper: [usize; 3]) -> Result<Block, StoreError>;
}

impl Source for StoredCase {
    fn shape(&self) -> [usize; 3] {
        self.record.shape
    }

    fn n_bytes(&self) -> u64 {
        StoredCase::n_bytes(self)
    }

    fn read_block(&self, lower: [usize; 3], upper: [usize; 3]) -> Result<Block, StoreError> {
        StoredCase::read_block(self, lower, upper)
    }
}

impl Source for StoredPrediction {
    fn shape(&self) -> [usize; 3] {
        self.record.shape
    }

    fn n_bytes(&self) -> u64 {
        // Labels have two bytes in a block.
        2 * self.record.shape.iter().product::<usize>() as u64
    }

    fn read_block(&self, lower: [usize; 3], upper: [usize; 3]) -> Result<Block, StoreError> {
        StoredPrediction::read_block(self, lower, upper)
    }
}

/// A source, and all of it in memory once it was read.
#[derive(Debug)]
struct Held<S> {
    source: S,
    kept: OnceLock<Arc<Block>>,
}

impl<S: Source> Held<S> {
    fn new(source: S) -> Self {
        Self { source, kept: OnceLock::new() }
    }

    fn block(&self, room: &AtomicU64, (first, end): ([i64; 3], [i64; 3])) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.kept.get() {
            return Ok(Arc::clone(block));
        }
        let (shape, n_bytes) = (self.source.shape(), self.source.n_bytes());
        let take = |room: u64| room.checked_sub(n_bytes);
        if room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let block = Arc::new(self.source.read_block([0; 3], shape)?);
            // Another thread may have been faster; what it read is the same.
            return Ok(Arc::clone(self.kept.get_or_init(|| block)));
        }
        let within = |coordinate: i64, last: usize| usize::try_from(coordinate).unwrap_or(0).min(last);
        let lower: [usize; 3] = std::array::from_fn(|axis| within(first[axis], shape[axis] - 1));
        let upper = std::array::from_fn(|axis| within(end[axis], shape[axis]).max(lower[axis] + 1));
        self.source.read_block(lower, upper).map(Arc::new)
    }
}
