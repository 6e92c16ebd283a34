//! One job after the other on a few threads, each with its own case in memory.
//!
//! A case is itself resampled by all threads of the `rayon` pool. Were the cases jobs of that pool, too, a thread that
//! waits for its case's slices would start another case meanwhile, and memory would grow with the depth of such
//! detours. Here a worker has one case at a time, so memory is bounded by the number of workers. What is left of a case
//! when it only waits for the disk is finished by other threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// Threads that wait for the disk, and results that wait for such a thread.
const N_FINISHING: usize = 4;

/// Runs `job` on every item, as many at a time as the current pool has threads; the results are in the items' order.
///
/// # Panics
///
/// If a job does.
pub fn map<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    map_and_finish(items, job, |result| result)
}

/// As [`map`], and lets `finish` complete what a job leaves while the worker goes on with the next item. Meant for
/// waiting, not for work: it takes place beside the pool.
///
/// # Panics
///
/// If a job or `finish` does.
pub fn map_and_finish<T: Sync, A: Send, R: Send>(
    items: &[T],
    job: impl Fn(&T) -> A + Sync,
    finish: impl Fn(A) -> R + Sync,
) -> Vec<R> {
    let n_workers = rayon::current_num_threads().min(items.len());
    let next = AtomicUsize::new(0);
    let (left, taken) = mpsc::sync_channel::<(usize, A)>(N_FINISHING);
    // Owned by those that finish alone: when all have panicked, nothing can be sent any more.
    let taken = Arc::new(Mutex::new(taken));
    let work = |left: mpsc::SyncSender<(usize, A)>| {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < items.len());
        while let Some(index) = take() {
            if left.send((index, job(&items[index]))).is_err() {
                // All that finish have panicked, which is reported when they are joined.
                break;
            }
        }
    };
    let complete = |taken: Arc<Mutex<mpsc::Receiver<(usize, A)>>>| {
        let take = || taken.lock().ok()?.recv().ok();
        std::iter::from_fn(take).map(|(index, job)| (index, finish(job))).collect::<Vec<_>>()
    };
    let mut results = thread::scope(|scope| {
        let (work, complete) = (&work, &complete);
        let start_finishing = |taken| scope.spawn(move || complete(taken));
        let n_finishing = N_FINISHING.min(items.len());
        let finishing: Vec<_> = (0..n_finishing).map(|_| start_finishing(Arc::clone(&taken))).collect();
        let start_work = |left| scope.spawn(move || work(left));
        let workers: Vec<_> = (0..n_workers).map(|_| start_work(left.clone())).collect();
        drop((left, taken));
        workers.into_iter().for_each(join);
        finishing.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    results.sort_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
    fn a_worker_goes_on_while_what_it_left_is_finished() {
        let n_started = AtomicUsize::new(0);
        let job = |&item: &usize| {
            n_started.fetch_add(1, Ordering::SeqCst);
            item
        };
        let finish = |item: usize| {
            // Were the worker held up until here, the second item would never start.
            while item == 0 && n_started.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            item + 10
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| map_and_finish(&[0, 1], job, finish)), [10, 11]);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        for panics_in_job in [true, false] {
            let job = move |&item: &usize| assert!(!panics_in_job || item != 3, "item {item}");
            let finish = move |()| assert!(panics_in_job, "while finishing");
            let run = || map_and_finish(&(0..50).collect::<Vec<_>>(), job, finish);
            assert!(std::panic::catch_unwind(run).is_err());
        }
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
