//! Traces for tests: what a driver does, in a line a step, as the events that StorPort and a driver would cause.
//!
//! The builder plays StorPort's part: it takes the locks of the tables around callbacks, keeps IRQLs and saved
//! IRQLs, and releases correctly unless told otherwise. Each step's site is the line of the test.

use std::collections::HashMap;
use std::panic::Location;

use super::order::{Kinds, cell};
use super::{Checker, Finding, Races, RuleId, RuleSet};
use crate::event::{
    Access, Adapter, Area, Duplex, Event, Flow, Handle, Interrupts, Kind, Lock, LockApi, Miniport,
    Owner, Routine, Site, Touch,
};
use crate::storport::{Ddi, Irql, SrbStatus};

/// DIRQL of every interrupt of a trace.
pub(super) const DIRQL: Irql = Irql(5);

/// An adapter with everything: physical, full duplex, one channel, four messages with a lock each.
pub(super) const ADAPTER: Adapter = Adapter {
    miniport: Miniport::Physical,
    duplex: Duplex::Full,
    interrupts: Interrupts::PerMessage,
    messages: 4,
    channels: 1,
    device_irql: DIRQL,
    dump: false,
    completes_in_start_io: false,
    control_under_interrupt_lock: false,
};

#[derive(Clone, Copy)]
struct Acquired {
    processor: u8,
    api: LockApi,
    saved: Irql,
}

struct Callback {
    routine: Routine,
    before: Irql,
    port_locks: Vec<Lock>,
}

/// A trace under construction, and the checker that reads it.
pub(super) struct Trace {
    pub(super) checker: Checker,
    races: Box<Races>,
    /// Every event so far.
    pub(super) events: Vec<Event>,
    adapter: Adapter,
    processor: u8,
    irql: [Irql; 8],
    callbacks: [Vec<Callback>; 8],
    locks: HashMap<Lock, Acquired>,
    stopped: bool,
    /// Busy time of the next release or return, in nanoseconds.
    pub(super) busy_ns: u32,
}

impl Trace {
    /// A run of [`ADAPTER`] whose initialisation is over.
    pub(super) fn new() -> Trace {
        let mut trace = Trace {
            checker: Checker::new(),
            races: Box::default(),
            events: Vec::new(),
            adapter: ADAPTER,
            processor: 0,
            irql: [Irql::PASSIVE; 8],
            callbacks: Default::default(),
            locks: HashMap::new(),
            stopped: false,
            busy_ns: 0,
        };
        trace.tell(Kind::Started { processors: 4 });
        trace.tell(Kind::Configured(ADAPTER));
        trace
    }

    /// Changes the adapter. That half duplex is a warning by itself is not said.
    pub(super) fn configure(&mut self, change: impl FnOnce(&mut Adapter)) -> &mut Self {
        let mut muted = RuleSet::NONE;
        muted.insert(RuleId::DuplexHalf);
        self.checker.mute(muted);
        change(&mut self.adapter);
        self.port(Kind::Configured(self.adapter));
        self.checker.mute(RuleSet::NONE);
        self
    }

    /// Goes on with another processor.
    pub(super) fn on(&mut self, processor: u8) -> &mut Self {
        self.processor = processor;
        self
    }

    /// One event at the test's line.
    #[track_caller]
    pub(super) fn tell(&mut self, kind: Kind) -> &mut Self {
        self.tell_from(Site::Source(Location::caller()), kind)
    }

    /// One event of StorPort's own.
    pub(super) fn port(&mut self, kind: Kind) -> &mut Self {
        self.tell_from(Site::Port, kind)
    }

    fn tell_from(&mut self, site: Site, kind: Kind) -> &mut Self {
        let p = usize::from(self.processor);
        let depth = self.callbacks[p].len() as u8;
        let event =
            Event { time: 0, site, kind, processor: self.processor, irql: self.irql[p], depth };
        self.events.push(event);
        // A race stops the checker.
        let _ = self.races.record(&event, &mut self.checker);
        let flow = self.checker.record(&event);
        self.stopped |= flow == Flow::Stop;
        self
    }

    fn irql(&mut self) -> &mut Irql {
        &mut self.irql[usize::from(self.processor)]
    }

    /// StorPort calls a routine, holding what the tables say.
    pub(super) fn enter(&mut self, routine: Routine) -> &mut Self {
        self.enter_about(routine, 0)
    }

