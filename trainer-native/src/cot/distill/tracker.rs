//! A line on stderr that says how far a run is: done, kept, and when it will end.

use crate::progress::clock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The line is written at most this often.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts what several threads have done.
#[derive(Debug)]
pub struct Tracker {
    what: &'static str,
    total: usize,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: usize,
    kept: usize,
    told: Option<Instant>,
}

impl Tracker {
    /// Nothing done yet.
    #[must_use]
    pub fn new(what: &'static str, total: usize) -> Self {
        let state = Mutex::new(State { done: 0, kept: 0, told: None });
        Self { what, total, begun: Instant::now(), state }
    }

    /// One more is done.
    pub fn advance(&self, kept: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += 1;
        state.kept += usize::from(kept);
        if state.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            state.told = Some(Instant::now());
            eprint!("\r  {}   ", self.line(&state));
        }
    }

    /// Tells the end.
    pub fn finish(self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        eprint!("\r  {}   ", self.line(&state));
    }

    fn line(&self, state: &State) -> String {
        let left = self.total.saturating_sub(state.done) as f64 / state.done.max(1) as f64;
        let left = clock(self.begun.elapsed().mul_f64(left));
        format!("{} {}/{}  {} kept  ETA {left}", self.what, state.done, self.total, state.kept)
    }
}

impl Drop for Tracker {
    /// Ends the line, also where an error will be told next.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.done > 0 {
            eprintln!();
        }
    }
}
