//! `global_defs`.

use super::{Keyword, NO_CHECKER, Table, Value, full, no_effect, not_built, seconds, whole};

const NO_MAIL: &str = "no mail is sent; use notify scripts or `standfast events`";
const NO_SNMP: &str = "SNMP is not built; use `standfast status --json`";
const NO_CHILD: &str = "the agent is one process";
const NO_FIREWALL: &str = "no firewall rule is made: accept mode is on";
const ONE_BATCH: &str = "announcements leave in one batch per link";
const LARGE_ENOUGH: &str = "the buffers are large enough already";
const OWN_NAMES: &str = "it names what is not built";

const fn mail(name: &'static str) -> Keyword {
    no_effect(name, "Mail on transitions.", NO_MAIL)
}

const fn snmp(name: &'static str) -> Keyword {
    no_effect(name, "SNMP.", NO_SNMP)
}

const fn child(name: &'static str) -> Keyword {
    no_effect(name, "Scheduling or naming of keepalived's child processes.", NO_CHILD)
}

const fn buffer(name: &'static str) -> Keyword {
    no_effect(name, "Sizes of receive buffers.", LARGE_ENOUGH)
}

const fn ipvs(name: &'static str) -> Keyword {
    not_built(name, "IPVS and checkers.", NO_CHECKER)
}

