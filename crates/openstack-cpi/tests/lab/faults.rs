//! What a real cloud cannot be made to do on demand, by a proxy before the real services: errors in the middle of a
//! call, lost answers, rate limits, quotas, a signal. Nothing may be left behind, no reserved port touched.

use std::time::Duration;

use crate::driver::lab::Lab;
use crate::driver::sweep::{self, Case, Kind, Scenes};
use crate::driver::{Answer, Request, start, stemcell};
use fault_proxy::{Fault, Rule, When};
use serde_json::json;

/// The call that the faults are for: one manual network, one pair.
fn create_vm(lab: &Lab, vip: &str) -> Request {
    Request::new("create_vm", lab.vm(json!({"allowed_address_pairs": vip}), lab.manual(&lab.free_ip())))
}

/// The same of a server that Nova finds no place for: every call ends in an error, and has a server to remove.
fn create_vm_in_vain(lab: &Lab, vip: &str) -> Request {
    let properties = json!({"allowed_address_pairs": vip, "instance_type": lab.too_large()});
    Request::new("create_vm", lab.vm(properties, lab.manual(&lab.free_ip())))
}

/// Every request of every method that makes something, those of the undoing too. `make bench-cpi` does it with more
/// kinds of faults.
#[test]
fn a_fault_at_every_request_leaves_nothing_behind() {
    let scenes = Scenes::open("sweep", 3);
    if scenes.is_empty() {
        return;
    }
    // A lost answer is the worst that can happen; after a refusal what is half made is to be removed at once. That a
    // request did nothing is tried where most is made.
    for (cases, kind) in [
        (&sweep::ALL[..], Kind::Lost),
        (&sweep::ALL[..], Kind::Refused),
        (&[Case::CreateVm][..], Kind::Failed),
    ] {
        let tally = sweep::run(&scenes, cases, &[kind], usize::MAX);
        println!("{kind:?}: {:?}", tally.calls);
        assert!(tally.stories.is_empty(), "{}", tally.stories.join("\n\n"));
        // Token, four look-ups, port, server, tags, one look at least, and but for refusals two deletions: each was hit.
        assert!(tally.calls["CreateVm"] >= 9, "{:?}", tally.calls);
        assert_eq!(tally.calls.len(), cases.len());
    }
}

/// A server that is being built takes Nova some seconds to remove.
#[test]
fn a_server_that_does_not_come_up_in_time_is_removed() {
    let Some(lab) = Lab::open("late") else { return };
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    let before = lab.inventory();
    let answer = lab.call_with(json!({"state_timeout": 1}), &create_vm(&lab, &vip), Vec::new());
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::VMCreationFailed", true), "{message}");
    assert!(message.starts_with("Timed out waiting for Server `"), "{message}");
    assert_eq!(lab.inventory(), before);
    lab.assert_untouched(&reserved);
}

#[test]
fn a_service_that_fails_for_good_leaves_nothing_behind() {
    // Side by side: each waits for the last of its attempts.
    std::thread::scope(|scope| {
        for (method, path) in [
            ("POST", "/v2.0/ports$"),
            ("POST", "/servers$"),
            ("PUT", "/tags$"),
            ("GET", "/v2/images/"),
            ("GET", "/flavors/detail"),
        ] {
            scope.spawn(move || {
                let Some(lab) = Lab::open("outage") else { return };
                let vip = lab.free_ip();
                lab.reserve(&vip);
                let before = lab.inventory();
                let fault = Rule::on(method, path).fault(Fault::answer(500));
                let answer = lab.call_with(json!({}), &create_vm_in_vain(&lab, &vip), vec![fault]);
                let (_, message, _) = answer.error();
                assert!(!message.contains("by hand"), "{message}");
                assert_eq!(lab.inventory(), before, "{method} {path}: {message}");
            });
        }
    });
}

