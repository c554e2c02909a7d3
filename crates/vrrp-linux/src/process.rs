//! The process itself: its network namespace and how it is scheduled.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `name` (of `ip netns`, a process id or a path) is.
pub fn network_namespace_path(name: &str) -> PathBuf {
    if name.contains('/') {
        PathBuf::from(name)
    } else if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        PathBuf::from(format!("/proc/{name}/ns/net"))
    } else {
        PathBuf::from(format!("/run/netns/{name}"))
    }
}

/// Moves the calling thread, and so every thread it starts later, into a network namespace.
///
/// # Errors
/// If there is none of that name, or without `CAP_SYS_ADMIN`.
pub fn enter_network_namespace(name: &str) -> io::Result<()> {
    let file = File::open(network_namespace_path(name))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// The inode of the network namespace of this thread: what tells it from others on this host.
pub fn network_namespace_id() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
}

/// Puts the calling thread under the first-in-first-out real-time class.
///
/// # Errors
/// Without `CAP_SYS_NICE` or a sufficient `RLIMIT_RTPRIO`.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    // Threads and programs started later are ordinary again.
    const RESET_ON_FORK: i32 = 0x4000_0000;
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the pointer is to a parameter on this stack; 0 means the calling thread.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | RESET_ON_FORK, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps all memory of this process in RAM, now and later.
///
/// # Errors
/// Beyond `RLIMIT_MEMLOCK` without `CAP_IPC_LOCK`.
pub fn lock_memory() -> io::Result<()> {
    rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE)?;
    Ok(())
}
