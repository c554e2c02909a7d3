//! What proves that a port is ours. Only such a port is ever deleted to make room for a VM.
//!
//! A port is made before its server, so it carries the server's unique name from the start, and a description.
//! Once the server is there, tags add its id: Nova forgets the port when the server is deleted behind our back,
//! the tags do not.

use openstack::network::Port;

/// On every port we made, once its server is known.
pub const TAG: &str = "bosh-openstack-cpi";

/// Ports with one of these tags hold an address on purpose.
const RESERVED_TAGS: [&str; 3] = ["vrrp-vip", "standfast-reserved", "standfast:reserved"];

/// The description of a port that was made for a server of this name.
pub fn description_of(vm_name: &str) -> String {
    format!("made by openstack_cpi for {vm_name}")
}

/// The tag that names the server; 43 characters, where old Neutrons take 60.
pub fn server_tag(server_id: &str) -> String {
    format!("server={server_id}")
}

/// The tag that names the director.
pub fn director_tag(director_uuid: &str) -> String {
    // A tag must have no comma, and at most 60 characters.
    let clean: String = director_uuid.chars().filter(|c| *c != ',').take(50).collect();
    format!("director={clean}")
}

/// Whether we made this port.
pub fn is_ours(port: &Port) -> bool {
    port.tags.iter().any(|tag| tag == TAG)
        || (!port.name.is_empty() && port.description.as_deref() == Some(description_of(&port.name).as_str()))
}

/// Whether the port belongs to no server or router.
pub fn has_no_device(port: &Port) -> bool {
    port.device_id.is_empty() && port.device_owner.is_empty()
}

/// Whether a port that is ours is in nobody's use: no device, not up.
pub fn is_unused(port: &Port) -> bool {
    has_no_device(port) && port.status != "ACTIVE"
}

/// Whether the port holds an address on purpose, whatever else it looks like.
pub fn is_reservation(port: &Port) -> bool {
    !is_ours(port)
        && (port.device_owner.starts_with("vrrp")
            || port.tags.iter().any(|tag| RESERVED_TAGS.contains(&tag.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, description: &str, tags: &[&str]) -> Port {
        Port {
            name: name.into(),
            description: Some(description.into()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            status: "DOWN".into(),
            ..Port::default()
        }
    }

    #[test]
    fn a_port_is_ours_by_its_tag_or_by_name_and_description_together() {
        assert!(is_ours(&port("", "", &[TAG])));
        assert!(is_ours(&port("vm-1", "made by openstack_cpi for vm-1", &[])));
        assert!(!is_ours(&port("vm-1", "", &[])));
        assert!(!is_ours(&port("vip", "made by openstack_cpi for vm-1", &[])));
        assert!(!is_ours(&port("", "made by openstack_cpi for ", &[])));
    }

    #[test]
    fn reservations() {
        assert!(is_reservation(&port("", "", &["vrrp-vip"])));
        assert!(is_reservation(&Port { device_owner: "vrrp:reserved".into(), ..port("", "", &[]) }));
        assert!(!is_reservation(&port("", "", &[])));
    }
}
