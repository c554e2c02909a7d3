//! SIGTERM during a call: whoever waits stops waiting, whoever is about to begin something does not.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{CpiError, Result};

/// Raised once, never lowered.
#[derive(Debug, Default)]
pub struct Interrupt {
    signal: Mutex<Option<&'static str>>,
    raised: Condvar,
}

impl Interrupt {
    /// Raises it, with the name of the signal.
    pub fn raise(&self, signal: &'static str) {
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
        self.raised.notify_all();
    }

    /// The error of a call that was interrupted.
    pub fn error(signal: &str) -> CpiError {
        CpiError::cloud(format!("The call was interrupted by {signal}; what it had made was removed"))
    }

    /// An error once it is raised.
    pub fn check(&self) -> Result<()> {
        match *self.signal.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(signal) => Err(Self::error(signal)),
        }
    }

    /// Waits, but not once it is raised.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let guard = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = self
            .raised
            .wait_timeout_while(guard, duration, |signal| signal.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match *guard {
            None => Ok(()),
            Some(signal) => Err(Self::error(signal)),
        }
    }
}
