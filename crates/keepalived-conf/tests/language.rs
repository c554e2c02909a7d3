//! Includes, definitions, conditions, generators, quotes and comments: what keepalived 2.2.7 reads (seen in its own
//! dump of the configuration) or its manual shows, and errors where it guesses.

mod memory;

use memory::{Memory, read, said};

/// An instance with these addresses.
fn around(addresses: &str) -> String {
    format!(
        "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n{addresses}\n }}\n}}\n"
    )
}

fn addresses(text: &str) -> Vec<String> {
    let outcome = read(text);
    assert!(!outcome.has_errors(), "{:#?}", said(&outcome));
    let instances = outcome.configuration.unwrap_or_default().instances;
    instances[0].addresses.iter().map(|a| format!("{}/{}", a.address, a.prefix_len)).collect()
}

#[test]
fn parameters_are_put_in_late_and_in_turn() {
    // The manual's own example.
    let text = "\
$ADDRESS_BASE=10.2.${ADDRESS_BASE_SUB}
$ADDRESS_BASE_SUB=0
${ADDRESS_BASE}.100/32
$ADDRESS_BASE_SUB=10
${ADDRESS_BASE}.100/32";
    assert_eq!(addresses(&around(text)), ["10.2.0.100/32", "10.2.10.100/32"]);
}

#[test]
fn a_parameter_points_to_the_place_where_it_is_used() {
    let text = format!("$V=300\n{}", around("10.0.0.1/24").replace("_id 51", "_id $V"));
    assert_eq!(
        said(&read(&text)),
        [
            "4:20: error[value-out-of-range]: `300` is no value for `virtual_router_id`; a whole number from 1 to 255 is needed"
        ]
    );
}

#[test]
fn definitions_of_several_lines() {
    let text = "\
$INSTANCE= \\
vrrp_instance VI_${NUM} { \\
    interface eth0 \\

    virtual_router_id ${NUM} # a comment \\
    @high priority 130 \\
    @low priority 120 \\
    virtual_ipaddress { \\
        10.0.${NUM}.254/24 \\
    } \\
}

$NUM=1
$INSTANCE
$NUM=2
$INSTANCE
";
    // A comment takes the backslash with it: the definition ends there.
    assert!(read(text).has_errors());
    let text = text.replace(" # a comment", "");
    let outcome = Memory::default().with("/etc/k.conf", &text).read_main(Some("low"));
    let instances = outcome.configuration.as_ref().map(|c| &c.instances).unwrap();
    let seen: Vec<_> = instances
        .iter()
        .map(|i| (i.name.as_str(), i.priority.get(), i.addresses[0].address.to_string()))
        .collect();
    assert_eq!(seen, [("VI_1", 120, "10.0.1.254".into()), ("VI_2", 120, "10.0.2.254".into())]);
}

#[test]
fn an_error_in_a_definition_points_into_it() {
    let text = "$M= \\\ninterface eth0 \\\npriorty 5\nvrrp_instance VI {\n$M\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1/24\n}\n}\n";
    assert_eq!(
        said(&read(text)),
        ["3:1: error[unknown-keyword]: unknown keyword `priorty` in vrrp_instance; did you mean `priority`?"]
    );
}

