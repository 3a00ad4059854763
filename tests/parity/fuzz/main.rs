//! Files from elsewhere may be anything: whatever they hold, the core answers with a value or an
//! error, never with a panic, and never asks for memory out of proportion to the file.
//!
//! `FUZZ_CASES` sets the number of inputs a test tries, `FUZZ_SEED` which ones; a failure prints the
//! smallest edits that still fail.

mod allocation;
mod configs;
mod edits;
mod pictures;
mod texts;
mod weights;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Instant;

thread_local! {
    /// Where this thread panicked last, while it tries an input.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static TRYING: RefCell<bool> = const { RefCell::new(false) };
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// Keeps panics of inputs off the terminal: shrinking makes hundreds.
fn listen_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if TRYING.with_borrow(|trying| *trying) {
                PANIC.replace(panic.location().map(ToString::to_string));
            } else {
                usual(panic);
            }
        }));
    });
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let said =
        payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    format!("panicked at {}: {}", PANIC.take().unwrap_or_default(), said.unwrap_or_default())
}

/// Tries `cases` inputs, or as many as `FUZZ_CASES` says.
fn fuzz<S: Strategy>(
    what: &str,
    cases: u32,
    inputs: S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases =
        variable("FUZZ_CASES").map_or(cases, |cases| u32::try_from(cases).expect("a number of cases"));
    let seed = variable("FUZZ_SEED").unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let begun = Instant::now();
    listen_for_panics();
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let quietly = |input| {
        TRYING.replace(true);
        let result = catch_unwind(AssertUnwindSafe(|| test(input)));
        TRYING.replace(false);
        result.unwrap_or_else(|payload| Err(TestCaseError::fail(describe(&*payload))))
    };
    if let Err(error) = runner.run(&inputs, quietly) {
        panic!("{what}, FUZZ_SEED={seed}: {error}");
    }
    println!("{what}: {cases} cases in {:.1} s", begun.elapsed().as_secs_f64());
}
