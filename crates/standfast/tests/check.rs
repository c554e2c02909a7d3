//! `standfast check` as it is run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standfast-check-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check(file: &Path, options: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_standfast")).arg("check").args(options).arg(file).output().unwrap();
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    let text = String::from_utf8(stdout).unwrap();
    (status.code().unwrap(), text.replace(&file.display().to_string(), "FILE"))
}

const GOOD: &str = "\
vrrp_instance VI_1 {
    interface lo
    virtual_router_id 51
    virtual_ipaddress {
        10.0.0.50/24
    }
}
";

#[test]
fn a_good_file() {
    let folder = Folder::new("good");
    let file = folder.file("k.conf", GOOD);
    assert_eq!(check(&file, &[]), (0, "FILE: good, 1 virtual router\n".into()));
}

#[test]
fn a_note_is_shown_and_is_no_failure() {
    let folder = Folder::new("note");
    let file = folder.file("k.conf", &GOOD.replace("/24", ""));
    assert_eq!(
        check(&file, &[]),
        (
            0,
            "\
note[no-prefix]: 10.0.0.50 without a prefix is taken as /32, as keepalived does
    --> FILE:5:9
   5 |         10.0.0.50
     |         ^^^^^^^^^
FILE: good, 1 virtual router (1 note)
"
            .into()
        )
    );
}

#[test]
fn errors_show_the_line_and_the_place_all_at_once() {
    let folder = Folder::new("errors");
    let file = folder.file("k.conf", &GOOD.replace("51", "300").replace("interface", "interfaec"));
    assert_eq!(
        check(&file, &[]),
        (
            5,
            "\
error[unknown-keyword]: unknown keyword `interfaec` in vrrp_instance
    --> FILE:2:5
   2 |     interfaec lo
     |     ^^^^^^^^^
     = help: did you mean `interface`?
error[value-out-of-range]: `300` is no value for `virtual_router_id`
    --> FILE:3:23
   3 |     virtual_router_id 300
     |                       ^^^
     = help: a whole number from 1 to 255 is needed
FILE: refused (2 errors); an agent would keep what it has
"
            .into()
        )
    );
}

#[test]
fn the_same_as_json() {
    let folder = Folder::new("json");
    let file =
        folder.file("k.conf", &format!("{GOOD}{}", GOOD.replace("VI_1", "VI_2").replace("0.50", "0.51")));
    let (code, text) = check(&file, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 5);
    let expected = serde_json::json!({
        "file": "FILE",
        "good": false,
        "virtual_routers": [],
        "findings": [{
            "id": "duplicate-vrid",
            "severity": "error",
            "file": "FILE",
            "line": 8,
            "column": 15,
            "bytes": [130, 134],
            "message": "VI_1 and VI_2 both use VRID 51 for IPv4 on lo",
            "help": "give one another virtual_router_id, on every router that has it",
            "related": { "file": "FILE", "line": 1, "column": 15, "message": "the other one" },
        }],
    });
    assert_eq!(json, expected);
    let (code, text) = check(&folder.file("good.conf", GOOD), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &json["good"], &json["virtual_routers"]),
        (0, &true.into(), &serde_json::json!(["VI_1"]))
    );
}

#[test]
fn a_file_that_is_not_there() {
    let (code, text) = check(Path::new("/nonexistent/k.conf"), &[]);
    assert_eq!(code, 4);
    assert!(text.starts_with("error[cannot-read]: cannot read FILE: No such file or directory"), "{text}");
}

#[test]
fn a_file_that_is_no_text() {
    let folder = Folder::new("bytes");
    let path = folder.0.join("k.conf");
    std::fs::write(&path, b"vrrp_instance \xff {").unwrap();
    let (code, text) = check(&path, &[]);
    assert_eq!(code, 4);
    assert!(text.starts_with("error[cannot-read]: cannot read FILE: not valid UTF-8 at byte 14"), "{text}");
}

#[test]
fn interfaces_and_programs_of_this_host_unless_it_is_for_another() {
    let folder = Folder::new("host");
    let script =
        format!("vrrp_script s {{\n script \"{}\"\n}}\n", folder.file("not-executable", "").display());
    let missing = "vrrp_script m {\n script \"standfast-no-such-program\"\n}\n";
    let file = folder
        .file("k.conf", &format!("{script}{missing}{}", GOOD.replace("interface lo", "interface sf-none")));
    let (code, text) = check(&file, &[]);
    assert_eq!(code, 5);
    assert!(text.contains("there is no interface `sf-none` on this host"), "{text}");
    assert!(text.contains("not-executable cannot be executed"), "{text}");
    assert!(text.contains("there is no program standfast-no-such-program in PATH"), "{text}");
    assert_eq!(check(&file, &["--elsewhere"]), (0, "FILE: good, 1 virtual router\n".into()));
}

#[test]
fn included_files_are_named_where_they_are_wrong() {
    let folder = Folder::new("include");
    folder.file("a.part", "priorty 5\n");
    let file = folder.file("k.conf", &GOOD.replace("interface lo", "interface lo\ninclude *.part"));
    let (code, text) = check(&file, &[]);
    assert_eq!(code, 5);
    assert!(text.contains("/a.part:1:1\n"), "{text}");
}

#[test]
fn the_config_id_is_given_or_the_host_s_name() {
    let folder = Folder::new("id");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let short = name.trim().split('.').next().unwrap();
    let file = folder.file("k.conf", &format!("{GOOD}@{short} wrong\n@other bad\n"));
    assert!(check(&file, &[]).1.contains("unknown keyword `wrong`"));
    assert!(check(&file, &["-i", "other"]).1.contains("unknown keyword `bad`"));
    assert_eq!(check(&file, &["--config-id", "none"]).0, 0);
}
