//! One request to one service, before it is sent.

use std::fmt;
use std::io::Read;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::query::Query;
use crate::secret::Secret;
use crate::service::Service;

/// The HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Make, or act.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    /// `GET` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether sending a request twice does what sending it once does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Yes: reads, deletions, whole replacements.
    Safe,
    /// No: only sent again when it certainly did not arrive or was refused.
    OnlyIfUndelivered,
}

/// What is sent.
pub(crate) enum Body<'a> {
    Empty,
    Json(Vec<u8>),
    /// `consumed` once any of it was read.
    Stream {
        reader: &'a mut dyn Read,
        length: u64,
        consumed: bool,
    },
}

/// A request below a service's versioned root. Most callers use the typed methods of the services; this is what
/// they are made of, and what a call that has no typed method yet is made with
/// ([`Client::send`](crate::Client::send)).
pub struct Request<'a> {
    pub(crate) service: Service,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Encoded.
    pub(crate) query: String,
    pub(crate) body: Body<'a>,
    pub(crate) content_type: &'static str,
    pub(crate) microversion: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) repeat: Repeat,
    pub(crate) secrets: Vec<Secret>,
}

impl<'a> Request<'a> {
    /// A request; `path` starts with a slash and its segments are encoded already (see [`crate::encode`]).
    pub fn new(service: Service, method: Method, path: impl Into<String>) -> Self {
        let repeat = match method {
            Method::Get | Method::Put | Method::Delete => Repeat::Safe,
            Method::Post | Method::Patch => Repeat::OnlyIfUndelivered,
        };
        Self {
            service,
            method,
            path: path.into(),
            query: String::new(),
            body: Body::Empty,
            content_type: "application/json",
            microversion: None,
            headers: Vec::new(),
            repeat,
            secrets: Vec::new(),
        }
    }

    /// Adds a query.
    #[must_use]
    pub fn query(mut self, query: &Query) -> Self {
        self.query = query.encoded();
        self
    }

    /// Adds a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the request body cannot be written as JSON: {error}"))
                .of_request(self.service, self.method.name(), &self.path)
        })?;
        self.body = Body::Json(bytes);
        Ok(self)
    }

    /// Adds a body that is read as it is sent and never held in memory. Such a request is sent once.
    #[must_use]
    pub fn stream(mut self, reader: &'a mut dyn Read, length: u64, content_type: &'static str) -> Self {
        self.body = Body::Stream { reader, length, consumed: false };
        self.content_type = content_type;
        self.repeat = Repeat::OnlyIfUndelivered;
        self
    }

    /// Asks for a microversion, as `2.52` (Nova) or `3.42` (Cinder).
    #[must_use]
    pub fn microversion(mut self, version: &'static str) -> Self {
        self.microversion = Some(version);
        self
    }

    /// Another content type than JSON.
    #[must_use]
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// Adds a header, as `If-Match`.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says whether it may be repeated, where the method alone does not tell.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Names values in the body that an error must never echo (OpenStack quotes what it does not like).
    #[must_use]
    pub fn hide(mut self, secret: &Option<Secret>) -> Self {
        self.secrets.extend(secret.iter().cloned());
        self
    }
}

impl fmt::Debug for Request<'_> {
    /// Without the body: it may hold a password or user data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("service", &self.service)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("microversion", &self.microversion)
            .field("repeat", &self.repeat)
            .finish_non_exhaustive()
    }
}
