//! What a thread may do: its capabilities. They belong to the thread, and threads that it starts later get
//! the same.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// A right that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// Changing addresses.
    NetAdmin,
    /// Raw and packet sockets.
    NetRaw,
    /// Starting programs as somebody else, and killing them.
    RunAsOthers,
    /// Reading and removing files of others.
    Files,
}

impl Right {
    const fn set(self) -> CapabilitySet {
        match self {
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::NetRaw => CapabilitySet::NET_RAW,
            Self::RunAsOthers => {
                CapabilitySet::SETUID.union(CapabilitySet::SETGID).union(CapabilitySet::KILL)
            }
            Self::Files => CapabilitySet::DAC_OVERRIDE,
        }
    }
}

fn union(rights: &[Right]) -> CapabilitySet {
    rights.iter().fold(CapabilitySet::empty(), |all, right| all.union(right.set()))
}

/// Gives up everything but these rights, for good; what this thread never had stays out. Programs that it
/// starts as the same user get none of them, unless that user is root and may regain them.
///
/// # Errors
/// If the kernel refuses, which it does not for giving up.
pub fn keep_only(rights: &[Right]) -> io::Result<()> {
    let kept = capabilities(None)?.permitted.intersection(union(rights));
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    Ok(())
}

/// Programs started from this thread never get a capability again, whoever they run as.
///
/// # Errors
/// If the kernel refuses; without `CAP_SETPCAP` nothing happens.
pub fn give_up_regaining() -> io::Result<()> {
    if !capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all().iter() {
        // A kernel that is older than the list does not know all of them.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

/// Makes usable what this thread has of these rights.
///
/// # Errors
/// As [`keep_only`].
pub fn use_rights(rights: &[Right]) -> io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.effective = sets.effective.union(sets.permitted.intersection(union(rights)));
    set_capabilities(None, sets)?;
    Ok(())
}
