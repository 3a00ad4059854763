//! What a long run says of itself, and how it is asked to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets Ctrl-C end the run after the step it is in; a second Ctrl-C ends the program.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn listen_for_interrupt() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; press Ctrl-C again to stop at once");
    })?;
    Ok(())
}

/// Whether Ctrl-C was pressed.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Counts steps, tokens and losses, and foretells the end.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    first: usize,
    done: usize,
    total: usize,
    window: Window,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    steps: usize,
    tokens: usize,
    samples: usize,
    loss: f64,
}

impl Window {
    fn new() -> Self {
        Self { begun: Instant::now(), steps: 0, tokens: 0, samples: 0, loss: 0.0 }
    }
}

impl Progress {
    /// A run that has made `first` of `total` steps.
    #[must_use]
    pub fn new(first: usize, total: usize) -> Self {
        Self { begun: Instant::now(), first, done: first, total, window: Window::new() }
    }

    /// Takes note of a step.
    pub fn advance(&mut self, tokens: usize, samples: usize, loss: f64) {
        self.done += 1;
        self.window.steps += 1;
        self.window.tokens += tokens;
        self.window.samples += samples;
        self.window.loss += loss;
    }

    /// Takes note of a step that changed nothing.
    pub fn pass_over(&mut self) {
        self.done += 1;
    }

    /// Starts the next stretch of steps that is averaged over.
    pub fn begin_window(&mut self) {
        self.window = Window::new();
    }

    /// Mean loss of the stretch; none where all its steps were passed over.
    #[must_use]
    pub fn mean_loss(&self) -> Option<f64> {
        (self.window.steps > 0).then(|| self.window.loss / self.window.steps as f64)
    }

    /// Tokens a second in the stretch.
    #[must_use]
    pub fn tokens_per_sec(&self) -> f64 {
        self.window.tokens as f64 / self.window.begun.elapsed().as_secs_f64().max(1e-9)
    }

    /// Samples a second in the stretch.
    #[must_use]
    pub fn samples_per_sec(&self) -> f64 {
        self.window.samples as f64 / self.window.begun.elapsed().as_secs_f64().max(1e-9)
    }

    /// Time until the end at the pace so far.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let made = (self.done - self.first).max(1) as f64;
        self.begun.elapsed().mul_f64((self.total - self.done) as f64 / made)
    }

    /// The console's line.
    #[must_use]
    pub fn line(&self, grad_norm: f32, learning_rate: f64) -> String {
        format!(
            "step {}/{}  loss {}  grad {grad_norm:.2}  lr {learning_rate:.2e}  {:.1} samples/s  {:.0} tokens/s  ETA {}",
            self.done,
            self.total,
            self.mean_loss().map_or("-".to_owned(), |loss| format!("{loss:.4}")),
            self.samples_per_sec(),
            self.tokens_per_sec(),
            clock(self.remaining())
        )
    }
}

/// `1:02:03`, or `2:03` below an hour.
#[must_use]
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_passed_over_has_no_part_in_the_mean() {
        let mut progress = Progress::new(0, 9);
        progress.pass_over();
        assert_eq!(progress.mean_loss(), None);
        progress.advance(10, 2, 3.0);
        progress.advance(10, 2, 4.0);
        assert_eq!(progress.mean_loss(), Some(3.5));
        assert!(progress.line(0.0, 1e-3).starts_with("step 3/9  loss 3.5000 "));
    }

    #[test]
    fn a_clock_has_hours_where_there_are_some() {
        assert_eq!(clock(Duration::from_secs(123)), "2:03");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
