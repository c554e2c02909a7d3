//! The adverts that a virtual router sends: made ready when something in them changes, so that sending one
//! only picks it.

use core::net::IpAddr;
use core::time::Duration;

use super::VirtualRouter;
use crate::advertisement::AdvertisementFields;
use crate::config::Transport;
use crate::outbox::{Outbox, QueuedAdvert, VrIndex};
use crate::timers::Timer;
use crate::{Instant, Priority};

/// The packets for one destination, ready to send.
#[derive(Clone, Debug)]
pub(super) struct PreparedAdverts {
    destination: IpAddr,
    ordinary: Vec<u8>,
    release: Vec<u8>,
}

/// An advert to put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit<'a> {
    /// Whose.
    pub vr: VrIndex,
    /// The interface to leave by.
    pub interface: crate::IfIndex,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message.
    pub payload: &'a [u8],
}

impl VirtualRouter {
    /// (Re)makes the packets for every destination, in the buffers that are there.
    pub(super) fn prepare(&mut self) {
        let peers: &[_] = match &self.config.transport {
            Transport::Unicast { peers, .. } => peers,
            Transport::Multicast { .. } => &[],
        };
        let group = match &self.config.transport {
            Transport::Multicast { group } => Some(*group),
            Transport::Unicast { .. } => None,
        };
        let count = peers.len() + usize::from(group.is_some());
        let source = self.source.unwrap_or(match self.config.family {
            crate::Family::Ipv4 => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            crate::Family::Ipv6 => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        });
        self.prepared.truncate(count);
        for (i, destination) in peers.iter().map(|p| p.address).chain(group).enumerate() {
            if i == self.prepared.len() {
                self.prepared.push(PreparedAdverts {
                    destination,
                    ordinary: Vec::new(),
                    release: Vec::new(),
                });
            }
            let prepared = &mut self.prepared[i];
            prepared.destination = destination;
            let mut fields = AdvertisementFields {
                version: self.config.version,
                vrid: self.config.vrid,
                priority: self.priority,
                interval: self.config.interval,
                authentication: self.config.authentication,
                addresses: &self.config.addresses,
                checksum: self.checksum,
            };
            fields.encode_into(source, destination, &mut prepared.ordinary);
            fields.priority = Priority::RELEASE;
            fields.encode_into(source, destination, &mut prepared.release);
        }
    }

    pub(crate) fn transmit(&self, queued: QueuedAdvert) -> Option<Transmit<'_>> {
        let prepared = self.prepared.get(usize::from(queued.destination))?;
        Some(Transmit {
            vr: self.index,
            interface: self.config.interface,
            source: self.source?,
            destination: prepared.destination,
            ttl: self.config.transport.ttl(),
            payload: if queued.release { &prepared.release } else { &prepared.ordinary },
        })
    }

    pub(super) fn queue_adverts(&mut self, release: bool, now: Instant, out: &mut Outbox) {
        for destination in 0..self.prepared.len() {
            out.adverts.push_back(QueuedAdvert {
                vr: self.index,
                destination: u16::try_from(destination).unwrap_or(u16::MAX),
                release,
            });
            self.statistics.advertisements_sent += 1;
            self.statistics.priority_zero_sent += u64::from(release);
        }
        self.last_advert_sent = Some(now);
    }

    /// Sends an advert now; the next is due one interval later.
    pub(super) fn advertise(&mut self, now: Instant, out: &mut Outbox) {
        self.queue_adverts(false, now, out);
        self.timers.set(Timer::Adver, now + self.config.interval.duration());
    }

    /// Sends an advert in answer to a packet: at once, or when `spacing` has passed since the last one, so
    /// that a flood of packets, or two routers that each believe to outrank the other, cannot make us flood.
    pub(super) fn answer(&mut self, spacing: Duration, now: Instant, out: &mut Outbox) {
        match self.last_advert_sent {
            Some(sent) if now - sent < spacing => {
                let due = sent + spacing;
                if self.timers.get(Timer::Adver).is_none_or(|at| due < at) {
                    self.timers.set(Timer::Adver, due);
                }
            }
            _ => self.advertise(now, out),
        }
    }
}
