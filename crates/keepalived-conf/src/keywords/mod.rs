//! The table of the language: which words stand in which block, what they take, and what becomes of them. The
//! checks read their bounds from it, and `docs/configuration.md` is written from it.

mod global;
mod instance;
mod tracking;

pub use global::GLOBAL_DEFS;
pub use instance::{AUTHENTICATION, INSTANCE};
pub use tracking::{SCRIPT, SHARED, SYNC_GROUP, TRACK_FILE, TRACK_PROCESS};

/// A word of the language.
#[derive(Debug)]
pub struct Keyword {
    /// The word.
    pub name: &'static str,
    /// What stands behind it.
    pub value: Value,
    /// What counts if it is not given; empty if there is nothing to say.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// What becomes of it.
    pub support: Support,
    /// Where it differs from keepalived; empty if it does not.
    pub difference: &'static str,
}

/// What stands behind a word.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// Nothing.
    Flag,
    /// `on`, `off`, or nothing for `on`.
    Switch,
    /// A whole number.
    Whole {
        /// The least.
        low: i64,
        /// The greatest.
        high: i64,
        /// The unit, if it has one.
        unit: &'static str,
    },
    /// Seconds, decimals allowed.
    Seconds {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
    },
    /// One word; what it looks like.
    Text(&'static str),
    /// Several words; what they look like.
    Words(&'static str),
    /// A block of keywords.
    Block(Context),
    /// A block of keywords with a name before it.
    Named(Context),
    /// A block with an entry a line; what an entry looks like.
    List(&'static str),
    /// Not looked at.
    Anything,
}

/// What becomes of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// It does what it says.
    Full,
    /// It is accepted, and this is said: it has no effect, for the reason given.
    NoEffect(&'static str),
    /// It is an error; what to do instead.
    NotBuilt(&'static str),
}

/// Words that share a block.
pub type Table = &'static [Keyword];

/// Which block a line stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// None.
    File,
    /// `global_defs`.
    GlobalDefs,
    /// `vrrp_script`.
    Script,
    /// `track_file`, at the top.
    TrackFile,
    /// `vrrp_track_process`.
    TrackProcess,
    /// `vrrp_sync_group`.
    SyncGroup,
    /// `vrrp_instance`.
    Instance,
    /// `authentication`.
    Authentication,
    /// A block whose lines are no keywords, or one that is not known.
    Other,
}

impl Context {
    pub(crate) const FILE: Self = Self::File;

    /// The words that may stand in it.
    pub const fn tables(self) -> &'static [Table] {
        match self {
            Self::File => &[TOP],
            Self::GlobalDefs => &[GLOBAL_DEFS],
            Self::Script => &[SCRIPT],
            Self::TrackFile => &[TRACK_FILE],
            Self::TrackProcess => &[TRACK_PROCESS],
            Self::SyncGroup => &[SYNC_GROUP, SHARED],
            Self::Instance => &[INSTANCE, SHARED],
            Self::Authentication => &[AUTHENTICATION],
            Self::Other => &[],
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "the file",
            Self::GlobalDefs => "global_defs",
            Self::Script => "vrrp_script",
            Self::TrackFile => "track_file",
            Self::TrackProcess => "vrrp_track_process",
            Self::SyncGroup => "vrrp_sync_group",
            Self::Instance => "vrrp_instance",
            Self::Authentication => "authentication",
            Self::Other => "this block",
        }
    }

    /// What the table says of a word.
    pub fn keyword(self, word: &str) -> Option<&'static Keyword> {
        self.tables().iter().flat_map(|table| table.iter()).find(|keyword| keyword.name == word)
    }

    /// All its words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        self.tables().iter().flat_map(|table| table.iter()).map(|keyword| keyword.name)
    }

    pub(crate) fn holds(self, word: &str) -> bool {
        self.keyword(word).is_some()
    }

    pub(crate) fn opens_block(self, word: &str) -> bool {
        self.keyword(word).is_some_and(|keyword| {
            matches!(keyword.value, Value::Block(_) | Value::Named(_) | Value::List(_))
        })
    }

    /// The block of a word that stands in this one.
    pub(crate) fn inside(self, word: &str) -> Self {
        match self.keyword(word).map(|keyword| keyword.value) {
            Some(Value::Block(context) | Value::Named(context)) => context,
            _ => Self::Other,
        }
    }
}

/// A word that does what it says.
const fn full(name: &'static str, value: Value, default: &'static str, meaning: &'static str) -> Keyword {
    Keyword { name, value, default, meaning, support: Support::Full, difference: "" }
}

