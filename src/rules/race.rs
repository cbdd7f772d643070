//! Data races: memory that several processors reach, touched without an order.
//!
//! Areas verified: two accesses to the same bytes of the device extension, an SrbExtension, the uncached extension, pool,
//! the logical unit's extension or a compiled driver's variables, one of them a write, in two execution contexts, with
//! nothing between them that orders them. A context is a processor and a level of nesting on it, because an interrupt can
//! come between any two instructions of what it interrupts. Only in runs whose memory is watched.
//!
//! What orders (happens before), and which page says so:
//!
//! | earlier | later | page |
//! | --- | --- | --- |
//! | release of a lock, StorPort's own around a callback included | acquire of it; every message's lock is part of Interrupt | `storport/nf-storport-storportacquirespinlock` |
//! | code at an IRQL | later code on the same processor that this IRQL holds off | `kernel/managing-hardware-priorities` |
//! | StorPortIssueDpc, also of a DPC that is queued already; the end of a DPC's routine | its routine, which never runs twice at once | `storport/nf-storport-storportissuedpc` |
//! | HwStorBuildIo, HwStorStartIo of a request | its HwStorStartIo | `storage/storport-i-o-model` |
//! | a completion; StorPortReady and its like | a later HwStorBuildIo: StorPort reuses the request's memory and tag, and counts it against limits | `storport/nf-storport-storportnotification` |
//! | a call of HwStorStartIo on a channel | the next on it, and HwStorResetBus | `storport/ns-storport-_perf_configuration_data` |
//! | HwStorFindAdapter, HwStorInitialize | every callback | `storport/nc-storport-hw_initialize` |
//! | HwStorPassiveInitializeRoutine, HwStorAdapterControl, HwStorUnitControl | later requests and controls | `storport/nf-storport-storportenablepassiveinitialization` |
//! | every callback that has returned | HwStorAdapterControl and the routines of initialisation, for which StorPort waits until all is quiet; but a surprise removal waits for nothing | `storport/nc-storport-hw_adapter_control` |
//! | setting a timer, queuing a work item, StorPortStateChangeDetected | its routine | `storport/nf-storport-storportrequesttimer` |
//! | a register write | a later register read, a read of the uncached extension, and the interrupt that follows: the device orders them | `kernel/volatile-access` |
//! | an interlocked operation, a volatile or releasing store | one that sees it | `kernel/introduction-to-spin-locks` |
//!
//! Areas not verified: what would be a race only in another run; two callbacks that ran on one processor one after the
//! other, although they could run on two; request blocks, whose ownership `request.*` judges; accesses that
//! are not told of (a core's own pointers into the uncached extension; of a compiled driver what was not instrumented).
//! Accesses that cannot be torn are never half of a race, although a plain one beside them often is a mistake. In a crash
//! dump, where one processor runs at HIGH_LEVEL, nothing is verified.
//!
//! The detector is FastTrack's (Flanagan and Freund, "FastTrack: efficient and precise dynamic race detection", 2009) with
//! a shadow memory of fixed size: `clock`, `shadow`. It costs a run of the NVMe core, which makes three accesses for each
//! other event, 1.6 times its time (`cargo bench --bench races`), and nothing where memory is not watched.

mod clock;
mod edges;
mod shadow;

use core::fmt;

use super::catalogue::{Family, Rule, Severity, drivers};
use super::checker::Checker;
use super::finding::Finding;
use super::lockset::{lock_of, number};
use super::moment::Moment;
use crate::event::{Access, Adapter, Event, Flow, Kind, Lock, PROCESSORS_MAX, Routine};
use edges::Edges;
use shadow::{Holder, LOCKS_TOLD, Mark, NO_LOCK, Pair, Shadow, Told};

pub(super) const UNSYNCHRONIZED: Rule = Rule {
    id: "race.unsynchronized",
    family: Family::Race,
    severity: Severity::Error,
    sentence: "Two processors, or code and what interrupts it, touch the same memory, one of them writes, and nothing orders \
               them",
    why: "Either can see the other's half-done work: lost updates, torn values, a slot that is given out twice. It may take a \
          million runs until one shows, because no lock is asked for and no rule of locks is broken.",
    sdv: None,
    bug_check: None,
    page: drivers!("kernel/introduction-to-spin-locks"),
    example: "// wrong: HwStorStartIo\nextension->Used |= 1 << slot;\n\
              // wrong: HwStorDpcRoutine, on another processor\nextension->Used &= ~(1 << slot);\n\
              // right: both\nStorPortAcquireSpinLock(extension, DpcLock, &extension->Dpc, &handle);\n\
              extension->Used |= 1 << slot;\nStorPortReleaseSpinLock(extension, &handle);",
};

/// One of the two accesses of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// It writes.
    pub writes: bool,
    /// The callback that made it, if one did.
    pub routine: Option<Routine>,
    /// On which processor.
    pub processor: u8,
    /// The locks that were held for it, the newest first; no more than this are told.
    pub locks: [Option<Lock>; LOCKS_TOLD],
}

/// Two accesses that nothing orders. Where in the driver each was, the [`Finding`] says: `other_site` is the
/// earlier's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The later access: where it was and how much it touched.
    pub access: Access,
    /// The first byte that both touched, or one of the same eight, as an offset into the area.
    pub offset: u32,
    /// The access that came first in this run.
    pub earlier: Side,
    /// The access that found it.
    pub later: Side,
    /// The lock that would have ordered them: the one that guards this memory most often.
    pub guard: Option<Lock>,
}

