//! keepalived.conf, the VRRP half.
//!
//! [`parse`] goes from text to a [`Configuration`] or to every [`Diagnostic`] at once: words with their
//! places ([`source`]), a tree of statements and blocks ([`tree`]), then the checks that know the language
//! ([`keywords`] is its table). Nothing here touches the host: files come through a [`FileLoader`].
#![forbid(unsafe_code)]

mod check;
mod configuration;
mod diagnostic;
mod instance;
pub mod keywords;
pub mod source;
pub mod tree;
mod values;

pub use configuration::{
    Configuration, Fallibility, Garp, GlobalDefs, Notify, NotifyScript, Peer, State, SyncGroup, Track,
    TrackFile, TrackProcess, Tracks, VirtualAddress, VrrpInstance, VrrpScript,
};
pub use diagnostic::{Diagnostic, Severity};
pub use source::{FileLoader, Sources, Span};

/// What [`parse`] found.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if there is an error.
    pub configuration: Option<Configuration>,
    /// Everything to say, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, for rendering.
    pub sources: Sources,
}

impl Outcome {
    /// Whether something is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads the configuration at `path`. `config_id` is what `@ID` lines are compared with (`-i`).
pub fn parse(path: &str, loader: &dyn FileLoader, config_id: Option<&str>) -> Outcome {
    let mut diagnostics = Vec::new();
    let mut sources = Sources::default();
    let statements = tree::read(path, loader, config_id, &mut sources, &mut diagnostics);
    let configuration = check::configuration(&statements, &mut diagnostics);
    diagnostics.sort_by_key(|d| d.span);
    let bad = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Outcome { configuration: (!bad).then_some(configuration), diagnostics, sources }
}