    /// As [`Trace::enter`], with a subject.
    pub(super) fn enter_about(&mut self, routine: Routine, subject: u16) -> &mut Self {
        let before = *self.irql();
        let held = cell(routine, subject, &self.adapter).held;
        let mut port_locks = Vec::new();
        *self.irql() = before.max(irql_of(routine));
        for (kind, lock) in [
            (Kinds::START_IO, Lock::StartIo),
            (Kinds::INTERRUPT, Lock::Interrupt),
            (Kinds::MESSAGE, Lock::Message(subject as u8)),
        ] {
            if held.has(kind) && routine != Routine::Synchronized {
                self.take(lock, LockApi::Port, Site::Port);
                port_locks.push(lock);
            }
        }
        self.port(Kind::Entered { routine, subject });
        let callback = Callback { routine, before, port_locks };
        self.callbacks[usize::from(self.processor)].push(callback);
        self
    }

    /// The innermost routine returns, and StorPort keeps what it holds for it.
    pub(super) fn leave_held(&mut self) -> &mut Self {
        self.end_callback();
        self
    }

    fn end_callback(&mut self) -> Option<Callback> {
        let busy_ns = std::mem::take(&mut self.busy_ns);
        let callback = self.callbacks[usize::from(self.processor)].pop()?;
        self.port(Kind::Left { routine: callback.routine, result: 1, busy_ns });
        Some(callback)
    }

    /// The innermost routine returns.
    pub(super) fn leave(&mut self) -> &mut Self {
        let Some(callback) = self.end_callback() else { return self };
        for lock in callback.port_locks.into_iter().rev() {
            let saved = self.locks[&lock].saved;
            self.give(lock, LockApi::Port, Handle::Same, saved, Site::Port);
        }
        *self.irql() = callback.before;
        self
    }

    /// StorPortSynchronizeAccess, up to its routine.
    #[track_caller]
    pub(super) fn synchronize(&mut self) -> &mut Self {
        self.take(Lock::Interrupt, LockApi::Synchronize, Site::Source(Location::caller()));
        self.enter(Routine::Synchronized)
    }

    /// The driver takes a lock by the usual routine.
    #[track_caller]
    pub(super) fn acquire(&mut self, lock: Lock) -> &mut Self {
        self.acquire_by(lock, usual_api(lock))
    }

    /// The driver takes a lock.
    #[track_caller]
    pub(super) fn acquire_by(&mut self, lock: Lock, api: LockApi) -> &mut Self {
        self.take(lock, api, Site::Source(Location::caller()))
    }

    fn take(&mut self, lock: Lock, api: LockApi, site: Site) -> &mut Self {
        let saved = *self.irql();
        let irql = match (lock, api) {
            (_, LockApi::DpcLevel | LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel) => saved,
            (Lock::Interrupt | Lock::Message(_), _) => saved.max(DIRQL),
            _ => saved.max(Irql::DISPATCH),
        };
        self.tell_from(site, Kind::LockAcquired { lock, api, irql, contended: false });
        *self.irql() = irql;
        self.locks.insert(lock, Acquired { processor: self.processor, api, saved });
        self
    }

    /// The driver asks for a lock that is held; who holds it is known.
    #[track_caller]
    pub(super) fn wait_for(&mut self, lock: Lock) -> &mut Self {
        let holder = self.locks.get(&lock).map_or(self.processor, |held| held.processor);
        self.tell(Kind::LockWaited { lock, api: usual_api(lock), holder })
    }

    /// The driver gives a lock back as it should.
    #[track_caller]
    pub(super) fn release(&mut self, lock: Lock) -> &mut Self {
        self.release_as(lock, Handle::Same)
    }

    /// The driver gives a lock back with a handle that may be wrong.
    #[track_caller]
    pub(super) fn release_as(&mut self, lock: Lock, handle: Handle) -> &mut Self {
        let api = self.release_api(lock);
        let saved = self.locks.get(&lock).map_or(Irql::PASSIVE, |held| held.saved);
        self.give(lock, api, handle, saved, Site::Source(Location::caller()))
    }

    /// The driver gives a lock back with an OldIrql of its own.
    #[track_caller]
    pub(super) fn release_to(&mut self, lock: Lock, irql: Irql) -> &mut Self {
        let api = self.release_api(lock);
        self.give(lock, api, Handle::Same, irql, Site::Source(Location::caller()))
    }

    /// The routine with which the driver would give a lock back.
    fn release_api(&self, lock: Lock) -> LockApi {
        match self.locks.get(&lock) {
            Some(held) if held.api != LockApi::Port => held.api,
            _ => usual_api(lock),
        }
    }

