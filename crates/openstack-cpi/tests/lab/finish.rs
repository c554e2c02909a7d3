//! What points at a VM: floating IPs, pools of load balancers, the registry of API version 1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::driver::Request;
use crate::driver::lab::Lab;
use fault_proxy::{Fault, Rule};
use openstack::load_balancer::{LoadBalancerCreate, PoolCreate};
use openstack::network::{FloatingIpCreate, PortCreate};
use openstack::{Method, Query, Request as ApiRequest, Service};
use serde_json::{Value, json};

/// A router between the test's network and the outside, which floating IPs need.
struct Router<'a> {
    lab: &'a Lab,
    id: String,
}

impl<'a> Router<'a> {
    fn new(lab: &'a Lab) -> Self {
        let outside = lab.client.network().networks(&Query::new().filter("router:external", "true")).unwrap();
        let body =
            json!({"router": {"name": lab.name(), "external_gateway_info": {"network_id": outside[0].id}}});
        let request = ApiRequest::new(Service::Network, Method::Post, "/routers").json(&body).unwrap();
        let answer: Value = serde_json::from_slice(&lab.client.send(request).unwrap().body).unwrap();
        let router = Self { lab, id: answer["router"]["id"].as_str().unwrap().to_owned() };
        router.interface("add_router_interface");
        router
    }

    fn interface(&self, what: &str) {
        let path = format!("/routers/{}/{what}", self.id);
        let body = json!({"subnet_id": self.lab.subnet_id});
        let request = ApiRequest::new(Service::Network, Method::Put, path).json(&body).unwrap();
        self.lab.client.send(request).unwrap();
    }
}

impl Drop for Router<'_> {
    fn drop(&mut self) {
        for floating_ip in self.lab.client.network().floating_ips(&Query::new()).unwrap_or_default() {
            let _ = self.lab.client.network().delete_floating_ip(&floating_ip.id);
        }
        self.interface("remove_router_interface");
        let path = format!("/routers/{}", self.id);
        let _ = self.lab.client.send(ApiRequest::new(Service::Network, Method::Delete, path));
    }
}

