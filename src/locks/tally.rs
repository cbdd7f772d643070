//! Names and numbers that the fold counts by.

use std::collections::BTreeMap;

use crate::event::{Lock, Site};
use crate::report::words;

/// A lock as the map shows it: locks of messages and DPCs are one each, unless they are to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    StartIo,
    Interrupt,
    Message(Option<u8>),
    Dpc(Option<u8>),
    Executive(u8),
    /// No lock of the contract: StorPort's call of HwStorStartIo on one of its concurrent channels, each of which has
    /// one call at a time.
    Channel(Option<u8>),
    /// No lock either: the routine of a STOR_DPC, which never runs beside itself.
    DpcRoutine(Option<u8>),
}

impl From<Lock> for Node {
    fn from(lock: Lock) -> Node {
        match lock {
            Lock::StartIo => Node::StartIo,
            Lock::Interrupt => Node::Interrupt,
            Lock::Message(number) => Node::Message(Some(number)),
            Lock::Dpc(number) => Node::Dpc(Some(number)),
            Lock::Executive(number) => Node::Executive(number),
        }
    }
}

impl Node {
    pub(super) fn of(lock: Lock, apart: bool) -> Node {
        Node::from(lock).shown(apart)
    }

    /// Whether it is a lock, and no other order that StorPort keeps.
    pub(super) fn is_lock(self) -> bool {
        !matches!(self, Node::Channel(_) | Node::DpcRoutine(_))
    }

    /// As the map shows it.
    pub(super) fn shown(self, apart: bool) -> Node {
        match self {
            _ if apart => self,
            Node::Message(_) => Node::Message(None),
            Node::Dpc(_) => Node::Dpc(None),
            Node::Channel(_) => Node::Channel(None),
            Node::DpcRoutine(_) => Node::DpcRoutine(None),
            Node::StartIo | Node::Interrupt | Node::Executive(_) => self,
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Node::StartIo => "StartIo".into(),
            Node::Interrupt => "Interrupt".into(),
            Node::Message(None) => "Message".into(),
            Node::Message(Some(number)) => format!("Message({number})"),
            Node::Dpc(None) => "Dpc".into(),
            Node::Dpc(Some(number)) => format!("Dpc({number})"),
            Node::Executive(number) => format!("Executive({number})"),
            Node::DpcRoutine(None) => "one DPC's routine".into(),
            Node::DpcRoutine(Some(number)) => format!("routine of DPC {number}"),
            Node::Channel(None) => "StartIo channel".into(),
            Node::Channel(Some(number)) => format!("StartIo channel {number}"),
        }
    }
}

/// A set of locks in words.
pub(super) fn set(nodes: impl IntoIterator<Item = Node>) -> String {
    let mut nodes: Vec<Node> = nodes.into_iter().collect();
    nodes.sort_unstable();
    nodes.dedup();
    let names: Vec<String> = nodes.into_iter().map(Node::name).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// The place of an event, in an order that is the same on every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Port,
    Source(&'static str, u32, u32),
    Image(u32),
}

impl From<Site> for Place {
    fn from(site: Site) -> Place {
        match (site, site.source()) {
            (_, Some(at)) => Place::Source(at.file, at.line, at.column),
            (Site::Image(offset), None) => Place::Image(offset),
            _ => Place::Port,
        }
    }
}

impl Place {
    pub(super) fn name(self) -> String {
        match self {
            Place::Port => "StorPort".into(),
            Place::Source(file, line, _) => format!("{file}:{line}"),
            Place::Image(offset) => words::place(Site::Image(offset)),
        }
    }
}

/// The names of places, each once.
pub(super) fn names(places: impl IntoIterator<Item = Place>) -> Vec<String> {
    let mut names: Vec<String> = places.into_iter().map(Place::name).collect();
    names.dedup();
    names
}

/// How often each length came. Virtual times are multiples of a tick, so there are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Lengths(BTreeMap<u32, u64>);

impl Lengths {
    pub(super) fn add(&mut self, length: u32) {
        *self.0.entry(length).or_default() += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn longest(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(&length, _)| length)
    }

    /// The length that this part of all is no longer than.
    pub(super) fn quantile(&self, (part, of): (u64, u64)) -> u32 {
        let wanted = (self.count() * part).div_ceil(of);
        let mut seen = 0;
        let reached = self.0.iter().find(|&(_, &count)| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, |(&length, _)| length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_lengths_that_came() {
        let mut lengths = Lengths::default();
        assert_eq!((lengths.quantile((1, 2)), lengths.longest()), (0, 0));
        for length in [100, 100, 100, 300, 500, 500, 700, 900, 900, 5000] {
            lengths.add(length);
        }
        assert_eq!(lengths.quantile((1, 2)), 500);
        assert_eq!(lengths.quantile((9, 10)), 900);
        assert_eq!((lengths.longest(), lengths.count()), (5000, 10));
    }

    #[test]
    fn locks_of_a_kind_are_one_unless_told_apart() {
        let locks = [Lock::Dpc(1), Lock::Dpc(0), Lock::StartIo];
        let named = |apart| set(locks.map(|lock| Node::of(lock, apart)));
        assert_eq!(named(false), "StartIo, Dpc");
        assert_eq!(named(true), "StartIo, Dpc(0), Dpc(1)");
        assert_eq!(set([]), "nothing");
    }
}