/// A word that is accepted without effect.
const fn no_effect(name: &'static str, meaning: &'static str, why: &'static str) -> Keyword {
    Keyword {
        name,
        value: Value::Anything,
        default: "",
        meaning,
        support: Support::NoEffect(why),
        difference: "",
    }
}

/// A word that is an error.
const fn not_built(name: &'static str, meaning: &'static str, mend: &'static str) -> Keyword {
    Keyword {
        name,
        value: Value::Anything,
        default: "",
        meaning,
        support: Support::NotBuilt(mend),
        difference: "",
    }
}

impl Keyword {
    /// Says where it differs from keepalived.
    const fn differs(mut self, difference: &'static str) -> Self {
        self.difference = difference;
        self
    }
}

const fn whole(low: i64, high: i64, unit: &'static str) -> Value {
    Value::Whole { low, high, unit }
}

const fn seconds(low: f64, high: f64) -> Value {
    Value::Seconds { low, high }
}

const NO_CHECKER: &str =
    "checkers and IPVS are not part of Standfast: let HAProxy balance, and track it with vrrp_script";

/// Words at the top.
pub const TOP: Table = &[
    full("global_defs", Value::Block(Context::GlobalDefs), "", "What counts for the whole agent."),
    full(
        "vrrp_script",
        Value::Named(Context::Script),
        "",
        "A program that is run again and again to see whether a service is well.",
    ),
    full(
        "track_file",
        Value::Named(Context::TrackFile),
        "",
        "A file with a number in it that changes the priority.",
    ),
    full("vrrp_track_file", Value::Named(Context::TrackFile), "", "The older name of `track_file`."),
    full("vrrp_track_process", Value::Named(Context::TrackProcess), "", "A process that has to run."),
    full("vrrp_sync_group", Value::Named(Context::SyncGroup), "", "Virtual routers that move together."),
    full("vrrp_instance", Value::Named(Context::Instance), "", "A virtual router.")
        .differs("Names must differ: they tell virtual routers apart on reload and in `standfast status`."),
    full("net_namespace", Value::Text("NAME"), "the caller's", "The network namespace to run in.")
        .differs("The same as in `global_defs`; `-s` comes first."),
    not_built(
        "static_ipaddress",
        "Addresses that do not move.",
        "not built yet: configure static addresses with the system's network manager",
    ),
    not_built(
        "static_routes",
        "Routes that do not move.",
        "not built yet: configure static routes with the system's network manager",
    ),
    not_built(
        "static_rules",
        "Rules that do not move.",
        "not built yet: configure static rules with the system's network manager",
    ),
    not_built(
        "track_group",
        "Virtual routers that go down with a static address.",
        "not built yet: it needs static addresses, which are not built either",
    ),
    not_built(
        "interface_up_down_delays",
        "How long a link's state must last.",
        "not built yet: leave it out; a flapping link is better mended",
    ),
    not_built(
        "garp_group",
        "Pauses between announcements.",
        "not built yet: leave it out; announcements leave in one batch per link",
    ),
    not_built("bfd_instance", "BFD towards a neighbour.", "BFD is not built yet: lower advert_int instead"),
    no_effect("linkbeat_interfaces", "Links whose state is polled.", "the kernel reports carriers"),
    no_effect("linkbeat_use_polling", "Polls all links.", "the kernel reports carriers"),
    no_effect("instance", "A name for this agent.", "agents are told apart by namespace and pid file"),
    no_effect("use_pid_dir", "Where pid files are.", "name the pid file with --pid"),
    no_effect(
        "child_wait_time",
        "How long children may take to end.",
        "the agent has no children of its own",
    ),
    not_built("net_namespace_ipvs", "The network namespace of IPVS.", NO_CHECKER),
    not_built("virtual_server", "IPVS.", NO_CHECKER),
    not_built("virtual_server_group", "IPVS.", NO_CHECKER),
    not_built("real_server", "IPVS.", NO_CHECKER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_has_a_word_twice() {
        for context in [
            Context::File,
            Context::GlobalDefs,
            Context::Script,
            Context::TrackFile,
            Context::TrackProcess,
            Context::SyncGroup,
            Context::Instance,
            Context::Authentication,
        ] {
            let mut words: Vec<&str> = context.words().collect();
            words.sort_unstable();
            let count = words.len();
            words.dedup();
            assert_eq!(words.len(), count, "{}", context.name());
        }
    }
}
