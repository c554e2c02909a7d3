//! `docs/configuration.md` is written from the keyword table, so that the two cannot differ.

use std::fmt::Write as _;
use std::path::Path;

use keepalived_conf::keywords::{
    AUTHENTICATION, GLOBAL_DEFS, INSTANCE, Keyword, SCRIPT, SHARED, SYNC_GROUP, Support, TOP, TRACK_FILE,
    TRACK_PROCESS, Table, Value,
};

const HOW: &str = "STANDFAST_WRITE_DOCS=1 cargo test -p keepalived-conf --test reference_page";

fn value(keyword: &Keyword) -> String {
    match keyword.value {
        Value::Flag => "alone".into(),
        Value::Switch => "`on`, `off`; alone means on".into(),
        Value::Whole { low, high, unit } => format!("{low} to {high} {unit}").trim_end().to_owned(),
        Value::Seconds { low, high } => format!("{low} to {high} s"),
        Value::Text(form) | Value::Words(form) => format!("`{form}`"),
        Value::Block(_) => "`{ ... }`".into(),
        Value::Named(_) => "`NAME { ... }`".into(),
        Value::List(form) => format!("`{{ ... }}`, a line each: `{form}`"),
        Value::Anything => String::new(),
    }
}

fn support(keyword: &Keyword) -> String {
    match keyword.support {
        Support::Full => "yes".into(),
        Support::NoEffect(why) => format!("accepted, with a note: {why}"),
        Support::NotBuilt(mend) => format!("**no, an error**: {mend}"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn section(page: &mut String, title: &str, text: &str, table: Table) {
    let _ = writeln!(page, "\n## {title}\n\n{text}\n");
    let _ = writeln!(page, "| keyword | value | default | meaning | supported | unlike keepalived |");
    let _ = writeln!(page, "|---|---|---|---|---|---|");
    for keyword in table {
        let cells = [
            format!("`{}`", keyword.name),
            value(keyword),
            keyword.default.to_owned(),
            keyword.meaning.to_owned(),
            support(keyword),
            keyword.difference.to_owned(),
        ];
        let _ = writeln!(page, "| {} |", cells.map(|text| cell(&text)).join(" | "));
    }
}

const INTRODUCTION: &str = "\
# The configuration

<!-- Written from crates/keepalived-conf/src/keywords by its test `reference_page`; do not edit. -->

`standfastd` reads `keepalived.conf`, the VRRP half of it. `standfast check FILE` tells everything that is to be told
of a file before an agent reads it:

- **error**: the file is refused. At the start the agent does not run; on reload nothing changes. keepalived applies
  a default, leaves a block out or ends in most of these cases.
- **warning**: the file runs, but somebody may have meant something else. Deployed configurations depend on it.
- **note**: worth knowing, such as a keyword that has no effect here.

`standfast check` and `standfastd -t` end with 0 if there is no error, 5 if there is one, 4 if the file cannot be read.
keepalived's `-t` ends with 5 for what is a warning or a note here.

## How it is read

- A keyword and its values on a line; a block between `{` and `}`, the `{` on the keyword's line or below it.
- `#` and `!` start a comment anywhere but in quotes.
- `\"...\"` and `'...'` hold blanks together. Within them `\\n`, `\\t`, `\\\\`, `\\\"`, `\\xNN`, `\\NNN` (octal) and `\\cC` are
  understood. Quotes end on their line.
- `$NAME=value` defines; `${NAME}` anywhere, and `$NAME` before a blank or the end of the line, is put in when the line is
  read, and again in what was put in. `$NAME= \\` defines the lines that follow, each but the last ending with `\\`; it is
  used on a line of its own. A name that is not defined stays as it stands, with a warning; an error if a name that
  is defined is near. `${_PWD}`, `${_INSTANCE}`, `${_HASH}` and `${_BANG}` are there; `${_RANDOM}` and `${_ENV}` are not built.
- `@ID line` counts where `-i ID` was given, `@^ID line` where it was not. Without `-i` it is the host's name up to the
  first dot.
- `~SEQ(VAR, START, STEP, END) line`, `~SEQx(...)` in hexadecimal and `~LST(VAR, VALUE, ...) line` repeat the line.
- `include PATTERN` reads other files, relative to the one it stands in, with `*`, `?`, `[...]` and `{a,b}`. A file that is
  missing is a warning; for `includea`, `includer`, `includem`, `includew` and `includeb` it is an error.
- A configuration may become 250 000 lines, one million words, 4096 files and 16 blocks deep.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "At the top", "", TOP);
    section(&mut page, "`global_defs`", "", GLOBAL_DEFS);
    section(&mut page, "`vrrp_instance NAME`", "", INSTANCE);
    section(&mut page, "`authentication`, in `vrrp_instance`", "", AUTHENTICATION);
    section(&mut page, "In `vrrp_instance` and `vrrp_sync_group`", "", SHARED);
    section(&mut page, "`vrrp_sync_group NAME`", "", SYNC_GROUP);
    section(&mut page, "`vrrp_script NAME`", "", SCRIPT);
    section(&mut page, "`track_file NAME`", "", TRACK_FILE);
    section(&mut page, "`vrrp_track_process NAME`", "", TRACK_PROCESS);
    page.replace("\n\n\n", "\n\n")
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("STANDFAST_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/configuration.md is not what the keyword table says; write it by: {HOW}");
}
