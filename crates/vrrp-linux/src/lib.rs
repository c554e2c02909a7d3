//! The kernel's side of VRRP. This is the only crate with `unsafe`; each block says why it is sound.
//!
//! Nothing here decides anything: what is sent, installed or announced, and when, comes from the protocol.

pub mod advert_socket;
pub mod announce;
pub mod announcement_frame;
pub mod clock;
pub mod membership;
pub mod netlink;
mod netlink_message;
pub mod poll;
pub mod process;
pub mod signals;
mod socket_option;
