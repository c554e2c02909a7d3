//! The client against a real OpenStack: the lab (`make lab`), run inside it:
//! `lab/exec cargo test -p openstack --test lab`. Named by `STANDFAST_LAB_CLOUDS=…/clouds.yaml` (or the `LAB_STATE` that
//! `lab/exec` sets); without either each test says that it was skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod compute;
mod faults;
mod identity;
mod image;
mod lab;
mod load_balancer;
mod network;
mod volume;
