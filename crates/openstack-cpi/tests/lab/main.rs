//! The CPI on a real OpenStack (`lab/README.md`). One program, so that all of it runs side by side: most of a test's
//! time is Nova's. Each test has a project of its own, and asks nothing of the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

#[path = "../driver/mod.rs"]
mod driver;

mod disk;
mod faults;
mod finish;
mod go_rewrite;
mod go_rewrite_connection;
mod stemcell;
mod vm;
mod vrrp;
mod whole_life;
