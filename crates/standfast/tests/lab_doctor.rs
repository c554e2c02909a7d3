//! Pitfalls produced on the lab's real Neutron, found by the doctor, and mended by the doctor's own command.
//!
//! Run inside the lab (`make test-lab`); without it each test says that it did nothing. Members are ports that
//! belong to no server: Neutron cannot tell, and no test waits for Nova. Pitfalls that take packets are in the
//! story and in the agent's tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use openstack::clouds::{Source, load};
use openstack::network::{
    AddressPair, FixedIp, FloatingIpCreate, NetworkCreate, PortCreate, PortUpdate, SecurityGroupRuleCreate,
    SubnetCreate,
};
use openstack::{Client, Method, Query, Request, Service};
use serde_json::{Value, json};

const VIP: &str = "10.66.0.100";

fn state() -> Option<PathBuf> {
    let state = std::env::var_os("LAB_STATE").map(PathBuf::from);
    if state.is_none() {
        eprintln!("SKIPPED: needs the lab (make lab), and to be run inside it (lab/exec)");
    }
    state
}

/// A network of its own with two members, a reserved port and a security group, all as they should be.
struct Place {
    state: PathBuf,
    client: Client,
    name: String,
    network: String,
    subnet: String,
    group: String,
    members: Vec<String>,
    reserved: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn new() -> Option<Self> {
        let state = state()?;
        let file = state.join("clouds.yaml").display().to_string();
        let variable = move |name: &str| (name == "OS_CLIENT_CONFIG_FILE").then(|| file.clone());
        let source = Source { cloud: Some("lab"), variable: &variable, folders: Vec::new() };
        let client = Client::new(load(&source).unwrap()).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("doctor-test-{}-{number}", std::process::id());
        let network = {
            let network = NetworkCreate { name: name.clone(), ..Default::default() };
            client.network().create_network(&network).unwrap().id
        };
        let subnet = SubnetCreate {
            network_id: network.clone(),
            cidr: "10.66.0.0/24".into(),
            ip_version: 4,
            name: Some(name.clone()),
            enable_dhcp: Some(false),
            ..Default::default()
        };
        let subnet = client.network().create_subnet(&subnet).unwrap().id;
        let group = client.network().create_security_group(&name, "for the doctor's tests").unwrap().id;
        let (members, reserved) = (Vec::new(), String::new());
        let mut place = Self { state, client, name, network, subnet, group, members, reserved };
        place.allow_vrrp();
        for address in ["10.66.0.11", "10.66.0.12"] {
            place.members.push(place.member(address));
        }
        let (code, text) = place.standfast(&["reserve", VIP, "--network", &place.network]);
        assert_eq!(code, 0, "{text}");
        let holding = Query::new().filter("network_id", &place.network).fixed_ip(VIP);
        place.reserved = place.client.network().ports(&holding).unwrap().remove(0).id;
        assert_eq!(place.findings(), [] as [String; 0], "a good place has no finding");
        Some(place)
    }

    fn allow_vrrp(&self) {
        let rule = SecurityGroupRuleCreate {
            security_group_id: self.group.clone(),
            direction: "ingress".into(),
            ethertype: Some("IPv4".into()),
            protocol: Some("112".into()),
            remote_group_id: Some(self.group.clone()),
            ..Default::default()
        };
        self.client.network().create_security_group_rule(&rule).unwrap();
    }

    fn member(&self, address: &str) -> String {
        let port = PortCreate {
            network_id: self.network.clone(),
            fixed_ips: Some(vec![FixedIp::address(address)]),
            security_groups: Some(vec![self.group.clone()]),
            allowed_address_pairs: Some(vec![AddressPair::address(VIP)]),
            name: Some(format!("{}-{address}", self.name)),
            device_owner: Some("compute:nova".into()),
            device_id: Some(format!("00000000-0000-4000-8000-{:0>12}", address.replace('.', ""))),
            ..Default::default()
        };
        self.client.network().create_port(&port).unwrap().id
    }

