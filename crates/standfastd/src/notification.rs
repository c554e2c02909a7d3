//! keepalived's contract with scripts and FIFOs: `notify_master` and its like run as they stand, `notify` gets
//! `INSTANCE|GROUP NAME STATE PRIORITY`, and the FIFO a line of the same.

use std::collections::BTreeMap;

use vrrp::{Event, Hold, State};

use crate::hooks::{Hook, Hooks};

/// The hooks of one virtual router or one sync group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct NotifyHooks {
    pub(crate) active: Option<Hook>,
    pub(crate) backup: Option<Hook>,
    pub(crate) fault: Option<Hook>,
    pub(crate) stop: Option<Hook>,
    pub(crate) deleted: Option<Hook>,
    pub(crate) lower_priority: Option<Hook>,
    pub(crate) any: Option<Hook>,
}

impl NotifyHooks {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hook> {
        [&self.active, &self.backup, &self.fault, &self.stop, &self.deleted, &self.lower_priority, &self.any]
            .into_iter()
            .flatten()
    }

    fn of(&self, word: Word) -> Option<&Hook> {
        match word {
            Word::Active => self.active.as_ref(),
            Word::Backup => self.backup.as_ref(),
            Word::Fault => self.fault.as_ref(),
            Word::Stop => self.stop.as_ref(),
            Word::Deleted => self.deleted.as_ref(),
            Word::LowerPriority => self.lower_priority.as_ref(),
        }
    }
}

/// What happened, as keepalived calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    Active,
    Backup,
    Fault,
    Stop,
    Deleted,
    LowerPriority,
}

impl Word {
    pub(crate) const fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::StateChanged { to: State::Active, .. } => Self::Active,
            Event::StateChanged { to: State::Backup, .. } => Self::Backup,
            Event::StateChanged { to: State::Initialize(Hold::Stopped), .. } => Self::Stop,
            // On the way to its start, nothing has failed.
            Event::StateChanged {
                from: State::Initialize(_),
                to: State::Initialize(Hold::Startup | Hold::SyncGroup),
                ..
            } => return None,
            Event::StateChanged { to: State::Initialize(_), .. } => Self::Fault,
            Event::SecondActive { .. } => Self::LowerPriority,
            _ => return None,
        })
    }

    const fn keepalived(self) -> &'static str {
        match self {
            Self::Active => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
            Self::LowerPriority => "MASTER_RX_LOWER_PRI",
        }
    }
}

/// A sync group as scripts see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) members: Vec<String>,
    pub(crate) hooks: NotifyHooks,
}

/// Tells scripts and FIFOs, and knows what it told last.
pub(crate) struct Notifications {
    pub(crate) hooks: Hooks,
    fifo: Option<String>,
    fifo_reader: Option<Hook>,
    members: BTreeMap<String, Word>,
    groups: BTreeMap<String, Word>,
}

impl Notifications {
    pub(crate) const fn new(hooks: Hooks) -> Self {
        Self { hooks, fifo: None, fifo_reader: None, members: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// The FIFO that lines go to from now on, and the program that is started to read it.
    pub(crate) fn set_fifo(&mut self, fifo: Option<&String>, reader: Option<&Hook>) {
        if self.fifo.as_ref() == fifo && self.fifo_reader.as_ref() == reader {
            return;
        }
        self.fifo = fifo.cloned();
        self.fifo_reader = reader.cloned();
        if let Some(path) = fifo {
            self.hooks.make_fifo(path.as_ref());
            if let Some(reader) = reader {
                self.hooks.stay(reader, path);
            }
        }
    }

    /// Tells of one virtual router, and of the groups that it moved.
    pub(crate) fn tell(
        &mut self,
        name: &str,
        word: Word,
        priority: u8,
        hooks: &NotifyHooks,
        groups: &[Group],
    ) {
        match word {
            Word::LowerPriority => return self.send("INSTANCE", name, word, priority, hooks),
            Word::Deleted => drop(self.members.remove(name)),
            // At fault for another reason is at fault still.
            _ if self.members.insert(name.to_owned(), word) == Some(word) => return,
            _ => {}
        }
        self.send("INSTANCE", name, word, priority, hooks);
        for group in groups.iter().filter(|group| group.members.iter().any(|m| m == name)) {
            let Some(state) = group_state(&group.members, &self.members) else { continue };
            if self.groups.insert(group.name.clone(), state) != Some(state) {
                // keepalived gives a group no priority.
                self.send("GROUP", &group.name, state, 0, &group.hooks);
            }
        }
    }

    fn send(&mut self, kind: &str, name: &str, word: Word, priority: u8, hooks: &NotifyHooks) {
        if let Some(hook) = hooks.of(word) {
            self.hooks.run(hook, &[]);
        }
        let (state, priority) = (word.keepalived(), priority.to_string());
        if let Some(hook) = hooks.any.as_ref().filter(|_| word != Word::LowerPriority) {
            self.hooks.run(hook, &[kind, name, state, &priority]);
        }
        if self.fifo.is_some() {
            self.hooks.fifo(format!("{kind} \"{name}\" {state} {priority}\n"));
        }
    }
}

/// `None` while the members differ: they are on their way.
fn group_state(members: &[String], states: &BTreeMap<String, Word>) -> Option<Word> {
    let mut words = members.iter().filter_map(|name| states.get(name).copied());
    if words.clone().any(|word| word == Word::Fault) {
        return Some(Word::Fault);
    }
    let first = words.next()?;
    words.all(|word| word == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_all_its_members_are_and_at_fault_with_any() {
        let names = ["a", "b"].map(str::to_owned);
        for (a, b, group) in [
            (Word::Active, Word::Active, Some(Word::Active)),
            (Word::Active, Word::Backup, None),
            (Word::Fault, Word::Active, Some(Word::Fault)),
            (Word::Backup, Word::Backup, Some(Word::Backup)),
            (Word::Stop, Word::Stop, Some(Word::Stop)),
        ] {
            let states = BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
            assert_eq!(group_state(&names, &states), group, "{a:?} {b:?}");
        }
    }
}
