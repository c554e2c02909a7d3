//! Values of keywords: numbers, times, addresses, weights; each with the error that a wrong one deserves.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::Family;

use crate::configuration::{GlobalDefs, NotifyScript, Track, VirtualAddress};
use crate::diagnostic::{Diagnostic, Findings, Severity, did_you_mean};
use crate::keywords::{Context, Keyword, Support, Value};
use crate::source::{FileLoader, Program, Span};
use crate::tree::{Statement, Word};

/// Collects findings while statements are read.
pub(crate) struct Checker<'a> {
    pub(crate) findings: &'a mut Findings,
    pub(crate) loader: &'a dyn FileLoader,
    /// The links of this host, if they are known.
    pub(crate) interfaces: Option<&'a [String]>,
    /// How many IPv4 and IPv6 rules had no priority so far.
    pub(crate) own_priorities: [u32; 2],
}

/// How bad it is that an interface is missing: with `dynamic_interfaces` the virtual router is held until it is
/// there, and with `no_track` it goes on without.
pub(crate) fn without_interface(global: &GlobalDefs, tracked: bool) -> Severity {
    match (global.dynamic_interfaces, tracked) {
        (true, _) => Severity::Note,
        (false, true) => Severity::Error,
        (false, false) => Severity::Warning,
    }
}

/// The lines of a block that are to be read.
pub(crate) struct Entries<'s> {
    pub(crate) lines: Vec<(&'static Keyword, &'s Statement)>,
    /// Words that were probably meant: their absence need not be said again.
    misspelt: Vec<&'static str>,
}

impl Entries<'_> {
    /// Whether a word is missing, and has not been told of already.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        !self.misspelt.contains(&name) && !self.lines.iter().any(|(keyword, _)| keyword.name == name)
    }
}

