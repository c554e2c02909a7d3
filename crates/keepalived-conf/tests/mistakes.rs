//! The mistakes that operators make, as they were tried on keepalived 2.2.7 and 2.4.3. Where keepalived applied a
//! default in silence or pointed nowhere, each gives its place, its cause and what mends it; nothing but errors
//! and what was told is different from a file without the mistake.

mod memory;

use keepalived_conf::Program;
use memory::{Memory, read, said};

const GOOD: &str = "\
vrrp_script chk {
    script \"/usr/local/bin/check.sh\"
    interval 2
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.0.0.50/24
    }
    track_script {
        chk
    }
}
";

/// The good file with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "`{from}` must stand there once");
    GOOD.replace(from, to)
}

fn with(from: &str, to: &str) -> Vec<String> {
    said(&read(&changed(from, to)))
}

/// Checks what is said, and that there is a configuration exactly if no error is among it.
#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let outcome = read(text);
    assert_eq!(said(&outcome), expected);
    assert_eq!(outcome.configuration.is_some(), !expected.iter().any(|line| line.contains(": error[")));
}

#[test]
fn without_a_mistake_nothing_is_said() {
    expect(GOOD, &[]);
}

#[test]
fn a_misspelt_keyword() {
    expect(
        &changed("priority 100", "priorty 100"),
        &[
            "9:5: error[unknown-keyword]: unknown keyword `priorty` in vrrp_instance; did you mean `priority`?",
        ],
    );
}

#[test]
fn a_misspelt_block_is_one_error_not_five() {
    expect(
        &changed("virtual_ipaddress {", "virtual_ipadress {"),
        &[
            "11:5: error[unknown-keyword]: unknown keyword `virtual_ipadress` in vrrp_instance; did you mean `virtual_ipaddress`?",
        ],
    );
}

#[test]
fn a_missing_closing_brace_is_told_at_the_block_that_lacks_it() {
    expect(
        &changed("10.0.0.50/24\n    }\n", "10.0.0.50/24\n"),
        &[
            "11:23: error[unclosed-block]: the block of `virtual_ipaddress` is never closed; add `}` before `track_script`, which does not belong into it",
        ],
    );
    expect(
        &changed("interval 2\n}\n", "interval 2\n"),
        &[
            "1:17: error[unclosed-block]: the block of `vrrp_script` is never closed; add `}` before `vrrp_instance`, which does not belong into it",
        ],
    );
    expect(
        &changed("chk\n    }\n}\n", "chk\n    }\n"),
        &["5:20: error[unclosed-block]: the block of `vrrp_instance` is never closed; add the missing `}`"],
    );
}

#[test]
fn the_block_that_is_never_closed_is_shown_with_what_stands_outside_it() {
    let outcome = read(&changed("10.0.0.50/24\n    }\n", "10.0.0.50/24\n"));
    assert_eq!(
        outcome.diagnostics[0].render(&outcome.sources),
        "\
error[unclosed-block]: the block of `virtual_ipaddress` is never closed
    --> /etc/k.conf:11:23
  11 |     virtual_ipaddress {
     |                       ^
    ::: /etc/k.conf:13:5
  13 |     track_script {
     |     ^^^^^^^^^^^^ this stands outside it
     = help: add `}` before `track_script`, which does not belong into it
"
    );
}

#[test]
fn a_missing_opening_brace_is_told_at_its_line() {
    expect(
        &changed("virtual_ipaddress {", "virtual_ipaddress"),
        &["11:5: error[missing-brace]: `virtual_ipaddress` has no `{`; add it at the end of this line"],
    );
    expect(
        &changed("vrrp_instance VI_1 {", "vrrp_instance VI_1"),
        &["5:1: error[missing-brace]: `vrrp_instance VI_1` has no `{`; add it at the end of this line"],
    );
}

#[test]
fn a_brace_too_many() {
    expect(
        &format!("{GOOD}}}\n"),
        &[
            "18:1: error[unexpected-brace]: a `}` that closes nothing; remove it, or look for the `{` that is missing above",
        ],
    );
}

#[test]
fn vrid_300() {
    expect(
        &changed("virtual_router_id 51", "virtual_router_id 300"),
        &[
            "8:23: error[value-out-of-range]: `300` is no value for `virtual_router_id`; a whole number from 1 to 255 is needed",
        ],
    );
}

#[test]
fn vrid_missing() {
    expect(
        &changed("    virtual_router_id 51\n", ""),
        &[
            "5:15: error[missing-keyword]: VI_1 has no `virtual_router_id`; add a number from 1 to 255, the same on all routers and on no other virtual router of this link",
        ],
    );
}

const SECOND: &str = "\
vrrp_instance VI_2 {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        10.0.0.51/24
    }
}
";

