//! What a real cloud cannot be made to do on demand, against a **stand-in**: a server that answers from a script.
//! Everything else is tested against the lab (`tests/lab.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod creation;
mod requests;
mod retries;
mod secrets;
mod session;
mod standin;
mod tls;
mod upload;
