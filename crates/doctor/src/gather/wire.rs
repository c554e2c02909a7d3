//! Listening on a link for some seconds, and asking it who has the addresses.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use vrrp_linux::announce::{Announcer, Frame as OutgoingFrame};
use vrrp_linux::listener::Listener;
use vrrp_linux::membership::Membership;
use vrrp_linux::poll::Poller;
use vrrp_linux::question_frame::{arp_request, neighbor_solicitation};

use super::HostInterface;
use crate::frame;
use crate::wire::Wire;

/// What to listen for.
#[derive(Clone, Debug)]
pub struct WireQuestion<'a> {
    /// Where.
    pub interface: &'a HostInterface,
    /// How long: longer than three intervals, to tell silence from patience.
    pub duration: Duration,
    /// Addresses to ask for.
    pub addresses: &'a [IpAddr],
}

/// How often the link is asked for each address.
const QUESTIONS: u32 = 3;

/// Listens.
///
/// # Errors
/// Without `CAP_NET_RAW`, or if the interface is gone.
pub fn listen(question: &WireQuestion<'_>) -> io::Result<Wire> {
    let interface = question.interface;
    let mut listener = Listener::open(interface.index)?;
    // Switches that snoop deliver a group only to who joined it. That one joins late does no harm.
    let _groups: Vec<Membership> = ["224.0.0.18", "ff02::12"]
        .into_iter()
        .filter_map(|group| Membership::join(interface.index, group.parse().ok()?).ok())
        .collect();
    let poller = Poller::new()?;
    poller.add(listener.descriptor(), 0)?;
    let mut announcer = Announcer::open()?;
    let questions = questions(interface, question.addresses);
    let mut wire = Wire {
        interface: interface.name.clone(),
        listened_ms: u64::try_from(question.duration.as_millis()).unwrap_or(u64::MAX),
        asked: question.addresses.to_vec(),
        ..Wire::default()
    };
    let own: Vec<IpAddr> = interface.addresses.iter().map(ipnet::IpNet::addr).collect();
    let started = Instant::now();
    let mut asked = 0;
    while started.elapsed() < question.duration {
        // Spread over the first half, so that a slow answer is still heard.
        if asked < QUESTIONS && started.elapsed() >= question.duration * asked / (2 * QUESTIONS) {
            announcer.send(&questions)?;
            asked += 1;
        }
        let step = vrrp_linux::clock::monotonic_now() + Duration::from_millis(20);
        poller.wait(Some(step))?;
        listener.read(&mut |bytes, outgoing| {
            let Some(frame) = frame::read(bytes, outgoing) else { return };
            if let frame::Frame::Vrrp { source, .. } = frame
                && !outgoing
                && own.contains(&source)
            {
                wire.reflected += 1;
                return;
            }
            wire.take(started.elapsed(), &frame);
        });
    }
    Ok(wire)
}

fn questions(interface: &HostInterface, addresses: &[IpAddr]) -> Vec<OutgoingFrame> {
    let own = |ipv6: bool| interface.addresses.iter().map(ipnet::IpNet::addr).find(|a| a.is_ipv6() == ipv6);
    let of = |address: &IpAddr| {
        let bytes = match (address, own(address.is_ipv6())) {
            (IpAddr::V4(target), Some(IpAddr::V4(sender))) => {
                arp_request(interface.mac, sender, *target).to_vec()
            }
            (IpAddr::V6(target), Some(IpAddr::V6(source))) => {
                neighbor_solicitation(interface.mac, source, *target).to_vec()
            }
            _ => return None,
        };
        Some(OutgoingFrame { interface: interface.index, bytes })
    };
    addresses.iter().filter_map(of).collect()
}