#[test]
fn vrid_twice() {
    expect(
        &format!("{GOOD}{SECOND}"),
        &[
            "18:15: error[duplicate-vrid]: VI_1 and VI_2 both use VRID 51 for IPv4 on eth0; give one another virtual_router_id, on every router that has it",
        ],
    );
    // On another link, or for the other family, it is another virtual router.
    expect(&format!("{GOOD}{}", SECOND.replace("eth0", "eth1")), &[]);
    expect(&format!("{GOOD}{}", SECOND.replace("10.0.0.51/24", "fe80::51/64")), &[]);
}

#[test]
fn an_address_in_two_instances() {
    expect(
        &format!("{GOOD}{}", SECOND.replace("_id 51", "_id 52").replace("0.51/24", "0.50/24")),
        &[
            "22:9: error[duplicate-address]: 10.0.0.50 is an address of VI_1 too; two virtual routers would add and remove it against each other: remove one",
        ],
    );
}

#[test]
fn an_unknown_interface() {
    expect(
        &changed("interface eth0", "interface eth9"),
        &[
            "7:15: error[no-interface]: there is no interface `eth9` on this host; did you mean `eth0`? There are eth0, eth1",
        ],
    );
    expect(
        &format!("global_defs {{\n dynamic_interfaces\n}}\n{}", changed("interface eth0", "interface bond7")),
        &["10:15: note[no-interface]: there is no interface `bond7` on this host; there are eth0, eth1"],
    );
}

#[test]
fn an_address_without_prefix_is_a_note_since_deployments_have_it() {
    expect(
        &changed("10.0.0.50/24", "10.0.0.50"),
        &["12:9: note[no-prefix]: 10.0.0.50 without a prefix is taken as /32, as keepalived does"],
    );
}

#[test]
fn an_address_that_is_none() {
    expect(
        &changed("10.0.0.50/24", "10.0.0.500/24"),
        &[
            "12:9: error[bad-address]: `10.0.0.500` is no IP address; write ADDRESS/PREFIX, for example 10.0.0.100/24",
        ],
    );
}

#[test]
fn a_prefix_of_33() {
    expect(
        &changed("10.0.0.50/24", "10.0.0.50/33"),
        &[
            "12:9: error[value-out-of-range]: the prefix of 10.0.0.50/33 is too long; a number from 0 to 32 is needed for IPv4",
        ],
    );
}

#[test]
fn priority_256_and_0() {
    for wrong in ["256", "0"] {
        expect(
            &changed("priority 100", &format!("priority {wrong}")),
            &[&format!(
                "9:14: error[value-out-of-range]: `{wrong}` is no value for `priority`; a whole number from 1 to 255 is needed"
            )],
        );
    }
}

#[test]
fn advert_int_0() {
    expect(
        &changed("advert_int 1", "advert_int 0"),
        &[
            "10:16: error[value-out-of-range]: `0` is no value for `advert_int`; seconds from 0.01 to 255 are needed",
        ],
    );
}

#[test]
fn advert_int_with_a_unit() {
    expect(
        &changed("advert_int 1", "advert_int 100ms"),
        &[
            "10:16: error[value-out-of-range]: `100ms` is no value for `advert_int`; the unit is the second: write 0.1",
        ],
    );
}

#[test]
fn advert_int_41_with_version_3() {
    expect(
        &changed("advert_int 1", "version 3\n    advert_int 41"),
        &[
            "11:16: error[value-out-of-range]: an interval of 41 s cannot be sent; VRRPv3 has 0.01 to 40.95 seconds in steps of 0.01",
        ],
    );
    expect(
        &changed("advert_int 1", "version 3\n    advert_int 0.015"),
        &[
            "11:16: error[value-out-of-range]: an interval of 0.015 s cannot be sent; VRRPv3 has 0.01 to 40.95 seconds in steps of 0.01",
        ],
    );
}

#[test]
fn advert_int_below_a_second_with_version_2() {
    expect(
        &changed("advert_int 1", "advert_int 0.1"),
        &[
            "10:16: error[value-out-of-range]: an interval of 0.1 s cannot be sent; VRRPv2 has whole seconds from 1 to 255; for less, write `version 3` on all routers",
        ],
    );
}

const PASSWORD: &str = "authentication {\n auth_type PASS\n auth_pass s3cr3t-long\n }";

#[test]
fn a_password_of_11_is_cut_since_deployments_have_it() {
    expect(
        &changed("advert_int 1", PASSWORD),
        &[
            "12:12: warning[password-cut]: auth_pass is cut to 8 bytes, as keepalived does; use at most 8 characters, the same on all routers",
        ],
    );
}

