//! What can go wrong, with the service, the request and OpenStack's own words.

use std::fmt;
use std::time::Duration;

use crate::service::Service;

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 400, and other 4xx that have no kind of their own.
    BadRequest,
    /// 401 after a fresh token, or credentials that Keystone refuses.
    Unauthorized,
    /// 403 without a quota behind it.
    Forbidden,
    /// 404.
    NotFound,
    /// 409 without a quota behind it.
    Conflict,
    /// A quota is used up (403, 409 or 413, depending on the service): waiting does not help.
    OverQuota,
    /// Too many requests (429, or 413 that says how long to wait), still after the retries.
    RateLimited,
    /// 5xx.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// Name resolution, refused, reset or broken connection.
    Connection,
    /// The TLS handshake failed: a certificate, a name or a protocol version.
    Tls,
    /// An answer that is not what the API promises: no JSON, or a field missing.
    Decode,
    /// The catalog has no such service, region or interface.
    NoEndpoint,
    /// The client's own settings: a URL, a proxy, a CA file.
    Config,
}

impl ErrorKind {
    /// The word used in the error text.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::OverQuota => "OverQuota",
            Self::RateLimited => "RateLimited",
            Self::Unavailable => "Unavailable",
            Self::Timeout => "Timeout",
            Self::Connection => "Connection",
            Self::Tls => "Tls",
            Self::Decode => "Decode",
            Self::NoEndpoint => "NoEndpoint",
            Self::Config => "Config",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far the request came: decides whether it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Certainly not: nothing of it was sent.
    NotSent,
    /// OpenStack answered and refused: nothing was made.
    Refused,
    /// Nobody knows: it may have been carried out.
    Unknown,
}

/// A failed call. Never carries a token, a password or user data.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    delivery: Delivery,
    service: Option<Service>,
    method: String,
    path: String,
    status: Option<u16>,
    message: String,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of the client itself, before any request.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            delivery: Delivery::NotSent,
            service: None,
            method: String::new(),
            path: String::new(),
            status: None,
            message: message.into(),
            code: None,
            request_id: None,
            retry_after: None,
        }))
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the request may have been carried out.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The service, if a request was being made.
    pub fn service(&self) -> Option<Service> {
        self.0.service
    }

    /// The HTTP method, empty if no request was being made.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Path and query of the request, without scheme and host.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// OpenStack's own message where there is one, else what the client saw; one line or a few.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The type or code that the service gives beside its message: Neutron's `IpAddressAlreadyAllocated`,
    /// Nova's `badRequest`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The request id that the operator of the cloud finds in the service's log.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the service asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// 404.
    pub fn is_not_found(&self) -> bool {
        self.0.kind == ErrorKind::NotFound
    }

    /// 409 (not a quota).
    pub fn is_conflict(&self) -> bool {
        self.0.kind == ErrorKind::Conflict
    }

    /// Whether what the request was to make may exist all the same.
    pub fn is_ambiguous(&self) -> bool {
        self.0.delivery == Delivery::Unknown
    }

    /// The same error with the request it belongs to.
    #[must_use]
    pub(crate) fn of_request(mut self, service: Service, method: &str, path: &str) -> Self {
        self.0.service = Some(service);
        method.clone_into(&mut self.0.method);
        path.clone_into(&mut self.0.path);
        self
    }

    #[must_use]
    pub(crate) fn with_answer(
        mut self,
        status: u16,
        code: Option<String>,
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        self.0.status = Some(status);
        self.0.code = code;
        self.0.request_id = request_id;
        self.0.retry_after = retry_after;
        self
    }

    #[must_use]
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    /// The same error with its message changed (to add the cause that a caller knows).
    #[must_use]
    pub fn map_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.0.message = change(&self.0.message);
        self
    }
}

impl fmt::Display for Error {
    /// `Neutron POST /v2.0/ports: 409 Conflict (IpAddressAlreadyAllocated): IP address … (request id req-…)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(service) = inner.service {
            write!(f, "{} {} {}: ", service.project(), inner.method, inner.path)?;
        }
        if let Some(status) = inner.status {
            write!(f, "{status} ")?;
        }
        write!(f, "{}", inner.kind)?;
        if let Some(code) = &inner.code {
            write!(f, " ({code})")?;
        }
        write!(f, ": {}", inner.message)?;
        if let Some(id) = &inner.request_id {
            write!(f, " (request id {id})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("delivery", &inner.delivery)
            .field("service", &inner.service)
            .field("method", &inner.method)
            .field("path", &inner.path)
            .field("status", &inner.status)
            .field("code", &inner.code)
            .field("message", &inner.message)
            .field("request_id", &inner.request_id)
            .field("retry_after", &inner.retry_after)
            .finish()
    }
}

impl std::error::Error for Error {}

/// Turns "not found" into `None`, for look-ups where absence is an answer.
pub trait OrNone<T> {
    /// `Ok(None)` for a 404, every other error as it is.
    fn or_none(self) -> Result<Option<T>>;
}

impl<T> OrNone<T> for Result<T> {
    fn or_none(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The outcome of a deletion, which is idempotent: a 404 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// OpenStack accepted it; some services finish later.
    Accepted,
    /// It was gone already (404).
    Gone,
}
