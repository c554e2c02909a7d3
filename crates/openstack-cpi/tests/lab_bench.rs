//! `make bench-cpi`: what a call costs, on the lab. A measure, no test: it is ignored unless asked for, and nothing
//! fails for being slow. Figures of the Ruby and the Go CPI were taken on the same lab earlier.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "helpers of tests panic, and take literals by value"
)]

mod driver;

use std::time::{Duration, Instant};

use driver::lab::Lab;
use driver::sweep::{self, Kind, Scenes};
use driver::{Configured, Request};
use fault_proxy::RequestRecord;
use openstack::{Method, Service};
use serde_json::{Value, json};

const BEGIN: &str = "<!-- cpi: written by make bench-cpi -->";
const END: &str = "<!-- /cpi -->";

/// How often the other client looks whether the server is up.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Median and worst of some durations, in milliseconds.
fn summed_up(values: &mut [Duration]) -> (f64, f64) {
    values.sort();
    let ms = |value: Duration| value.as_secs_f64() * 1000.0;
    (ms(values[values.len() / 2]), ms(*values.last().unwrap()))
}

/// The configuration without the proxy, which would be measured too.
fn direct(lab: &Lab) -> Configured {
    let mut config = lab.config.clone();
    config["cloud"]["properties"]["openstack"].as_object_mut().unwrap().remove("connection_options");
    Configured::new(&config)
}

fn timed(config: &Configured, method: &str, arguments: &Value) -> (Duration, Value) {
    let request = Request::new(method, arguments.clone());
    let began = Instant::now();
    let answer = config.call(&request);
    let took = began.elapsed();
    (took, answer.result().clone())
}

