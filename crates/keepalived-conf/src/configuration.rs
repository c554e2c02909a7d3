//! What a configuration says, typed. Values that were not given have keepalived's defaults, except where the
//! field's text says otherwise.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrp::{AdvertInterval, ChecksumForm, Family, Priority, Version, VirtualRouterId};

use crate::route::VirtualRoute;
use crate::rule::VirtualRule;
use crate::source::Span;

/// A whole configuration without errors.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Configuration {
    /// `global_defs`.
    pub global: GlobalDefs,
    /// `vrrp_script`.
    pub scripts: Vec<VrrpScript>,
    /// `track_file`, `vrrp_track_file`.
    pub track_files: Vec<TrackFile>,
    /// `vrrp_track_process`.
    pub track_processes: Vec<TrackProcess>,
    /// `vrrp_sync_group`.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_instance`.
    pub instances: Vec<VrrpInstance>,
}

/// `global_defs`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GlobalDefs {
    /// `router_id` or `lvs_id`.
    pub router_id: Option<String>,
    /// `script_user`: user, and group if given.
    pub script_user: Option<(String, Option<String>)>,
    /// `vrrp_version`.
    pub version: Option<Version>,
    /// `vrrp_garp_*`.
    pub garp: Garp,
    /// `vrrp_startup_delay`.
    pub startup_delay: Duration,
    /// `vrrp_rt_priority`: run the protocol in the real-time class.
    pub realtime_priority: Option<u8>,
    /// `enable_script_security`: a script that others may write is an error.
    pub script_security: bool,
    /// `vrrp_priority`: the agent's nice value.
    pub nice: Option<i8>,
    /// `vrrp_cpu_affinity`: the CPUs that the agent runs on; empty is all.
    pub cpu_affinity: Vec<u32>,
    /// `vrrp_no_swap`.
    pub no_swap: bool,
    /// `net_namespace`.
    pub network_namespace: Option<String>,
    /// `notify_fifo`, `vrrp_notify_fifo`.
    pub notify_fifo: Option<String>,
    /// `notify_fifo_script`, `vrrp_notify_fifo_script`: started once, with the pipe's path behind its arguments.
    pub notify_fifo_script: Option<NotifyScript>,
    /// `state_dump_file`: where SIGUSR1 writes.
    pub state_dump_file: Option<String>,
    /// `stats_dump_file`: where SIGUSR2 writes.
    pub stats_dump_file: Option<String>,
    /// `json_dump_file`: where the JSON signal writes.
    pub json_dump_file: Option<String>,
    /// `vrrp_mcast_group4`, `vrrp_mcast_group6`.
    pub multicast_group: [Option<IpAddr>; 2],
    /// `vrrp_down_timer_adverts`.
    pub down_timer_adverts: Option<u8>,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: Option<bool>,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `vrrp_check_unicast_src`.
    pub check_unicast_src: bool,
    /// `dynamic_interfaces`: an interface may be missing at start.
    pub dynamic_interfaces: bool,
}

/// Announcement settings; what is `None` comes from `global_defs`, then from the agent's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Garp {
    /// `garp_master_delay`: the second burst.
    pub delay: Option<Duration>,
    /// `garp_master_repeat`.
    pub repeat: Option<u8>,
    /// `garp_master_refresh`; ours is 1 s where keepalived has none.
    pub refresh: Option<Duration>,
    /// `garp_master_refresh_repeat`.
    pub refresh_repeat: Option<u8>,
    /// `garp_lower_prio_delay`.
    pub lower_prio_delay: Option<Duration>,
    /// `garp_lower_prio_repeat`.
    pub lower_prio_repeat: Option<u8>,
}

impl Garp {
    /// These, and where they are silent, `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            delay: self.delay.or(other.delay),
            repeat: self.repeat.or(other.repeat),
            refresh: self.refresh.or(other.refresh),
            refresh_repeat: self.refresh_repeat.or(other.refresh_repeat),
            lower_prio_delay: self.lower_prio_delay.or(other.lower_prio_delay),
            lower_prio_repeat: self.lower_prio_repeat.or(other.lower_prio_repeat),
        }
    }
}

/// `vrrp_script`.
#[derive(Clone, PartialEq, Debug)]
pub struct VrrpScript {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Program and arguments.
    pub command: Vec<String>,
    /// From one run to the next; 1 s.
    pub interval: Duration,
    /// After which a run has failed; the interval.
    pub timeout: Option<Duration>,
    /// Weight where `track_script` gives none; 0 faults.
    pub weight: i32,
    /// Success and failure swapped.
    pub reverse: bool,
    /// Successes in a row that make it good; 1.
    pub rise: u32,
    /// Failures in a row that make it bad; 1.
    pub fall: u32,
    /// Starts as failed.
    pub init_fail: bool,
    /// User and group to run as.
    pub user: Option<(String, Option<String>)>,
}

/// `vrrp_track_file`.
#[derive(Clone, PartialEq, Debug)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The file with a number in it.
    pub path: String,
    /// Its number times this; 1.
    pub weight: i32,
    /// Sign swapped.
    pub reverse: bool,
    /// `init_file`: the value to write if the file is missing.
    pub init: Option<i32>,
}