/// Words of `global_defs`.
pub const GLOBAL_DEFS: Table = &[
    full("router_id", Value::Text("NAME"), "the host's name", "The name of this host."),
    full("lvs_id", Value::Text("NAME"), "the host's name", "The older name of `router_id`; haproxy-boshrelease writes it."),
    full("script_user", Value::Words("USER [GROUP]"), "keepalived_script, else nobody", "Whom scripts run as.")
        .differs("keepalived runs them as root where keepalived_script does not exist."),
    full("enable_script_security", Value::Flag, "off", "A script that others may write is an error.")
        .differs("Scripts run as root only if a user is named; without this word a script that others may write is a warning."),
    full("vrrp_version", whole(2, 3, ""), "2 for IPv4, 3 for IPv6", "The version of instances without `version`.")
        .differs("IPv6 is always VRRPv3, in keepalived too."),
    full("vrrp_garp_master_delay", seconds(0.0, 3600.0), "see `garp_master_delay`", "For instances without `garp_master_delay`."),
    full("vrrp_garp_master_repeat", whole(1, 255, ""), "see `garp_master_repeat`", "For instances without `garp_master_repeat`."),
    full("vrrp_garp_master_refresh", seconds(0.0, 86400.0), "see `garp_master_refresh`", "For instances without `garp_master_refresh`."),
    full("vrrp_garp_master_refresh_repeat", whole(1, 255, ""), "see `garp_master_refresh_repeat`", "For instances without `garp_master_refresh_repeat`."),
    full("vrrp_garp_lower_prio_delay", seconds(0.0, 3600.0), "see `garp_lower_prio_delay`", "For instances without `garp_lower_prio_delay`."),
    full("vrrp_garp_lower_prio_repeat", whole(0, 255, ""), "see `garp_lower_prio_repeat`", "For instances without `garp_lower_prio_repeat`."),
    full("vrrp_min_garp", Value::Switch, "off", "One announcement per address, and no second burst."),
    no_effect("vrrp_garp_interval", "Pauses between announcements.", ONE_BATCH),
    no_effect("vrrp_gna_interval", "Pauses between announcements.", ONE_BATCH),
    no_effect("vrrp_garp_extra_if", "Announcements on other links.", "every link with an address of ours is announced on"),
    full("vrrp_down_timer_adverts", whole(1, 100, "adverts"), "3", "For instances without `down_timer_adverts`."),
    full("vrrp_lower_prio_no_advert", Value::Switch, "off", "For instances without `lower_prio_no_advert`."),
    full("vrrp_higher_prio_send_advert", Value::Switch, "on", "For instances without `higher_prio_send_advert`.")
        .differs("Off in keepalived."),
    full("vrrp_check_unicast_src", Value::Switch, "off", "For instances without `check_unicast_src`."),
    full("vrrp_mcast_group4", Value::Text("ADDRESS"), "224.0.0.18", "The multicast group of IPv4."),
    full("vrrp_mcast_group6", Value::Text("ADDRESS"), "ff02::12", "The multicast group of IPv6."),
    full("vrrp_startup_delay", seconds(0.0, 3600.0), "0", "How long after the start the virtual routers begin."),
    not_built("vrrp_delay_after_boot", "How long after the boot the virtual routers begin.", "not built yet: use vrrp_startup_delay"),
    full("vrrp_rt_priority", whole(1, 99, ""), "off", "The real-time priority of the protocol's thread (SCHED_RR)."),
    full("vrrp_priority", whole(-20, 19, ""), "0", "The nice value of the agent."),
    full("vrrp_cpu_affinity", Value::Words("CPU ..."), "all", "The CPUs that the agent runs on, from 0."),
    no_effect(
        "vrrp_rlimit_rttime",
        "How long the real-time thread may run without sleeping.",
        "it is not limited; the thread sleeps between packets and timers",
    ),
    no_effect(
        "vrrp_rlimit_rtime",
        "How long the real-time thread may run without sleeping.",
        "it is not limited; the thread sleeps between packets and timers",
    ),
    full("vrrp_no_swap", Value::Switch, "off", "Memory stays in memory."),
    no_effect("max_auto_priority", "Real-time priority when timers fire late.", "a late thread takes no lateness for silence; see vrrp_rt_priority"),
    no_effect("min_auto_priority_delay", "When `max_auto_priority` acts.", "a late thread takes no lateness for silence; see vrrp_rt_priority"),
    full("net_namespace", Value::Text("NAME"), "the caller's", "The network namespace to run in.")
        .differs("`-s` comes first."),
    full("dynamic_interfaces", Value::Words("[allow_if_changes]"), "off", "An interface may be missing at the start.")
        .differs("The check accepts a missing interface; the virtual router is held until it is there."),
    full("notify_fifo", Value::Words("PATH [USER [GROUP]]"), "none", "Every transition is written into this named pipe, a line each."),
    full("vrrp_notify_fifo", Value::Words("PATH [USER [GROUP]]"), "none", "The same."),
    full("notify_fifo_script", Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"), "none", "Started once, with the pipe's path as its last argument."),
    full("vrrp_notify_fifo_script", Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"), "none", "The same."),
    full("state_dump_file", Value::Text("PATH"), "keepalived's path", "Where SIGUSR1 writes what the agent knows."),
    full("stats_dump_file", Value::Text("PATH"), "keepalived's path", "Where SIGUSR2 writes statistics."),
    full("json_dump_file", Value::Text("PATH"), "keepalived's path", "Where the JSON signal writes."),
    no_effect("data_use_instance", "Names of dump files.", "name the files with state_dump_file and its like"),
    no_effect("vrrp_notify_priority_changes", "Priority changes on the pipe.", "priority changes are in `standfast events`"),
    no_effect("fifo_write_vrrp_states_on_reload", "States on the pipe on reload.", "a virtual router that does not change does not notice a reload"),
    no_effect("vrrp_skip_check_adv_addr", "The list of addresses in adverts is not compared.", "a differing list is only told, never a reason to drop"),
    not_built("vrrp_strict", "RFC conformance.", "leave it out: every receive check of RFC 9568 is always made; the rest of strict mode is not built"),
    no_effect("vrrp_iptables", "Rules for no_accept.", NO_FIREWALL),
    no_effect("vrrp_ipsets", "Rules for no_accept.", NO_FIREWALL),
    no_effect("nftables", "Rules for no_accept.", NO_FIREWALL),
    no_effect("nftables_priority", "Rules for no_accept.", NO_FIREWALL),
    no_effect("nftables_counters", "Rules for no_accept.", NO_FIREWALL),
    no_effect("nftables_ifindex", "Rules for no_accept.", NO_FIREWALL),
    no_effect("disable_local_igmp", "IGMP on virtual MACs.", "there are no virtual MACs"),
    no_effect("vmac_prefix", "Names of virtual MAC interfaces.", OWN_NAMES),
    no_effect("vmac_addr_prefix", "Names of virtual MAC interfaces.", OWN_NAMES),
    not_built("default_interface", "The interface of what names none.", "name the interface in each vrrp_instance"),
    not_built("startup_script", "Run once before anything else.", "not built yet: let the init system run it first"),
    not_built("startup_script_timeout", "Its time limit.", "not built yet: let the init system run it first"),
    not_built("shutdown_script", "Run once at the end.", "not built yet: let the init system run it afterwards"),
    not_built("shutdown_script_timeout", "Its time limit.", "not built yet: let the init system run it afterwards"),
    no_effect("use_symlink_paths", "Symbolic links in scripts' paths.", "paths are run as they stand"),
    no_effect("set_supplementary_groups", "Groups of scripts.", "scripts run with their user's and group's rights only"),
    no_effect("umask", "Modes of files.", "the agent's files are for root and its group"),
    no_effect("log_unknown_vrids", "Foreign VRIDs in the log.", "they are counted; see `standfast status`"),
    no_effect("reload_check_config", "A bad file is not loaded.", "always so: a bad file changes nothing"),
    not_built("reload_time_file", "A reload at a set time.", "not built yet: reload by SIGHUP"),
    not_built("reload_repeat", "Repeats it.", "not built yet: reload by SIGHUP"),
    no_effect("reload_file", "Tells whether a reload is done.", "`standfast events` tells when a reload is done"),
    no_effect("include_check", "How strict `include` is.", "includea, includer, includem, includew and includeb are strict each by itself"),
    no_effect("tmp_config_directory", "Where the configuration is kept.", "it is kept in memory"),
    no_effect("config_save_dir", "Copies of configurations.", "a bad file changes nothing"),
    no_effect("random_seed", "For tests of keepalived.", "nothing depends on it"),
    no_effect("instance", "A name for this agent.", "agents are told apart by namespace and pid file"),
    no_effect("use_pid_dir", "Where pid files are.", "name the pid file with --pid"),
    no_effect("linkbeat_use_polling", "Polls all links.", "the kernel reports carriers"),
    child("process_names"),
    child("process_name"),
    child("vrrp_process_name"),
    child("checker_process_name"),
    child("bfd_process_name"),
    child("checker_priority"),
    child("checker_rt_priority"),
    child("checker_no_swap"),
    child("checker_cpu_affinity"),
    child("checker_rlimit_rttime"),
    child("bfd_priority"),
    child("bfd_rt_priority"),
    child("bfd_no_swap"),
    child("bfd_cpu_affinity"),
    child("bfd_rlimit_rttime"),
    child("child_wait_time"),
    buffer("vrrp_netlink_cmd_rcv_bufs"),
    buffer("vrrp_netlink_cmd_rcv_bufs_force"),
    buffer("vrrp_netlink_monitor_rcv_bufs"),
    buffer("vrrp_netlink_monitor_rcv_bufs_force"),
    buffer("process_monitor_rcv_bufs"),
    buffer("process_monitor_rcv_bufs_force"),
    buffer("vrrp_rx_bufs_policy"),
    buffer("vrrp_rx_bufs_multiplier"),
    mail("notification_email"),
    mail("notification_email_from"),
    mail("smtp_server"),
    mail("smtp_helo_name"),
    mail("smtp_connect_timeout"),
    mail("smtp_alert"),
    mail("smtp_alert_vrrp"),
    mail("smtp_alert_checker"),
    mail("no_email_faults"),
    mail("no_checker_emails"),
    snmp("enable_traps"),
    snmp("enable_snmp_vrrp"),
    snmp("enable_snmp_checker"),
    snmp("enable_snmp_rfc"),
    snmp("enable_snmp_rfcv2"),
    snmp("enable_snmp_rfcv3"),
    snmp("enable_snmp_keepalived"),
    snmp("snmp_socket"),
    no_effect("enable_dbus", "D-Bus.", "D-Bus is not built; use the control socket"),
    no_effect("dbus_service_name", "D-Bus.", "D-Bus is not built; use the control socket"),
    ipvs("lvs_sync_daemon"),
    ipvs("lvs_timeouts"),
    ipvs("lvs_flush"),
    ipvs("lvs_flush_on_stop"),
    ipvs("lvs_notify_fifo"),
    ipvs("lvs_notify_fifo_script"),
    ipvs("checker_log_all_failures"),
    ipvs("rs_init_notifies"),
];