impl Checker<'_> {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    pub(crate) fn error(
        &mut self,
        id: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::new(Severity::Error, id, span, message).help(help));
    }

    pub(crate) fn warning(
        &mut self,
        id: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::new(Severity::Warning, id, span, message).help(help));
    }

    pub(crate) fn note(&mut self, id: &'static str, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::new(Severity::Note, id, span, message));
    }

    /// The lines of a block that are understood; of the others it has been said why not.
    pub(crate) fn entries<'s>(&mut self, statement: &'s Statement, context: Context) -> Entries<'s> {
        let lines = self.lines(statement);
        self.known(lines, context)
    }

    pub(crate) fn known<'s>(&mut self, lines: &'s [Statement], context: Context) -> Entries<'s> {
        let mut entries = Entries { lines: Vec::with_capacity(lines.len()), misspelt: Vec::new() };
        for line in lines {
            let Some(keyword) = context.keyword(line.keyword()) else {
                entries.misspelt.extend(self.unknown(line, context));
                continue;
            };
            if !self.accepted(keyword, line) {
                continue;
            }
            let earlier = entries.lines.iter().find(|(earlier, _)| std::ptr::eq(*earlier, keyword));
            let many = matches!(keyword.value, Value::Block(_) | Value::Named(_) | Value::List(_));
            if let Some((_, first)) = earlier.filter(|_| !many) {
                self.findings.push(
                    Diagnostic::new(
                        Severity::Warning,
                        "repeated",
                        line.span(),
                        format!(
                            "`{}` stands here again: the last one counts, as in keepalived",
                            keyword.name
                        ),
                    )
                    .related(first.span(), "the first one")
                    .help("remove one of them"),
                );
            }
            entries.lines.push((keyword, line));
        }
        entries
    }

    /// Tells of a word that has no place here; the word that was probably meant.
    fn unknown(&mut self, line: &Statement, context: Context) -> Option<&'static str> {
        let word = line.keyword();
        let block = context.name();
        let near = (!self.findings.full()).then(|| did_you_mean(word, context.words())).flatten();
        let elsewhere = [Context::Instance, Context::GlobalDefs, Context::Script, Context::File]
            .into_iter()
            .find(|other| *other != context && other.keyword(word).is_some());
        let help = match (near, elsewhere) {
            (_, Some(other)) => format!("`{word}` belongs into {}", other.name()),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) => "see docs/configuration.md for what is known".to_owned(),
        };
        self.error("unknown-keyword", line.span(), format!("unknown keyword `{word}` in {block}"), help);
        near
    }

    /// Whether a word that is known is to be read.
    fn accepted(&mut self, keyword: &Keyword, line: &Statement) -> bool {
        let name = keyword.name;
        match keyword.support {
            Support::Full => {}
            Support::NoEffect(why) => {
                self.note("no-effect", line.span(), format!("`{name}` has no effect here: {why}"));
                return false;
            }
            Support::NotBuilt(mend) => {
                self.error("not-built", line.span(), format!("`{name}` is known but not built"), mend);
                return false;
            }
        }
        let most = match keyword.value {
            Value::Flag | Value::Block(_) | Value::List(_) => 1,
            Value::Words(_) | Value::Anything => usize::MAX,
            Value::Switch
            | Value::Whole { .. }
            | Value::Seconds { .. }
            | Value::Text(_)
            | Value::Named(_) => 2,
        };
        if let Some(extra) = line.words.get(most) {
            // A password may be what is too many.
            let what = if name == "auth_pass" { "what follows".into() } else { format!("`{}`", extra.text) };
            let takes = if most == 1 { "no value" } else { "one value" };
            self.error(
                "extra-value",
                extra.span,
                format!("`{name}` takes {takes}: {what} is too many"),
                "remove it, put it on a line of its own, or quote what belongs together",
            );
        }
        let is_block = matches!(keyword.value, Value::Block(_) | Value::Named(_) | Value::List(_));
        if line.block.is_some() && !is_block {
            let message = format!("`{name}` has no block");
            self.error("extra-block", line.span(), message, "remove the braces and what is in them");
        }
        true
    }

    /// The one value of a keyword.
    pub(crate) fn value<'s>(&mut self, statement: &'s Statement) -> Option<&'s Word> {
        let value = statement.words.get(1).filter(|word| !word.text.is_empty());
        if value.is_none() {
            let keyword = statement.keyword();
            self.error(
                "missing-value",
                statement.span(),
                format!("`{keyword}` needs a value"),
                "write it behind the keyword",
            );
        }
        value
    }

    /// The one value as text.
    pub(crate) fn text(&mut self, statement: &Statement) -> Option<String> {
        self.value(statement).map(|word| word.text.clone())
    }

    /// A whole number within the keyword's bounds.
    pub(crate) fn whole<T: TryFrom<i64>>(&mut self, keyword: &Keyword, statement: &Statement) -> Option<T> {
        let word = self.value(statement)?;
        let Value::Whole { low, high, .. } = keyword.value else { return None };
        let value = word.text.parse::<i64>().ok().filter(|v| (low..=high).contains(v));
        if value.is_none() {
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `{}`", word.text, keyword.name),
                format!("a whole number from {low} to {high} is needed"),
            );
        }
        value.and_then(|v| T::try_from(v).ok())
    }

    /// Seconds, decimals allowed, within the keyword's bounds.
    pub(crate) fn seconds(&mut self, keyword: &Keyword, statement: &Statement) -> Option<Duration> {
        let word = self.value(statement)?;
        let Value::Seconds { low, high } = keyword.value else { return None };
        let parsed = word.text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= low && *v <= high);
        if parsed.is_none() {
            let in_seconds = [("ms", 1000.0), ("us", 1e6), ("s", 1.0)]
                .into_iter()
                .find_map(|(unit, per)| Some(word.text.strip_suffix(unit)?.parse::<f64>().ok()? / per));
            let hint = match in_seconds {
                Some(value) => format!("the unit is the second: write {value}"),
                None => format!("seconds from {low} to {high} are needed"),
            };
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `{}`", word.text, keyword.name),
                hint,
            );
        }
        parsed.map(Duration::from_secs_f64)
    }

    /// A bare address.
    pub(crate) fn address(&mut self, word: &Word) -> Option<IpAddr> {
        let parsed = word.text.parse().ok();
        if parsed.is_none() {
            self.error(
                "bad-address",
                word.span,
                format!("`{}` is no IP address", word.text),
                "write an IPv4 or IPv6 address",
            );
        }
        parsed
    }

    /// The lines of a block, or of the keyword itself where the braces were left out.
    pub(crate) fn lines<'s>(&mut self, statement: &'s Statement) -> &'s [Statement] {
        if let Some(block) = &statement.block {
            return block;
        }
        let keyword = statement.keyword();
        let help = format!("write `{keyword} {{` and one entry a line");
        self.error("missing-brace", statement.span(), format!("`{keyword}` has no `{{`"), help);
        &[]
    }

    /// `on` or a bare keyword is true, `off` false.
    pub(crate) fn switch(&mut self, statement: &Statement) -> bool {
        match statement.words.get(1) {
            None => true,
            Some(word) => match word.text.as_str() {
                "on" | "true" | "yes" => true,
                "off" | "false" | "no" => false,
                other => {
                    let message = format!("`{other}` is neither on nor off");
                    self.error("value-out-of-range", word.span, message, "write on or off");
                    true
                }
            },
        }
    }

    /// `user NAME [GROUP]`.
    pub(crate) fn user(&mut self, statement: &Statement) -> Option<(String, Option<String>)> {
        let Some(user) = statement.words.get(1) else {
            self.error("missing-value", statement.span(), "a user is needed", "write `user NAME [GROUP]`");
            return None;
        };
        if let Some(extra) = statement.words.get(3) {
            self.error(
                "extra-value",
                extra.span,
                format!("`{}` is too many", extra.text),
                "USER and GROUP are all",
            );
        }
        Some((user.text.clone(), statement.words.get(2).map(|group| group.text.clone())))
    }

    /// A program and its arguments: quoted as one they are split at blanks, as keepalived does.
    pub(crate) fn command(&mut self, statement: &Statement) -> Option<Vec<String>> {
        let keyword = statement.keyword();
        let words = statement.words.get(1..).unwrap_or_default();
        let command = match words {
            [] => Vec::new(),
            [one] => self.split(one),
            [first, second, ..] if first.quoted => {
                self.error(
                    "extra-value",
                    second.span,
                    format!("`{}` stands behind the quoted command of `{keyword}`", second.text),
                    "put it within the quotes, or on a line of its own",
                );
                self.split(first)
            }
            [_, second, ..] => {
                self.warning(
                    "unquoted-arguments",
                    second.span,
                    format!("keepalived drops what follows the first word of `{keyword}`; here it is passed"),
                    "put the program and its arguments in double quotes",
                );
                words.iter().map(|w| w.text.clone()).collect()
            }
        };
        if command.is_empty() {
            self.error(
                "missing-value",
                statement.span(),
                format!("`{keyword}` without a program"),
                "name the program, in quotes with its arguments",
            );
            return None;
        }
        Some(command)
    }

    /// A command in one word, split at blanks; single quotes hold blanks together.
    fn split(&mut self, word: &Word) -> Vec<String> {
        let mut parts = Vec::new();
        let mut part: Option<String> = None;
        let mut quoted = false;
        for c in word.text.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    part.get_or_insert_default();
                }
                c if c.is_whitespace() && !quoted => parts.extend(part.take()),
                c => part.get_or_insert_default().push(c),
            }
        }
        parts.extend(part);
        if quoted {
            self.error("unclosed-quote", word.span, "a ' in the command has no end", "close it");
        }
        parts
    }

    /// A notify script: the command, quoted as one, and behind it user and group.
    pub(crate) fn notify(&mut self, statement: &Statement) -> Option<NotifyScript> {
        let words = statement.words.get(1..).unwrap_or_default();
        let span = statement.span();
        let command = words.first().map(|first| self.split(first)).unwrap_or_default();
        let Some(program) = command.first() else {
            self.error(
                "missing-value",
                span,
                format!("`{}` without a program", statement.keyword()),
                "name the program, in quotes with its arguments",
            );
            return None;
        };
        // keepalived starts without it, and so do deployments whose script comes later.
        self.program(program, words[0].span, Severity::Warning);
        if let Some(extra) = words.get(3) {
            self.error(
                "extra-value",
                extra.span,
                format!("`{}` is too many", extra.text),
                "\"PROGRAM ARGUMENTS\" USER GROUP are all: quote the program with its arguments",
            );
        }
        let user = words.get(1).map(|user| (user.text.clone(), words.get(2).map(|g| g.text.clone())));
        Some(NotifyScript { command, span, user })
    }

    /// Looks whether a program can be run.
    pub(crate) fn program(&mut self, name: &str, span: Span, severity: Severity) {
        let (message, help) = match self.loader.program(name) {
            Program::NotLookedFor | Program::Runs { .. } => return,
            Program::Missing if name.contains('/') => {
                (format!("there is no file {name}"), "check the path; is the package installed?")
            }
            Program::Missing => (
                format!("there is no program {name} in PATH"),
                "write its whole path; is the package installed?",
            ),
            Program::NotExecutable => (format!("{name} cannot be executed"), "chmod +x makes it executable"),
        };
        self.push(Diagnostic::new(severity, "program", span, message).help(help));
    }

    /// Looks whether an interface is there; `missing` is how bad it is if not.
    pub(crate) fn interface(&mut self, name: &str, span: Span, missing: Severity) {
        let Some(there) = self.interfaces else { return };
        if there.iter().any(|interface| interface == name) {
            return;
        }
        let message = format!("there is no interface `{name}` on this host");
        let near = did_you_mean(name, there.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`? There are {}", there.join(", ")),
            None => format!("there are {}", there.join(", ")),
        };
        self.push(Diagnostic::new(missing, "no-interface", span, message).help(help));
    }

    /// `NAME [weight N] [reverse]`.
    pub(crate) fn track(&mut self, line: &Statement) -> Option<Track> {
        let (name, rest) = line.words.split_first()?;
        let mut track = Track { name: name.text.clone(), span: name.span, weight: None, reverse: false };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            match word.text.as_str() {
                "weight" => {
                    match rest.next().and_then(|w| w.text.parse().ok()).filter(|w| (-254..=254).contains(w)) {
                        Some(weight) => track.weight = Some(weight),
                        None => self.error(
                            "value-out-of-range",
                            word.span,
                            "`weight` needs a number",
                            "a number from -254 to 254 is needed",
                        ),
                    }
                }
                "reverse" => track.reverse = true,
                "noreverse" => track.reverse = false,
                other => self.error(
                    "extra-value",
                    word.span,
                    format!("`{other}` is not known here"),
                    "write `NAME [weight N] [reverse]`, one a line",
                ),
            }
        }
        Some(track)
    }

    /// A line of `virtual_ipaddress`.
    pub(crate) fn virtual_address(&mut self, line: &Statement) -> Option<VirtualAddress> {
        let (first, rest) = line.words.split_first()?;
        let (address, prefix) = match first.text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (first.text.as_str(), None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            self.error(
                "bad-address",
                first.span,
                format!("`{address}` is no IP address"),
                "write ADDRESS/PREFIX, for example 10.0.0.100/24",
            );
            return None;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = match prefix.map(str::parse::<u8>) {
            None => {
                self.note(
                    "no-prefix",
                    first.span,
                    format!("{address} without a prefix is taken as /{longest}, as keepalived does"),
                );
                longest
            }
            Some(Ok(length)) if length <= longest => length,
            Some(_) => {
                self.error(
                    "value-out-of-range",
                    first.span,
                    format!("the prefix of {} is too long", first.text),
                    format!("a number from 0 to {longest} is needed for {}", Family::of(address)),
                );
                longest
            }
        };
        let mut parsed = VirtualAddress {
            address,
            span: first.span,
            prefix_len,
            interface: None,
            label: None,
            broadcast: None,
            scope: 0,
            duplicate_detection: false,
            tracked: true,
        };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let mut value = |checker: &mut Self| {
                let value = rest.next().map(|w| w.text.clone());
                if value.is_none() {
                    checker.error(
                        "missing-value",
                        word.span,
                        format!("`{}` needs a value", word.text),
                        "write it behind the keyword",
                    );
                }
                value
            };
            match word.text.as_str() {
                "dev" => parsed.interface = value(self),
                "label" => {
                    parsed.label = value(self).filter(|label| {
                        label.len() <= 15 || {
                            self.error(
                                "value-out-of-range",
                                word.span,
                                format!("the label `{label}` is too long"),
                                "15 bytes at most",
                            );
                            false
                        }
                    });
                }
                "brd" | "broadcast" => {
                    // `-` and `+` let the kernel choose.
                    let text = value(self).unwrap_or_default();
                    parsed.broadcast = text.parse().ok();
                    if parsed.broadcast.is_none() && !matches!(text.as_str(), "-" | "+" | "") {
                        self.error(
                            "bad-address",
                            word.span,
                            format!("`{text}` is no broadcast address"),
                            "write an IPv4 address, + or -",
                        );
                    }
                }
                "scope" => {
                    parsed.scope = match value(self).as_deref() {
                        Some("site") => 200,
                        Some("link") => 253,
                        Some("host") => 254,
                        Some("global") | None => 0,
                        Some(other) => {
                            self.error(
                                "value-out-of-range",
                                word.span,
                                format!("no scope `{other}`"),
                                "global, site, link or host",
                            );
                            0
                        }
                    };
                }
                "-nodad" => parsed.duplicate_detection = true,
                "no_track" => parsed.tracked = false,
                "nodad" | "noprefixroute" | "home" | "mngtmpaddr" | "autojoin" => {
                    self.note("no-effect", word.span, format!("`{}` has no effect here", word.text));
                }
                "preferred_lft" => {
                    let _ = value(self);
                    self.note("no-effect", word.span, "`preferred_lft` has no effect here");
                }
                "peer" | "use_vmac" | "track_group" => self.error(
                    "not-built",
                    word.span,
                    format!("`{}` behind an address is known but not built", word.text),
                    "leave it out",
                ),
                other if other.parse::<IpAddr>().is_ok() || other.contains('/') => self.error(
                    "extra-value",
                    word.span,
                    format!("`{other}` stands on the line of another address"),
                    "each address needs a line of its own",
                ),
                other => self.error(
                    "extra-value",
                    word.span,
                    format!("`{other}` is not known behind an address"),
                    "known are dev, label, brd, scope, no_track and -nodad",
                ),
            }
        }
        Some(parsed)
    }
}
