//! When a failed attempt is made again, and after which wait: exponential backoff with jitter, `Retry-After` honoured.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often and how slowly failed attempts are repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// All attempts together, the first included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles each time.
    pub first_wait: Duration,
    /// The longest wait of our own.
    pub longest_wait: Duration,
    /// The longest wait that a server's `Retry-After` is granted.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            first_wait: Duration::from_millis(300),
            longest_wait: Duration::from_secs(20),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}

/// An attempt failed and is made again after a wait.
#[derive(Debug, Clone)]
pub struct Retrying {
    /// Why the attempt failed, with the URL.
    pub reason: String,
    /// Which attempt failed, counted from 1.
    pub attempt: u32,
    /// How long byoi waits.
    pub wait: Duration,
}

/// Counts the attempts of one thing that is being done.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    failed: u32,
}

impl Attempts {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Attempts { policy, failed: 0 }
    }

    /// How many attempts have failed.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// Notes a failed attempt, and gives the wait before the next; none if it was the last.
    pub(crate) fn fail(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        (self.failed < self.policy.attempts).then(|| wait(&self.policy, self.failed, retry_after, fastrand::f64()))
    }

    /// Something was got done since: the count begins anew.
    pub(crate) fn progress(&mut self) {
        self.failed = 0;
    }
}

/// The wait after the `failed`th failure. `chance` in 0..1 spreads clients that failed together over the upper half of the wait.
fn wait(policy: &RetryPolicy, failed: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
    let doubled = policy.first_wait.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(policy.longest_wait);
    let own = doubled.mul_f64(0.5 + chance / 2.0);
    own.max(retry_after.unwrap_or_default().min(policy.longest_retry_after))
}

/// Statuses after which the same request may succeed a little later.
pub(crate) fn is_temporary(status: StatusCode) -> bool {
    [408, 429, 500, 502, 503, 504].contains(&status.as_u16())
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy { attempts: 9, ..RetryPolicy::default() };
        let of = |failed, chance| wait(&policy, failed, None, chance).as_millis();
        assert_eq!([of(1, 1.0), of(2, 1.0), of(3, 1.0), of(8, 1.0), of(40, 1.0)], [300, 600, 1200, 20_000, 20_000]);
        assert_eq!(of(2, 0.0), 300);
    }

    #[test]
    fn retry_after_is_honoured_and_capped() {
        let policy = RetryPolicy::default();
        assert_eq!(wait(&policy, 1, Some(Duration::from_secs(7)), 0.3), Duration::from_secs(7));
        assert_eq!(wait(&policy, 1, Some(Duration::from_secs(86_400)), 0.3), policy.longest_retry_after);
        assert_eq!(wait(&policy, 2, Some(Duration::ZERO), 1.0), Duration::from_millis(600));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn five_attempts_by_default() {
        let mut attempts = Attempts::new(RetryPolicy::default());
        assert_eq!((0..9).filter(|_| attempts.fail(None).is_some()).count(), 4);
    }
}