#[test]
#[ignore = "measures: make bench-cpi"]
fn what_a_call_costs() {
    let Some(lab) = Lab::open("bench") else { return };
    let runs: usize = std::env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let config = direct(&lab);
    let mut rows = Vec::new();
    let mut row =
        |measure: &str, ruby: &str, go: &str, ours: String, goal: &str, reached: bool, runs: usize| {
            let word = if reached { "yes" } else { "**no**" };
            let line = format!("| {measure} | {ruby} | {go} | {ours} | {goal} | {word} | {runs} |");
            println!("{line}");
            rows.push(line);
        };

    let mut info: Vec<_> = (0..runs).map(|_| timed(&config, "info", &json!([])).0).collect();
    let (median, worst) = summed_up(&mut info);
    row(
        "`info`, start to answer (ms)",
        "900",
        "12",
        format!("{median:.1} / {worst:.1}"),
        "≤ 5",
        median <= 5.0,
        runs,
    );

    // create_vm with a manual network and a pair, through the proxy, which notes every request; another client looks when
    // Nova has the server ACTIVE.
    let vip = "10.77.0.200";
    lab.reserve(vip);
    lab.proxy.log_bodies(false);
    let creations = runs.div_ceil(3);
    let (mut whole, mut beyond, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    let (mut has_vm, mut most) = (Vec::new(), (0, 0));
    for _ in 0..creations {
        let arguments = lab.vm(json!({"allowed_address_pairs": vip}), lab.manual(&lab.free_ip()));
        lab.proxy.set_rules(Vec::new());
        let through_the_proxy = lab.config_with(json!({}));
        let began = Instant::now();
        let (took, active, id) = std::thread::scope(|scope| {
            let call = scope.spawn(|| timed(&through_the_proxy, "create_vm", &arguments));
            let mut active = None;
            while !call.is_finished() {
                std::thread::sleep(BETWEEN_LOOKS);
                if active.is_none() && has_active_server(&lab) {
                    active = Some(began.elapsed());
                }
            }
            let (took, result) = call.join().unwrap();
            (took, active, result[0].as_str().unwrap().to_owned())
        });
        whole.push(took);
        beyond.push(took.saturating_sub(active.unwrap_or(took)));
        let requests = lab.requests();
        outside.push(own_time(&requests, began, began + took));
        let polls = requests.iter().filter(|request| is_poll(request)).count();
        let tokens = requests.iter().filter(|request| request.url.contains("/auth/tokens")).count();
        most = (most.0.max(requests.len() - polls), most.1.max(tokens));
        for _ in 0..3 {
            let (took, result) = timed(&config, "has_vm", &json!([id]));
            assert_eq!(result, true);
            has_vm.push(took);
        }
        lab.call("has_vm", json!([id])).result();
        assert_eq!(lab.requests().len(), 2, "one token, one request");
        timed(&config, "delete_vm", &json!([id]));
    }
    let count = has_vm.len();
    let (median, worst) = summed_up(&mut has_vm);
    row(
        "`has_vm`, one token and one request (ms)",
        "1200",
        "550",
        format!("{median:.0} / {worst:.0}"),
        "≤ 300",
        median <= 300.0,
        count,
    );
    row(
        "requests of `create_vm` beside the looks at the server",
        "13, 3-4 of them tokens",
        "13",
        format!("{}, {} of them a token", most.0, most.1),
        "≤ 8, one token",
        most.0 <= 8 && most.1 == 1,
        creations,
    );
    let (median, worst) = summed_up(&mut whole);
    row(
        "`create_vm`, whole call (s)",
        "14.5",
        "12.7",
        format!("{:.1} / {:.1}", median / 1e3, worst / 1e3),
        "-",
        true,
        creations,
    );
    let (median, worst) = summed_up(&mut beyond);
    row(
        "`create_vm` beyond the server's own time to ACTIVE (ms, looked at each 100)",
        "-",
        "-",
        format!("{median:.0} / {worst:.0}"),
        "≤ 500",
        median <= 500.0,
        creations,
    );
    let (median, worst) = summed_up(&mut outside);
    row(
        "`create_vm`, time outside OpenStack's answers and the pauses between looks (ms)",
        "-",
        "-",
        format!("{median:.1} / {worst:.1}"),
        "≤ 20",
        median <= 20.0,
        creations,
    );

    let (peak, seconds) = upload(&lab, &config);
    row(
        "memory while uploading a 2 GiB stemcell (MiB)",
        "-",
        "the whole image",
        format!("{peak:.1} (in {seconds:.0} s)"),
        "≤ 32",
        peak <= 32.0,
        1,
    );
    let calls: usize = std::env::var("CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let kinds = [Kind::Failed, Kind::Lost, Kind::Refused, Kind::Garbled];
    let tally = sweep::run(&Scenes::open("bench-sweep", 4), &sweep::ALL, &kinds, calls);
    for story in &tally.stories {
        println!("{story}\n");
    }
    println!("faults by method: {:?}", tally.calls);
    row(
        "orphans after calls with a fault injected at every request in turn; reserved ports touched",
        "-",
        "ports, servers, images",
        format!("{} {:?}; {}", tally.left(), tally.orphans, tally.touched).replace(" {}", ""),
        "0; 0",
        tally.left() + tally.touched == 0,
        tally.hit(),
    );
    if let Some(file) = std::env::var_os("BENCH_INTO") {
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the mark is there");
        let (_, after) = rest.split_once(END).expect("the mark is there");
        let heading = "| measure | Ruby CPI | Go CPI | ours, median / worst | to reach | reached | runs |\n|---|---|---|---|---|---|---|";
        std::fs::write(&file, format!("{before}{BEGIN}\n{heading}\n{}\n{END}{after}", rows.join("\n")))
            .unwrap();
    }
}

/// Whether the project has a server that is up. The short list is cheap for Nova: it asks nobody for addresses.
fn has_active_server(lab: &Lab) -> bool {
    let active = openstack::Query::new().filter("status", "ACTIVE");
    let request = openstack::Request::new(Service::Compute, Method::Get, "/servers").query(&active);
    let answer: Value = serde_json::from_slice(&lab.client.send(request).unwrap().body).unwrap();
    answer["servers"].as_array().is_some_and(|servers| !servers.is_empty())
}

/// A look at a server.
fn is_poll(request: &RequestRecord) -> bool {
    request.method == "GET" && request.url.contains("/servers/")
}

/// What a call took while it waited for no answer: from its start to its first look at the server, and after the last
/// one. Between the looks it pauses on purpose.
fn own_time(requests: &[RequestRecord], began: Instant, ended: Instant) -> Duration {
    let mut answers: Vec<_> =
        requests.iter().map(|request| (request.began, request.ended.unwrap(), is_poll(request))).collect();
    answers.sort();
    let (mut own, mut until, mut has_looked) = (Duration::ZERO, began, false);
    for (start, end, is_poll) in answers {
        if !has_looked {
            own += start.saturating_duration_since(until);
        }
        until = until.max(end);
        has_looked |= is_poll;
    }
    own + ended.saturating_duration_since(until)
}

/// A heavy stemcell of 2 GiB, streamed; the peak of resident memory in MiB.
fn upload(lab: &Lab, config: &Configured) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("root.img");
    std::fs::File::create(&image).unwrap().set_len(2 << 30).unwrap();
    let path = folder.path().join("image");
    let packed = std::process::Command::new("tar")
        .args([
            "-I",
            "gzip -1",
            "-cf",
            path.to_str().unwrap(),
            "-C",
            folder.path().to_str().unwrap(),
            "root.img",
        ])
        .status()
        .unwrap();
    assert!(packed.success());
    let properties =
        json!({"name": "bench", "version": "1", "disk_format": "raw", "container_format": "bare"});
    let request = Request::new("create_stemcell", json!([path, properties])).text();
    let began = Instant::now();
    let child = driver::start(&["--config", config.path.to_str().unwrap()], &request);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0.0_f64;
    while let Ok(text) = std::fs::read_to_string(&status) {
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        peak_kib = peak_kib.max(line.trim().trim_end_matches(" kB").parse().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = driver::Answer::of(&child.wait_with_output().unwrap());
    let seconds = began.elapsed().as_secs_f64();
    let id = answer.result().as_str().unwrap().to_owned();
    assert_eq!(lab.client.image().image(&id).unwrap().size, Some(2 << 30));
    lab.client.image().delete_image(&id).unwrap();
    (peak_kib / 1024.0, seconds)
}