#[test]
fn place_18_a_floating_ip_moves_and_goes_back_on_failure() {
    let Some(lab) = Lab::open("floating") else { return };
    let _router = Router::new(&lab);
    let outside = lab.client.network().networks(&Query::new().filter("router:external", "true")).unwrap();
    let port = PortCreate { network_id: lab.network_id.clone(), ..PortCreate::default() };
    let elsewhere = lab.client.network().create_port(&port).unwrap();
    let floating_ip = FloatingIpCreate {
        floating_network_id: outside[0].id.clone(),
        port_id: Some(elsewhere.id.clone()),
        ..FloatingIpCreate::default()
    };
    let floating_ip = lab.client.network().create_floating_ip(&floating_ip).unwrap();
    let points_at = || lab.client.network().floating_ip(&floating_ip.id).unwrap().port_id;
    let before = lab.inventory();
    let mut networks = lab.manual(&lab.free_ip());
    networks["vip"] = json!({"type": "vip", "ip": floating_ip.floating_ip_address, "cloud_properties": {}});

    // The pool fails while the floating IP points here already: it goes back.
    let pools = json!({"loadbalancer_pools": [{"name": "no-such-pool", "port": 80}]});
    let answer = lab.call("create_vm", lab.vm(pools, networks.clone()));
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", false));
    assert!(message.ends_with("cannot be attached to load balancer pool 'no-such-pool'. Reason: Load balancer pool 'no-such-pool' does not exist"), "{message}");
    let refused = Rule::on("PUT", "/floatingips/").fault(Fault::answer(409)).times(1);
    let request = Request::new("create_vm", lab.vm(json!({}), networks.clone()));
    let answer = lab.call_with(json!({}), &request, vec![refused]);
    let (kind, _, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", true));
    assert_eq!(lab.inventory(), before);
    assert_eq!(points_at().as_deref(), Some(elsewhere.id.as_str()));

    let answer = lab.call("create_vm", lab.vm(json!({}), networks));
    let vm = answer.result()[0].as_str().unwrap().to_owned();
    assert_eq!(points_at().as_deref(), Some(lab.ports_of(&vm)[0].id.as_str()));
    assert!(answer.result()[1]["vip"].get("use_dhcp").is_none());
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn place_21_pools_are_octavias() {
    let Some(lab) = Lab::open("pools") else { return };
    let balancer = LoadBalancerCreate {
        name: lab.name().to_owned(),
        vip_subnet_id: Some(lab.subnet_id.clone()),
        ..LoadBalancerCreate::default()
    };
    let balancer = lab.client.load_balancer().create_load_balancer(&balancer).unwrap();
    let wait = || {
        while lab.client.load_balancer().load_balancer(&balancer.id).unwrap().provisioning_status != "ACTIVE"
        {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    };
    wait();
    let mut pools = Vec::new();
    for name in ["web", "admin"] {
        let pool = PoolCreate {
            name: format!("{}-{name}", lab.name()),
            protocol: "TCP".into(),
            lb_algorithm: "ROUND_ROBIN".into(),
            loadbalancer_id: Some(balancer.id.clone()),
            listener_id: None,
        };
        pools.push(lab.client.load_balancer().create_pool(&pool).unwrap());
        wait();
    }
    let before = lab.inventory();
    let wanted = json!({"loadbalancer_pools": [
        {"name": pools[0].name, "port": "8080", "monitoring_port": 8081},
        {"name": pools[1].name, "port": 9090},
    ]});
    let ip = lab.free_ip();
    let vm = lab.made_vm(wanted.clone(), &ip);
    let metadata = lab.client.compute().server(&vm).unwrap().metadata;
    for (index, port) in [(0, 8080), (1, 9090)] {
        let members = lab.client.load_balancer().members(&pools[index].id, &Query::new()).unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!((members[0].address.as_str(), members[0].protocol_port), (ip.as_str(), port));
        assert_eq!(members[0].subnet_id.as_deref(), Some(lab.subnet_id.as_str()));
        let remembered = format!("{}/{}", pools[index].id, members[0].id);
        assert_eq!(metadata[&format!("lbaas_pool_{}", index + 1)], remembered);
    }
    lab.call("delete_vm", json!([vm])).result();
    // Octavia has taken the deletions on; they are done when the load balancer is at rest.
    wait();
    assert_eq!(lab.inventory(), before);

    // A server that was deleted behind our back leaves its members; delete_vm finds them all the same.
    let vm = lab.made_vm(wanted, &lab.free_ip());
    lab.client.compute().delete_server(&vm).unwrap();
    while lab.client.compute().server(&vm).is_ok_and(|server| server.status != "DELETED") {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    while lab.client.compute().server(&vm).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    wait();
    lab.call("delete_vm", json!([vm])).result();
    wait();
    assert_eq!(lab.inventory(), before);
}

/// A stand-in for the registry of directors from before 2019, which nobody runs any more. It keeps what it is given.
struct Registry {
    endpoint: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length, mut is_authorized) = (String::new(), 0, false);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    // registry:registry-password
                    is_authorized |= line == "authorization: basic cmvnaxn0cnk6cmvnaxn0cnktcgfzc3dvcmq=";
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
                let mut log = log.lock().unwrap();
                let settings =
                    log.iter().rev().find(|(line, _)| line.starts_with("PUT")).map(|(_, body)| body.clone());
                log.push((line.clone(), body));
                let answer = json!({"settings": settings.unwrap_or_default(), "status": "ok"}).to_string();
                let status = if is_authorized { "200 OK" } else { "401 Unauthorized" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                    answer.len()
                );
            }
        });
        Self { endpoint, requests }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|(line, body)| (line.clone(), serde_json::from_str(body).unwrap_or(Value::Null)))
            .collect()
    }
}

#[test]
fn place_13_version_1_with_its_registry() {
    let Some(mut lab) = Lab::open("registry") else { return };
    let registry = Registry::start();
    lab.config["cloud"]["properties"]["registry"] = json!({"endpoint": registry.endpoint, "user": "registry", "password": "registry-password", "address": "x"});
    let before = lab.inventory();
    let call = |method: &str, arguments: Value| {
        lab.call_with(json!({}), &Request::new(method, arguments).version_1(), Vec::new())
    };
    let answer = call("create_vm", lab.vm(json!({}), lab.manual(&lab.free_ip())));
    let vm = answer.result().as_str().expect("the cid alone").to_owned();
    let data = lab.user_data(&vm);
    let keys: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["registry", "server", "networks", "dns"]);
    assert_eq!(data["registry"], json!({"endpoint": registry.endpoint}));
    let name = lab.client.compute().server(&vm).unwrap().name;
    let settings = registry.requests();
    assert_eq!(settings[0].0, format!("PUT /instances/{name}/settings"));
    assert_eq!(settings[0].1["agent_id"], "agent-of-the-tests");
    assert_eq!(settings[0].1["vm"], json!({"name": name}));
    assert_eq!(settings[0].1["networks"], data["networks"]);

    let disk = call("create_disk", json!([1024, {}, vm])).result().as_str().unwrap().to_owned();
    assert_eq!(call("attach_disk", json!([vm, disk])).result(), &Value::Null);
    let persistent = registry.requests().last().unwrap().1["disks"]["persistent"].clone();
    assert!(persistent[&disk].as_str().unwrap().starts_with("/dev/"), "{persistent}");
    call("detach_disk", json!([vm, disk])).result();
    assert_eq!(registry.requests().last().unwrap().1["disks"]["persistent"], json!({}));
    call("delete_disk", json!([disk])).result();
    call("delete_vm", json!([vm])).result();
    assert_eq!(registry.requests().last().unwrap().0, format!("DELETE /instances/{name}/settings"));
    assert_eq!(lab.inventory(), before);
}
