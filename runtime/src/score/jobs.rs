//! Tasks beside each other, each on its own share of the cores.
//!
//! With as many tasks as cores, each runs on one, where nothing waits for anything; a single task gets all of them. The
//! shares are pools of their own: in a common pool, a thread that waits inside one task begins another, and more tasks
//! than promised would hold memory at a time.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

/// Runs `task` for every number below `n_tasks`, at most `n_jobs` at a time, and hands results to `on_done` on this
/// thread in the order in which they come.
///
/// # Errors
///
/// If the system has no threads left; no task has run then.
pub(crate) fn run<T: Send>(
    n_tasks: usize,
    n_jobs: NonZeroUsize,
    task: impl Fn(usize) -> T + Sync,
    mut on_done: impl FnMut(usize, T),
) -> Result<(), ThreadPoolBuildError> {
    let n_cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let n_jobs = n_jobs.get().min(n_tasks.max(1));
    let pool = |_| ThreadPoolBuilder::new().num_threads((n_cores / n_jobs).max(1)).build();
    let pools = (0..n_jobs).map(pool).collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    thread::scope(|scope| {
        for pool in pools {
            let (sender, next, task) = (sender.clone(), &next, &task);
            scope.spawn(move || {
                pool.install(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= n_tasks || sender.send((index, task(index))).is_err() {
                            break;
                        }
                    }
                });
            });
        }
        drop(sender);
        for (index, result) in results {
            on_done(index, result);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_number_of_jobs() {
        for (n_tasks, n_jobs) in [(0, 3), (1, 4), (20, 1), (20, 3)] {
            let mut done = vec![0; n_tasks];
            let n_jobs = NonZeroUsize::new(n_jobs).unwrap();
            run(
                n_tasks,
                n_jobs,
                |index| index * 2,
                |index, result| {
                    assert_eq!(result, 2 * index);
                    done[index] += 1;
                },
            )
            .unwrap();
            assert!(done.iter().all(|n| *n == 1), "{n_tasks} {n_jobs}: {done:?}");
        }
    }
}
