//! The VRRP router: every virtual router of one agent, the way from a packet to the right one, groups that
//! move together, and the order of their timers.

use core::net::IpAddr;
use std::collections::HashMap;

use crate::advertisement::Advertisement;
use crate::config::VirtualRouterConfig;
use crate::discard::DiscardReason;
use crate::outbox::{Effect, Event, Hold, Outbox, Reason, State, VrIndex};
use crate::receive::{self, PacketMeta};
use crate::timers::{DeadlineHeap, Timer};
use crate::virtual_router::{Transmit, VirtualRouter};
use crate::{Family, IfIndex, Instant, VirtualRouterId};

/// What became of a received packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// It passed every check and was handed to the state machine.
    Accepted(VrIndex),
    /// It was discarded; no timer was touched.
    Discarded(DiscardReason),
}

/// Why a virtual router could not be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddError {
    /// Another one has that VRID on that interface and family.
    VridInUse(VrIndex),
    /// VRRPv2 exists for IPv4 only.
    VersionWithoutFamily,
    /// An address is of the other family, or there are more than 255.
    Addresses,
}

/// The virtual routers of one agent.
///
/// How to drive it: hand in everything that can be received ([`handle_packet`](Self::handle_packet)) before
/// time ([`handle_timeouts`](Self::handle_timeouts)); after any of the inputs, drain
/// [`poll_transmit`](Self::poll_transmit), [`poll_effect`](Self::poll_effect) and
/// [`poll_event`](Self::poll_event); then sleep until [`poll_timeout`](Self::poll_timeout). `now` never
/// decreases. A call of `handle_timeouts` when nothing is due does nothing.
///
/// - *Inputs* are `handle_*`, `set_*` and the operator's `add`, `remove`, `reconfigure`, `release`, `start`.
/// - *Outputs* are `poll_*`.
/// - *Getters* take `&self`.
#[derive(Clone, Debug)]
pub struct VrrpRouter {
    slots: Vec<Option<Box<VirtualRouter>>>,
    by_id: HashMap<(IfIndex, Family, VirtualRouterId), VrIndex>,
    groups: Vec<Vec<VrIndex>>,
    deadlines: DeadlineHeap,
    out: Outbox,
    announcements_watched: bool,
    unclaimed: [u64; DiscardReason::ALL.len()],
}

impl VrrpRouter {
    /// A router with room for so many virtual routers; more are taken, at the price of an allocation.
    pub fn with_capacity(virtual_routers: usize) -> Self {
        Self {
            slots: Vec::with_capacity(virtual_routers),
            by_id: HashMap::with_capacity(virtual_routers),
            groups: Vec::new(),
            deadlines: DeadlineHeap::default(),
            out: Outbox::with_capacity(virtual_routers),
            announcements_watched: false,
            unclaimed: [0; DiscardReason::ALL.len()],
        }
    }

    // ---- Inputs: packets and time ----

    /// A packet of protocol 112 that the kernel received at `received_at`; `payload` is the VRRP message.
    pub fn handle_packet(
        &mut self,
        received_at: Instant,
        now: Instant,
        meta: &PacketMeta,
        payload: &[u8],
    ) -> Received {
        let family = Family::of(meta.source);
        let advert = match Advertisement::decode(family, payload) {
            Ok(advert) => advert,
            Err(reason) => return self.discard(reason, payload.get(1).copied(), meta, now),
        };
        let Some(index) = self.find(meta.interface, family, advert.vrid) else {
            return self.discard(DiscardReason::UnknownVrid, None, meta, now);
        };
        let Some(vr) = self.slots[index.0 as usize].as_deref_mut() else {
            return self.discard(DiscardReason::UnknownVrid, None, meta, now);
        };
        match receive::check(vr.config(), vr.source(), meta, &advert) {
            Err(reason) => {
                vr.count_discard(reason, meta.source, now, &mut self.out);
                Received::Discarded(reason)
            }
            Ok(_) if matches!(vr.state(), State::Initialize(_)) && !vr.is_lingering() => {
                vr.count_discard(DiscardReason::NotRunning, meta.source, now, &mut self.out);
                Received::Discarded(DiscardReason::NotRunning)
            }
            Ok(accepted) => {
                let before = vr.state();
                vr.handle_advertisement(received_at.min(now), now, meta.source, accepted, &mut self.out);
                self.settle(index, before, now);
                Received::Accepted(index)
            }
        }
    }

