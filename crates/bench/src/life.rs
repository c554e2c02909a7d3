//! Start, stop, memory, and many virtual routers.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::{Kind, Moment, Router, VirtualRouter, wait};

use crate::scene::Scene;

/// From the start of the program to its first advert with priority 255, in milliseconds.
pub(crate) fn first_advert(kind: Kind) -> Result<f64> {
    let scene = Scene::new("start")?;
    let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100)).priority(255);
    let started = Moment::now();
    let _router = Router::start(kind, &scene.a, &vr)?;
    let first = wait::for_some("an advert", Duration::from_secs(10), || {
        scene.capture.adverts_of("a").first().map(|advert| advert.at)
    })?;
    Ok(first.since(started).as_secs_f64() * 1000.0)
}

/// From SIGTERM to the end of a router that has an address to hand over, less the time to the successor's
/// first announcement, in milliseconds.
pub(crate) fn stop_beyond_handover(kind: Kind) -> Result<f64> {
    let scene = Scene::new("stop")?;
    let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100));
    let (on_a, on_b) = (vr.clone().priority(200), vr.priority(100));
    let (mut a, _b) = scene.start((kind, &on_a), (kind, &on_b))?;
    let asked = Moment::now();
    a.terminate()?;
    a.wait_exit(Duration::from_secs(10))?;
    let ended = Moment::now();
    let announced = scene
        .capture
        .announcements()
        .into_iter()
        .find(|seen| &*seen.from == "b" && seen.at > asked)
        .context("b did not announce")?
        .at;
    Ok(ended.since(announced).as_secs_f64() * 1000.0)
}

/// Resident memory with one virtual router, in MB.
pub(crate) fn resident(kind: Kind) -> Result<f64> {
    let scene = Scene::new("memory")?;
    let vr = VirtualRouter::v3_ipv4(Duration::from_millis(100)).priority(255);
    let mut router = Router::start(kind, &scene.a, &vr)?;
    wait::until("it has the address", Duration::from_secs(10), || scene.a.has_address(vr.address()))?;
    std::thread::sleep(Duration::from_secs(1));
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    Ok(router.daemon().resident_kib() as f64 / 1024.0)
}

/// What many virtual routers cost.
pub(crate) struct Many {
    /// From the start of the Active until all its addresses stand, in seconds.
    pub(crate) standing: f64,
    /// Percent of a core, Active.
    pub(crate) active_cpu: f64,
    /// Percent of a core, Backup.
    pub(crate) backup_cpu: f64,
    /// MB, Active.
    pub(crate) resident: f64,
    /// The longest time between two adverts of one virtual router while a reload changes nothing, in ms.
    pub(crate) reload_gap: f64,
    /// Adverts of the Backup during that reload.
    pub(crate) false_takeovers: f64,
}

/// Virtual routers per link: VRIDs are few.
const PER_LINK: usize = 250;

/// `count` virtual routers, an advert each 100 ms.
pub(crate) fn many(kind: Kind, count: usize) -> Result<Many> {
    let scene = Scene::new("many")?;
    for link in 0..count.div_ceil(PER_LINK) {
        scene.a.ip(&format!("link add l{link} type veth peer name l{link} netns {}", scene.b.namespace()))?;
        for (host, number) in [(&scene.a, 1), (&scene.b, 2)] {
            host.ip(&format!(
                "address add 10.{}.0.{number}/24 dev l{link}\nlink set l{link} up",
                100 + link
            ))?;
        }
    }
    let started = Moment::now();
    let mut a = Router::start_with(kind, &scene.a, &configuration(count, 200))?;
    // The links' own addresses, and the virtual ones.
    let all = count.div_ceil(PER_LINK) + count;
    wait::until("all addresses stand", Duration::from_mins(5), || {
        let of_links = |(link, address, _): &(String, IpAddr, u8)| {
            link != "lo" && link.starts_with('l') && address.is_ipv4()
        };
        scene.a.addresses().is_ok_and(|found| found.iter().filter(|one| of_links(one)).count() == all)
    })?;
    let standing = Moment::now().since(started).as_secs_f64();
    let mut b = Router::start_with(kind, &scene.b, &configuration(count, 100))?;
    std::thread::sleep(Duration::from_secs(8));
    let (a_before, b_before, from) = (a.daemon().cpu_time(), b.daemon().cpu_time(), Moment::now());
    std::thread::sleep(Duration::from_secs(5));
    let spent = Moment::now().since(from).as_secs_f64();
    let share =
        |before: Duration, after: Duration| 100.0 * after.saturating_sub(before).as_secs_f64() / spent;
    let active_cpu = share(a_before, a.daemon().cpu_time());
    let backup_cpu = share(b_before, b.daemon().cpu_time());
    let (reload_gap, false_takeovers) = reload(&scene, &a, count)?;
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let resident = a.daemon().resident_kib() as f64 / 1024.0;
    Ok(Many { standing, active_cpu, backup_cpu, resident, reload_gap, false_takeovers })
}

/// A reload that changes nothing, seen on the first link from the Backup's side.
fn reload(scene: &Scene, a: &Router, count: usize) -> Result<(f64, f64)> {
    let watch = testbed::Capture::on(&scene.b, "l0")?;
    std::thread::sleep(Duration::from_millis(500));
    a.reload(&configuration(count, 200))?;
    std::thread::sleep(Duration::from_secs(3));
    let adverts = watch.adverts();
    let active: IpAddr = "10.100.0.1".parse()?;
    let mut longest = Duration::ZERO;
    let mut last = std::collections::BTreeMap::new();
    for advert in adverts.iter().filter(|advert| advert.source == active) {
        if let Some(before) = last.insert(advert.vrid, advert.at) {
            longest = longest.max(advert.at.since(before));
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
    let foreign = adverts.iter().filter(|advert| advert.source != active).count() as f64;
    Ok((longest.as_secs_f64() * 1000.0, foreign))
}

fn configuration(count: usize, priority: u8) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (link, place) = (number / PER_LINK, number % PER_LINK);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "vrrp_instance V{number} {{\n interface l{link}\n virtual_router_id {}\n version 3\n priority {priority}\n \
             advert_int 0.1\n virtual_ipaddress {{\n 10.{}.{}.{}/24\n }}\n}}",
            place + 1,
            100 + link,
            place / 200,
            10 + place % 200
        );
    }
    text
}
