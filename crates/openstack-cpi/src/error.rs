//! What a call can answer instead of a result.
//!
//! The types are the ones the director knows (`Bosh::Clouds::*`), the texts those of the Ruby CPI,
//! since operators search for them and the director acts on some of them.

use std::fmt;

/// The `type` of an error in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The general failure.
    CloudError,
    /// The platform cannot do it; the director takes another way.
    NotSupported,
    /// The CPI does not know how to do it.
    NotImplemented,
    /// A server could not be made; `ok_to_retry` tells the director whether to try again.
    VmCreationFailed,
    /// The quota of volumes is used up.
    NoDiskSpace,
    /// The request or the configuration is not what it should be.
    InvalidCall,
    /// Something the protocol has no name for.
    Unknown,
}

impl ErrorKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudError => "Bosh::Clouds::CloudError",
            Self::NotSupported => "Bosh::Clouds::NotSupported",
            Self::NotImplemented => "Bosh::Clouds::NotImplemented",
            Self::VmCreationFailed => "Bosh::Clouds::VMCreationFailed",
            Self::NoDiskSpace => "Bosh::Clouds::NoDiskSpace",
            Self::InvalidCall => "InvalidCall",
            Self::Unknown => "Unknown",
        }
    }
}

/// An error as the director sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpiError {
    /// Its type.
    pub kind: ErrorKind,
    /// What happened, why, and what mends it; never a secret.
    pub message: String,
    /// Whether the director may try the same call again. Only `VMCreationFailed` makes it do so.
    pub ok_to_retry: bool,
}

impl CpiError {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), ok_to_retry: false }
    }

    /// `Bosh::Clouds::CloudError`.
    pub fn cloud(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CloudError, message)
    }

    /// `Bosh::Clouds::NotSupported`.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotSupported, message)
    }

    /// `Bosh::Clouds::NotImplemented`.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    /// `Bosh::Clouds::NoDiskSpace`.
    pub fn no_disk_space(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NoDiskSpace, message)
    }

    /// `Bosh::Clouds::VMCreationFailed`; with `ok_to_retry` the director tries again, up to five times.
    pub fn vm_creation_failed(ok_to_retry: bool, message: impl Into<String>) -> Self {
        Self { ok_to_retry, ..Self::new(ErrorKind::VmCreationFailed, message) }
    }

    /// `InvalidCall` with a text of its own.
    pub fn invalid_call(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidCall, message)
    }

    /// `InvalidCall` in the words the reference server has for an argument that is wrong.
    pub fn argument(message: impl fmt::Display) -> Self {
        Self::invalid_call(format!("Arguments are not correct, details: '{message}'"))
    }

    /// `InvalidCall` for a configuration that is wrong.
    pub fn configuration(message: impl fmt::Display) -> Self {
        Self::argument(format_args!("Invalid OpenStack cloud properties: {message}"))
    }

    /// `Unknown`.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unknown, message)
    }

    /// The same error with more to say.
    #[must_use]
    pub fn and(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}{more}", self.message);
        self
    }
}

impl fmt::Display for CpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for CpiError {}

/// The result of anything that can end a call.
pub type Result<T> = std::result::Result<T, CpiError>;