    /// Counts a packet that never reached a state machine: with its virtual router if the VRID byte names
    /// one, else with the router.
    fn discard(
        &mut self,
        reason: DiscardReason,
        vrid: Option<u8>,
        meta: &PacketMeta,
        now: Instant,
    ) -> Received {
        let index = vrid.and_then(|vrid| self.find(meta.interface, Family::of(meta.source), vrid));
        match index.and_then(|index| self.slots[index.0 as usize].as_deref_mut()) {
            Some(vr) => vr.count_discard(reason, meta.source, now, &mut self.out),
            None => self.unclaimed[reason as usize] += 1,
        }
        Received::Discarded(reason)
    }

    fn find(&self, interface: IfIndex, family: Family, vrid: u8) -> Option<VrIndex> {
        let vrid = VirtualRouterId::new(vrid)?;
        self.by_id.get(&(interface, family, vrid)).copied()
    }

    /// Fires what is due, at most `budget` virtual routers of it; answers whether more is due.
    pub fn handle_timeouts(&mut self, now: Instant, budget: usize) -> bool {
        for _ in 0..budget {
            match self.deadlines.peek() {
                Some((at, index)) if at <= now => {
                    let Some(vr) = self.slots[index.0 as usize].as_deref_mut() else {
                        self.deadlines.set(index, Instant::FAR_FUTURE);
                        continue;
                    };
                    let before = vr.state();
                    vr.handle_timeout(now, &mut self.out);
                    self.settle(index, before, now);
                    self.group_takeover(index, now);
                }
                _ => return false,
            }
        }
        self.deadlines.peek().is_some_and(|(at, _)| at <= now)
    }

    // ---- Inputs: configuration ----

    /// Adds a virtual router, not running before [`start`](Self::start).
    ///
    /// # Errors
    /// If it cannot be told from another one, or cannot be sent.
    pub fn add(&mut self, config: VirtualRouterConfig, now: Instant) -> Result<VrIndex, AddError> {
        let key = (config.interface, config.family, config.vrid);
        if let Some(other) = self.by_id.get(&key) {
            return Err(AddError::VridInUse(*other));
        }
        check_config(&config)?;
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let index = VrIndex(u32::try_from(free).unwrap_or(u32::MAX));
        let mut vr = Box::new(VirtualRouter::new(index, config, now));
        vr.announcements_watched = self.announcements_watched;
        if free == self.slots.len() {
            self.slots.push(Some(vr));
        } else {
            self.slots[free] = Some(vr);
        }
        self.by_id.insert(key, index);
        Ok(index)
    }

    /// Forgets a virtual router. It should have been released and its addresses withdrawn before.
    pub fn remove(&mut self, index: VrIndex) {
        if let Some(vr) = self.slots.get_mut(index.0 as usize).and_then(Option::take) {
            let config = vr.config();
            self.by_id.remove(&(config.interface, config.family, config.vrid));
            self.deadlines.set(index, Instant::FAR_FUTURE);
            self.out.adverts.retain(|queued| queued.vr != index);
            for group in &mut self.groups {
                group.retain(|member| *member != index);
            }
        }
    }

    /// Changes a virtual router in place; its VRID, family and interface stay.
    ///
    /// # Errors
    /// If the new configuration cannot be sent.
    pub fn reconfigure(
        &mut self,
        index: VrIndex,
        config: VirtualRouterConfig,
        now: Instant,
    ) -> Result<(), AddError> {
        check_config(&config)?;
        self.with(index, now, |vr, out| vr.reconfigure(config, now, out));
        Ok(())
    }

    /// Replaces all sync groups; members of one move together.
    pub fn set_groups(&mut self, groups: Vec<Vec<VrIndex>>, now: Instant) {
        for slot in self.slots.iter_mut().flatten() {
            slot.group = None;
        }
        for (number, group) in groups.iter().enumerate() {
            for member in group {
                if let Some(vr) = self.slots.get_mut(member.0 as usize).and_then(Option::as_deref_mut) {
                    vr.group = u16::try_from(number).ok();
                }
            }
        }
        self.groups = groups;
        for slot in 0..self.slots.len() {
            let index = VrIndex(u32::try_from(slot).unwrap_or(u32::MAX));
            if self.get(index).is_some_and(|vr| vr.group.is_none()) {
                self.with(index, now, |vr, out| vr.set_hold(Hold::SyncGroup, false, now, out));
            }
        }
        for group in 0..self.groups.len() {
            self.settle_group_holds(group, now);
        }
    }

    // ---- Inputs: the world ----

    /// Lets a virtual router take part (Startup, RFC 9568 §6.4.1).
    pub fn start(&mut self, index: VrIndex, now: Instant) {
        self.with(index, now, |vr, out| vr.set_hold(Hold::Startup, false, now, out));
    }

