//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often is looked.
const STEP: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; gives how long that took.
///
/// # Errors
/// If it does not within `limit`; the error says what was waited for.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    let started = Instant::now();
    loop {
        if condition() {
            return Ok(started.elapsed());
        }
        if started.elapsed() > limit {
            bail!("waited {:.1} s in vain until {what}", limit.as_secs_f64());
        }
        thread::sleep(STEP);
    }
}

/// Waits until `check` finds nothing to complain of any more.
///
/// # Errors
/// With its last complaint, if there is one to the end.
pub fn until_ok(what: &str, limit: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let mut complaint = None;
    let waited = until(what, limit, || {
        complaint = check().err();
        complaint.is_none()
    });
    match (waited, complaint) {
        (Err(waited), Some(complaint)) => Err(complaint.context(waited)),
        (waited, _) => waited.map(drop),
    }
}

/// Waits until `look` finds something, and gives it.
///
/// # Errors
/// As [`until`].
pub fn for_some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let mut found = None;
    until(what, limit, || {
        found = look();
        found.is_some()
    })?;
    found.ok_or_else(|| anyhow::anyhow!("{what}: nothing found"))
}
