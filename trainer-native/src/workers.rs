//! Work that is done side by side, with results in a fixed order.

use anyhow::{Result, anyhow};
use std::sync::Mutex;
use std::thread;

/// A pool of one thread for every worker: what burn spreads over the pool that it runs in stays with the
/// worker, instead of meeting the other workers' products in one queue.
#[derive(Debug)]
pub struct Workers(Vec<rayon::ThreadPool>);

impl Workers {
    /// So many workers.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new(count: usize) -> Result<Self> {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(1).build();
        Ok(Self((0..count).map(|_| pool()).collect::<Result<_, _>>()?))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Does the work for every item; whoever is free takes the next. Results are in the items' order.
    ///
    /// # Errors
    /// The work of an item failed, or panicked.
    pub fn map<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        if self.0.len() < 2 || items.len() < 2 {
            return items.into_iter().map(work).collect();
        }
        let count = items.len();
        let waiting = Mutex::new(items.into_iter().enumerate());
        let next = || waiting.lock().map_err(|_| anyhow!("a worker panicked")).map(|mut items| items.next());
        let mut done: Vec<(usize, R)> = thread::scope(|scope| {
            let handles: Vec<_> = self
                .0
                .iter()
                .map(|pool| {
                    scope.spawn(|| {
                        let mut own = Vec::new();
                        while let Some((index, item)) = next()? {
                            own.push((index, pool.install(|| work(item))?));
                        }
                        Ok(own)
                    })
                })
                .collect();
            let mut all = Vec::with_capacity(count);
            for handle in handles {
                let own: Result<Vec<(usize, R)>> =
                    handle.join().map_err(|_| anyhow!("a worker thread panicked"))?;
                all.extend(own?);
            }
            anyhow::Ok(all)
        })?;
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_errors_come_through() {
        for count in [1, 3] {
            let workers = Workers::new(count).expect("threads");
            let squares = workers.map((0..50).collect(), |number: u64| Ok(number * number)).expect("squares");
            assert_eq!(squares, (0..50).map(|number| number * number).collect::<Vec<u64>>());
            let failed = workers
                .map(vec![1, 2, 3], |number| if number == 2 { Err(anyhow!("two")) } else { Ok(number) });
            assert_eq!(failed.expect_err("the second").to_string(), "two");
        }
    }
}
