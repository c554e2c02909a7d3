//! Whatever is written: no panic, an end in bounded time, places within the text, and a tree that reads back.

mod memory;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use keepalived_conf::lexer::{Comments, quote, tokens, unquote};
use keepalived_conf::tree::{Statement, print};
use keepalived_conf::{Environment, Span};
use memory::{Memory, read, said};
use proptest::prelude::*;

/// Pieces that configurations, and wrong ones, are made of.
fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "{",
        "}",
        "\n",
        " ",
        "\t",
        "\"",
        "'",
        "\\",
        "#",
        "!",
        "$",
        "$A=",
        "$A",
        "${A}",
        "@x ",
        "@^x ",
        "~SEQ(A,1,3) ",
        "~LST(A,1,2) ",
        "include b\n",
        "includea *\n",
        "global_defs {\n",
        "vrrp_instance V {\n",
        "vrrp_script s {\n",
        "interface eth0\n",
        "virtual_router_id 5\n",
        "virtual_ipaddress {\n",
        "10.0.0.1/24\n",
        "fe80::1\n",
        "priority 300\n",
        "track_script {\n",
        "s weight 5\n",
        "auth_pass x\n",
        "authentication {\n",
        "script \"a 'b\"\n",
        "advert_int 0.1\n",
        "unicast_peer {\n",
        "notify x y z w\n",
        "}\n",
        "\r\n",
        "é",
        "\u{0}",
        "vrrp_sync_group g {\n",
        "group {\nV\n}\n",
    ];
    prop_oneof![4 => proptest::sample::select(words).prop_map(str::to_owned), 1 => any::<String>(), 1 => "[a-z_0-9./ ]{0,12}"]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

