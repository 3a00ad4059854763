//! Several threads over one list; results in the list's order, whichever thread was faster.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Applies `work` to every item in up to `workers` threads.
///
/// # Errors
/// The first error that a thread met; the others then begin nothing new.
pub fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let results = Mutex::new((0..items.len()).map(|_| None).collect::<Vec<Option<R>>>());
    let run = || {
        while !stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            match work(item) {
                Ok(result) => results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(run);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => {
            Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_keep_the_order() {
        let items: Vec<u64> = (0..40).collect();
        let doubled = each(&items, 8, |item| {
            thread::sleep(Duration::from_millis(item * 7 % 5));
            Ok::<_, ()>(item * 2)
        });
        assert_eq!(doubled, Ok(items.iter().map(|item| item * 2).collect()));
        assert_eq!(each(&[] as &[u64], 3, |item| Ok::<_, ()>(*item)), Ok(vec![]));
    }

    #[test]
    fn an_error_stops_what_has_not_begun() {
        let begun = AtomicUsize::new(0);
        let items: Vec<usize> = (0..1000).collect();
        let result = each(&items, 4, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            if *item == 10 { Err("broken") } else { Ok(()) }
        });
        assert_eq!(result, Err("broken"));
        assert!(begun.into_inner() < 100);
    }
}