#[test]
fn conditions() {
    let text = around(
        "@main 10.0.0.1/24\n@^main 10.0.0.2/24\n@other 10.0.0.3/24\n$IF=@main\n$IF 10.0.0.4/24\n@other $X= \\\n 10.9.9.9/24\n",
    );
    let for_id = |id| {
        let outcome = Memory::default().with("/etc/k.conf", &text).read_main(id);
        let configuration = outcome.configuration.as_ref().unwrap();
        configuration.instances[0].addresses.iter().map(|a| a.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(for_id(Some("main")), ["10.0.0.1", "10.0.0.4"]);
    assert_eq!(for_id(Some("other")), ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(for_id(None), ["10.0.0.2"]);
}

#[test]
fn sequences_and_lists_as_the_manual_shows_them() {
    assert_eq!(
        addresses(&around("~SEQ(K, 3) 10.0.1.${K}/24")),
        ["10.0.1.1/24", "10.0.1.2/24", "10.0.1.3/24"]
    );
    assert_eq!(addresses(&around("~SEQ(K, 0, 2) 10.0.1.$K")), ["10.0.1.0/32", "10.0.1.1/32", "10.0.1.2/32"]);
    assert_eq!(
        addresses(&around("~SEQx(K, 0x90, 0x10, 0xb0) fe80::20:${K}:1/64")),
        ["fe80::20:90:1/64", "fe80::20:a0:1/64", "fe80::20:b0:1/64"]
    );
    assert_eq!(
        addresses(&around("~LST({IP, IP1}, {10,1},{20,4}) ~SEQ(IP2,168,2,170) 192.${IP2}.${IP}.${IP1}/24")),
        ["192.168.10.1/24", "192.170.10.1/24", "192.168.20.4/24", "192.170.20.4/24"]
    );
    assert_eq!(addresses(&around("$N=2\n~LST(A, 5, 6) ~SEQ(B, $N) 10.0.${A}.${B}/24")).len(), 4);
}

#[test]
fn generators_that_make_no_sense() {
    for (line, why) in [
        ("~SEQ(K, 1, -1, 5) 10.0.0.$K", "~SEQ from 1 by -1 never reaches 5"),
        ("~SEQ(K, 1, 0, 5) 10.0.0.$K", "~SEQ from 1 by 0 never reaches 5"),
        ("~SEQ(K, a) 10.0.0.$K", "`a` is no number"),
        ("~SEQ(1K, 3) 10.0.0.1", "`1K` is no name of a variable"),
        ("~SEQ(K, 3 10.0.0.$K", "the `(` of ~SEQ has no `)`"),
        ("~SEQ(K, 3)", "nothing stands behind ~SEQ(...)"),
        ("~LST(K) 10.0.0.$K", "~LST without a value"),
        ("~LST({A,B},{1}) 10.0.$A.$B", "~LST has 2 names, but 1 values in `1`"),
        ("~FOO(K, 3) 10.0.0.$K", "`~FOO` is no generator"),
    ] {
        let lines = said(&read(&around(&format!("10.9.9.9/24\n{line}"))));
        assert_eq!(lines.len(), 1, "{line}: {lines:?}");
        assert!(lines[0].starts_with(&format!("6:1: error[generator]: {why}")), "{line}: {lines:?}");
    }
}

#[test]
fn undefined_parameters() {
    let with_script = |script: &str| {
        said(&read(&format!(
            "$NAME=1\nvrrp_script s {{\n script \"{script}\"\n}}\n{}",
            around("10.0.0.1/24")
        )))
    };
    assert_eq!(
        with_script("/bin/echo $OTHER end"),
        [
            "3:20: warning[undefined]: `$OTHER` is not defined and stays as it stands, as in keepalived; define it above: $OTHER=VALUE"
        ]
    );
    assert_eq!(
        with_script("/bin/echo $NAMES end"),
        ["3:20: error[undefined]: `$NAMES` is not defined; did you mean `$NAME`?"]
    );
    // keepalived puts `$NAME` in only before a blank or the end of the line.
    assert_eq!(
        with_script("/bin/echo $NAME.x"),
        [
            "3:20: error[definition]: `$NAME` is not put in here: a letter, digit or sign follows it; write ${NAME}"
        ]
    );
    assert_eq!(with_script("/bin/echo ${_HASH}${_BANG} $1 $(x) ${_PWD} $"), Vec::<String>::new());
    assert_eq!(
        with_script("/bin/echo ${_RANDOM 1 5}"),
        [
            "3:20: error[not-built]: `${_RANDOM 1 5}` is known but not built yet; write the value, or let a template write it"
        ]
    );
}

#[test]
fn a_blank_before_the_equals_sign() {
    assert_eq!(
        said(&read(&format!("$NAME = 5\n{}", around("10.0.0.1/24")))),
        ["1:1: error[definition]: a blank before the `=` of `$NAME`; write `$NAME=`"]
    );
}

#[test]
fn definitions_that_contain_themselves_end() {
    for text in ["$A=$A x\n$A\n", "$A=$B\n$B=$A\n$A\n", "$A= \\\n$A\n$A\n", "$A=${B}${B}\n$B=${A}${A}\n$A\n"]
    {
        let outcome = read(text);
        assert!(outcome.has_errors());
        assert!(outcome.diagnostics.len() < 10, "{:?}", said(&outcome));
    }
}

#[test]
fn includes() {
    let memory = Memory::default()
        .with("/etc/k.conf", "include k.d/*.conf\ninclude none/*.conf\ninclude gone.conf\n")
        .with("/etc/k.d/a.conf", "$V=51\n")
        .with("/etc/k.d/b.conf", &around("include ../addresses").replace("51", "$V"))
        .with("/etc/k.d/../addresses", "10.0.0.1/24\n");
    let outcome = memory.read_main(None);
    assert_eq!(
        said(&outcome),
        [
            "2:9: note[cannot-include]: no file is named by `none/*.conf`; `include` accepts that, as in keepalived",
            "3:9: warning[cannot-include]: cannot include /etc/gone.conf: No such file or directory; keepalived skips it in silence; write `includea` where it must be there",
        ]
    );
    assert_eq!(outcome.configuration.unwrap().instances[0].virtual_router_id.get(), 51);
}

#[test]
fn strict_includes() {
    let memory = Memory::default()
        .with("/etc/k.conf", &format!("includea gone\nincludem no/*\ninclude\n{}", around("10.0.0.1/24")));
    assert_eq!(
        said(&memory.read_main(None)),
        [
            "1:10: error[cannot-include]: cannot include /etc/gone: No such file or directory; check the path and its permissions",
            "2:10: error[cannot-include]: no file is named by `no/*`; `include` accepts that, as in keepalived",
            "3:1: error[missing-value]: `include` without a file; name a file or a pattern",
        ]
    );
}

#[test]
fn files_that_include_each_other() {
    let memory = Memory::default()
        .with("/etc/k.conf", &format!("include b\n{}", around("10.0.0.1/24")))
        .with("/etc/b", "include k.conf\n");
    let outcome = memory.read_main(None);
    assert_eq!(
        said(&outcome),
        [
            "/etc/b:1:9: error[include-loop]: /etc/k.conf includes itself; remove this line; the way here: /etc/k.conf, /etc/b"
        ]
    );
}

#[test]
fn a_brace_on_a_line_of_its_own_and_all_on_one_line() {
    assert_eq!(addresses(&around("10.0.0.1/24").replace("VI {", "VI\n\n{")), ["10.0.0.1/24"]);
    assert_eq!(addresses(&around("10.0.0.1/24").replace("VI {", "VI{")), ["10.0.0.1/24"]);
    assert_eq!(addresses(&around("}").replacen("{\n}\n }", "{ 10.0.0.1/24 }", 1)), ["10.0.0.1/24"]);
    assert_eq!(addresses(&around("10.0.0.1/24").replace('\n', "\r\n")), ["10.0.0.1/24"]);
}

fn command(line: &str) -> (Vec<String>, Vec<String>) {
    let outcome = read(&format!("vrrp_script s {{\n {line}\n}}\n{}", around("10.0.0.1/24")));
    let script = outcome.configuration.as_ref().map(|c| c.scripts[0].command.clone());
    (script.unwrap_or_default(), said(&outcome))
}

#[test]
fn commands_are_split_as_keepalived_splits_them() {
    let split = |line: &str, expected: &[&str]| {
        assert_eq!(command(line), (expected.iter().map(|s| (*s).to_owned()).collect(), vec![]), "{line}");
    };
    split(r#"script "/bin/echo a\tb x#y""#, &["/bin/echo", "a", "b", "x#y"]);
    split(r#"script "/bin/echo 'a  b' c\ d""#, &["/bin/echo", "a  b", "c", "d"]);
    split(r#"script "/bin/echo '' \"q\"" # no"#, &["/bin/echo", "", "\"q\""]);
    split("script /bin/true", &["/bin/true"]);
}

#[test]
fn arguments_outside_the_quotes() {
    let (script, lines) = command("script /bin/echo a b");
    assert_eq!(script, ["/bin/echo", "a", "b"]);
    assert_eq!(
        lines,
        [
            "2:19: warning[unquoted-arguments]: keepalived drops what follows the first word of `script`; here it is passed; put the program and its arguments in double quotes"
        ]
    );
    let (_, lines) = command("script \"/bin/true\" interval 2");
    assert_eq!(
        lines,
        [
            "2:21: error[extra-value]: `interval` stands behind the quoted command of `script`; put it within the quotes, or on a line of its own"
        ]
    );
}

#[test]
fn quotes_and_backslashes() {
    for (line, expected) in [
        (
            "router_id \"a",
            "2:11: error[unclosed-quote]: this \" has no end on its line; close it with \"; quotes do not span lines",
        ),
        (
            "router_id \\",
            "2:11: error[line-continuation]: `\\` at the end of a line continues definitions only, as in keepalived; write it on one line, or define `$NAME= \\` and use $NAME",
        ),
        (
            "router_id a\\b",
            "2:11: error[bare-backslash]: `\\` outside quotes has no meaning; put the word in quotes, where \\n, \\t, \\xNN, \\\" and \\\\ are understood",
        ),
        (
            "router_id \"\\xff\"",
            "2:11: error[bad-escape]: `\\xff` is no ASCII character; write the character itself, in UTF-8",
        ),
        (
            "router_id a#b",
            "2:12: warning[comment-in-word]: `#` starts a comment here, as in keepalived; put the word in quotes if it belongs to it, else a blank before it",
        ),
    ] {
        let text = format!("global_defs {{\n{line}\n}}\n{}", around("10.0.0.1/24"));
        assert_eq!(said(&read(&text)), [expected]);
    }
}

#[test]
fn columns_count_characters() {
    let text = format!("global_defs {{\n\trouter_id \"ä\" ö\n}}\n{}", around("10.0.0.1/24"));
    let outcome = read(&text);
    assert_eq!(
        outcome.diagnostics[0].render(&outcome.sources),
        "\
error[extra-value]: `router_id` takes one value: `ö` is too many
    --> /etc/k.conf:2:16
   2 | \trouter_id \"ä\" ö
     | \t              ^
     = help: remove it, put it on a line of its own, or quote what belongs together
"
    );
}

#[test]
fn only_our_own_keyword_fixes_the_form_of_the_checksum() {
    use vrrp::ChecksumForm::{MessageOnly, PseudoHeader};
    for (line, form, fixed) in [
        ("", None, false),
        ("v3_checksum_as_v2", Some(MessageOnly), false),
        ("v3_checksum_as_v2 off", Some(PseudoHeader), false),
        ("v3_checksum auto", None, false),
        ("v3_checksum message_only", Some(MessageOnly), true),
        ("v3_checksum pseudo_header", Some(PseudoHeader), true),
    ] {
        let text =
            around("10.0.0.1/24").replace("interface eth0", &format!("interface eth0\n{line}\nversion 3"));
        let configuration = read(&text).configuration.unwrap();
        let instance = &configuration.instances[0];
        assert_eq!((instance.checksum, instance.checksum_fixed), (form, fixed), "{line}");
    }
}
