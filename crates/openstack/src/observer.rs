//! A look at every request: progress on stderr, request counts, time inside OpenStack.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::service::Service;

/// One request that was answered or failed; each attempt is reported.
#[derive(Debug, Clone, Copy)]
pub struct RequestReport<'a> {
    /// The service.
    pub service: Service,
    /// `GET`, `POST` and so on.
    pub method: &'static str,
    /// Path and query, without scheme and host.
    pub path: &'a str,
    /// The HTTP status, none without an answer.
    pub status: Option<u16>,
    /// From the first byte sent (or the connection being set up) to the last byte of the answer.
    pub duration: Duration,
    /// OpenStack's request id.
    pub request_id: Option<&'a str>,
    /// Counted from 1.
    pub attempt: u32,
    /// What went wrong, if it did.
    pub error: Option<&'a Error>,
}

/// Told about every request, from the thread that makes it. Nothing it is given holds a secret.
pub trait Observer: Send + Sync {
    /// A request ended.
    fn request(&self, report: &RequestReport<'_>);

    /// The client is going to wait and then send again.
    fn retry(&self, error: &Error, attempt: u32, wait: Duration) {
        let _ = (error, attempt, wait);
    }
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn request(&self, _report: &RequestReport<'_>) {}
}

impl<F: Fn(&RequestReport<'_>) + Send + Sync> Observer for F {
    fn request(&self, report: &RequestReport<'_>) {
        self(report);
    }
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
