//! `vrrp_instance`.

use super::{Context, NO_CHECKER, Table, Value, full, no_effect, not_built, seconds, whole};

const NO_VMAC: &str =
    "virtual MACs are not built yet: leave it out; the real MAC is announced, as clouds need it";

/// Words of `vrrp_instance` beside [`super::SHARED`].
pub const INSTANCE: Table = &[
    full("state", Value::Text("MASTER | BACKUP"), "BACKUP", "The state to start in; with a priority below 255 it changes nothing.")
        .differs("`SLAVE` is read as BACKUP and said, since haproxy-boshrelease writes it; any other word is an error."),
    full("interface", Value::Text("NAME"), "required", "The link that adverts travel on.")
        .differs("keepalived may go without in unicast; here it is needed."),
    full("virtual_router_id", whole(1, 255, ""), "required", "The VRID: the same on all routers of this address, on no other of the link.")
        .differs("One VRID per link and family: peers or groups that differ do not tell two apart."),
    full("priority", whole(1, 255, ""), "100", "The highest wins; 255 is the address owner, which tracking cannot lower.")
        .differs("`state MASTER` without a priority means 255, as in keepalived, and is said."),
    full("advert_int", seconds(0.01, 255.0), "1", "From one advert to the next: whole seconds from 1 to 255 in VRRPv2, 0.01 to 40.95 in steps of 0.01 in VRRPv3.")
        .differs("keepalived rounds what cannot be sent; here it is an error."),
    full("version", whole(2, 3, ""), "`vrrp_version`, else 2 for IPv4 and 3 for IPv6", "The version of VRRP."),
    full("virtual_ipaddress", Value::List("ADDRESS[/PREFIX] [dev INTERFACE] [brd ADDRESS] [label NAME] [scope SCOPE] [no_track] [-nodad]"), "required", "The addresses, in the adverts and on the Active. One family; 255 at most. Without its interface the virtual router is held, or with `no_track` goes on without the address.")
        .differs("An address that somebody deletes is put back at once, with or without `no_track`. Without a prefix it is /32 or /128, as in keepalived, and is said. Of another family it is an error, not left out."),
    full("virtual_ipaddress_excluded", Value::List("ADDRESS[/PREFIX] [...]"), "none", "Addresses that move along without being in the adverts; of either family."),
    full("virtual_routes", Value::List("[to] PREFIX|default [via GATEWAY] [dev INTERFACE] [onlink] [src ADDRESS] [table TABLE] [metric N] [scope SCOPE] [protocol PROTOCOL] [tos N] [mtu [lock] N ...] [append | add] [no_track] [nexthop via GATEWAY [dev INTERFACE] [weight N] ...]"), "none", "Routes that move along: set right after the addresses, removed before them. Also `blackhole`, `unreachable`, `prohibit` and `throw` before the prefix; `inet6` for `default` in IPv6; names of tables as in /etc/iproute2.")
        .differs("They carry the protocol 112 (keepalived's: 18), or the one that is written, with or without `no_track`. Deleted by somebody they are put back at once, where keepalived gives up being Active; `no_track` leaves them away until the next time, as there, and lets the virtual router go on without the interface. One that somebody else has set is used and never removed."),
    full("virtual_rules", Value::List("[from PREFIX] [to PREFIX] [iif INTERFACE] [oif INTERFACE] [fwmark N[/MASK]] [tos N] [not] [ipproto NAME] [sport RANGE] [dport RANGE] [uidrange RANGE] table TABLE | blackhole | unreachable | prohibit [suppress_prefixlength N] [priority N] [protocol PROTOCOL] [no_track]"), "none", "Rules for choosing a table that move along, set and removed with the routes. `inet6` for IPv6 where no address says it.")
        .differs("As `virtual_routes`. Without a priority: 16384 and down, as with keepalived, and that is said."),
    full("no_virtual_ipaddress", Value::Flag, "off", "There is no address, and that is meant."),
    full("unicast_src_ip", Value::Text("ADDRESS"), "the interface's first address", "Where adverts come from."),
    full("mcast_src_ip", Value::Text("ADDRESS"), "the interface's first address", "The same."),
    full("unicast_peer", Value::List("ADDRESS [min_ttl 0..255] [max_ttl 0..255]"), "none: multicast", "The other routers, each by its address.")
        .differs("Without a peer in it it is an error; older keepalived used multicast instead."),
    full("check_unicast_src", Value::Switch, "`vrrp_check_unicast_src`", "Adverts from others than the peers are dropped. On by itself where a peer has a TTL range."),
    full("unicast_ttl", whole(1, 255, ""), "255", "The TTL or hop limit of unicast adverts."),
    full("mcast_dst_ip", Value::Text("ADDRESS"), "`vrrp_mcast_group4` or `vrrp_mcast_group6`", "The multicast group."),
    full("v3_checksum_as_v2", Value::Switch, "learnt from the peers", "The checksum of VRRPv3 over IPv4 is over the message only (on) or over a pseudo-header too (off) until a peer is heard. Both are accepted.")
        .differs("keepalived keeps the form it was given, and the pseudo-header one if it was given none; here the peers' form is learnt, since keepalived 2.2 refuses the other one."),
    full("v3_checksum", Value::Text("auto | pseudo_header | message_only"), "auto", "The form that is sent and kept, whatever the peers send; `auto` learns it.").differs("Ours."),
    full("authentication", Value::Block(Context::Authentication), "none", "A password in clear in each advert, VRRPv2 only.")
        .differs("With VRRPv3 keepalived leaves it out; here it is an error, and a warning for IPv6 where no version is written, as in what Octavia writes."),
    full("nopreempt", Value::Flag, "off", "A higher priority does not take over from an Active that is well.")
        .differs("keepalived drops it with `state MASTER`; here it counts, and that is said."),
    full("preempt", Value::Flag, "on", "The opposite of `nopreempt`."),
    full("preempt_delay", seconds(0.0, 1000.0), "0", "How long a lower priority is left in place."),
    full("down_timer_adverts", whole(1, 100, "adverts"), "`vrrp_down_timer_adverts`, else 3", "So many missed adverts end the Active."),
    full("lower_prio_no_advert", Value::Switch, "`vrrp_lower_prio_no_advert`", "A lower priority is not answered at once with an advert, as RFC 9568 asks."),
    full("higher_prio_send_advert", Value::Switch, "`vrrp_higher_prio_send_advert`", "The loser of a healed partition sends one more advert, so that the winner announces at once."),
    full("owner_ignore_adverts", Value::Flag, "off", "With priority 255 adverts of others are ignored."),
    full("dont_track_primary", Value::Flag, "off", "The link's own state does not count."),
    full("garp_master_delay", seconds(0.0, 3600.0), "5", "When the second burst of announcements leaves; 0 for none."),
    full("garp_master_repeat", whole(1, 255, ""), "5", "Announcements per address and burst."),
    full("garp_master_refresh", seconds(0.0, 86400.0), "1, at least `advert_int`", "Announcements while Active; 0 for none.")
        .differs("Off in keepalived."),
    full("garp_master_refresh_repeat", whole(1, 255, ""), "1", "Announcements per address at each of these."),
    full("garp_lower_prio_delay", seconds(0.0, 3600.0), "see `garp_master_delay`", "The second burst after a lower priority was heard."),
    full("garp_lower_prio_repeat", whole(0, 255, ""), "see `garp_master_repeat`", "Announcements per address after a lower priority was heard."),
    no_effect("garp_extra_if", "Announcements on other links.", "every link with an address of ours is announced on"),
    no_effect("unicast_fault_no_peer", "No peer is a fault.", "unicast_peer without a peer is an error"),
    no_effect("track_src_ip", "Without its source address it faults.", "always so: without a source address nothing can be sent"),
    no_effect("skip_check_adv_addr", "The list of addresses in adverts is not compared.", "a differing list is only told, never a reason to drop"),
    no_effect("accept", "The addresses answer.", "accept mode is on"),
    not_built("no_accept", "The addresses do not answer.", "not built yet: leave it out, or drop the traffic with nftables"),
    not_built("strict_mode", "RFC conformance.", "leave it out: every receive check of RFC 9568 is always made; the rest of strict mode is not built"),
    not_built("old_unicast_checksum", "For keepalived 1.3.6 and older.", "not built: upgrade the peer"),
    not_built("timer_expired_backup", "Gives way after being late.", "not built: leave it out; a late agent listens first"),
    not_built("use_vmac", "A virtual MAC address.", NO_VMAC),
    not_built("use_vmac_addr", "A virtual MAC address.", NO_VMAC),
    not_built("vmac_xmit_base", "A virtual MAC address.", NO_VMAC),
    not_built("use_ipvlan", "An ipvlan interface.", "ipvlan is not built yet: leave it out"),
    not_built("promote_secondaries", "Keeps an address's siblings.", "not built yet: set the sysctl net.ipv4.conf.INTERFACE.promote_secondaries to 1"),
    not_built("vrf", "A VRF to run in.", "not built yet: name the interface"),
    not_built("auth_hmac", "keepalived 2.4's authentication.", "not built yet: restrict who can send protocol 112 with a security group"),
    no_effect("kernel_rx_buf_size", "Size of the receive buffer.", "the buffer is large enough already"),
    no_effect("debug", "Not implemented in keepalived either.", "use -D"),
    no_effect("native_ipv6", "Deprecated in keepalived.", "the addresses say it"),
    no_effect("linkbeat_use_polling", "Polls the link.", "the kernel reports carriers"),
    not_built("lvs_sync_daemon_interface", "IPVS.", NO_CHECKER),
];

/// Words of `authentication`.
pub const AUTHENTICATION: Table = &[
    full("auth_type", Value::Text("PASS"), "PASS", "The only one that exists since RFC 3768."),
    full(
        "auth_pass",
        Value::Text("PASSWORD"),
        "required",
        "8 bytes count; more are cut, as in keepalived, and that is said. It is never shown.",
    ),
];