impl fmt::Display for Side {
    /// `cpu 1 writes in HwStorStartIo, holding StartIo`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.writes { "writes" } else { "reads" };
        write!(f, "cpu {} {verb} in ", self.processor)?;
        match self.routine {
            Some(routine) => write!(f, "{routine}, ")?,
            None => f.write_str("StorPort, ")?,
        }
        let mut word = "holding ";
        for lock in self.locks.iter().flatten() {
            write!(f, "{word}{lock}")?;
            word = " and ";
        }
        if self.locks[0].is_none() { f.write_str("holding no lock") } else { Ok(()) }
    }
}

/// Finds races in the events of one run.
///
/// A fold beside the [`Checker`], because its memory, some 800 KiB, is wanted only where a run's memory is watched. It is
/// shown each event before the checker is.
#[derive(Clone, Debug)]
pub struct Races {
    edges: Edges,
    shadow: Shadow,
    /// What runs on each processor, where that is known.
    holders: [Option<Holder>; PROCESSORS_MAX],
    dump: bool,
}

impl Default for Races {
    fn default() -> Self {
        Races::new()
    }
}

impl Races {
    /// Has seen nothing.
    #[must_use]
    pub const fn new() -> Races {
        Races {
            edges: Edges::NEW,
            shadow: Shadow::NEW,
            holders: [None; PROCESSORS_MAX],
            dump: false,
        }
    }

    /// Forgets the last run.
    pub fn reset(&mut self) {
        self.edges.reset();
        self.shadow.reset();
        self.holders = [None; PROCESSORS_MAX];
        self.dump = false;
    }

    /// Takes one event, with `checker` as it was before it. `Stop` at a race, which `checker` then tells of.
    #[inline]
    pub fn record(&mut self, event: &Event, checker: &mut Checker) -> Flow {
        if let Kind::Accessed(access) = event.kind {
            return self.accessed(event, &access, checker);
        }
        self.follow(event, checker);
        Flow::Continue
    }

    /// Takes an event that is no access.
    fn follow(&mut self, event: &Event, checker: &Checker) {
        let processor = usize::from(event.processor) % PROCESSORS_MAX;
        match event.kind {
            Kind::Configured(Adapter { dump, .. }) => self.dump = dump,
            Kind::Entered { .. } | Kind::Left { .. } => self.holders[processor] = None,
            // Who had the lock may be another processor, by mistake.
            Kind::LockAcquired { .. } | Kind::LockReleased { .. } => {
                self.holders = [None; PROCESSORS_MAX];
            }
            _ => {}
        }
        self.edges.follow(event, checker);
    }

    /// Takes an access: what `event` tells.
    ///
    /// Inlined, all of it but what is rare: an event that is made and read in one function need not exist in memory.
    #[inline(always)]
    pub fn accessed(&mut self, event: &Event, access: &Access, checker: &mut Checker) -> Flow {
        if self.dump {
            return Flow::Continue;
        }
        let context = self.edges.context(event);
        self.edges.accessed(context, access);
        if access.touch.is_atomic() {
            return Flow::Continue;
        }
        let clock = self.edges.clock(context);
        let now = Mark::new(context, clock, access.touch.writes());
        let known = &mut self.holders[usize::from(event.processor) % PROCESSORS_MAX];
        let told = || {
            let holder = *known.get_or_insert_with(|| holder(checker, event.processor));
            Told { site: event.site, holder }
        };
        match self.shadow.touch(access, now, clock, told) {
            None => Flow::Continue,
            Some(pair) => raced(event, access, &pair, checker),
        }
    }
}

/// In which callback a processor makes accesses now, and under which locks.
fn holder(checker: &Checker, processor: u8) -> Holder {
    let mut holder = Holder::PORT;
    for (place, lock) in holder.locks.iter_mut().zip(checker.own_locks(processor)) {
        *place = number(lock) as u8;
    }
    if let Some(routine) = checker.root_routine(processor) {
        holder.routine = routine as u8;
    }
    holder
}

#[cold]
fn raced(event: &Event, access: &Access, pair: &Pair, checker: &mut Checker) -> Flow {
    let race = Race {
        access: *access,
        offset: pair.offset,
        earlier: side(&pair.earlier),
        later: side(&pair.later),
        guard: pair.guard.map(|number| lock_of(number.into())),
    };
    checker.raced(&Moment::of(event), pair.earlier.1.site, race)
}

fn side((mark, told): &(Mark, Told)) -> Side {
    let lock = |number: u8| (number != NO_LOCK).then(|| lock_of(number.into()));
    Side {
        writes: mark.writes(),
        routine: Routine::ALL.get(usize::from(told.holder.routine)).copied(),
        processor: mark.context().processor(),
        locks: told.holder.locks.map(lock),
    }
}

impl Finding {
    /// What a race was like, a line each; nothing for other findings.
    pub fn race_lines(&self) -> impl Iterator<Item = RaceLine<'_>> {
        let lines = if self.race.is_some() { 4 } else { 0 };
        (0..lines).map(|line| RaceLine { finding: self, line })
    }
}

/// A line that tells of a race.
#[derive(Debug)]
pub struct RaceLine<'a> {
    finding: &'a Finding,
    line: u8,
}

impl fmt::Display for RaceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { site, other_site, race: Some(race), .. } = self.finding else {
            return Ok(());
        };
        let Race { access, offset, earlier, later, guard } = race;
        match (self.line, guard) {
            (0, _) => write!(f, "memory: {}+{offset:#x}", access.area),
            (1, _) => write!(f, "{earlier}, at {}", other_site.unwrap_or_default()),
            (2, _) => write!(f, "{later}, at {site}"),
            (_, Some(guard)) => write!(f, "{guard} guards this memory most often; both want it"),
            (_, None) => f.write_str("no lock has guarded this memory yet"),
        }
    }
}