#[test]
fn what_cannot_be_removed_is_named() {
    let Some(lab) = Lab::open("stuck") else { return };
    let vip = lab.free_ip();
    lab.reserve(&vip);
    let fault = Rule::on("DELETE", "/v2.0/ports/").fault(Fault::answer(403));
    let answer = lab.call_with(json!({}), &create_vm_in_vain(&lab, &vip), vec![fault]);
    let (_, message, _) = answer.error();
    assert!(message.contains("\nCould not be removed and has to be by hand: port "), "{message}");
}

#[test]
fn lost_answers_do_not_make_a_second_port_or_server() {
    let Some(lab) = Lab::open("lost") else { return };
    let vip = lab.free_ip();
    lab.reserve(&vip);
    let before = lab.inventory();
    let faults = vec![
        Rule::on("POST", "/v2.0/ports$").when(When::After).fault(Fault::drop()).times(1),
        Rule::on("POST", "/servers$").when(When::After).fault(Fault::answer(504)).times(1),
    ];
    let answer = lab.call_with(json!({}), &create_vm(&lab, &vip), faults);
    let vm = answer.result()[0].as_str().unwrap();
    assert_eq!(lab.requests().iter().filter(|request| request.fault.is_some()).count(), 2);
    assert_eq!(lab.inventory().len(), before.len() + 2, "one server, one port");
    assert_eq!(lab.ports_of(vm).len(), 1);
    lab.call("delete_vm", json!([vm])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn a_timeout_after_the_server_was_made_finds_it() {
    let Some(lab) = Lab::open("timeout") else { return };
    let vip = lab.free_ip();
    lab.reserve(&vip);
    let before = lab.inventory();
    let options = json!({"connection_options": {"proxy": lab.proxy.url(), "read_timeout": 10}});
    let slow = Fault::delay(Duration::from_secs(12));
    let faults = vec![Rule::on("POST", "/servers$").when(When::After).fault(slow).times(1)];
    let answer = lab.call_with(options, &create_vm_in_vain(&lab, &vip), faults);
    // It was found by its name, and Nova is asked what became of it.
    assert!(answer.error().1.contains("No valid host was found"), "{}", answer.json);
    let posts = lab.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 3, "token, port, server, each once");
    assert_eq!(lab.inventory(), before);
}

#[test]
fn rate_limits_are_waited_out_and_quotas_are_not() {
    let Some(lab) = Lab::open("limits") else { return };
    let before = lab.inventory();
    let limited = Rule::on("POST", "/volumes$").fault(Fault::answer(429).header("Retry-After", "1")).times(2);
    let request = Request::new("create_disk", json!([1024, {}]));
    let answer = lab.call_with(json!({}), &request, vec![limited]);
    let disk = answer.result().as_str().unwrap().to_owned();
    assert_eq!(lab.requests().iter().filter(|request| request.status == Some(429)).count(), 2);
    lab.call("delete_disk", json!([disk])).result();

    let body = r#"{"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota."}}"#;
    let quota = Rule::on("POST", "/volumes$").fault(Fault::answer(413).body(body));
    let answer = lab.call_with(json!({}), &request, vec![quota]);
    let (kind, message, ok_to_retry) = answer.error();
    assert_eq!((kind, ok_to_retry), ("Bosh::Clouds::NoDiskSpace", false), "{message}");
    assert_eq!(
        lab.requests()
            .iter()
            .filter(|request| request.method == "POST" && request.url.ends_with("/volumes"))
            .count(),
        1
    );

    let body = r#"{"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"}}"#;
    let quota = Rule::on("POST", "/servers$").fault(Fault::answer(403).body(body));
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    let answer = lab.call_with(json!({}), &create_vm(&lab, &vip), vec![quota]);
    let message = answer.cloud_error();
    assert!(message.starts_with("OpenStack API Forbidden Nova POST "), "{message}");
    assert!(message.contains("Quota exceeded for instances"), "{message}");
    lab.client.network().delete_port(&reserved.id).unwrap();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn disks_and_snapshots_leave_nothing_behind() {
    let Some(lab) = Lab::open("disk-faults") else { return };
    let before = lab.inventory();
    let request = Request::new("create_disk", json!([1024, {}]));
    for rule in [
        Rule::on("POST", "/volumes$").fault(Fault::answer(500)),
        Rule::on("POST", "/volumes$").when(When::After).fault(Fault::drop()).times(6),
        Rule::on("GET", "/volumes/[0-9a-f-]{36}$").fault(Fault::answer(403)).times(1),
    ] {
        let answer = lab.call_with(json!({}), &request, vec![rule.clone()]);
        if let Some(disk) = answer.json["result"].as_str() {
            lab.call("delete_disk", json!([disk])).result();
        }
        assert_eq!(lab.inventory(), before, "{rule:?}\n{}", answer.stderr);
    }
}

#[test]
fn a_half_made_image_is_removed() {
    let Some(lab) = Lab::open("image-faults") else { return };
    let before = lab.inventory();
    let folder = tempfile::tempdir().unwrap();
    let path = stemcell::plain(folder.path(), 1 << 20);
    let request = Request::new("create_stemcell", json!([path, stemcell::properties()]));
    for rule in [
        Rule::on("POST", "/v2/images$").fault(Fault::answer(500)),
        Rule::on("PUT", "/file$").fault(Fault::answer(500)),
        Rule::on("PUT", "/file$").fault(Fault::drop()),
        Rule::on("PUT", "/file$").when(When::After).fault(Fault::drop()),
        Rule::on("GET", "/v2/images/").fault(Fault::answer(403)),
    ] {
        let answer = lab.call_with(json!({}), &request, vec![rule.clone()]);
        answer.error();
        assert_eq!(lab.inventory(), before, "{rule:?}\n{}", answer.stderr);
    }
    // A lost answer to the POST: the image is found by the id that we chose.
    let lost = Rule::on("POST", "/v2/images$").when(When::After).fault(Fault::drop()).times(1);
    let answer = lab.call_with(json!({}), &request, vec![lost]);
    lab.call("delete_stemcell", json!([answer.result()])).result();
    assert_eq!(lab.inventory(), before);
}

#[test]
fn sigterm_during_a_call_undoes_and_answers() {
    let Some(lab) = Lab::open("sigterm") else { return };
    let vip = lab.free_ip();
    let reserved = lab.reserve(&vip);
    let before = lab.inventory();
    lab.proxy.set_rules(Vec::new());
    let config = lab.config_with(json!({}));
    let child = start(&["--config", config.path.to_str().unwrap()], &create_vm(&lab, &vip).text());
    let is_asked_for = || {
        lab.requests().iter().any(|request| {
            request.method == "POST" && request.url.ends_with("/servers") && request.status == Some(202)
        })
    };
    while !is_asked_for() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let answer = Answer::of(&child.wait_with_output().unwrap());
    assert_eq!(answer.cloud_error(), "The call was interrupted by SIGTERM; what it had made was removed");
    assert_eq!(lab.inventory(), before);
    assert!(lab.client.network().port(&reserved.id).is_ok());
}

#[test]
fn expired_credentials_and_a_missing_service_are_named() {
    let Some(lab) = Lab::open("names") else { return };
    let request = Request::new("has_vm", json!(["some"]));
    let answer = lab.call_with(json!({"api_key": "wrong-and-secret"}), &request, Vec::new());
    let message = answer.cloud_error();
    assert!(
        message.starts_with("Unable to connect to the OpenStack Keystone API http://127.0.0.1:5000\n"),
        "{message}"
    );
    assert!(message.contains("The credentials are refused or expired"), "{message}");
    assert!(!format!("{}{}", answer.json, answer.stderr).contains("wrong-and-secret"));
    let answer = lab.call_with(json!({"region": "RegionTwo"}), &request, Vec::new());
    let message = answer.cloud_error();
    assert!(message.starts_with("Unable to connect to the OpenStack Compute Service API: "), "{message}");
    assert!(message.contains("RegionTwo") && message.contains("Check region and endpoint_type"), "{message}");
}