/// `vrrp_track_process`.
#[derive(Clone, PartialEq, Debug)]
pub struct TrackProcess {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The process's name, and parameters if they are to match.
    pub process: Vec<String>,
    /// Weight where `track_process` gives none; 0 faults.
    pub weight: i32,
    /// Running and missing swapped.
    pub reverse: bool,
    /// How many have to run; 1.
    pub quorum: u32,
    /// How many may run.
    pub quorum_max: Option<u32>,
    /// `delay`, `terminate_delay`: how long a change must last.
    pub terminate_delay: Duration,
    /// `delay`, `fork_delay`.
    pub fork_delay: Duration,
}

/// A reference to something tracked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// The name of the script, file, process or interface.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Overrides the definition's weight.
    pub weight: Option<i32>,
    /// Swaps its meaning.
    pub reverse: bool,
}

/// A notify script and whom it runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyScript {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it stands.
    pub span: Span,
    /// User and group to run as.
    pub user: Option<(String, Option<String>)>,
}

/// The `notify*` keywords.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<NotifyScript>,
    /// `notify_backup`.
    pub backup: Option<NotifyScript>,
    /// `notify_fault`.
    pub fault: Option<NotifyScript>,
    /// `notify_stop`.
    pub stop: Option<NotifyScript>,
    /// `notify_deleted`.
    pub deleted: Option<NotifyScript>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<NotifyScript>,
    /// `notify`.
    pub any: Option<NotifyScript>,
}

/// `vrrp_sync_group`.
#[derive(Clone, PartialEq, Debug)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Its members.
    pub members: Vec<(String, Span)>,
    /// `notify*`.
    pub notify: Notify,
    /// `track_script`, `track_file`, `track_process`, `track_interface` of the whole group.
    pub tracks: Tracks,
}

/// Everything tracked by an instance or a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tracks {
    /// `track_script`.
    pub scripts: Vec<Track>,
    /// `track_file`.
    pub files: Vec<Track>,
    /// `track_process`.
    pub processes: Vec<Track>,
    /// `track_interface`.
    pub interfaces: Vec<Track>,
}

/// The initial state; it means nothing but what it says about the operator's wish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// `MASTER`.
    Master,
    /// `BACKUP`.
    #[default]
    Backup,
}

/// An address of a virtual router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Where it stands.
    pub span: Span,
    /// The length of its prefix; the whole address if none was given.
    pub prefix_len: u8,
    /// `dev`.
    pub interface: Option<String>,
    /// `label`.
    pub label: Option<String>,
    /// `brd`.
    pub broadcast: Option<Ipv4Addr>,
    /// `scope`, as the kernel's number.
    pub scope: u8,
    /// `-nodad`: IPv6 looks for duplicates.
    pub duplicate_detection: bool,
    /// No `no_track`: without its interface the virtual router is held.
    pub tracked: bool,
}

/// A line of `unicast_peer`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    /// `min_ttl`, `max_ttl`.
    pub ttl: Option<(u8, u8)>,
}

/// Whether the link's state counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fallibility {
    /// The virtual router is held while its link is down.
    #[default]
    TrackPrimary,
    /// `dont_track_primary`.
    Ignore,
}

/// `vrrp_instance`.
#[derive(Clone, PartialEq, Debug)]
pub struct VrrpInstance {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// `state`.
    pub state: State,
    /// `interface`, and where.
    pub interface: (String, Span),
    /// `virtual_router_id`.
    pub virtual_router_id: VirtualRouterId,
    /// `priority`.
    pub priority: Priority,
    /// `advert_int`.
    pub advert_int: AdvertInterval,
    /// `version`; 2 for IPv4 and 3 for IPv6 if not given.
    pub version: Version,
    /// The family of the addresses, or of the peers.
    pub family: Family,
    /// `virtual_ipaddress`.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`.
    pub excluded: Vec<VirtualAddress>,
    /// `virtual_routes`.
    pub routes: Vec<VirtualRoute>,
    /// `virtual_rules`.
    pub rules: Vec<VirtualRule>,
    /// `unicast_src_ip`, `mcast_src_ip`.
    pub source: Option<IpAddr>,
    /// `unicast_peer`; `None` is multicast.
    pub unicast_peers: Option<Vec<Peer>>,
    /// `check_unicast_src`.
    pub check_unicast_src: bool,
    /// `unicast_ttl`.
    pub unicast_ttl: u8,
    /// `mcast_dst_ip`.
    pub multicast_group: Option<IpAddr>,
    /// The form to begin with: `v3_checksum_as_v2` (message only) or our `v3_checksum`.
    pub checksum: Option<ChecksumForm>,
    /// Whether that form is kept whatever the peers send: `v3_checksum pseudo_header` or `message_only`.
    pub checksum_fixed: bool,
    /// `authentication`, `auth_type PASS`.
    pub authentication: Option<[u8; 8]>,
    /// `nopreempt`.
    pub preempt: bool,
    /// `preempt_delay`.
    pub preempt_delay: Duration,
    /// `down_timer_adverts`.
    pub down_timer_adverts: u8,
    /// `lower_prio_no_advert` negated.
    pub answer_lower_priority: bool,
    /// `higher_prio_send_advert`; on with us.
    pub higher_prio_send_advert: bool,
    /// `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `dont_track_primary`.
    pub link: Fallibility,
    /// `track_*`.
    pub tracks: Tracks,
    /// `garp_*`.
    pub garp: Garp,
    /// `notify*`.
    pub notify: Notify,
}