    fn standfast(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(arguments)
            .env("OS_CLIENT_CONFIG_FILE", self.state.join("clouds.yaml"))
            .env("OS_CLOUD", "lab")
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text)
    }

    /// The doctor's findings, notes left out.
    fn examined(&self, vip: &str, more: &[&str]) -> Vec<Value> {
        let mut arguments =
            vec!["doctor", vip, "--network", &self.network, "--no-agent", "--no-wire", "--json"];
        // A member that has lost its pair is known by its name only.
        let devices: Vec<String> = self
            .members
            .iter()
            .map(|id| self.client.network().port(id).unwrap().device_id)
            .filter(|device| !device.is_empty())
            .collect();
        for device in &devices {
            arguments.extend(["--server", device]);
        }
        arguments.extend(more);
        let (code, text) = self.standfast(&arguments);
        let begin = text.find('{').unwrap_or_else(|| panic!("no JSON: {text}"));
        let mut values = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Value>();
        let answer = values.next().unwrap().unwrap();
        let findings: Vec<Value> = answer["findings"].as_array().unwrap().clone();
        let worst = findings.iter().map(|f| f["severity"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let expected = if worst.iter().any(|s| s == "error") {
            2
        } else {
            i32::from(worst.iter().any(|s| s == "warning"))
        };
        assert_eq!(code, expected, "the exit code follows the worst finding: {text}");
        findings.into_iter().filter(|finding| finding["severity"] != "note").collect()
    }

    fn findings(&self) -> Vec<String> {
        let ids = |finding: &Value| finding["pitfall"].as_str().unwrap().to_owned();
        self.examined(VIP, &[]).iter().map(ids).collect()
    }

    /// The pitfall is found; the command that the finding gives mends it.
    fn found_and_mended(&self, pitfall: &str) {
        let all = self.examined(VIP, &[]);
        let finding = all
            .iter()
            .find(|finding| finding["pitfall"] == pitfall)
            .unwrap_or_else(|| panic!("{pitfall} not among {all:#?}"));
        let command = finding["mends"][0]["command"].as_str().unwrap();
        self.carry_out(command);
        let left = self.findings();
        assert!(!left.iter().any(|id| id == pitfall), "`{command}` did not mend {pitfall}");
    }

    /// Runs what the doctor says, as an operator would paste it.
    fn carry_out(&self, command: &str) {
        let lab = std::env::var("LAB").unwrap();
        let path = format!(
            "{lab}/.venv/bin:{}:{}",
            PathBuf::from(env!("CARGO_BIN_EXE_standfast")).parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", command])
            .env("PATH", path)
            .env("OS_CLIENT_CONFIG_FILE", self.state.join("clouds.yaml"))
            .env("OS_CLOUD", "lab")
            .output()
            .unwrap();
        assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn change(&self, port: &str, update: &PortUpdate) {
        self.client.network().update_port(port, update, None).unwrap();
    }

    fn pairs(&self, member: usize, pairs: &[&str]) {
        let pairs = pairs.iter().map(|ip| AddressPair::address(*ip)).collect();
        let update = PortUpdate { allowed_address_pairs: Some(pairs), ..Default::default() };
        self.change(&self.members[member], &update);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let neutron = self.client.network();
        let of_network = Query::new().filter("network_id", &self.network);
        for port in neutron.ports(&of_network).into_iter().flatten() {
            let _ = neutron.delete_port(&port.id);
        }
        let _ = neutron.delete_network(&self.network);
        let _ = neutron.delete_security_group(&self.group);
    }
}

#[test]
fn pitfall_1_no_rule_for_protocol_112() {
    let Some(place) = Place::new() else { return };
    let group = place.client.network().security_group(&place.group).unwrap();
    for rule in group.security_group_rules.iter().filter(|rule| rule.direction == "ingress") {
        place.client.network().delete_security_group_rule(&rule.id).unwrap();
    }
    place.found_and_mended("vrrp-blocked-by-security-group");
}

#[test]
fn pitfall_2_a_pair_is_missing() {
    let Some(place) = Place::new() else { return };
    place.pairs(1, &[]);
    place.found_and_mended("pair-missing");
    // `--fix` does the same, and adds to what is there.
    place.pairs(0, &["10.66.0.200"]);
    place.examined(VIP, &["--fix"]);
    let pairs = place.client.network().port(&place.members[0]).unwrap().allowed_address_pairs;
    let mut addresses: Vec<&str> = pairs.iter().map(|pair| pair.ip_address.as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [VIP, "10.66.0.200"]);
}

#[test]
fn pitfalls_5_and_8_no_reservation_here() {
    let Some(place) = Place::new() else { return };
    let (code, text) = place.standfast(&["reserve", VIP, "--network", &place.network, "--release"]);
    assert_eq!(code, 1, "released although pairs point at it: {text}");
    assert!(text.contains("still list it"), "{text}");
    let (code, text) =
        place.standfast(&["reserve", VIP, "--network", &place.network, "--release", "--force"]);
    assert_eq!(code, 0, "{text}");
    place.found_and_mended("address-not-reserved");
}

#[test]
fn pitfall_6_an_unprotected_reservation_survives_only_as_ours() {
    let Some(place) = Place::new() else { return };
    place.change(&place.reserved, &PortUpdate { device_owner: Some(String::new()), ..Default::default() });
    place.found_and_mended("reservation-unprotected");
    // A port that somebody else made is never removed.
    place
        .client
        .network()
        .set_tags(openstack::network::Tagged::Port, &place.reserved, &["somebody-elses"])
        .unwrap();
    place.pairs(0, &[]);
    place.pairs(1, &[]);
    let (code, text) =
        place.standfast(&["reserve", VIP, "--network", &place.network, "--release", "--force"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("was not made by `standfast reserve`"), "{text}");
}

#[test]
fn pitfall_7_a_bound_reservation() {
    let Some(place) = Place::new() else { return };
    let device = Some("00000000-0000-4000-8000-000000000777".to_owned());
    place.change(&place.reserved, &PortUpdate { device_id: device, ..Default::default() });
    // The mend is Nova's, and there is no server behind these ports.
    assert!(place.findings().contains(&"reservation-bound".to_owned()));
}

#[test]
fn pitfall_12_a_floating_ip_on_a_member() {
    let Some(place) = Place::new() else { return };
    let neutron = place.client.network();
    let public = neutron.networks(&Query::new().filter("name", "public")).unwrap().pop().unwrap();
    let router = neutron.routers(&Query::new()).unwrap().pop().unwrap();
    let interface = |what: &str| {
        let path = format!("/routers/{}/{what}", router.id);
        let request = Request::new(Service::Network, Method::Put, path);
        place.client.send(request.json(&json!({ "subnet_id": place.subnet })).unwrap()).unwrap();
    };
    interface("add_router_interface");
    let floating = neutron
        .create_floating_ip(&FloatingIpCreate {
            floating_network_id: public.id,
            port_id: Some(place.members[0].clone()),
            ..Default::default()
        })
        .unwrap();
    place.found_and_mended("floating-ip-on-member");
    neutron.delete_floating_ip(&floating.id).unwrap();
    interface("remove_router_interface");
}

#[test]
fn pitfall_13_as_many_pairs_as_the_cloud_allows() {
    let Some(place) = Place::new() else { return };
    let mut pairs: Vec<String> = (200..209).map(|n| format!("10.66.0.{n}")).collect();
    pairs.push(VIP.to_owned());
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    place.pairs(0, &pairs);
    assert_eq!(place.findings(), ["too-many-pairs"]);
}

#[test]
fn pitfall_16_outside_every_subnet_or_the_gateways() {
    let Some(place) = Place::new() else { return };
    let ids = |vip: &str| -> Vec<String> {
        place.examined(vip, &[]).iter().map(|f| f["pitfall"].as_str().unwrap().to_owned()).collect()
    };
    assert!(ids("192.0.2.9").contains(&"address-outside-subnet".to_owned()));
    assert!(ids("10.66.0.1").contains(&"address-has-other-use".to_owned()));
}

#[test]
fn pitfall_18_other_security_groups() {
    let Some(place) = Place::new() else { return };
    let default = place.client.network().security_groups(&Query::new().filter("name", "default")).unwrap()[0]
        .id
        .clone();
    let groups = Some(vec![place.group.clone(), default]);
    place.change(&place.members[1], &PortUpdate { security_groups: groups, ..Default::default() });
    assert!(place.findings().contains(&"security-groups-differ".to_owned()));
}

#[test]
fn a_pair_of_everything_and_one_that_is_a_prefix() {
    let Some(place) = Place::new() else { return };
    place.pairs(0, &[VIP, "0.0.0.0/0"]);
    place.found_and_mended("pair-opens-everything");
}

#[test]
fn pitfall_5_somebody_has_the_address() {
    let Some(place) = Place::new() else { return };
    place.client.network().delete_port(&place.reserved).unwrap();
    let taken = place.member(VIP);
    place.change(&taken, &PortUpdate { allowed_address_pairs: Some(Vec::new()), ..Default::default() });
    assert!(place.findings().contains(&"address-taken".to_owned()));
    let (code, text) = place.standfast(&["reserve", VIP, "--network", &place.network]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("has it as its own address"), "{text}");
    place.client.network().delete_port(&taken).unwrap();
}

/// A measure, not a test of time: `lab/exec cargo test -p standfast --test lab_doctor -- --ignored --nocapture`.
#[test]
#[ignore = "makes 500 ports and measures"]
fn how_long_a_project_with_500_ports_takes() {
    let Some(place) = Place::new() else { return };
    let room = SubnetCreate {
        network_id: place.network.clone(),
        cidr: "10.68.0.0/22".into(),
        ip_version: 4,
        ..SubnetCreate::default()
    };
    place.client.network().create_subnet(&room).unwrap();
    for _ in 0..20 {
        let ports: Vec<Value> = (0..25).map(|_| json!({ "network_id": place.network })).collect();
        let request = Request::new(Service::Network, Method::Post, "/ports");
        place.client.send(request.json(&json!({ "ports": ports })).unwrap()).unwrap();
    }
    for _ in 0..5 {
        let began = std::time::Instant::now();
        place.examined(VIP, &[]);
        eprintln!("doctor on a network with 500 ports: {:.2} s", began.elapsed().as_secs_f64());
    }
}