    /// Says that the addresses are on the interface already, left by an earlier process of ours.
    pub fn inherit_addresses(&mut self, index: VrIndex, now: Instant) {
        self.with(index, now, |vr, _| vr.inherit_addresses());
    }

    /// The address that adverts come from; `None` if the interface has none.
    pub fn set_source(&mut self, index: VrIndex, source: Option<IpAddr>, now: Instant) {
        self.with(index, now, |vr, out| vr.set_source(source, now, out));
    }

    /// Whether the link of this virtual router carries.
    pub fn set_link(&mut self, index: VrIndex, up: bool, now: Instant) {
        self.with(index, now, |vr, out| vr.set_link(up, now, out));
    }

    /// What tracking says: a change of priority, and whether something failed that has no weight.
    pub fn set_tracking(&mut self, index: VrIndex, delta: i32, failed: bool, now: Instant) {
        self.with(index, now, |vr, out| vr.set_tracking(delta, failed, now, out));
    }

    /// The kernel refused the addresses.
    pub fn addresses_failed(&mut self, index: VrIndex, now: Instant) {
        self.with(index, now, |vr, out| vr.addresses_failed(now, out));
    }

    /// Whether the driver looks for announcements of others while addresses linger, and calls
    /// [`announced_elsewhere`](Self::announced_elsewhere). Without it the addresses go 40 ms after the
    /// successor's first advert; with it when its announcement was seen, at the latest after 500 ms.
    pub fn watch_announcements(&mut self, watched: bool) {
        self.announcements_watched = watched;
        for vr in self.slots.iter_mut().flatten() {
            vr.announcements_watched = watched;
        }
    }

    /// At `at` a gratuitous ARP or unsolicited NA for an address of this virtual router was seen that names
    /// another MAC address than ours. During a handover it says that the clients know the successor: the
    /// addresses go 30 ms after the last of them. At any other time it changes nothing.
    pub fn announced_elsewhere(&mut self, index: VrIndex, at: Instant, now: Instant) {
        self.with(index, now, |vr, _| vr.announced_elsewhere(at.min(now)));
    }

    /// Announces the addresses at once, if it is Active.
    pub fn announce(&mut self, index: VrIndex, now: Instant) {
        self.with(index, now, VirtualRouter::announce_now);
    }

    /// Hands over, make before break: the whole sync group. With `stop` the virtual routers do not come back.
    pub fn release(&mut self, index: VrIndex, stop: bool, now: Instant) {
        let members = self.group_of(index);
        for member in members {
            // Not through `with`: the group is moved here as a whole.
            if let Some(vr) = self.slots.get_mut(member.0 as usize).and_then(Option::as_deref_mut) {
                vr.release(stop, now, &mut self.out);
                self.deadlines.set(member, vr.next_deadline().0);
            }
        }
    }

    /// After a handover: preempt again as configured.
    pub fn take_back(&mut self, index: VrIndex) {
        for member in self.group_of(index) {
            if let Some(vr) = self.slots.get_mut(member.0 as usize).and_then(Option::as_deref_mut) {
                vr.take_back();
            }
        }
    }

    // ---- Outputs ----

