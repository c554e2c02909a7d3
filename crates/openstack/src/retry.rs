//! When a request is sent again, and how long to wait before.

use std::time::{Duration, SystemTime};

use crate::config::Limits;
use crate::error::{Delivery, Error, ErrorKind};
use crate::request::Repeat;

/// What is known when an attempt failed.
pub(crate) struct Attempt {
    /// Counted from 1.
    pub(crate) number: u32,
    /// Since the call began.
    pub(crate) elapsed: Duration,
    /// Whether the request can still be sent (a stream that was read cannot).
    pub(crate) repeat: Repeat,
    /// Uniform in 0..1.
    pub(crate) chance: f64,
}

/// How long to wait before the next attempt; none if there is to be no other.
pub(crate) fn wait(error: &Error, attempt: &Attempt, limits: &Limits) -> Option<Duration> {
    if attempt.number >= limits.attempts || !may_repeat(error, attempt.repeat) {
        return None;
    }
    let wait = error.retry_after().unwrap_or_else(|| backoff(attempt.number, attempt.chance, limits));
    (attempt.elapsed + wait < limits.total).then_some(wait)
}

/// Whether sending again can help and can do no harm.
fn may_repeat(error: &Error, repeat: Repeat) -> bool {
    let can_help = match error.kind() {
        ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Connection | ErrorKind::Decode => true,
        // 501 and 505 say that it will never work.
        ErrorKind::Unavailable => !matches!(error.status(), Some(501 | 505)),
        _ => false,
    };
    let harmless = match error.delivery() {
        Delivery::NotSent | Delivery::Refused => true,
        Delivery::Unknown => repeat == Repeat::Safe,
    };
    can_help && harmless
}

/// Doubles with each attempt; the jitter takes away up to half, so that many clients do not come back together.
pub(crate) fn backoff(attempt: u32, chance: f64, limits: &Limits) -> Duration {
    let doubled =
        limits.backoff.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(limits.longest_backoff).mul_f64(1.0 - 0.5 * chance.clamp(0.0, 1.0))
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind, delivery: Delivery, status: Option<u16>, after: Option<u64>) -> Error {
        let error = Error::new(kind, "x").with_delivery(delivery);
        match status {
            Some(status) => error.with_answer(status, None, None, after.map(Duration::from_secs)),
            None => error,
        }
    }

    fn attempt(number: u32, repeat: Repeat) -> Attempt {
        Attempt { number, elapsed: Duration::ZERO, repeat, chance: 0.0 }
    }

    #[test]
    fn what_may_have_been_carried_out_is_not_repeated() {
        let limits = Limits::default();
        let reset = error(ErrorKind::Connection, Delivery::Unknown, None, None);
        assert!(wait(&reset, &attempt(1, Repeat::Safe), &limits).is_some());
        assert!(wait(&reset, &attempt(1, Repeat::OnlyIfUndelivered), &limits).is_none());
        let refused = error(ErrorKind::Connection, Delivery::NotSent, None, None);
        assert!(wait(&refused, &attempt(1, Repeat::OnlyIfUndelivered), &limits).is_some());
        let limited = error(ErrorKind::RateLimited, Delivery::Refused, Some(429), Some(2));
        assert_eq!(
            wait(&limited, &attempt(1, Repeat::OnlyIfUndelivered), &limits),
            Some(Duration::from_secs(2))
        );
        for kind in [ErrorKind::BadRequest, ErrorKind::OverQuota, ErrorKind::Tls, ErrorKind::NotFound] {
            assert!(
                wait(&error(kind, Delivery::Refused, None, None), &attempt(1, Repeat::Safe), &limits)
                    .is_none()
            );
        }
        let never = error(ErrorKind::Unavailable, Delivery::Unknown, Some(501), None);
        assert!(wait(&never, &attempt(1, Repeat::Safe), &limits).is_none());
    }

    #[test]
    fn attempts_and_total_time_are_bounded() {
        let limits = Limits::default();
        let gone = error(ErrorKind::Unavailable, Delivery::Unknown, Some(503), None);
        assert!(wait(&gone, &attempt(limits.attempts, Repeat::Safe), &limits).is_none());
        let late = Attempt { elapsed: limits.total, ..attempt(1, Repeat::Safe) };
        assert!(wait(&gone, &late, &limits).is_none());
        let asks_too_much = error(ErrorKind::RateLimited, Delivery::Refused, Some(429), Some(100_000));
        assert!(wait(&asks_too_much, &attempt(1, Repeat::Safe), &limits).is_none());
    }

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_takes_at_most_half() {
        let limits = Limits::default();
        let whole: Vec<u128> = (1..=7).map(|n| backoff(n, 0.0, &limits).as_millis()).collect();
        assert_eq!(whole, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(backoff(1, 1.0, &limits), Duration::from_millis(250));
        assert_eq!(backoff(u32::MAX, 0.0, &limits), limits.longest_backoff);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 25 Nov 2026 10:00:00 GMT").unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 25 Nov 2026 10:00:09 GMT", now), Some(Duration::from_secs(9)));
        assert_eq!(retry_after("Wed, 25 Nov 2026 09:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
