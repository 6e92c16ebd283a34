//! One job after the other on a few threads, each with its own case in memory.
//!
//! A case is itself resampled by all threads of the `rayon` pool. Were the cases jobs of that pool, too, a thread that
//! waits for its case's slices would start another case meanwhile, and memory would grow with the depth of such
//! detours. Here a worker has one case at a time, so memory is bounded by the number of workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs `job` on every item, as many at a time as the current pool has threads; the results are in the items' order.
///
/// # Panics
///
/// If a job does.
pub fn map<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let n_workers = rayon::current_num_threads().min(items.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < items.len());
        std::iter::from_fn(take).map(|index| (index, job(&items[index]))).collect::<Vec<_>>()
    };
    let mut results = thread::scope(|scope| {
        let workers: Vec<_> = (0..n_workers).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    results.sort_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_results_keep_the_order() {
        let items: Vec<usize> = (0..100).collect();
        let n_done = AtomicUsize::new(0);
        let squares = map(&items, |&item| {
            n_done.fetch_add(1, Ordering::Relaxed);
            item * item
        });
        assert_eq!(squares, items.iter().map(|item| item * item).collect::<Vec<_>>());
        assert_eq!(n_done.into_inner(), 100);
        assert!(map(&[], |item: &usize| *item).is_empty());
    }

    #[test]
    fn no_more_jobs_run_at_a_time_than_the_pool_has_threads() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        map(&[(); 50], |()| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Work of the pool inside a job must not start another job on the waiting thread.
            rayon::join(thread::yield_now, thread::yield_now);
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.into_inner() <= rayon::current_num_threads());
    }
}