    fn give(
        &mut self,
        lock: Lock,
        api: LockApi,
        handle: Handle,
        irql: Irql,
        site: Site,
    ) -> &mut Self {
        let held = self.locks.remove(&lock);
        let held_ns = std::mem::take(&mut self.busy_ns);
        let (holder, saved) = (held.map(|h| h.processor), held.map_or(irql, |h| h.saved));
        self.tell_from(
            site,
            Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns },
        );
        *self.irql() = irql;
        self
    }

    /// KeRaiseIrql.
    #[track_caller]
    pub(super) fn raise(&mut self, irql: Irql) -> &mut Self {
        self.tell(Kind::IrqlSet { irql, raise: true });
        *self.irql() = irql;
        self
    }

    /// KeLowerIrql.
    #[track_caller]
    pub(super) fn lower(&mut self, irql: Irql) -> &mut Self {
        self.tell(Kind::IrqlSet { irql, raise: false });
        *self.irql() = irql;
        self
    }

    /// A DDI that succeeds.
    #[track_caller]
    pub(super) fn call(&mut self, ddi: Ddi) -> &mut Self {
        self.call_with(ddi, 0, 0)
    }

    /// A DDI.
    #[track_caller]
    pub(super) fn call_with(&mut self, ddi: Ddi, argument: u32, result: u32) -> &mut Self {
        self.tell(Kind::Called { ddi, argument, result })
    }

    /// The driver reads four bytes of its device extension.
    #[track_caller]
    pub(super) fn read(&mut self, offset: u32) -> &mut Self {
        self.touch(Area::Extension, offset, Touch::Read)
    }

    /// The driver writes four bytes of its device extension.
    #[track_caller]
    pub(super) fn write(&mut self, offset: u32) -> &mut Self {
        self.touch(Area::Extension, offset, Touch::Write)
    }

    /// The driver touches four bytes.
    #[track_caller]
    pub(super) fn touch(&mut self, area: Area, offset: u32, touch: Touch) -> &mut Self {
        self.tell(Kind::Accessed(Access { area, offset, bytes: 4, touch }))
    }

    /// The driver issues a DPC, which goes to the processor's own queue.
    #[track_caller]
    pub(super) fn issue(&mut self, dpc: u8) -> &mut Self {
        self.tell(Kind::DpcIssued { dpc: Some(dpc), queued: true, target: self.processor })
    }

    /// A request is completed.
    #[track_caller]
    pub(super) fn complete(
        &mut self,
        owner: Owner,
        status: SrbStatus,
        device_owns: bool,
    ) -> &mut Self {
        self.tell(Kind::RequestCompleted {
            request: 1,
            status,
            owner,
            device_owns,
            starting_elsewhere: false,
        })
    }

    /// As [`Trace::complete`], as it should be.
    #[track_caller]
    pub(super) fn complete_well(&mut self) -> &mut Self {
        self.complete(Owner::Miniport, SrbStatus::SUCCESS, false)
    }

    /// The next release, or return, comes after so many microseconds of the processor's own time.
    pub(super) fn after_us(&mut self, microseconds: u32) -> &mut Self {
        self.busy_ns = microseconds * 1_000;
        self
    }

    /// What was found.
    pub(super) fn findings(&self) -> &[Finding] {
        self.checker.findings()
    }

    /// IRQL of the processor that goes on.
    pub(super) fn irql_now(&self) -> Irql {
        self.irql[usize::from(self.processor)]
    }

    /// The routines under way on the processor that goes on, outermost first.
    pub(super) fn routines(&self) -> Vec<Routine> {
        let callbacks = &self.callbacks[usize::from(self.processor)];
        callbacks.iter().map(|callback| callback.routine).collect()
    }

    /// The locks that somebody holds, with the processor and whether StorPort took it.
    pub(super) fn held(&self) -> Vec<(Lock, u8, bool)> {
        let is_ports = |api| matches!(api, LockApi::Port | LockApi::Synchronize);
        let held =
            self.locks.iter().map(|(lock, held)| (*lock, held.processor, is_ports(held.api)));
        let mut held: Vec<_> = held.collect();
        held.sort_unstable();
        held
    }

    /// Whether the checker has ended the run.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// The routine that a driver usually takes such a lock with.
pub(super) fn usual_api(lock: Lock) -> LockApi {
    match lock {
        Lock::Message(_) => LockApi::Msi,
        Lock::Executive(_) => LockApi::Ke,
        _ => LockApi::Spin,
    }
}

/// The level at which StorPort calls a routine, but for the locks that it takes.
fn irql_of(routine: Routine) -> Irql {
    match routine {
        Routine::FindAdapter
        | Routine::PassiveInitialize
        | Routine::WorkItem
        | Routine::AdapterControl
        | Routine::UnitControl
        | Routine::TracingEnabled => Irql::PASSIVE,
        Routine::Initialize
        | Routine::Interrupt
        | Routine::MessageInterrupt
        | Routine::Synchronized => DIRQL,
        _ => Irql::DISPATCH,
    }
}
