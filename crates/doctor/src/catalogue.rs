//! The pitfalls the doctor knows. `docs/troubleshooting.md` is written from this table, so that the page and
//! the program cannot differ.

use std::fmt::Write as _;

use keepalived_conf::Severity;
use serde::{Serialize, Serializer};

/// One way in which an address does not answer.
#[derive(PartialEq, Eq, Debug)]
pub struct Pitfall {
    /// A stable name, for `--json` and links.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// What the operator sees.
    pub symptom: &'static str,
    /// Why it happens.
    pub explanation: &'static str,
    /// How it is mended, in general; the finding has the exact command.
    pub mend: &'static str,
    /// How bad it is as a rule.
    pub severity: Severity,
    /// Which sources it takes to see it.
    pub seen_by: &'static str,
}

impl Serialize for Pitfall {
    /// The id alone: the rest is the same in every finding.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

impl Pitfall {
    /// Where the page on it is.
    pub fn documentation(&self) -> String {
        format!("docs/troubleshooting.md#{}", self.id)
    }
}

macro_rules! pitfalls {
    ($($name:ident: $id:literal, $severity:ident, $seen_by:literal, $title:literal,
        $symptom:literal, $explanation:literal, $mend:literal;)*) => {
        $(
            #[doc = concat!("`", $id, "`.")]
            pub static $name: Pitfall = Pitfall {
                id: $id, title: $title, symptom: $symptom, explanation: $explanation, mend: $mend,
                severity: Severity::$severity, seen_by: $seen_by,
            };
        )*
        /// Every pitfall, in the order of the page.
        pub static ALL: &[&Pitfall] = &[$(&$name),*];
    };
}

pitfalls! {
    VRRP_BLOCKED: "vrrp-blocked-by-security-group", Error, "OpenStack",
        "Security groups do not let VRRP through",
        "Both hosts are Active at once, each sure that the other is gone.",
        "VRRP is IP protocol 112. A port drops what no rule of its security groups allows, so the Backup never \
         hears the Active's adverts and takes over while the Active goes on.",
        "Allow protocol 112 into every member's group from the members' group, and out of it if egress is \
         restricted.";
    PAIR_MISSING: "pair-missing", Error, "OpenStack; agent or wire say who is a member",
        "A member's port does not list the address in allowed_address_pairs",
        "The address is on the Active's interface, and nobody reaches it; or it works on one host and not on \
         the other.",
        "Neutron's port security drops packets and ARP whose source is neither the port's own address nor one \
         of its pairs. Every member's port on that network needs the pair, since each may become Active.",
        "Add the pair to the port; in a BOSH deployment put `allowed_address_pairs` in the vm_extension and \
         recreate the VM.";
    PAIRS_NOT_PERMITTED: "pairs-not-permitted", Warning, "OpenStack",
        "The network belongs to another project, so pairs may not be set",
        "create_vm answers 403 PolicyNotAuthorized, or `openstack port set --allowed-address` does.",
        "Neutron's default policy lets only an administrator or a member of the project that owns the network \
         set allowed_address_pairs. On a shared or provider network a plain member is refused.",
        "Use a network of your own project, or have the cloud's operator widen \
         create_port:allowed_address_pairs and update_port:allowed_address_pairs (neutron-policy-server can \
         limit it to addresses that the project owns).";
    PAIRS_WITHOUT_PORT_SECURITY: "port-security-off", Warning, "OpenStack",
        "Port security is off where pairs are asked for",
        "create_vm answers 409: port security must be enabled in order to have allowed address pairs.",
        "Without port security nothing is filtered on the port: the pair is neither needed nor possible. On \
         OVN the address still profits from the pair, since it makes the reserved port a virtual one.",
        "Switch port security on for network or port, or leave allowed_address_pairs out there.";
    NOT_RESERVED: "address-not-reserved", Error, "OpenStack",
        "No port reserves the address",
        "Another VM is given the address some day; or create_vm says that the VRRP port does not exist.",
        "An address inside an allocation pool that no port holds is free for Neutron to give away, and the \
         CPI's check looks for that port.",
        "Reserve it: `standfast reserve`; and put it in the `reserved` range of the BOSH subnet.";
    ADDRESS_TAKEN: "address-taken", Error, "OpenStack",
        "The address is some VM's own",
        "The address answers from a machine that is no member; failover changes nothing.",
        "A port bound to a VM holds the address as its fixed IP: Neutron gave it away, or a static IP of a \
         deployment names it.",
        "Move that VM to another address, then reserve this one.";
    RESERVATION_UNPROTECTED: "reservation-unprotected", Warning, "OpenStack",
        "Older CPIs may delete the reserved port",
        "The reservation disappears after a deployment in which a VM was given the address by mistake.",
        "On a conflict the Ruby and the Go CPI delete every port with that address that is DOWN and has \
         neither device_id nor device_owner. A reserved port is just that.",
        "Give it a device_owner (`vrrp:reserved`, which `standfast reserve` sets): that keeps it out of their \
         selection.";
    RESERVATION_BOUND: "reservation-bound", Error, "OpenStack",
        "The reserved port is attached to a VM",
        "On OVN the VM never boots (300 s), or the address never leaves that VM.",
        "The reserved port must hold the address and nothing else. OVN makes it a virtual port, which cannot \
         be bound to a host.",
        "Detach it from the VM, and let the VM use a port of its own with the pair.";
    RESERVATION_ELSEWHERE: "reservation-on-other-network", Error, "OpenStack",
        "The reserved port is on another network",
        "create_vm passes the old check and the address does not answer; or our check says that it is there \
         but elsewhere.",
        "The same address exists on several networks. Only a port on the members' network reserves it there.",
        "Reserve it on the members' network.";
    PAIR_IS_PREFIX: "pair-is-a-prefix", Warning, "OpenStack",
        "The pair is a prefix, not the address itself",
        "On OVN the address does not answer from outside, or not after a failover.",
        "OVN makes a reserved port virtual only if a pair is exactly its address; a prefix lets the packets \
         through but binds the address to nobody.",
        "Add the exact address to the pairs.";
    PAIR_OPENS_EVERYTHING: "pair-opens-everything", Warning, "OpenStack",
        "The pair allows every address",
        "Remote-group rules let in everybody.",
        "A pair of 0.0.0.0/0 or ::/0 makes the port a member of every remote group with every address.",
        "Replace it by the address.";
    PARENT_DIFFERS: "virtual-port-follows-another-host", Warning, "OpenStack (administrator); wire or agent",
        "OVN believes that another host is Active",
        "From outside the address leads to the host that was Active before.",
        "OVN learns the virtual port's parent from gratuitous ARP. If it was missed, the parent stays.",
        "Let the Active announce again (`standfast status` shows when it last did); set garp_master_refresh.";
    STALE_NEIGHBOURS: "stale-neighbours", Error, "wire",
        "Somebody else answers for the address",
        "After a failover some clients talk to the old host for minutes.",
        "ARP or neighbour discovery for the address is answered by another MAC than the Active's: a second \
         holder, a proxy, or an address left behind by a killed agent.",
        "Remove the address where it does not belong; let the Active announce again.";
    ANNOUNCED_TOO_SELDOM: "announced-too-seldom", Warning, "configuration",
        "The address is announced in one short burst only",
        "After a failover some clients stay with the old host although the address has moved.",
        "Linux ignores a gratuitous ARP that comes within a second (`locktime`) of another change, switches \
         limit bursts, and a lost burst is never repeated.",
        "Keep garp_master_refresh and garp_master_delay on.";
    VRID_COLLISION: "vrid-collision", Error, "wire",
        "A foreign router uses the same VRID",
        "The state flaps, the log is full of adverts with other addresses.",
        "A VRID must be unique per link and family. The default of many products is 1 or 51.",
        "Choose another virtual_router_id on all members.";
    TWO_ACTIVES: "two-actives", Error, "wire",
        "Two routers advertise at the same time",
        "The address answers now here, now there.",
        "Each does not hear, or does not accept, the other's adverts.",
        "See what the other findings say: security groups, version, authentication, interval, transport.";
    NOBODY_ACTIVE: "nobody-active", Error, "wire, agent",
        "Nobody advertises",
        "The address does not answer at all.",
        "No router is Active: the agents are down or held, or their adverts do not reach this interface.",
        "Look at `standfast status` on the members.";
    MULTICAST_NOT_DELIVERED: "multicast-not-delivered", Warning, "agent, wire",
        "Multicast adverts do not arrive",
        "Both hosts are Active although the security groups are right.",
        "Some networks (snooping without a querier, Calico, Contrail, some provider networks) drop multicast.",
        "Use unicast: list the other members in unicast_peer.";
    FLOATING_IP_ON_MEMBER: "floating-ip-on-member", Warning, "OpenStack",
        "The floating IP leads to one VM, not to the address",
        "From outside the service ends when that VM does.",
        "A floating IP that is associated with a member's own port stays with that VM.",
        "Associate it with the reserved port.";
    TOO_MANY_PAIRS: "too-many-pairs", Warning, "OpenStack",
        "The port has as many pairs as the cloud allows",
        "create_vm answers 400: the number of allowed address pairs exceeds the maximum.",
        "Neutron allows 10 pairs a port unless max_allowed_address_pair says otherwise.",
        "Use a prefix for addresses that are not virtual ports, or ask the operator to raise the limit.";
    VIRTUAL_MAC_DROPPED: "virtual-mac-dropped", Error, "wire or configuration; OpenStack",
        "The virtual MAC is not in the pairs",
        "With use_vmac nobody reaches the address.",
        "A pair without a MAC allows the port's own MAC only; frames from 00:00:5e:00:01:VRID are dropped.",
        "Leave use_vmac off on OpenStack, or add the MAC to the pair (OVN 26.03 or later).";
    SAME_HYPERVISOR: "same-hypervisor", Warning, "OpenStack",
        "All members run on one hypervisor",
        "When that hypervisor dies, the address dies with it.",
        "Nothing kept the scheduler from placing the members together.",
        "Put them in a server group with (soft-)anti-affinity, or in different availability zones.";
    ADDRESS_OUTSIDE_SUBNET: "address-outside-subnet", Error, "OpenStack",
        "The address is in no subnet of the members' network",
        "Nobody reaches the address; it is never asked for on that link.",
        "Clients look for an address on the link whose prefix contains it.",
        "Use an address of a subnet of that network.";
    ADDRESS_HAS_OTHER_USE: "address-has-other-use", Error, "OpenStack",
        "The address belongs to the network itself",
        "The network behaves oddly: no gateway, no leases, no metadata.",
        "It is the subnet's gateway, or that of a DHCP or metadata port.",
        "Choose another address.";
    FAMILY_MISMATCH: "family-mismatch", Error, "OpenStack, configuration",
        "The pairs do not fit the addresses that are advertised",
        "The IPv4 address moves and the IPv6 address does not, or the link-local one is missing.",
        "Each address needs a pair of its own family. VRRP over IPv6 advertises a link-local address first, \
         which needs a pair as well if it is virtual.",
        "Add the missing pair.";
    SECURITY_GROUPS_DIFFER: "security-groups-differ", Warning, "OpenStack",
        "The members have different security groups",
        "It works on one host and not on the other.",
        "After a partial redeployment, or a change by hand, the ports no longer have the same groups.",
        "Give every member the same groups; recreate the one that was left.";
    OVN_WITHOUT_PAIR: "ovn-needs-pairs", Warning, "OpenStack",
        "Port security is off, and OVN knows no virtual port",
        "It worked with Open vSwitch and stopped after the migration to OVN.",
        "On OVN the pair does more than open the port: it makes the reserved port a virtual one, which \
         follows the Active. Without port security there is no pair.",
        "Switch port security on and set the pair.";
    ANNOUNCEMENT_IGNORED: "announcement-ignored", Note, "configuration",
        "A single announcement may be ignored",
        "For some seconds after a failover packets still go to the old host.",
        "Linux keeps a neighbour entry for a second (`locktime`) and takes a gratuitous ARP only with \
         arp_accept or for an entry that exists (LP #1690165).",
        "Leave garp_master_repeat at 2 or more, and the second burst (garp_master_delay) at 1 s or more.";
    ADVERTS_DROPPED: "adverts-dropped", Error, "agent",
        "The agent drops a peer's adverts",
        "Both hosts are Active although each hears the other.",
        "Adverts arrive and are refused: another version, interval, password, transport, TTL or checksum.",
        "Make the members' configurations agree; the finding names the reason and the peer.";
    MEMBERS_DISAGREE: "members-disagree", Error, "wire",
        "The members do not speak the same VRRP",
        "Both hosts are Active although adverts of both are on the wire.",
        "Version, interval (VRRPv2), authentication or the list of addresses differ between the members.",
        "Use one configuration for all members; only priority and unicast addresses may differ.";
    BAD_PACKETS: "bad-packets", Warning, "wire",
        "Broken or foreign VRRP packets are on the wire",
        "Counters of dropped packets grow; keepalived as Active loses its advert timer to them.",
        "Packets with a wrong checksum or TTL come from a broken device, another network, or an attacker.",
        "Find the sender by its MAC; filter it.";
    AGENT_ABSENT: "agent-not-running", Error, "agent",
        "No agent runs here",
        "This host takes no part.",
        "No control socket of an agent was found in this network namespace.",
        "Start it; look at its log if it does not stay.";
    AGENT_HELD: "agent-held", Error, "agent",
        "A virtual router is held",
        "This host does not take over.",
        "Its link, its source address, a check or a member of its sync group keeps it out of the election.",
        "Mend what the finding names.";
    ADDRESS_NOT_INSTALLED: "address-not-installed", Error, "agent",
        "The Active does not have the address on its interface",
        "This host says it is Active, and the address does not answer.",
        "The kernel refused the address, or something removed it (systemd-networkd and NetworkManager remove \
         foreign addresses).",
        "Tell the network manager to keep foreign addresses (ManageForeignRoutingPolicyRules=no, \
         KeepConfiguration=yes; unmanaged-devices).";
    RELOAD_FAILED: "reload-failed", Warning, "agent",
        "The last reload changed nothing",
        "The configuration file and the agent's behaviour differ.",
        "The file had an error, so the agent went on with what it had.",
        "Mend the file (`standfast check FILE`) and reload again.";
    CONFIGURATION_WRONG: "configuration-wrong", Error, "configuration",
        "The configuration has an error",
        "The agent does not start, or does not reload.",
        "The finding shows the line.",
        "Mend the line; `standfast check FILE` shows all of them.";
    SOURCE_UNAVAILABLE: "source-unavailable", Note, "-",
        "A source could not be examined",
        "The doctor says less than it could.",
        "A socket, an interface or a cloud could not be reached.",
        "The finding says what stopped it.";
}

/// The troubleshooting page.
pub fn page() -> String {
    let mut text = String::from(
        "# Why does the address not answer?\n\n\
         <!-- Written from crates/doctor/src/catalogue.rs by `cargo run -p doctor --example troubleshooting`. -->\n\n\
         `standfast doctor` looks at the agent's configuration and state, at the wire and at OpenStack, and tells\n\
         what is wrong, who said so, and the exact command that mends it. This page lists what it knows.\n\n\
         | finding | what you see | told by |\n|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for pitfall in ALL {
        let _ = writeln!(text, "| [{0}](#{0}) | {1} | {2} |", pitfall.id, pitfall.symptom, pitfall.seen_by);
    }
    for pitfall in ALL {
        let _ = write!(
            text,
            "\n<a id=\"{}\"></a>\n## {}\n\n**What you see.** {}\n\n**Why.** {}\n\n**What mends it.** {}\n",
            pitfall.id, pitfall.title, pitfall.symptom, pitfall.explanation, pitfall.mend
        );
    }
    text
}
