//! What is known of the routers that were heard, per virtual router.

use core::net::IpAddr;
use core::time::Duration;

use crate::discard::{DiscardReason, Remark};
use crate::event_budget::EventBudget;
use crate::{AdvertInterval, Instant, Priority};

/// Peers remembered per virtual router; the one heard longest ago makes room. Bounds what forged sources can
/// fill.
const PEERS_MAX: usize = 8;
/// For so many there is room from the start; with thousands of virtual routers, room for more is megabytes.
const PEERS_EXPECTED: usize = 2;
/// After this long a discard of the same reason and peer is told again.
const TELL_AGAIN: Duration = Duration::from_mins(1);
/// So many discards and remarks are told at once, whatever the peers: forged sources are each a new one.
const TELL_BURST: u8 = 8;
/// After this long one more is told.
const TELL_REFILL: Duration = Duration::from_millis(7500);

/// One router that was heard.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its source address.
    pub address: IpAddr,
    /// When something of it was last received, good or bad.
    pub last_heard: Instant,
    /// When an advert of it was last accepted.
    pub last_accepted: Option<Instant>,
    /// The priority in that advert.
    pub priority: Priority,
    /// The interval in that advert.
    pub interval: Option<AdvertInterval>,
    discards: [u32; DiscardReason::ALL.len()],
    remarks: [u32; Remark::ALL.len()],
    told_discard: [Option<Instant>; DiscardReason::ALL.len()],
    told_remark: [bool; Remark::ALL.len()],
}

impl Peer {
    fn new(address: IpAddr, now: Instant) -> Self {
        Self {
            address,
            last_heard: now,
            last_accepted: None,
            priority: Priority::RELEASE,
            interval: None,
            discards: [0; DiscardReason::ALL.len()],
            remarks: [0; Remark::ALL.len()],
            told_discard: [None; DiscardReason::ALL.len()],
            told_remark: [false; Remark::ALL.len()],
        }
    }

    /// The reasons that packets of this peer were discarded for, with their counts.
    pub fn discards(&self) -> impl Iterator<Item = (DiscardReason, u32)> + '_ {
        DiscardReason::ALL.into_iter().zip(self.discards).filter(|(_, count)| *count > 0)
    }

    /// The remarks on accepted packets of this peer, with their counts.
    pub fn remarks(&self) -> impl Iterator<Item = (Remark, u32)> + '_ {
        Remark::ALL.into_iter().zip(self.remarks).filter(|(_, count)| *count > 0)
    }
}

/// The routers heard by one virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    heard: Vec<Peer>,
    budget: EventBudget,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self { heard: Vec::with_capacity(PEERS_EXPECTED), budget: EventBudget::new(TELL_BURST, TELL_REFILL) }
    }

    pub(crate) fn as_slice(&self) -> &[Peer] {
        &self.heard
    }

    /// When an advert of a router was last accepted, if it was and is remembered.
    pub(crate) fn last_accepted(&self, address: IpAddr) -> Option<Instant> {
        self.heard.iter().find(|peer| peer.address == address)?.last_accepted
    }

    fn entry(&mut self, address: IpAddr, now: Instant) -> &mut Peer {
        let known = self.heard.iter().position(|p| p.address == address);
        let index = match known {
            Some(index) => index,
            None if self.heard.len() < PEERS_MAX => {
                self.heard.reserve_exact(1);
                self.heard.push(Peer::new(address, now));
                self.heard.len() - 1
            }
            None => {
                // A router that adverts were accepted from stays before one that only ever was refused.
                let oldest = (0..self.heard.len())
                    .min_by_key(|i| (self.heard[*i].last_accepted, self.heard[*i].last_heard))
                    .unwrap_or(0);
                self.heard[oldest] = Peer::new(address, now);
                oldest
            }
        };
        let peer = &mut self.heard[index];
        peer.last_heard = now;
        peer
    }

    /// Counts; answers with the count if it is to be told.
    pub(crate) fn discarded(&mut self, address: IpAddr, reason: DiscardReason, now: Instant) -> Option<u64> {
        let index = reason as usize;
        let peer = self.entry(address, now);
        peer.discards[index] = peer.discards[index].saturating_add(1);
        let count = peer.discards[index];
        if peer.told_discard[index].is_some_and(|told| now - told < TELL_AGAIN) || !self.budget.allows(now) {
            return None;
        }
        self.entry(address, now).told_discard[index] = Some(now);
        Some(u64::from(count))
    }

    /// Counts; answers whether it is to be told, which it is once.
    pub(crate) fn remarked(&mut self, address: IpAddr, remark: Remark, now: Instant) -> bool {
        let index = remark as usize;
        let peer = self.entry(address, now);
        peer.remarks[index] = peer.remarks[index].saturating_add(1);
        if peer.told_remark[index] || !self.budget.allows(now) {
            return false;
        }
        self.entry(address, now).told_remark[index] = true;
        true
    }

    pub(crate) fn accepted(
        &mut self,
        address: IpAddr,
        priority: Priority,
        interval: AdvertInterval,
        at: Instant,
    ) {
        let peer = self.entry(address, at);
        peer.last_accepted = Some(at);
        peer.priority = priority;
        peer.interval = Some(interval);
    }
}
