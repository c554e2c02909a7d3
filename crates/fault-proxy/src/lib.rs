//! **A fault injector**, for tests only: an HTTP forward proxy in front of *real* services.
//!
//! A client that is told to use it as its `http_proxy` sends every request through it (absolute URLs, or plain HTTP
//! inside a CONNECT), so that no catalog needs to be rewritten. Requests are passed on and answers passed back
//! unchanged, except where a [`Rule`] says otherwise: an error instead of the answer, a dropped connection, a delay, a
//! body cut short or turned to garbage, **before** the service sees the request or **after** it has carried it out
//! (the answer is lost, what was made is there). Every request is logged as one line of JSON.
//!
//! ```no_run
//! use fault_proxy::{Fault, FaultProxy, Rule, When};
//!
//! # fn main() -> std::io::Result<()> {
//! let proxy = FaultProxy::start("127.0.0.1:0", None)?;
//! proxy.set_rules(vec![Rule::on("POST", "/servers$").when(When::After).fault(Fault::drop()).times(1)]);
//! // … a client with http_proxy = proxy.url() …
//! assert_eq!(proxy.requests().iter().filter(|request| request.fault.is_some()).count(), 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod message;
mod proxy;
mod rule;

pub use proxy::{FaultProxy, RequestRecord};
pub use rule::{Fault, Rule, When};
