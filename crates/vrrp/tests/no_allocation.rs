//! After set-up the way of an advert allocates nothing: not receiving one, not time, not sending.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lone;

use lone::{LINK, Lone, Sent, config, ip, ms};
use vrrp::{ChecksumForm, PacketMeta, State};

/// What a driver does once per wake-up, with nothing that the test keeps.
fn turn(lone: &mut Lone, meta: &PacketMeta, packet: &[u8]) -> usize {
    lone.router.handle_packet(lone.now, lone.now, meta, packet);
    lone.now = lone.now + ms(100);
    lone.router.handle_timeouts(lone.now, usize::MAX);
    let mut sent = 0;
    while lone.router.poll_transmit().is_some() {
        sent += 1;
    }
    while lone.router.poll_effect().is_some() {}
    while lone.router.poll_event().is_some() {}
    sent
}

#[test]
fn adverts_of_a_backup_and_of_an_active_allocate_nothing() {
    let mut backup = Lone::started(config(100));
    let heard = backup.peer_sends(200);
    let mut active = Lone::active(config(200));
    let (meta, packet) = (heard.meta(), heard.packet());
    let rival = Sent { source: ip("10.0.0.3"), checksum: ChecksumForm::MessageOnly, ..active.peer_sends(50) };
    let (rival_meta, rival_packet) = (rival.meta(), rival.packet());
    let mut damaged = rival_packet.clone();
    damaged[2] ^= 1;
    let mut sent = 0;
    let allocated = allocation_counter::measure(|| {
        for _ in 0..1000 {
            turn(&mut backup, &meta, &packet);
            // Answers, announcements, the other checksum form and discards of new peers included.
            sent += turn(&mut active, &rival_meta, &rival_packet);
            sent += turn(&mut active, &PacketMeta { source: ip("10.0.0.66"), ..rival_meta }, &damaged);
        }
    });
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0));
    assert_eq!((backup.state(), active.state()), (State::Backup, State::Active));
    assert!(sent >= 200);
    assert_eq!(active.get().checksum_form(), ChecksumForm::MessageOnly);
    assert_eq!(meta.interface, LINK);
}

#[test]
fn a_takeover_and_a_handover_allocate_nothing() {
    let mut lone = Lone::started(config(100));
    let heard = lone.peer_sends(200);
    let (meta, packet) = (heard.meta(), heard.packet());
    let mut states = [false; 2];
    let allocated = allocation_counter::measure(|| {
        for round in 0..100 {
            turn(&mut lone, &meta, &packet);
            if round % 50 == 10 {
                for _ in 0..40 {
                    lone.now = lone.now + ms(100);
                    lone.router.handle_timeouts(lone.now, usize::MAX);
                }
                states[0] |= lone.state() == State::Active;
            }
        }
        states[1] = lone.state() == State::Backup;
    });
    assert_eq!(states, [true; 2]);
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn the_counter_counts() {
    let allocated = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(allocated.count_total, 1);
}
