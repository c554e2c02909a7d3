//! A fault at every request of every method that makes something, in turn: what is left behind?

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fault_proxy::{Fault, Rule, When};
use openstack::load_balancer::{LoadBalancerCreate, PoolCreate};
use openstack::network::Port;
use serde_json::json;

use super::lab::Lab;
use super::{Answer, Request, stemcell};

/// A method that makes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Port with a pair, and server. Nova has no place for it: every call fails with all of it to undo.
    CreateVm,
    /// The same with a member of a pool. One answer of Nova's, that the server is up, is made by the proxy: the member is
    /// made, then Nova refuses the metadata of a server that is not up.
    CreateVmInPool,
    CreateDisk,
    SnapshotDisk,
    AttachDisk,
    CreateStemcell,
    CreateNetwork,
}

pub(crate) const ALL: [Case; 7] = [
    Case::CreateVm,
    Case::CreateVmInPool,
    Case::CreateDisk,
    Case::SnapshotDisk,
    Case::AttachDisk,
    Case::CreateStemcell,
    Case::CreateNetwork,
];

/// What happens to the request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// 500, and the service never saw it.
    Failed,
    /// The service did it; its answer is lost.
    Lost,
    /// 403. Not for deletions: who may not delete can leave nothing behind by deleting; the error says so then.
    Refused,
    /// The service did it; its answer is no JSON.
    Garbled,
}

impl Case {
    /// What it could leave behind. Everything is looked at in the end.
    fn makes(self) -> &'static [&'static str] {
        match self {
            Self::CreateVm => &["port", "server"],
            Self::CreateVmInPool => &["port", "server", "member"],
            Self::CreateDisk => &["volume"],
            Self::SnapshotDisk => &["snapshot"],
            Self::AttachDisk => &[],
            Self::CreateStemcell => &["image"],
            Self::CreateNetwork => &["network"],
        }
    }
}

impl Kind {
    fn rules(self, number: u64) -> Vec<Rule> {
        let at = Rule::at(number).times(1);
        match self {
            Self::Failed => vec![at.fault(Fault::answer(500))],
            Self::Lost => vec![at.when(When::After).fault(Fault::drop())],
            Self::Garbled => vec![at.when(When::After).fault(Fault::garbage())],
            Self::Refused => ["GET", "POST", "PUT"]
                .into_iter()
                .map(|method| Rule {
                    method: Some(method.to_owned()),
                    ..at.clone().fault(Fault::answer(403))
                })
                .collect(),
        }
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Calls in which a request was hit, by method.
    pub(crate) calls: BTreeMap<String, usize>,
    /// What they left behind, by kind.
    pub(crate) orphans: BTreeMap<String, usize>,
    /// Calls after which the reserved port was not as before.
    pub(crate) touched: usize,
    /// The calls that left something, in full.
    pub(crate) stories: Vec<String>,
}

impl Tally {
    /// All calls.
    pub(crate) fn hit(&self) -> usize {
        self.calls.values().sum()
    }

    fn add(&mut self, after: &str, left: &[String]) {
        for thing in left {
            let kind = thing.split(' ').next().unwrap_or_default().to_owned();
            *self.orphans.entry(kind).or_default() += 1;
        }
        if !left.is_empty() {
            self.stories.push(format!("left {left:?}: {after}"));
        }
    }

