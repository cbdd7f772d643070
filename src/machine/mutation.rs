//! What can be wrong with a lock call, to be put into a driver that is right: mutation testing at the DDI.
//!
//! A [`Mutation`] is one mistake at one [`Place`]. The machine makes it where the call arrives
//! (`port/mutant`), so the driver stays as it is, and a compiled driver is mutated as one of this crate's cores is.
//! The crate's `mutants` plans mutations and hunts for what they break.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Lock, Routine, Site, SourceLine};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mutation {
    /// Which calls it befalls.
    pub place: Place,
    /// What becomes of them.
    pub operator: Operator,
}

/// The calls at one place in the driver that concern one kind of lock. An operator says whether acquires or releases
/// are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Where they are made.
    pub spot: Spot,
    /// For which kind of lock.
    pub lock: LockKind,
}

/// A place in the driver, by a name that is the same in every process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// Of a core that was compiled into this program.
    Source {
        /// The source file's path, as its compiler was given it.
        file: String,
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
    },
    /// Of a compiled driver: an offset from the base of its image.
    Image(u32),
}

impl Spot {
    /// The place of an event; `None` for StorPort's own code.
    #[must_use]
    pub fn of(site: Site) -> Option<Spot> {
        match (site, site.source()) {
            (Site::Image(offset), _) => Some(Spot::Image(offset)),
            (_, Some(SourceLine { file, line, column })) => {
                Some(Spot::Source { file: file.into(), line, column })
            }
            _ => None,
        }
    }

    /// Whether it is the place `site`.
    #[must_use]
    pub fn is(&self, site: Site) -> bool {
        match (self, site) {
            (Spot::Image(offset), Site::Image(at)) => *offset == at,
            (Spot::Source { file, line, column }, site) => site
                .source()
                .is_some_and(|at| (at.line, at.column, at.file) == (*line, *column, file.as_str())),
            _ => false,
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Source { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Spot::Image(offset) => write!(f, "driver+{offset:#x}"),
        }
    }
}

/// A lock without its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// The StartIo lock.
    StartIo,
    /// The Interrupt lock.
    Interrupt,
    /// A message's lock.
    Message,
    /// A DPC's lock.
    Dpc,
    /// An executive spin lock.
    Executive,
}

impl From<Lock> for LockKind {
    fn from(lock: Lock) -> LockKind {
        match lock {
            Lock::StartIo => LockKind::StartIo,
            Lock::Interrupt => LockKind::Interrupt,
            Lock::Message(_) => LockKind::Message,
            Lock::Dpc(_) => LockKind::Dpc,
            Lock::Executive(_) => LockKind::Executive,
        }
    }
}

impl LockKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [LockKind; 5] = [
        LockKind::StartIo,
        LockKind::Interrupt,
        LockKind::Message,
        LockKind::Dpc,
        LockKind::Executive,
    ];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LockKind::StartIo => "StartIo",
            LockKind::Interrupt => "Interrupt",
            LockKind::Message => "Message",
            LockKind::Dpc => "Dpc",
            LockKind::Executive => "Executive",
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A lock that is taken in place of the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// The StartIo lock.
    StartIo,
    /// The Interrupt lock.
    Interrupt,
    /// The lock of the first DPC that the driver initialised.
    Dpc,
    /// The same kind of lock with the next number, the first after the last: another message's, another DPC's,
    /// another executive spin lock.
    Next,
}

/// What becomes of a lock call, or of the critical section that it begins.
///
/// Calls are counted in the callback that made the lock call; what runs nested in it does not count. Where an
/// operator moves a call, the moved call is no decision point of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The acquire is not made; its release is.
    DropAcquire,
    /// The release is not made.
    DropRelease,
    /// Nor is it at this execution in a run, counted from 1, as on an error path that is seldom taken.
    DropReleaseOnce(u32),
    /// In this callback neither acquire nor release is made, and the IRQL stays.
    Skip(Routine),
    /// The release comes so many calls after the acquire, before the last of them; 0 is at once. An execution with
    /// fewer calls in its critical section is as it should be.
    ReleaseEarly(u32),
    /// The acquire comes one call later, at the latest just before its release.
    AcquireLate,
    /// Another lock is taken, and given back.
    AcquireOther(Other),
    /// OldIrql is another one at the release.
    WrongOldIrql,
    /// The release gets another handle than the acquire: a copy of it, or another message.
    WrongHandle,
    /// This acquire and the next one in the callback, inside its critical section, are made in the other order.
    Swap,
    /// The lock is taken at an IRQL above its own.
    AboveLevel,
    /// The lock is taken by the routine that does not raise the IRQL.
    WithoutRaise,
    /// The lock is taken twice.
    DoubleAcquire,
    /// The release comes after the next completion of a request, at the latest when the callback has returned.
    HoldAcrossCompletion,
    /// The release comes when the callback has returned.
    HoldAcrossReturn,
}

impl Operator {
    /// Whether it befalls releases, not acquires.
    #[must_use]
    pub const fn is_of_release(self) -> bool {
        matches!(
            self,
            Operator::DropRelease
                | Operator::DropReleaseOnce(_)
                | Operator::WrongOldIrql
                | Operator::WrongHandle
                | Operator::HoldAcrossCompletion
                | Operator::HoldAcrossReturn
        )
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::DropAcquire => f.write_str("drop the acquire"),
            Operator::DropRelease => f.write_str("drop the release"),
            Operator::DropReleaseOnce(n) => write!(f, "drop the release at execution {n}"),
            Operator::Skip(routine) => write!(f, "skip the lock in {routine}"),
            Operator::ReleaseEarly(0) => f.write_str("release at once"),
            Operator::ReleaseEarly(n) => write!(f, "release one call early, before call {n}"),
            Operator::AcquireLate => f.write_str("acquire one call late"),
            Operator::AcquireOther(Other::StartIo) => f.write_str("acquire StartIo instead"),
            Operator::AcquireOther(Other::Interrupt) => f.write_str("acquire Interrupt instead"),
            Operator::AcquireOther(Other::Dpc) => f.write_str("acquire the first DPC's instead"),
            Operator::AcquireOther(Other::Next) => f.write_str("acquire the next one's instead"),
            Operator::WrongOldIrql => f.write_str("release with a wrong OldIrql"),
            Operator::WrongHandle => f.write_str("release with a wrong handle"),
            Operator::Swap => f.write_str("swap with the acquire inside"),
            Operator::AboveLevel => f.write_str("acquire above the lock's level"),
            Operator::WithoutRaise => f.write_str("acquire without raising the IRQL"),
            Operator::DoubleAcquire => f.write_str("acquire twice"),
            Operator::HoldAcrossCompletion => f.write_str("hold across a completion"),
            Operator::HoldAcrossReturn => f.write_str("hold across the return"),
        }
    }
}
