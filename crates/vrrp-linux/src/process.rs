//! The process itself: its network namespace and how it is scheduled.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::thread::{CpuSet, LinkNameSpaceType, gettid, move_into_link_name_space, sched_setaffinity};

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

/// Puts the calling thread into the real-time class that takes turns (`SCHED_RR`), 1 to 99. Threads and
/// programs that it starts later are ordinary again.
///
/// # Errors
/// Without `CAP_SYS_NICE` or a sufficient `RLIMIT_RTPRIO`.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    const RESET_ON_FORK: i32 = 0x4000_0000;
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the pointer is to a parameter on this stack; 0 means the calling thread.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | RESET_ON_FORK, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets how nice the calling thread is, -20 to 19.
///
/// # Errors
/// Below what it is, without `CAP_SYS_NICE`.
pub fn set_nice(nice: i8) -> io::Result<()> {
    rustix::process::setpriority_process(Some(gettid()), i32::from(nice))?;
    Ok(())
}

/// Lets the calling thread run on these processors only.
///
/// # Errors
/// If none of them exists.
pub fn set_affinity(processors: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in processors {
        let number = usize::try_from(*processor).unwrap_or(usize::MAX);
        if number >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(number);
    }
    sched_setaffinity(None, &set)?;
    Ok(())
}

/// Lets the kernel wake the calling thread when its time has come and not up to 50 us later, which it does by
/// default to save wake-ups.
pub fn set_precise_timers() {
    const ONE_NANOSECOND: libc::c_ulong = 1;
    // SAFETY: no pointers. A kernel that refuses goes on being late, which is measured.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ONE_NANOSECOND, 0, 0, 0) };
}

/// Lets all threads take memory from one place: an arena for each would cost more than their little contention.
/// To be called before there are threads.
pub fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: no pointers, and no other thread yet. What is refused costs memory, nothing else.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// Makes the kernel take others first when memory is short, unless somebody set a score already.
pub fn be_killed_late() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    if std::fs::read_to_string(SCORE).is_ok_and(|score| score.trim() == "0") {
        // In a container it is refused, and the score is the container's affair.
        let _ = std::fs::write(SCORE, "-500");
    }
}

/// Keeps all memory of this process in RAM, what it has now and, as it is touched, later.
///
/// # Errors
/// Beyond `RLIMIT_MEMLOCK` without `CAP_IPC_LOCK`.
pub fn lock_memory() -> io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall};
    // Not all that is mapped: stacks and arenas are mapped far beyond what is ever used.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    Ok(())
}