    /// The next advert to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        loop {
            let queued = self.out.adverts.pop_front()?;
            // A source that vanished since leaves nothing that could be sent.
            let slot = queued.vr.0 as usize;
            if self.slots.get(slot)?.as_deref().is_some_and(|vr| vr.transmit(queued).is_some()) {
                return self.slots[slot].as_deref().and_then(|vr| vr.transmit(queued));
            }
        }
    }

    /// The next effect on the kernel.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.effects.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// When to call [`handle_timeouts`](Self::handle_timeouts) next, for whom and for which timer.
    pub fn poll_timeout(&self) -> Option<(Instant, VrIndex, Timer)> {
        let (at, index) = self.deadlines.peek()?;
        Some((at, index, self.get(index)?.next_deadline().1))
    }

    // ---- Getters ----

    /// One virtual router.
    pub fn get(&self, index: VrIndex) -> Option<&VirtualRouter> {
        self.slots.get(index.0 as usize)?.as_deref()
    }

    /// All virtual routers in the order of their index.
    pub fn iter(&self) -> impl Iterator<Item = &VirtualRouter> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// One past the highest index in use.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether no address is left with any virtual router: a stopping agent may exit.
    pub fn is_quiescent(&self) -> bool {
        self.iter().all(|vr| !vr.holds_addresses() && vr.state() != State::Active)
    }

    /// Packets that belong to no virtual router here, by reason.
    pub fn unclaimed(&self) -> impl Iterator<Item = (DiscardReason, u64)> + '_ {
        DiscardReason::ALL.into_iter().zip(self.unclaimed).filter(|(_, count)| *count > 0)
    }

    /// Events that were dropped because nobody drained them.
    pub const fn events_dropped(&self) -> u64 {
        self.out.events_dropped
    }

    // ---- Groups ----

    fn with(&mut self, index: VrIndex, now: Instant, act: impl FnOnce(&mut VirtualRouter, &mut Outbox)) {
        let Some(vr) = self.slots.get_mut(index.0 as usize).and_then(Option::as_deref_mut) else { return };
        let before = vr.state();
        act(vr, &mut self.out);
        self.settle(index, before, now);
    }

    fn group_of(&self, index: VrIndex) -> Vec<VrIndex> {
        self.get(index)
            .and_then(|vr| vr.group)
            .and_then(|group| self.groups.get(usize::from(group)))
            .cloned()
            .unwrap_or_else(|| vec![index])
    }

    /// After anything happened to a virtual router: its place among the deadlines, and its group.
    fn settle(&mut self, index: VrIndex, before: State, now: Instant) {
        let Some(vr) = self.get(index) else { return };
        let (after, group, deadline) = (vr.state(), vr.group, vr.next_deadline().0);
        self.deadlines.set(index, deadline);
        let Some(group) = group.map(usize::from) else { return };
        if matches!(before, State::Initialize(_)) || matches!(after, State::Initialize(_)) {
            // Also from one hold to another: what holds the member itself may have gone.
            self.settle_group_holds(group, now);
        }
        match after {
            State::Initialize(_) => {}
            State::Backup if before != State::Active => {}
            State::Active if before == State::Active => {}
            State::Backup => self.for_members(group, index, |vr, out| {
                if vr.state() == State::Active {
                    vr.leave_with_group(now, out);
                }
            }),
            State::Active => self.for_members(group, index, |vr, out| {
                if vr.state() == State::Backup {
                    vr.become_active(now, Reason::SyncGroup, out);
                }
            }),
        }
    }

    fn for_members(
        &mut self,
        group: usize,
        except: VrIndex,
        mut act: impl FnMut(&mut VirtualRouter, &mut Outbox),
    ) {
        let Some(members) = self.groups.get(group) else { return };
        for member in members {
            if *member == except {
                continue;
            }
            if let Some(vr) = self.slots.get_mut(member.0 as usize).and_then(Option::as_deref_mut) {
                act(vr, &mut self.out);
                self.deadlines.set(*member, vr.next_deadline().0);
            }
        }
    }

    /// Any member that is held by something of its own holds the others.
    fn settle_group_holds(&mut self, group: usize, now: Instant) {
        let Some(members) = self.groups.get(group) else { return };
        let held: Vec<bool> =
            members.iter().map(|m| self.get(*m).is_some_and(VirtualRouter::is_held_by_itself)).collect();
        let held_count = held.iter().filter(|h| **h).count();
        let members = members.clone();
        for (member, itself) in members.iter().zip(held) {
            let by_another = held_count > usize::from(itself);
            if let Some(vr) = self.slots.get_mut(member.0 as usize).and_then(Option::as_deref_mut) {
                vr.set_hold(Hold::SyncGroup, by_another, now, &mut self.out);
                self.deadlines.set(*member, vr.next_deadline().0);
            }
        }
    }

    /// A member whose Active fell silent waits until all members would take over; then they do, together.
    fn group_takeover(&mut self, index: VrIndex, now: Instant) {
        let Some(vr) = self.get(index) else { return };
        if !vr.wants_active() || vr.state() != State::Backup {
            return;
        }
        let reason = vr.takeover_reason();
        let members = self.group_of(index);
        let ready = members.iter().all(|member| {
            self.get(*member).is_some_and(|vr| {
                vr.state() == State::Active || vr.state() == State::Backup && vr.wants_active()
            })
        });
        if ready {
            // The others follow through `settle`.
            self.with(index, now, |vr, out| vr.become_active(now, reason, out));
        }
    }
}

fn check_config(config: &VirtualRouterConfig) -> Result<(), AddError> {
    if config.version == crate::Version::V2 && config.family == Family::Ipv6 {
        return Err(AddError::VersionWithoutFamily);
    }
    if config.addresses.len() > 255 || config.addresses.iter().any(|a| Family::of(*a) != config.family) {
        return Err(AddError::Addresses);
    }
    Ok(())
}
