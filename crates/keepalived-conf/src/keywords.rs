//! The table of the language: which words stand in which block, and what becomes of them.

/// What is done with a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Understood.
    Understood,
    /// Accepted; it means nothing here, for the reason given.
    Harmless(&'static str),
    /// Known, and refused: what to do instead.
    Refused(&'static str),
}

use Status::{Harmless, Refused, Understood};

type Table = &'static [(&'static str, Status)];

const NO_MAIL: Status = Harmless("no mail is sent; use notify scripts or `standfast events`");
const NO_CHECKER: Status = Refused(
    "checkers and IPVS are not part of Standfast: let HAProxy balance, and track it with vrrp_script",
);
const NO_SNMP: Status = Harmless("SNMP is not built; use `standfast status --json`");
const SCHEDULING: Status = Harmless("the agent is one process; see vrrp_rt_priority and vrrp_no_swap");

/// Words at the top.
pub const TOP: Table = &[
    ("global_defs", Understood),
    ("vrrp_script", Understood),
    ("track_file", Understood),
    ("vrrp_track_file", Understood),
    ("vrrp_track_process", Understood),
    ("vrrp_sync_group", Understood),
    ("vrrp_instance", Understood),
    (
        "static_ipaddress",
        Refused("not built yet: configure static addresses with the system's network manager"),
    ),
    ("static_routes", Refused("not built yet: configure static routes with the system's network manager")),
    ("static_rules", Refused("not built yet: configure static rules with the system's network manager")),
    ("linkbeat_interfaces", Refused("not built: the kernel reports carriers")),
    ("garp_group", Refused("not built yet: remove it; announcements leave in one batch per link")),
    ("bfd_instance", Refused("BFD is not built yet: lower advert_int instead")),
    ("virtual_server", NO_CHECKER),
    ("virtual_server_group", NO_CHECKER),
    ("real_server", NO_CHECKER),
    ("net_namespace", Understood),
];

/// Words of `global_defs`.
pub const GLOBAL_DEFS: Table = &[
    ("router_id", Understood),
    ("lvs_id", Understood),
    ("script_user", Understood),
    ("enable_script_security", Harmless("scripts never run as root unless a user is named")),
    ("vrrp_version", Understood),
    ("vrrp_garp_master_delay", Understood),
    ("vrrp_garp_master_repeat", Understood),
    ("vrrp_garp_master_refresh", Understood),
    ("vrrp_garp_master_refresh_repeat", Understood),
    ("vrrp_garp_lower_prio_delay", Understood),
    ("vrrp_garp_lower_prio_repeat", Understood),
    ("vrrp_garp_interval", Harmless("announcements leave in one batch")),
    ("vrrp_gna_interval", Harmless("announcements leave in one batch")),
    ("vrrp_min_garp", Understood),
    ("vrrp_lower_prio_no_advert", Understood),
    ("vrrp_higher_prio_send_advert", Harmless("always so")),
    ("vrrp_check_unicast_src", Understood),
    ("vrrp_skip_check_adv_addr", Harmless("a differing address list is only told, never a reason to drop")),
    ("vrrp_startup_delay", Understood),
    ("vrrp_rt_priority", Understood),
    ("vrrp_no_swap", Understood),
    ("vrrp_priority", SCHEDULING),
    ("vrrp_rlimit_rttime", SCHEDULING),
    ("vrrp_rlimit_rtime", SCHEDULING),
    ("vrrp_cpu_affinity", SCHEDULING),
    ("vrrp_process_name", SCHEDULING),
    ("max_auto_priority", SCHEDULING),
    ("min_auto_priority_delay", SCHEDULING),
    ("process_names", SCHEDULING),
    ("checker_priority", SCHEDULING),
    ("checker_no_swap", SCHEDULING),
    ("bfd_priority", SCHEDULING),
    ("vrrp_mcast_group4", Understood),
    ("vrrp_mcast_group6", Understood),
    ("vrrp_strict", Refused("not built: leave it out; every receive check of RFC 9568 is always made")),
    ("vrrp_iptables", Harmless("no firewall rule is needed: accept mode is on")),
    ("vrrp_ipsets", Harmless("no firewall rule is needed: accept mode is on")),
    ("nftables", Harmless("no firewall rule is needed: accept mode is on")),
    ("notification_email", NO_MAIL),
    ("notification_email_from", NO_MAIL),
    ("smtp_server", NO_MAIL),
    ("smtp_helo_name", NO_MAIL),
    ("smtp_connect_timeout", NO_MAIL),
    ("smtp_alert", NO_MAIL),
    ("smtp_alert_vrrp", NO_MAIL),
    ("no_email_faults", NO_MAIL),
    ("enable_traps", NO_SNMP),
    ("enable_snmp_vrrp", NO_SNMP),
    ("enable_snmp_rfc", NO_SNMP),
    ("enable_snmp_rfcv2", NO_SNMP),
    ("enable_snmp_rfcv3", NO_SNMP),
    ("snmp_socket", NO_SNMP),
    ("enable_dbus", Harmless("D-Bus is not built; use the control socket")),
    ("dynamic_interfaces", Understood),
    ("default_interface", Refused("name the interface in each vrrp_instance")),
    ("net_namespace", Understood),
    ("notify_fifo", Understood),
    ("vrrp_notify_fifo", Understood),
    ("use_symlink_paths", Harmless("paths are run as they stand")),
    ("instance", Harmless("agents are told apart by namespace and pid")),
    ("use_pid_dir", Harmless("name the pid file with --pid")),
    ("log_unknown_vrids", Harmless("foreign VRIDs are counted")),
    ("reload_check_config", Harmless("always so: a bad file changes nothing")),
    ("child_wait_time", SCHEDULING),
];