    /// All that was left.
    pub(crate) fn left(&self) -> usize {
        self.orphans.values().sum()
    }
}

/// Which call is next: request by request, every case in turn; then the next kind of fault.
struct Plan {
    cases: Vec<Case>,
    kinds: Vec<Kind>,
    calls: usize,
    kind: usize,
    number: u64,
    case: usize,
    is_over: Vec<bool>,
    tally: Tally,
}

impl Plan {
    /// The case, the place of the kind in the list, the request's number.
    fn next(&mut self) -> Option<(Case, usize, u64)> {
        if self.tally.hit() >= self.calls {
            return None;
        }
        loop {
            if self.is_over.iter().all(|over| *over) {
                self.kind += 1;
                (self.case, self.number) = (0, 1);
                self.is_over.fill(false);
            }
            if self.kind == self.kinds.len() {
                return None;
            }
            if self.case == self.cases.len() {
                (self.case, self.number) = (0, self.number + 1);
            }
            let index = self.case;
            self.case += 1;
            if !self.is_over[index] {
                return Some((self.cases[index], self.kind, self.number));
            }
        }
    }
}

/// Makes at most so many calls, some side by side, each with its request hit; every kind of fault once.
pub(crate) fn run(scenes: &Scenes, cases: &[Case], kinds: &[Kind], calls: usize) -> Tally {
    let plan = Mutex::new(Plan {
        cases: cases.to_vec(),
        kinds: kinds.to_vec(),
        calls,
        kind: 0,
        number: 1,
        case: 0,
        is_over: vec![false; cases.len()],
        tally: Tally::default(),
    });
    std::thread::scope(|scope| {
        for scene in &scenes.0 {
            scope.spawn(|| {
                loop {
                    let next = plan.lock().unwrap().next();
                    let Some((case, place, number)) = next else { break };
                    let kind = kinds[place];
                    let began = Instant::now();
                    let outcome = scene.call(case, kind, number);
                    let word = if outcome.is_hit { "hit" } else { "not hit" };
                    let seconds = began.elapsed().as_secs_f64();
                    println!("{case:?}, {kind:?} at request {number}: {word}, {seconds:.1} s");
                    outcome.count(&mut plan.lock().unwrap(), case, place, number);
                }
                let left =
                    scene.left(&["port", "server", "volume", "snapshot", "network", "image", "member"], true);
                plan.lock().unwrap().tally.add("all of them", &left);
            });
        }
    });
    plan.into_inner().unwrap().tally
}

struct Outcome {
    answer: Answer,
    /// How many requests the call made.
    requests: usize,
    is_hit: bool,
    left: Vec<String>,
    touched: Vec<String>,
}

impl Outcome {
    fn count(&self, plan: &mut Plan, case: Case, place: usize, number: u64) {
        // The others may be at the next kind of fault by now.
        if (self.requests as u64) < number && place == plan.kind {
            let index = plan.cases.iter().position(|other| *other == case).unwrap();
            plan.is_over[index] = true;
        }
        if !self.is_hit {
            return;
        }
        let kind = plan.kinds[place];
        let tally = &mut plan.tally;
        *tally.calls.entry(format!("{case:?}")).or_default() += 1;
        let story = || -> String {
            format!("{case:?}, {kind:?} at request {number}\n{}\n{}", self.answer.json, self.answer.stderr)
        };
        tally.add(&story(), &self.left);
        if !self.touched.is_empty() {
            tally.touched += 1;
            tally.stories.push(format!("the reserved port: {:?}: {}", self.touched, story()));
        }
    }
}

/// A project with all that the cases need.
struct Scene {
    lab: Lab,
    reserved: Port,
    vip: String,
    too_large: String,
    pool: String,
    volume: String,
    server: String,
    archive: String,
    /// What is known to be there: also what an earlier call left, which counts once.
    known: Mutex<Vec<String>>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn open(name: &str) -> Option<Self> {
        let lab = Lab::open(name)?;
        let vip = lab.free_ip();
        let reserved = lab.reserve(&vip);
        let too_large = lab.too_large();
        let pool = new_pool(&lab);
        let volume = lab.call("create_disk", json!([1024, {}])).result().as_str().unwrap().to_owned();
        let server = lab.made_vm(json!({}), &lab.free_ip());
        let folder = tempfile::tempdir().unwrap();
        let archive = stemcell::plain(folder.path(), 64 << 10);
        let known = Mutex::new(lab.inventory());
        Some(Self { lab, reserved, vip, too_large, pool, volume, server, archive, known, _folder: folder })
    }

    fn request(&self, case: Case) -> Request {
        let lab = &self.lab;
        let mut properties = json!({"instance_type": self.too_large, "allowed_address_pairs": self.vip});
        let (method, arguments) = match case {
            Case::CreateVm => ("create_vm", lab.vm(properties, lab.manual(&lab.free_ip()))),
            Case::CreateVmInPool => {
                properties["loadbalancer_pools"] = json!([{"name": self.pool, "port": 8080}]);
                ("create_vm", lab.vm(properties, lab.manual(&lab.free_ip())))
            }
            Case::CreateDisk => ("create_disk", json!([1024, {}])),
            Case::SnapshotDisk => ("snapshot_disk", json!([self.volume, {"deployment": "cf"}])),
            Case::AttachDisk => ("attach_disk", json!([self.server, self.volume])),
            Case::CreateStemcell => ("create_stemcell", json!([self.archive, stemcell::properties()])),
            Case::CreateNetwork => ("create_network", json!([{"range": "10.90.0.0/24"}])),
        };
        Request::new(method, arguments)
    }

