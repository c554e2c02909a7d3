//! What a virtual router wants done: adverts to send, effects on the kernel, events to tell.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::discard::{DiscardReason, Remark};
use crate::{AdvertInterval, ChecksumForm, Priority};

/// The place of a virtual router in its [`VrrpRouter`](crate::VrrpRouter); stays the same while it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VrIndex(pub u32);

/// Something that the kernel is to do for a virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Put the addresses on the interface and announce each this many times, as soon as it answers.
    Install {
        /// Whose.
        vr: VrIndex,
        /// Announcements per address; 0 where they only linger, and another router announces them.
        announce: u8,
    },
    /// Take the addresses off.
    Withdraw {
        /// Whose.
        vr: VrIndex,
    },
    /// Another router is Active, or is to be: announce nothing more, and nothing that was asked for and is not done yet.
    /// The addresses stay until they are withdrawn. A late announcement would take the clients back.
    Silence {
        /// Whose.
        vr: VrIndex,
    },
    /// Announce the addresses, which are there already.
    Announce {
        /// Whose.
        vr: VrIndex,
        /// Announcements per address.
        repeat: u8,
    },
}

/// Why a virtual router is in Initialize although the agent runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Hold {
    /// Not started yet (`vrrp_startup_delay`).
    Startup,
    /// The link has no carrier, is down, or is gone.
    InterfaceDown,
    /// The interface has no address that adverts could come from.
    NoPrimaryAddress,
    /// A tracked object failed that has no weight.
    TrackFailed,
    /// The kernel refused an address; tried again after some seconds.
    AddressFailed,
    /// Another member of the sync group is held.
    SyncGroup,
    /// Stopped.
    Stopped,
}

impl Hold {
    /// Every hold, the one that explains most first.
    pub const ALL: [Self; 7] = [
        Self::Stopped,
        Self::InterfaceDown,
        Self::NoPrimaryAddress,
        Self::TrackFailed,
        Self::AddressFailed,
        Self::SyncGroup,
        Self::Startup,
    ];

    /// A stable name for JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::InterfaceDown => "interface-down",
            Self::NoPrimaryAddress => "no-primary-address",
            Self::TrackFailed => "track-failed",
            Self::AddressFailed => "address-failed",
            Self::SyncGroup => "sync-group",
            Self::Stopped => "stopped",
        }
    }
}

/// The state of a virtual router (RFC 9568 §6.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// §6.4.1, and why.
    Initialize(Hold),
    /// §6.4.2.
    Backup,
    /// §6.4.3.
    Active,
}

impl State {
    /// RFC 8347's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize(_) => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initialize(hold) => write!(f, "initialize ({})", hold.name()),
            other => f.write_str(other.name()),
        }
    }
}

/// Why the state changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// It was started, or what held it is gone.
    Started,
    /// Priority 255 needs no election.
    AddressOwner,
    /// The Active fell silent (`masterNoResponse` of RFC 6527).
    ActiveSilent,
    /// The Active sent priority 0.
    ActiveReleased,
    /// Only lower priorities were heard.
    Preempting,
    /// A router with a higher priority, or an equal one and a higher address, is there.
    OutrankedBy(IpAddr),
    /// The rest of the sync group moved.
    SyncGroup,
    /// The operator handed over.
    Handover,
    /// Nobody took over after a handover.
    NoSuccessor,
    /// It is held.
    Held(Hold),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::AddressOwner => f.write_str("address owner (priority 255)"),
            Self::ActiveSilent => f.write_str("the Active fell silent"),
            Self::ActiveReleased => f.write_str("the Active released (priority 0)"),
            Self::Preempting => f.write_str("only lower priorities were heard"),
            Self::OutrankedBy(peer) => write!(f, "outranked by {peer}"),
            Self::SyncGroup => f.write_str("the sync group moved"),
            Self::Handover => f.write_str("handover"),
            Self::NoSuccessor => f.write_str("nobody took over"),
            Self::Held(hold) => f.write_str(hold.name()),
        }
    }
}

/// Something worth telling. Rare ones only: adverts are counted, not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The state changed.
    StateChanged {
        /// Whose.
        vr: VrIndex,
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// A packet was discarded: the first of its reason and peer, and then once a minute.
    Discarded {
        /// Whose.
        vr: VrIndex,
        /// Why.
        reason: DiscardReason,
        /// From whom.
        peer: IpAddr,
        /// How many of this reason and peer so far.
        count: u64,
    },
    /// A packet was odd but accepted: told as discards are.
    Remarked {
        /// Whose.
        vr: VrIndex,
        /// What.
        remark: Remark,
        /// From whom.
        peer: IpAddr,
    },
    /// A Backup follows another Active than before.
    NewActive {
        /// Whose.
        vr: VrIndex,
        /// Who.
        active: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// An Active heard a lower-priority advert: there were two.
    SecondActive {
        /// Whose.
        vr: VrIndex,
        /// The other.
        peer: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// The effective priority changed.
    PriorityChanged {
        /// Whose.
        vr: VrIndex,
        /// Before.
        from: Priority,
        /// After.
        to: Priority,
    },
    /// VRRPv3: the Active's interval was adopted.
    IntervalLearnt {
        /// Whose.
        vr: VrIndex,
        /// The new one.
        interval: AdvertInterval,
    },
    /// The peers use the other checksum form; so do we from now on.
    ChecksumFormLearnt {
        /// Whose.
        vr: VrIndex,
        /// The form.
        form: ChecksumForm,
    },
    /// A timer fired so late that the silence may be ours; we listen for one more `Active_Down_Interval`.
    Stalled {
        /// Whose.
        vr: VrIndex,
        /// How late.
        late: Duration,
    },
    /// The successor was heard during a handover.
    SuccessorHeard {
        /// Whose.
        vr: VrIndex,
        /// Who.
        peer: IpAddr,
        /// Since the priority-0 advert.
        after: Duration,
    },
    /// No successor was heard in time.
    NoSuccessor {
        /// Whose.
        vr: VrIndex,
        /// How long was waited.
        after: Duration,
    },
}

impl Event {
    /// Whose event it is.
    pub const fn vr(&self) -> VrIndex {
        match self {
            Self::StateChanged { vr, .. }
            | Self::Discarded { vr, .. }
            | Self::Remarked { vr, .. }
            | Self::NewActive { vr, .. }
            | Self::SecondActive { vr, .. }
            | Self::PriorityChanged { vr, .. }
            | Self::IntervalLearnt { vr, .. }
            | Self::ChecksumFormLearnt { vr, .. }
            | Self::Stalled { vr, .. }
            | Self::SuccessorHeard { vr, .. }
            | Self::NoSuccessor { vr, .. } => *vr,
        }
    }
}

/// An advert waiting to be sent: which of the virtual router's prepared packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct QueuedAdvert {
    pub(crate) vr: VrIndex,
    pub(crate) destination: u16,
    pub(crate) release: bool,
}

/// How many events wait at most; more are counted and dropped, so that a storm cannot grow memory.
const EVENTS_MAX: usize = 1024;

/// The queues that virtual routers write and the driver drains.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    pub(crate) adverts: VecDeque<QueuedAdvert>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) events_dropped: u64,
}

impl Outbox {
    pub(crate) fn with_capacity(virtual_routers: usize) -> Self {
        let room = virtual_routers.max(16) * 2;
        Self {
            adverts: VecDeque::with_capacity(room),
            effects: VecDeque::with_capacity(room),
            events: VecDeque::with_capacity(EVENTS_MAX),
            events_dropped: 0,
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.events_dropped += 1;
        }
    }
}