#[test]
fn a_password_is_never_shown() {
    for wrong in [
        "auth_pass s3cr3t s3cr3t",
        "auth_pass s3cr3t {",
        "auth_pas s3cr3t",
        "auth_pass \"s3cr3t",
        "auth_pass s3cr3t#1",
    ] {
        let outcome = read(&changed("advert_int 1", &PASSWORD.replace("auth_pass s3cr3t-long", wrong)));
        assert!(!outcome.diagnostics.is_empty(), "{wrong}");
        for diagnostic in &outcome.diagnostics {
            let text = diagnostic.render(&outcome.sources) + &diagnostic.concise(&outcome.sources);
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}

/// Octavia writes the same for both families.
#[test]
fn a_password_with_ipv6_and_no_version() {
    let mend = "remove the block on all routers, and restrict who can send protocol 112 instead";
    let ipv6 = changed("10.0.0.50/24", "fe80::50/64")
        .replace("advert_int 1", &format!("advert_int 1\n    {}", PASSWORD.replace("-long", "")));
    let expected = format!(
        "11:5: warning[authentication]: IPv6 has VRRPv3, which has no authentication: it is left out, as with keepalived; {mend}"
    );
    expect(&ipv6, &[&expected]);
    let global = format!("global_defs {{\n    vrrp_version 3\n}}\n{ipv6}");
    assert!(said(&read(&global))[0].contains("error[authentication]"), "{:?}", said(&read(&global)));
}

#[test]
fn a_password_with_version_3() {
    expect(
        &changed("advert_int 1", &format!("version 3\n    {}", PASSWORD.replace("-long", ""))),
        &[
            "11:5: error[authentication]: VRRPv3 has no authentication; keepalived leaves it out in silence; remove the block on all routers, and restrict who can send protocol 112 instead",
        ],
    );
}

#[test]
fn an_authentication_that_is_no_longer_spoken() {
    expect(
        &changed("advert_int 1", &PASSWORD.replace("PASS", "AH").replace("-long", "")),
        &[
            "11:12: error[authentication]: auth_type AH is not spoken (RFC 3768 removed it); use PASS on all routers, or VRRPv3 without authentication",
        ],
    );
}

#[test]
fn a_state_that_is_none() {
    expect(
        &changed("state BACKUP", "state BAKCUP"),
        &["6:11: error[value-out-of-range]: `BAKCUP` is no state; did you mean `BACKUP`?"],
    );
}

#[test]
fn state_slave_is_a_warning_since_haproxy_boshrelease_writes_it() {
    expect(
        &changed("state BACKUP", "state SLAVE"),
        &[
            "6:11: warning[state-slave]: `state SLAVE` is read as BACKUP, as keepalived does; write `state BACKUP`",
        ],
    );
}

#[test]
fn a_tracked_script_that_is_not_defined() {
    expect(
        &changed("        chk\n", "        chk_nothere\n"),
        &[
            "15:9: error[undefined]: no vrrp_script is named `chk_nothere`; define it: vrrp_script chk_nothere { ... }",
        ],
    );
    expect(
        &changed("        chk\n", "        chj\n"),
        &["15:9: error[undefined]: no vrrp_script is named `chj`; did you mean `chk`?"],
    );
}

fn with_program(text: &str, program: Program) -> (Vec<String>, bool) {
    let mut memory = Memory::default().with("/etc/k.conf", text);
    memory.programs.insert("/usr/local/bin/check.sh", program);
    let outcome = memory.read_main(None);
    (said(&outcome), outcome.configuration.is_some())
}

#[test]
fn a_script_that_cannot_be_run() {
    for (program, expected) in [
        (
            Program::Missing,
            "2:12: error[program]: there is no file /usr/local/bin/check.sh; check the path; is the package installed?",
        ),
        (
            Program::NotExecutable,
            "2:12: error[program]: /usr/local/bin/check.sh cannot be executed; chmod +x makes it executable",
        ),
    ] {
        assert_eq!(with_program(GOOD, program), (vec![expected.to_owned()], false));
    }
    assert_eq!(with_program(GOOD, Program::Runs { writable_by_others: false }), (vec![], true));
}

#[test]
fn a_script_that_others_may_write() {
    let text = "[program]: others than root may replace /usr/local/bin/check.sh, and so lower the priority at will; take write access to it and to the directories above it from group and others";
    let writable = Program::Runs { writable_by_others: true };
    assert_eq!(with_program(GOOD, writable), (vec![format!("2:12: warning{text}")], true));
    let strict = format!("global_defs {{ enable_script_security }}\n{GOOD}");
    assert_eq!(with_program(&strict, writable), (vec![format!("3:12: error{text}")], false));
}

#[test]
fn a_notify_script_that_is_missing_is_a_warning_since_keepalived_starts_without() {
    let text = changed("advert_int 1", "notify /usr/local/bin/check.sh")
        .replace("script \"/usr/local/bin/check.sh\"", "script /bin/true");
    assert_eq!(
        with_program(&text, Program::Missing),
        (vec!["10:12: warning[program]: there is no file /usr/local/bin/check.sh; check the path; is the package installed?".to_owned()], true)
    );
}

#[test]
fn families_that_are_mixed() {
    expect(
        &changed("10.0.0.50/24", "10.0.0.50/24\n        fd00::50/64"),
        &[
            "13:9: error[mixed-families]: fd00::50 among the IPv4 addresses of VI_1: a virtual router has one family; move it to virtual_ipaddress_excluded, or to an instance of its own in a vrrp_sync_group",
        ],
    );
}

#[test]
fn ipv6_without_a_link_local_address_first() {
    expect(
        &changed("10.0.0.50/24", "fd00::50/64"),
        &[
            "12:9: warning[first-address-not-link-local]: the first IPv6 address should be link-local (RFC 9568 §5.2.9); put the virtual router's fe80:: address first; keepalived works without, other routers may not",
        ],
    );
}

#[test]
fn ipv6_with_version_2() {
    expect(
        &changed("10.0.0.50/24", "fe80::50/64").replace("advert_int 1", "version 2"),
        &["10:5: error[version]: VRRPv2 exists for IPv4 only; remove the line, or write `version 3`"],
    );
}

#[test]
fn nopreempt_with_state_master() {
    expect(
        &changed("state BACKUP", "state MASTER\n    nopreempt"),
        &[
            "7:5: warning[nopreempt-master]: keepalived ignores `nopreempt` with `state MASTER`; here it counts; write `state BACKUP` on all routers",
        ],
    );
}

#[test]
fn an_empty_file_is_refused_so_that_a_reload_keeps_the_addresses() {
    for empty in ["", "\n# nothing\n", "global_defs {\n}\n"] {
        let outcome = read(empty);
        assert_eq!(
            said(&outcome),
            [
                "1:1: error[nothing-to-do]: no vrrp_instance: there is nothing to do; is this the right file, and is it complete?"
            ],
        );
        assert!(outcome.configuration.is_none());
    }
}

#[test]
fn no_addresses() {
    expect(
        &changed("        10.0.0.50/24\n", ""),
        &[
            "5:15: error[missing-keyword]: VI_1 has no virtual_ipaddress; add the address, or no_virtual_ipaddress if there is to be none",
        ],
    );
    expect(
        &changed("    virtual_ipaddress {\n        10.0.0.50/24\n    }\n", ""),
        &[
            "5:15: error[missing-keyword]: VI_1 has no virtual_ipaddress; add the address, or no_virtual_ipaddress if there is to be none",
        ],
    );
    expect(&changed("        10.0.0.50/24\n", "").replace("advert_int 1", "no_virtual_ipaddress"), &[]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let outcome = Memory::default().read_main(None);
    assert_eq!(
        said(&outcome),
        [
            "1:1: error[cannot-read]: cannot read /etc/k.conf: No such file or directory; check the path and its permissions"
        ]
    );
}

#[test]
fn what_is_not_built_says_so() {
    for (line, name) in
        [("use_vmac", "use_vmac"), ("no_accept", "no_accept"), ("track_bfd {\n b\n}", "track_bfd")]
    {
        let lines = with("advert_int 1", line);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("10:5: error[not-built]: `{name}` is known but not built; ")),
            "{lines:?}"
        );
    }
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let text = GOOD
        .replace("interval 2", "intervall 2")
        .replace("eth0", "eht0")
        .replace("_id 51", "_id 0")
        .replace("100", "many")
        .replace("/24", "/240")
        .replace("        chk\n", "        chk weight 300\n");
    let ids: Vec<String> = said(&read(&text))
        .iter()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        ids,
        [
            "3:5: error[unknown-keyword]:",
            "7:15: error[no-interface]:",
            "8:23: error[value-out-of-range]:",
            "9:14: error[value-out-of-range]:",
            "12:9: error[value-out-of-range]:",
            "15:13: error[value-out-of-range]:",
        ]
    );
}

#[test]
fn words_in_the_wrong_block_are_sent_home() {
    assert_eq!(
        with("interval 2", "priority 100"),
        [
            "3:5: error[unknown-keyword]: unknown keyword `priority` in vrrp_script; `priority` belongs into vrrp_instance"
        ]
    );
}

#[test]
fn what_stands_twice_is_told() {
    assert_eq!(
        with("priority 100", "priority 100\n    priority 90"),
        [
            "10:5: warning[repeated]: `priority` stands here again: the last one counts, as in keepalived; remove one of them"
        ]
    );
}

#[test]
fn two_addresses_on_a_line() {
    assert_eq!(
        with("10.0.0.50/24", "10.0.0.50/24 10.0.0.51/24"),
        [
            "12:22: error[extra-value]: `10.0.0.51/24` stands on the line of another address; each address needs a line of its own"
        ]
    );
}
