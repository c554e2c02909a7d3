//! What a call does, one line a step, on stderr with the request's id. The director keeps it in the task's log.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// How many of the last steps an error repeats in its log.
const KEPT_STEPS: usize = 50;

/// The lines of one call.
#[derive(Debug, Default)]
pub struct Progress {
    prefix: String,
    steps: Mutex<Vec<String>>,
}

impl Progress {
    /// Lines of the call with this id.
    pub fn new(request_id: Option<&str>) -> Self {
        let prefix = request_id.map(|id| format!("[req_id {id}] ")).unwrap_or_default();
        Self { prefix, steps: Mutex::default() }
    }

    /// Says what is being done. Never a secret, never user data.
    pub fn say(&self, step: impl Into<String>) {
        let step = step.into();
        let line = format!("{}{step}\n", self.prefix);
        // Nobody may be listening; a call does not fail for that.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
        self.keep(step);
    }

    /// Notes a detail for the log of an error, without saying it.
    pub fn note(&self, detail: impl Into<String>) {
        self.keep(detail.into());
    }

    fn keep(&self, step: String) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() == KEPT_STEPS {
            steps.remove(0);
        }
        steps.push(step);
    }

    /// Says that something is not as it should be, though the call goes on.
    pub fn warn(&self, what: impl std::fmt::Display) {
        self.say(format!("Warning: {what}"));
    }

    /// The last steps.
    pub fn steps(&self) -> Vec<String> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
