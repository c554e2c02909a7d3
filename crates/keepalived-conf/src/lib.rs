//! keepalived.conf, the VRRP half.
//!
//! [`read`] goes from text to a [`Configuration`] or to every [`Diagnostic`] at once: tokens that cover every byte
//! ([`lexer`]), the lines that count after includes, definitions, conditions and generators (`reader`), a tree of
//! statements and blocks with their places ([`tree`]), then the checks that know the language ([`keywords`] is its
//! table). Nothing here touches the host by itself: files come through a [`FileLoader`], of which [`FileSystem`]
//! is the one for this host.
#![forbid(unsafe_code)]

mod check;
mod configuration;
mod diagnostic;
mod file_system;
mod instance;
mod kernel_names;
pub mod keywords;
pub mod lexer;
mod line;
mod reader;
mod route;
mod rule;
pub mod source;
pub mod tree;
mod values;

pub use configuration::{
    Configuration, Fallibility, Garp, GlobalDefs, Notify, NotifyScript, Peer, State, SyncGroup, Track,
    TrackFile, TrackProcess, Tracks, VirtualAddress, VrrpInstance, VrrpScript,
};
pub use diagnostic::{Diagnostic, Related, Report, Severity};
pub use file_system::{FileSystem, host_id};
pub use route::{Nexthop, Placement, RouteKind, RouteMetric, VirtualRoute};
pub use rule::{RuleAction, VirtualRule};
pub use source::{FileLoader, Program, Sources, Span};

use diagnostic::Findings;
use tree::Statement;

/// What a configuration is read with.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Where files come from, and what is known of programs.
    pub loader: &'a dyn FileLoader,
    /// What `@ID` lines are compared with and `${_INSTANCE}` stands for: `-i`, else the host's name.
    pub config_id: Option<&'a str>,
    /// The links of this host; `None` leaves the names of interfaces unchecked.
    pub interfaces: Option<&'a [String]>,
}

/// What [`read`] found.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if there is an error.
    pub configuration: Option<Configuration>,
    /// Everything to say, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, for rendering.
    pub sources: Sources,
    /// What was read, before its meaning was looked at.
    pub tree: Vec<Statement>,
}

impl Outcome {
    /// Whether something is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads the configuration at `path`.
pub fn read(path: &str, environment: &Environment<'_>) -> Outcome {
    let mut findings = Findings::default();
    let mut sources = Sources::default();
    let tokens = reader::read(path, environment.loader, environment.config_id, &mut sources, &mut findings);
    let unreadable = findings.unreadable();
    let tree = tree::build(tokens, &mut findings);
    let configuration = if unreadable {
        Configuration::default()
    } else {
        check::configuration(&tree, environment, &mut findings)
    };
    let diagnostics = findings.finish();
    let bad = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Outcome { configuration: (!bad).then_some(configuration), diagnostics, sources, tree }
}
