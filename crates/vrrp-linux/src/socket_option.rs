//! `setsockopt` for the options that no safe wrapper has, and the numbers that go with sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option whose value is an `int`.
pub(crate) fn set_int(fd: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = length_of::<i32>();
    // SAFETY: the pointer and length describe `value`, which lives across the call; the descriptor is open.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The length of an address or option as the kernel takes it.
pub(crate) fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

/// An instruction code of classic BPF.
pub(crate) fn op(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(0)
}
