//! Names that iproute2 gives the kernel's numbers: routing tables, protocols, scopes, type-of-service fields.

use crate::diagnostic::did_you_mean;
use crate::tree::Word;
use crate::values::Checker;

/// Names of one kind of number.
pub(crate) struct Names {
    /// What is named.
    what: &'static str,
    /// iproute2's file.
    file: &'static str,
    /// Those that count without the file.
    known: &'static [(&'static str, u32)],
    /// The least and the greatest number.
    low: u32,
    high: u32,
}

/// Where distributions keep these files: the administrator's come first.
const FOLDERS: [&str; 3] = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2"];

/// Routing tables; 0 is none.
pub(crate) const TABLES: Names = Names {
    what: "routing table",
    file: "rt_tables",
    known: &[("local", 255), ("main", MAIN_TABLE), ("default", 253)],
    low: 1,
    high: u32::MAX,
};

/// The table that counts where none is named.
pub(crate) const MAIN_TABLE: u32 = 254;

/// Who put a route or a rule there.
pub(crate) const PROTOCOLS: Names = Names {
    what: "routing protocol",
    file: "rt_protos",
    known: &[
        ("kernel", 2),
        ("boot", 3),
        ("static", 4),
        ("gated", 8),
        ("ra", 9),
        ("mrt", 10),
        ("zebra", 11),
        ("bird", 12),
        ("dnrouted", 13),
        ("xorp", 14),
        ("ntk", 15),
        ("dhcp", 16),
        ("keepalived", 18),
        ("babel", 42),
        ("bgp", 186),
        ("isis", 187),
        ("ospf", 188),
        ("rip", 189),
        ("eigrp", 192),
    ],
    low: 1,
    high: 255,
};

/// How far a route reaches.
pub(crate) const SCOPES: Names = Names {
    what: "scope",
    file: "rt_scopes",
    known: &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)],
    low: 0,
    high: 255,
};

/// Type of service.
pub(crate) const SERVICES: Names =
    Names { what: "type of service", file: "rt_dsfield", known: &[("default", 0)], low: 0, high: 255 };

/// A decimal number, or a hexadecimal one behind `0x`.
pub(crate) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` takes a sign.
        Some(hex) if hex.starts_with('+') => None,
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

impl Checker<'_> {
    /// The number that a word stands for.
    pub(crate) fn named_number(&mut self, word: &Word, names: &Names) -> Option<u32> {
        let text = word.text.as_str();
        let (low, high) = (names.low, names.high);
        if let Some(number) = number(text) {
            if (low..=high).contains(&number) {
                return Some(number);
            }
            let message = format!("`{text}` is no number of a {}", names.what);
            self.error("value-out-of-range", word.span, message, format!("{low} to {high}"));
            return None;
        }
        if let Some((_, number)) = names.known.iter().find(|(name, _)| *name == text) {
            return Some(*number);
        }
        let listed = self.listed(names);
        if let Some((_, number)) = listed.iter().find(|(name, _)| name == text) {
            return Some(*number);
        }
        let all =
            names.known.iter().map(|(name, _)| *name).chain(listed.iter().map(|(name, _)| name.as_str()));
        let help = match did_you_mean(text, all) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write its number, or name it in {}/{}", FOLDERS[0], names.file),
        };
        self.error("unknown-name", word.span, format!("no {} is called `{text}`", names.what), help);
        None
    }

    /// What iproute2's files say; a host without them has the known names only.
    fn listed(&self, names: &Names) -> Vec<(String, u32)> {
        let Some(main) =
            FOLDERS.iter().find_map(|folder| self.loader.read(&format!("{folder}/{}", names.file)).ok())
        else {
            return Vec::new();
        };
        let further = FOLDERS.iter().flat_map(|folder| {
            let from = format!("{folder}/{}", names.file);
            let found = self.loader.expand(&from, &format!("{from}.d/*.conf")).unwrap_or_default();
            found.into_iter().filter_map(|path| self.loader.read(&path).ok())
        });
        further.chain([main]).flat_map(|text| text.lines().filter_map(entry).collect::<Vec<_>>()).collect()
    }
}

/// `NUMBER NAME`, behind it a comment.
fn entry(line: &str) -> Option<(String, u32)> {
    let mut words = line.split('#').next()?.split_whitespace();
    let number = number(words.next()?)?;
    Some((words.next()?.to_owned(), number))
}
