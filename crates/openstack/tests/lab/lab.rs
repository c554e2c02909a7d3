//! The lab's cloud, names that are ours alone, and waiting.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use openstack::clouds::{Source, load};
use openstack::network::{Network, NetworkCreate, Subnet, SubnetCreate};
use openstack::{Client, Config, Observer, RequestReport, Result};

/// The settings of one of the lab's clouds; none (and a word on stderr that no capture hides) if the lab is not up.
pub(crate) fn config(cloud: &str) -> Option<Config> {
    let variable = |name: &str| std::env::var(name).ok();
    let file = variable("STANDFAST_LAB_CLOUDS")
        .map(PathBuf::from)
        .or_else(|| variable("LAB_STATE").map(|state| PathBuf::from(state).join("clouds.yaml")));
    let Some(file) = file else {
        let _ =
            writeln!(std::io::stderr(), "skipped: lab not up (make lab): STANDFAST_LAB_CLOUDS is not set");
        return None;
    };
    let only_the_file = |name: &str| (name == "OS_CLIENT_CONFIG_FILE").then(|| file.display().to_string());
    Some(load(&Source { cloud: Some(cloud), variable: &only_the_file, folders: Vec::new() }).unwrap())
}

/// The client of the lab's unprivileged user.
pub(crate) fn client() -> Option<Client> {
    Some(Client::new(config("lab")?).unwrap())
}

/// A client that counts its requests.
pub(crate) fn counting(config: Config) -> (Client, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let observer: Arc<dyn Observer> = Arc::new(move |_: &RequestReport<'_>| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (Client::new(config).unwrap().with_observer(observer), count)
}

/// A name that nobody else in the lab has.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    format!("client-test-{what}-{}-{start}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Asks until there is an answer, for two minutes at most.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> T {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        if let Some(answer) = ask().unwrap() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited two minutes for {what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Runs when the test ends, however it ends.
pub(crate) struct AtTheEnd<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for AtTheEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A network with one subnet; it goes, with its ports, when the test ends.
pub(crate) struct OwnNetwork<'a> {
    client: &'a Client,
    pub(crate) network: Network,
    pub(crate) subnet: Subnet,
}

impl<'a> OwnNetwork<'a> {
    pub(crate) fn new(client: &'a Client, cidr: &str) -> Self {
        let name = unique("net");
        let neutron = client.network();
        let network = neutron
            .create_network(&NetworkCreate { name: name.clone(), ..NetworkCreate::default() })
            .unwrap();
        let subnet = neutron
            .create_subnet(&SubnetCreate {
                network_id: network.id.clone(),
                cidr: cidr.into(),
                ip_version: if cidr.contains(':') { 6 } else { 4 },
                name: Some(name),
                enable_dhcp: Some(false),
                ..SubnetCreate::default()
            })
            .unwrap();
        Self { client, network, subnet }
    }
}

impl Drop for OwnNetwork<'_> {
    fn drop(&mut self) {
        let neutron = self.client.network();
        let query = openstack::Query::new().filter("network_id", &self.network.id).fields(&["id"]);
        for port in neutron.ports(&query).unwrap_or_default() {
            let _ = neutron.delete_port(&port.id);
        }
        let _ = neutron.delete_network(&self.network.id);
    }
}