    fn call(&self, case: Case, kind: Kind, number: u64) -> Outcome {
        let mut rules = kind.rules(number);
        if case == Case::CreateVmInPool {
            let up = r#"{"server": {"id": "whichever", "name": "vm", "status": "ACTIVE"}}"#;
            let up = Rule::on("GET", "/servers/[0-9a-f-]{36}$").fault(Fault::answer(200).body(up));
            rules.push(up.times(1));
        }
        let changes = json!({"wait_resource_poll_interval": 1, "state_timeout": 60});
        let answer = self.lab.call_with(changes, &self.request(case), rules);
        let requests = self.lab.requests();
        let is_hit = requests.iter().any(|request| request.number == number && request.fault.is_some());
        let result = &answer.json["result"];
        let undo = match case {
            Case::CreateVm | Case::CreateVmInPool => ("delete_vm", json!([result[0]])),
            Case::CreateDisk => ("delete_disk", json!([result])),
            Case::SnapshotDisk => ("delete_snapshot", json!([result])),
            Case::AttachDisk => ("detach_disk", json!([self.server, self.volume])),
            Case::CreateStemcell => ("delete_stemcell", json!([result])),
            Case::CreateNetwork => ("delete_network", json!([result[0]])),
        };
        if answer.json["error"].is_null() {
            self.lab.call(undo.0, undo.1).result();
        }
        let left = self.left(case.makes(), case == Case::AttachDisk);
        let touched = self.lab.touched(&self.reserved, &requests);
        Outcome { answer, requests: requests.len(), is_hit, left, touched }
    }

    /// What is there that was not before. What is being deleted gets its time.
    fn left(&self, kinds: &[&str], has_attached: bool) -> Vec<String> {
        let began = Instant::now();
        let mut known = self.known.lock().unwrap();
        loop {
            let mut left = self.lab.inventory_of(kinds);
            left.retain(|thing| !known.contains(thing));
            if has_attached {
                let volume = self.lab.client.volume().volume(&self.volume).unwrap();
                if volume.status != "available" {
                    left.push(format!("attachment of volume {}, {}", volume.id, volume.status));
                }
            }
            if left.is_empty() || began.elapsed() > Duration::from_secs(20) {
                known.extend(left.iter().cloned());
                return left;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// Several projects. They are made and removed side by side: each has a server.
pub(crate) struct Scenes(Vec<Scene>);

impl Scenes {
    /// So many of them; none without a lab.
    pub(crate) fn open(name: &str, count: usize) -> Self {
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..count).map(|_| scope.spawn(|| Scene::open(name))).collect();
            Self(opening.into_iter().filter_map(|scene| scene.join().unwrap()).collect())
        })
    }

    /// Whether there was no lab.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Scenes {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            for scene in self.0.drain(..) {
                scope.spawn(move || drop(scene));
            }
        });
    }
}

/// A load balancer with a pool; the pool's name.
fn new_pool(lab: &Lab) -> String {
    let api = lab.client.load_balancer();
    let balancer = LoadBalancerCreate {
        name: lab.name().to_owned(),
        vip_subnet_id: Some(lab.subnet_id.clone()),
        ..LoadBalancerCreate::default()
    };
    let balancer = api.create_load_balancer(&balancer).unwrap();
    let wait = || {
        while api.load_balancer(&balancer.id).unwrap().provisioning_status != "ACTIVE" {
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    wait();
    let pool = PoolCreate {
        name: lab.name().to_owned(),
        protocol: "TCP".into(),
        lb_algorithm: "ROUND_ROBIN".into(),
        loadbalancer_id: Some(balancer.id.clone()),
        listener_id: None,
    };
    api.create_pool(&pool).unwrap();
    wait();
    lab.name().to_owned()
}
