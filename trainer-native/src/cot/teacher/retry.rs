//! When a server that could not answer is asked again: exponential backoff with jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), or when the server says.
//!
//! `Retry-After` is a number of seconds or a date, RFC 9110 section 10.2.3,
//! <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, SystemTime};

/// No pause that we choose ourselves is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How often, and after which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often a question is asked again.
    pub retries: usize,
    /// The first pause; each following one is twice as long.
    pub first_pause: Duration,
}

impl Retry {
    /// The pause before try `retry`, from 1: what the server wants, or else between half of the
    /// doubled pause and all of it.
    #[must_use]
    pub fn pause(&self, retry: usize, wanted: Option<Duration>, seed: u64) -> Duration {
        if let Some(wanted) = wanted {
            return wanted;
        }
        let doublings = u32::try_from(retry.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        let whole = self.first_pause.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(retry as u64);
        whole.mul_f64(random.random_range(0.5..=1.0))
    }
}

/// What a `Retry-After` header asks for, seen from `now`; a date that has passed asks for no pause.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ_from_question_to_question() {
        let retry = Retry { retries: 9, first_pause: Duration::from_secs(1) };
        for (number, whole) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (500, 60.0)] {
            for seed in 0..50 {
                let pause = retry.pause(number, None, seed).as_secs_f64();
                assert!((whole / 2.0..=whole).contains(&pause), "{number}: {pause}");
            }
        }
        assert_ne!(retry.pause(3, None, 1), retry.pause(3, None, 2));
        assert_eq!(retry.pause(3, None, 1), retry.pause(3, None, 1));
        assert_eq!(retry.pause(3, Some(Duration::from_secs(7)), 1), Duration::from_secs(7));
    }

    #[test]
    fn a_server_asks_for_seconds_or_for_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (header, seconds) in [
            ("7", Some(7.0)),
            (" 0.5 ", Some(0.5)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60.0)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0.0)),
            ("-3", None),
            ("soon", None),
            ("nan", None),
        ] {
            assert_eq!(retry_after(header, now).map(|pause| pause.as_secs_f64()), seconds, "{header}");
        }
    }
}
