//! Waiting for a resource, with pauses that grow with the time it has taken already.

use std::time::{Duration, Instant};

use crate::cloud::Cloud;
use crate::error::{CpiError, Result};

/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(300);
/// The pause is this part of the time waited so far: whoever waits 12 s learns of the end 0.2 s late on average,
/// and asks some 30 times.
const PART: u32 = 32;

/// What is being undone gets at least so long, however impatient the configuration is.
const FOR_UNDOING: Duration = Duration::from_mins(2);

/// The next pause. `longest` is the configured `wait_resource_poll_interval`.
pub fn pause(waited: Duration, longest: Duration) -> Duration {
    (waited / PART).max(SHORTEST).min(longest.max(Duration::from_millis(10)))
}

/// What a look at a resource says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is as it should be.
    Reached,
    /// Not yet.
    Pending,
    /// It never will be: the state it is in, and why.
    Failed {
        /// `error` and the like, in lower case.
        state: String,
        /// OpenStack's reason, if it gives one.
        reason: String,
    },
    /// It is not there.
    Missing,
}

/// States that end a wait.
pub fn is_final_failure(state: &str) -> bool {
    let state = state.to_ascii_lowercase();
    ["error", "failed", "killed"].contains(&state.as_str()) || state.starts_with("error_")
}

/// A wait.
pub struct Wait<'a> {
    /// Whose it is.
    pub cloud: &'a Cloud,
    /// Like ``Server `<id>'``.
    pub what: String,
    /// Like `active`.
    pub target: &'static str,
    /// Whether the resource being gone is what is waited for.
    pub is_gone_good: bool,
    /// Whether SIGTERM ends it. What is being undone is undone to the end.
    pub is_interruptible: bool,
}

impl Wait<'_> {
    /// Looks until the state is reached, or the configured time is over.
    pub fn run(&self, mut look: impl FnMut() -> Result<State>) -> Result<()> {
        let (configured, longest) = (self.cloud.config.state_timeout, self.cloud.config.poll_interval);
        let timeout = if self.is_interruptible { configured } else { configured.max(FOR_UNDOING) };
        let began = Instant::now();
        loop {
            match look()? {
                State::Reached => break,
                State::Pending => {}
                State::Missing if self.is_gone_good => break,
                State::Missing => return Err(CpiError::cloud(format!("{}: Resource not found", self.what))),
                State::Failed { state, reason } => {
                    let reason = if reason.is_empty() { reason } else { format!("\n{reason}") };
                    let text = format!("{} state is {state}, expected {}{reason}", self.what, self.target);
                    return Err(CpiError::cloud(text));
                }
            }
            let waited = began.elapsed();
            if waited >= timeout {
                return Err(CpiError::cloud(format!(
                    "Timed out waiting for {} to be {}",
                    self.what, self.target
                )));
            }
            let pause = pause(waited, longest).min(timeout.saturating_sub(waited));
            if self.is_interruptible {
                self.cloud.interrupt.sleep(pause)?;
            } else {
                std::thread::sleep(pause);
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        self.cloud.progress.say(format!("{} is now {}, took {seconds:.1} s", self.what, self.target));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_configured_one() {
        let pause_after =
            |seconds: f64, longest| pause(Duration::from_secs_f64(seconds), Duration::from_secs(longest));
        assert_eq!(pause_after(0.0, 5), SHORTEST);
        assert_eq!(pause_after(12.0, 5), Duration::from_millis(375));
        assert_eq!(pause_after(300.0, 5), Duration::from_secs(5));
        assert_eq!(pause_after(12.0, 0), Duration::from_millis(10), "never a busy loop");
    }
}