/// The words and blocks, without places.
fn shape(statements: &[Statement]) -> String {
    let mut out = String::new();
    for statement in statements {
        let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
        // Writing to a String cannot fail.
        let _ = write!(out, "{words:?}");
        if let Some(block) = &statement.block {
            let _ = write!(out, "{{{}}}", shape(block));
        }
        out.push(';');
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_or_refused_with_places_within_it(main in text(), other in text()) {
        let memory = Memory::default().with("/etc/k.conf", &main).with("/etc/b", &other);
        let outcome = memory.read_main(Some("x"));
        let within = |span: &Span| {
            let text = outcome.sources.text(span.file);
            text.get(span.start as usize..span.end as usize).is_some()
        };
        for diagnostic in &outcome.diagnostics {
            prop_assert!(within(&diagnostic.span), "{diagnostic:?}");
            prop_assert!(diagnostic.related.as_ref().is_none_or(|(span, _)| within(span)), "{diagnostic:?}");
            diagnostic.render(&outcome.sources);
            diagnostic.report(&outcome.sources);
        }
        prop_assert_eq!(outcome.configuration.is_none(), outcome.has_errors());
        let mut pending: Vec<&Statement> = outcome.tree.iter().collect();
        while let Some(statement) = pending.pop() {
            for word in &statement.words {
                prop_assert!(within(&word.span), "{word:?}");
            }
            pending.extend(statement.block.iter().flatten());
        }
    }

    #[test]
    fn the_tree_is_printed_as_a_text_that_makes_it_again(main in text()) {
        let outcome = read(&main);
        let again = read(&print(&outcome.tree));
        prop_assert_eq!(shape(&outcome.tree), shape(&again.tree));
    }

    #[test]
    fn the_tokens_are_the_text(main in text()) {
        for comments in [Comments::Removed, Comments::Kept] {
            let together: String = tokens(&main, comments).map(|t| &main[t.range]).collect();
            prop_assert_eq!(&together, &main);
        }
    }

    #[test]
    fn a_quoted_word_is_the_word(word in any::<String>()) {
        let quoted = quote(&word);
        prop_assert_eq!(tokens(&quoted, Comments::Removed).count(), 1);
        prop_assert_eq!(unquote(&quoted), Ok(word));
    }
}

/// So slow a machine does not exist: what is not bounded takes for ever, not for minutes.
const BOUND: Duration = Duration::from_mins(5);

/// Forty definitions, each of which asks for the next.
fn repeated(definition: impl Fn(usize, usize) -> String) -> String {
    (0..40).map(|i| definition(i, i + 1)).collect()
}

#[test]
fn what_would_grow_without_end_is_stopped_and_said() {
    let doubling = repeated(|i, next| format!("$A{i}=${{A{next}}}${{A{next}}}\n"));
    let doubling_lines = repeated(|i, next| format!("$A{i}= \\\n$A{next} \\\n$A{next}\n"));
    for (name, text) in [
        ("a long sequence", "~SEQ(A, 4000000000) x\n".to_owned()),
        ("sequences of sequences", "~SEQ(A, 60000) ~SEQ(B, 60000) ~SEQ(C, 60000) $D=1\n".to_owned()),
        ("definitions that double", format!("{doubling}$A0\n")),
        ("definitions of lines that double", format!("{doubling_lines}$A0\n")),
        ("many braces", "x {\n".repeat(200_000)),
        ("many closing braces", "}\n".repeat(200_000)),
        ("a long line", "x".repeat(5_000_000)),
        ("many unknown words", "x\n".repeat(200_000)),
        ("many unknown parameters", "$x y\n".repeat(100_000)),
        ("many conditions", format!("{}x", "@x ".repeat(100_000))),
        ("many quotes", "\"".repeat(1_000_001)),
        ("many signs", format!("x {}", "$".repeat(1_000_000))),
    ] {
        let start = Instant::now();
        let outcome = Memory::default().with("/etc/k.conf", &text).read_main(Some("x"));
        let lines = said(&outcome);
        println!("{name}: {:?}", start.elapsed());
        assert!(outcome.has_errors(), "{name}");
        assert!(lines.len() <= 300, "{name}: {} findings", lines.len());
        assert!(start.elapsed() < BOUND, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn files_that_include_many_are_stopped() {
    let mut memory = Memory::default();
    for depth in 0..40 {
        let name = if depth == 0 { "/etc/k.conf".to_owned() } else { format!("/etc/f{depth}") };
        memory = memory.with(&name, &format!("include f{0}\ninclude f{0}\n", depth + 1));
    }
    let start = Instant::now();
    let outcome = memory.read_main(None);
    assert!(outcome.has_errors());
    assert!(outcome.sources.len() <= 4096);
    assert!(start.elapsed() < BOUND);
}

#[test]
#[ignore = "prints how long a large configuration takes: cargo test --release -p keepalived-conf --test properties -- --ignored --nocapture"]
fn a_thousand_instances() {
    let instance = |i: usize| {
        let (high, low) = (i / 250, i % 250 + 1);
        format!(
            "vrrp_instance VI_{i} {{\n    state BACKUP\n    interface eth{high}\n    virtual_router_id {low}\n    priority 100\n    \
             advert_int 1\n    nopreempt\n    virtual_ipaddress {{\n        10.0.{high}.{low}/24\n    }}\n    track_script {{\n        \
             chk_{i} weight -20\n    }}\n    notify_master \"/usr/local/bin/notify.sh VI_{i} master\"\n}}\n\
             vrrp_script chk_{i} {{\n    script \"/usr/local/bin/check.sh {i}\"\n    interval 2\n}}\n"
        )
    };
    let text: String = (0..1000).map(instance).collect();
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let memory = Memory::default().with("/etc/k.conf", &text);
        let environment = Environment { loader: &memory, config_id: None, interfaces: None };
        let start = Instant::now();
        let outcome = keepalived_conf::read("/etc/k.conf", &environment);
        best = best.min(start.elapsed());
        assert_eq!(outcome.configuration.map(|c| c.instances.len()), Some(1000), "{:?}", outcome.diagnostics);
    }
    println!("1000 instances and scripts, {} KiB: {best:?} (best of 20)", text.len() / 1024);
}
