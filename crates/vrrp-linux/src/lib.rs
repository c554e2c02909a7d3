//! The kernel's side of VRRP. This is the only crate with `unsafe`; each block says why it is sound.
//!
//! Nothing here decides anything: what is sent, installed or announced, and when, comes from the protocol.

pub mod advert_socket;
pub mod announce;
pub mod announcement_frame;
pub mod announcement_watch;
pub mod clock;
pub mod listener;
pub mod membership;
pub mod netlink;
mod netlink_message;
mod packet_socket;
pub mod poll;
pub mod privileges;
pub mod process;
pub mod question_frame;
pub mod route;
pub mod rule;
pub mod signals;
mod socket_option;
