//! A finding: which rule was broken, where, and with which locks. Data; every report renders it.

use core::fmt;

use super::catalogue::{RuleId, Severity};
use super::race::Race;
use crate::event::{DEPTH_MAX, Lock, Routine, Site};
use crate::storport::Irql;

/// Most locks that a finding names.
pub const FINDING_LOCKS_MAX: usize = 3;

/// The callbacks that a finding is about, innermost last.
///
/// Code that was merely interrupted is not in it: it would make one bug look like several. Only where the
/// interruption *is* the bug does the path begin with what was interrupted.
#[derive(Clone, Copy)]
pub struct Path {
    routines: [Routine; DEPTH_MAX],
    length: u8,
}

impl Path {
    /// No callback: StorPort's own code.
    pub const EMPTY: Path = Path { routines: [Routine::FindAdapter; DEPTH_MAX], length: 0 };

    /// Adds a callback inside the others; beyond [`DEPTH_MAX`] nothing is added.
    pub fn push(&mut self, routine: Routine) {
        if let Some(slot) = self.routines.get_mut(usize::from(self.length)) {
            *slot = routine;
            self.length += 1;
        }
    }

    /// The callbacks.
    #[must_use]
    pub fn routines(&self) -> &[Routine] {
        &self.routines[..usize::from(self.length)]
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.routines() == other.routines()
    }
}

impl Eq for Path {}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routines()).finish()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.routines().split_first() else {
            return f.write_str("StorPort");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|routine| write!(f, " > {routine}"))
    }
}

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: RuleId,
    /// How grave here: a rule's own severity, or [`Severity::Warning`] where this case is harmless or the
    /// documents disagree on it.
    pub severity: Severity,
    /// The locks concerned: first the one that the call was about.
    pub locks: [Option<Lock>; FINDING_LOCKS_MAX],
    /// The callbacks concerned.
    pub path: Path,
    /// Where in the driver.
    pub site: Site,
    /// Where the other half is: most often where the held lock was taken.
    pub other_site: Option<Site>,
    /// On which virtual processor.
    pub processor: u8,
    /// Its IRQL.
    pub irql: Irql,
    /// Virtual time in nanoseconds.
    pub time: u64,
    /// Of a data race: what the two accesses were.
    pub race: Option<Race>,
}

impl Finding {
    /// What makes two findings the same bug: rule, kinds of locks, callback path and site. It does not
    /// change with the build, the host or the schedule, and not with which of several like locks it was. Of a data race:
    /// rule and both sites.
    #[must_use]
    pub fn id(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.bytes(self.rule.rule().id.as_bytes());
        if self.race.is_some() {
            // Which of the two came first, by which way, is the schedule's doing.
            let mut sites = [site_rank(self.site), site_rank(self.other_site.unwrap_or_default())];
            sites.sort_unstable();
            sites.iter().for_each(|site| hash.bytes(&site.to_le_bytes()));
            return hash.0;
        }
        for lock in self.locks {
            hash.byte(lock.map_or(0, kind_byte));
        }
        for routine in self.path.routines() {
            hash.byte(*routine as u8);
        }
        hash.byte(0xFF);
        hash.site(self.site);
        hash.0
    }

    /// What makes two findings one bug to somebody who sorts them: [`Finding::id`], but that a deadlock is the same
    /// bug as the cycle of lock orders that it came of. Which of the two a run shows is the schedule's doing:
    /// whether the processors met.
    #[must_use]
    pub fn bug(&self) -> u64 {
        if !matches!(self.rule, RuleId::LockCycle | RuleId::RunDeadlock) {
            return self.id();
        }
        let mut kinds = self.locks.map(|lock| lock.map_or(0, kind_byte));
        kinds.sort_unstable();
        let mut hash = Fnv::new();
        hash.bytes(b"circle");
        for byte in kinds {
            hash.byte(byte);
        }
        for routine in self.path.routines() {
            hash.byte(*routine as u8);
        }
        hash.byte(0xFF);
        hash.site(self.site);
        hash.site(self.other_site.unwrap_or_default());
        hash.0
    }
}

impl fmt::Display for Finding {
    /// One line, whose shape never changes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.rule();
        let Finding { severity, path, site, .. } = self;
        write!(
            f,
            "lockstorm: VIOLATION {} {severity}: {} [{path}] at {site}",
            rule.id, rule.sentence
        )
    }
}

/// A lock without its number.
const fn kind_byte(lock: Lock) -> u8 {
    match lock {
        Lock::StartIo => 1,
        Lock::Interrupt => 2,
        Lock::Message(_) => 3,
        Lock::Dpc(_) => 4,
        Lock::Executive(_) => 5,
    }
}

/// The 64-bit FNV-1a hash: the same everywhere, and short enough to be written by hand.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Fnv(0xCBF2_9CE4_8422_2325)
    }

    const fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ byte as u64).wrapping_mul(0x100_0000_01B3);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
        self.byte(0);
    }

    fn line(&mut self, file: &str, line: u32) {
        self.bytes(base_name(file));
        self.bytes(&line.to_le_bytes());
    }

    /// File name without folders, because those differ between hosts, and line.
    fn site(&mut self, site: Site) {
        match site {
            Site::Port => self.byte(0),
            Site::Source(location) => self.line(location.file(), location.line()),
            Site::Told(at) => self.line(at.file, at.line),
            Site::Image(offset) => self.bytes(&offset.to_le_bytes()),
        }
    }
}

/// A number for a site that is the same on every host, to put sites in order.
pub(super) fn site_rank(site: Site) -> u64 {
    let mut hash = Fnv::new();
    hash.site(site);
    hash.0
}

fn base_name(file: &str) -> &[u8] {
    let file = file.as_bytes();
    match file.iter().rposition(|byte| matches!(byte, b'/' | b'\\')) {
        Some(slash) => &file[slash + 1..],
        None => file,
    }
}