/// Words of `vrrp_script`.
pub const SCRIPT: Table = &[
    ("script", Understood),
    ("interval", Understood),
    ("timeout", Understood),
    ("weight", Understood),
    ("rise", Understood),
    ("fall", Understood),
    ("user", Understood),
    ("init_fail", Understood),
];

/// Words of `vrrp_track_file`.
pub const TRACK_FILE: Table = &[("file", Understood), ("weight", Understood), ("init_file", Understood)];

/// Words of `vrrp_track_process`.
pub const TRACK_PROCESS: Table = &[
    ("process", Understood),
    ("full_command", Harmless("the whole command line is looked at where parameters are given")),
    ("param_match", Refused("not built yet: give the parameters as they stand")),
    ("weight", Understood),
    ("quorum", Understood),
    ("quorum_max", Understood),
    ("delay", Understood),
    ("fork_delay", Understood),
    ("terminate_delay", Understood),
];

/// Words that groups and instances share.
pub const SHARED: Table = &[
    ("track_script", Understood),
    ("track_file", Understood),
    ("track_process", Understood),
    ("track_interface", Understood),
    ("track_bfd", Refused("BFD is not built yet: lower advert_int instead")),
    ("notify_master", Understood),
    ("notify_backup", Understood),
    ("notify_fault", Understood),
    ("notify_stop", Understood),
    ("notify_deleted", Understood),
    ("notify_master_rx_lower_pri", Understood),
    ("notify", Understood),
    ("notify_priority_changes", Harmless("priority changes are in `standfast events`")),
    ("smtp_alert", NO_MAIL),
];

/// Words of `vrrp_sync_group` beside [`SHARED`].
pub const SYNC_GROUP: Table = &[
    ("group", Understood),
    ("global_tracking", Harmless("deprecated in keepalived")),
    (
        "sync_group_tracking_weight",
        Refused("not built: keepalived's own manual doubts it; track in the instances"),
    ),
];

/// Words of `vrrp_instance` beside [`SHARED`].
pub const INSTANCE: Table = &[
    ("state", Understood),
    ("interface", Understood),
    ("virtual_router_id", Understood),
    ("priority", Understood),
    ("advert_int", Understood),
    ("version", Understood),
    ("virtual_ipaddress", Understood),
    ("virtual_ipaddress_excluded", Understood),
    ("no_virtual_ipaddress", Understood),
    ("unicast_src_ip", Understood),
    ("mcast_src_ip", Understood),
    ("unicast_peer", Understood),
    ("check_unicast_src", Understood),
    ("unicast_ttl", Understood),
    ("unicast_fault_no_peer", Harmless("unicast_peer without a peer is an error")),
    ("mcast_dst_ip", Understood),
    ("track_src_ip", Harmless("always so: without a source address nothing can be sent")),
    ("v3_checksum_as_v2", Understood),
    ("v3_checksum", Understood),
    ("old_unicast_checksum", Refused("keepalived 1.3.6 and older: upgrade the peer")),
    ("authentication", Understood),
    ("nopreempt", Understood),
    ("preempt", Understood),
    ("preempt_delay", Understood),
    ("accept", Harmless("accept mode is on")),
    ("no_accept", Refused("not built yet: leave it out, or drop the traffic with nftables")),
    ("down_timer_adverts", Understood),
    ("lower_prio_no_advert", Understood),
    ("higher_prio_send_advert", Understood),
    ("owner_ignore_adverts", Understood),
    ("skip_check_adv_addr", Harmless("a differing address list is only told, never a reason to drop")),
    ("strict_mode", Refused("not built: leave it out; every receive check of RFC 9568 is always made")),
    ("dont_track_primary", Understood),
    ("garp_master_delay", Understood),
    ("garp_master_repeat", Understood),
    ("garp_master_refresh", Understood),
    ("garp_master_refresh_repeat", Understood),
    ("garp_lower_prio_delay", Understood),
    ("garp_lower_prio_repeat", Understood),
    ("garp_extra_if", Harmless("every interface with an address of ours is announced on")),
    (
        "use_vmac",
        Refused("virtual MACs are not built yet: leave it out; the real MAC is announced, as clouds need it"),
    ),
    ("use_vmac_addr", Refused("virtual MACs are not built yet: leave it out")),
    ("vmac_xmit_base", Refused("virtual MACs are not built yet: leave it out")),
    ("use_ipvlan", Refused("ipvlan is not built yet: leave it out")),
    ("virtual_routes", Refused("not built yet: add routes in notify_master and notify_backup scripts")),
    ("virtual_rules", Refused("not built yet: add rules in notify_master and notify_backup scripts")),
    ("promote_secondaries", Refused("not built yet: set net.ipv4.conf.IFACE.promote_secondaries=1")),
    ("vrf", Refused("not built yet: name the interface")),
    ("auth_hmac", Refused("not built yet: restrict who can send protocol 112 with a security group")),
    ("kernel_rx_buf_size", Harmless("the buffer is large enough already")),
    ("debug", Harmless("use -D")),
    ("native_ipv6", Harmless("the addresses say it")),
    ("linkbeat_use_polling", Harmless("the kernel reports carriers")),
    ("lvs_sync_daemon_interface", NO_CHECKER),
];

/// The status of `word` in a block that has these tables.
pub fn status(word: &str, tables: &[Table]) -> Option<Status> {
    tables.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == word).map(|(_, status)| *status)
}

/// All words of these tables.
pub fn words(tables: &[Table]) -> impl Iterator<Item = &'static str> {
    tables.iter().flat_map(|table| table.iter()).map(|(word, _)| *word)
}
