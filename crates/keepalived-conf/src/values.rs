//! Values of keywords: numbers, times, addresses, weights; each with the error that a wrong one deserves.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use vrrp::Family;

use crate::configuration::{NotifyScript, Track, VirtualAddress};
use crate::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::keywords::{Status, status, words};
use crate::source::Span;
use crate::tree::{Statement, Word};

/// Collects diagnostics while statements are read.
pub(crate) struct Checker<'a> {
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

type Tables<'t> = &'t [&'static [(&'static str, Status)]];

impl Checker<'_> {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
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

    /// Whether a statement is to be read; if not, why not has been said.
    pub(crate) fn understood(&mut self, statement: &Statement, block: &str, tables: Tables<'_>) -> bool {
        let word = statement.keyword();
        match status(word, tables) {
            Some(Status::Understood) => true,
            Some(Status::Harmless(why)) => {
                self.note("no-effect", statement.span(), format!("`{word}` has no effect here: {why}"));
                false
            }
            Some(Status::Refused(mend)) => {
                self.error("not-built", statement.span(), format!("`{word}` is known but not built"), mend);
                false
            }
            None => {
                let help = match did_you_mean(word, words(tables)) {
                    Some(candidate) => format!("did you mean `{candidate}`?"),
                    None => format!("no such keyword in {block}; does the line belong to another block?"),
                };
                self.error(
                    "unknown-keyword",
                    statement.span(),
                    format!("unknown keyword `{word}` in {block}"),
                    help,
                );
                false
            }
        }
    }

    /// The one value of a keyword.
    pub(crate) fn value<'s>(&mut self, statement: &'s Statement) -> Option<&'s Word> {
        if statement.words.len() < 2 {
            let keyword = statement.keyword();
            self.error(
                "missing-value",
                statement.span(),
                format!("`{keyword}` needs a value"),
                "write it behind the keyword",
            );
        }
        if let Some(extra) = statement.words.get(2) {
            self.error(
                "extra-value",
                extra.span,
                format!("`{}` takes one value; `{}` is too many", statement.keyword(), extra.text),
                "remove it, or start a new line",
            );
        }
        statement.words.get(1)
    }

    /// A whole number within bounds.
    pub(crate) fn number<T>(&mut self, statement: &Statement, low: T, high: T) -> Option<T>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let word = self.value(statement)?;
        let value = word.text.parse::<T>().ok().filter(|v| *v >= low && *v <= high);
        if value.is_none() {
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `{}`", word.text, statement.keyword()),
                format!("a number from {low} to {high} is needed"),
            );
        }
        value
    }

    /// Seconds, decimals allowed.
    pub(crate) fn seconds(&mut self, statement: &Statement, low: f64, high: f64) -> Option<Duration> {
        let word = self.value(statement)?;
        let parsed = word.text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= low && *v <= high);
        if parsed.is_none() {
            let hint = match word.text.strip_suffix("ms").and_then(|ms| ms.parse::<f64>().ok()) {
                Some(ms) => format!("the unit is the second: write {}", ms / 1000.0),
                None => format!("seconds from {low} to {high} are needed"),
            };
            self.error(
                "value-out-of-range",
                word.span,
                format!("`{}` is no value for `{}`", word.text, statement.keyword()),
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
        self.error("missing-block", statement.span(), format!("`{keyword}` needs a block"), help);
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
        Some((user.text.clone(), statement.words.get(2).map(|group| group.text.clone())))
    }

    /// A program and its arguments, quoted as one or written as several words.
    pub(crate) fn command(&mut self, statement: &Statement) -> Option<Vec<String>> {
        let words = statement.words.get(1..).unwrap_or_default();
        if words.is_empty() || words.iter().all(|w| w.text.trim().is_empty()) {
            self.error(
                "missing-value",
                statement.span(),
                format!("`{}` without a program", statement.keyword()),
                "name the program and its arguments",
            );
            return None;
        }
        // Quoted as one, it is split at blanks, as keepalived does.
        let [one] = words else { return Some(words.iter().map(|w| w.text.clone()).collect()) };
        Some(one.text.split_whitespace().map(str::to_owned).collect())
    }

    /// A notify script: the command, quoted as one, and behind it user and group.
    pub(crate) fn notify(&mut self, statement: &Statement) -> Option<NotifyScript> {
        let words = statement.words.get(1..).unwrap_or_default();
        let span = statement.span();
        let Some(first) = words.first() else {
            self.error(
                "missing-value",
                span,
                format!("`{}` without a program", statement.keyword()),
                "name the program, in quotes with its arguments",
            );
            return None;
        };
        let command: Vec<String> = first.text.split_whitespace().map(str::to_owned).collect();
        let user = words.get(1).map(|user| (user.text.clone(), words.get(2).map(|g| g.text.clone())));
        Some(NotifyScript { command, span, user })
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
                other => self.error(
                    "extra-value",
                    word.span,
                    format!("`{other}` is not known here"),
                    "write `NAME [weight N] [reverse]`",
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
                    format!("{address} without a prefix is taken as /{longest}"),
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
                    parsed.broadcast = value(self).and_then(|v| v.parse().ok());
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
                "nodad" | "no_track" | "noprefixroute" | "home" | "mngtmpaddr" | "autojoin"
                | "track_group" => {
                    self.note("no-effect", word.span, format!("`{}` has no effect here", word.text));
                }
                other => self.error(
                    "extra-value",
                    word.span,
                    format!("`{other}` is not known behind an address"),
                    "known are dev, label, brd, scope and -nodad",
                ),
            }
        }
        Some(parsed)
    }
}
