//! What orders one context's doings before another's: the clocks of contexts, and of everything that hands an order on.
//!
//! Where events do not say what exactly StorPort waited for, more is ordered than is certain: that hides races and
//! invents none.

use super::clock::{CONTEXTS, Clock, Context, Handed};
use crate::event::number::{LOCKS, number};
use crate::event::{Access, Adapter, Area, DPCS_MAX, Event, Kind, Lock, Miniport, Routine, Touch};
use crate::rules::checker::Checker;
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::{Ddi, Irql};

/// Requests of which the hand-over is told apart; those beyond share.
const REQUESTS: usize = 64;
/// Concurrent channels of HwStorStartIo.
const CHANNELS: usize = 8;
/// Atomic variables that are told apart; those beyond share one order.
const ATOMICS: usize = 128;

/// The subject of HwStorAdapterControl for a surprise removal.
const SURPRISE_REMOVAL: u16 = ScsiAdapterControlType::SURPRISE_REMOVAL.0 as u16;

/// What hands an order on, apart from locks and their like, of which there are several.
#[derive(Clone, Copy)]
enum Giver {
    /// HwStorFindAdapter and HwStorInitialize have returned.
    Initialized,
    /// Some routine of the adapter's life has returned.
    Life,
    /// Some callback has returned.
    Returned,
    /// Requests came back to StorPort.
    Completed,
    /// Registers were written.
    Device,
    /// Message interrupts' locks were given back: the Interrupt lock comes after all.
    Messages,
    Timer,
    TimerEx,
    WorkItem,
    StateChange,
    /// Routines that order by themselves: events, interlocked lists.
    Executive,
    /// Atomic variables beyond [`ATOMICS`].
    Atomics,
}

const GIVERS: usize = Giver::Atomics as usize + 1;

/// The clocks of a run.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    device_irql: Irql,
    is_virtual: bool,
    /// Which run; what was handed on in others is nothing.
    run: u32,
    contexts: [Clock; CONTEXTS],
    givers: [Handed; GIVERS],
    locks: [Handed; LOCKS],
    dpcs: [Handed; DPCS_MAX],
    requests: [Handed; REQUESTS],
    channels: [Handed; CHANNELS],
    /// By [`Edges::atomic_place`], each with the number of its variable.
    atomics: [(u64, Handed); ATOMICS],
}

/// Every context has begun; nobody has seen anything of another.
const BEGUN: [Clock; CONTEXTS] = {
    let mut clocks = [Clock::ZERO; CONTEXTS];
    let mut context = 0;
    while context < CONTEXTS {
        clocks[context].0[context] = 1;
        context += 1;
    }
    clocks
};

impl Edges {
    pub(super) const NEW: Edges = Edges {
        device_irql: Irql::DEVICE_HIGHEST,
        is_virtual: false,
        run: 1,
        contexts: BEGUN,
        givers: [Handed::NEVER; GIVERS],
        locks: [Handed::NEVER; LOCKS],
        dpcs: [Handed::NEVER; DPCS_MAX],
        requests: [Handed::NEVER; REQUESTS],
        channels: [Handed::NEVER; CHANNELS],
        atomics: [(0, Handed::NEVER); ATOMICS],
    };

    /// Forgets the last run.
    pub(super) fn reset(&mut self) {
        (self.device_irql, self.is_virtual) = (Irql::DEVICE_HIGHEST, false);
        self.run += 1;
        self.contexts = BEGUN;
    }

    /// In which context something happens.
    #[inline]
    pub(super) fn context(&self, event: &Event) -> Context {
        Context::of(event.processor, event.irql, self.device_irql)
    }

    /// What a context has seen.
    #[inline]
    pub(super) fn clock(&self, context: Context) -> &Clock {
        &self.contexts[context.index()]
    }

    /// Follows an event that is no plain access.
    pub(super) fn follow(&mut self, event: &Event, checker: &Checker) {
        let at = self.context(event);
        match event.kind {
            Kind::Configured(Adapter { device_irql, miniport, .. }) => {
                self.device_irql = device_irql;
                self.is_virtual = miniport == Miniport::Virtual;
            }
            Kind::LockAcquired { lock, irql, .. } => {
                let above = Context::of(event.processor, irql, self.device_irql);
                self.raise(at, above);
                self.acquire(above, lock);
            }
            Kind::LockReleased { lock, holder, irql, .. } if holder == Some(event.processor) => {
                self.release(at, lock);
                self.lower(at, Context::of(event.processor, irql, self.device_irql));
            }
            Kind::IrqlSet { irql, .. } => {
                let to = Context::of(event.processor, irql, self.device_irql);
                self.raise(at, to);
                self.lower(at, to);
            }
            Kind::Entered { routine, subject } => self.entered(at, routine, subject),
            Kind::Left { routine, .. } => {
                self.left(at, routine, checker.subject(event.processor));
            }
            Kind::DpcIssued { dpc: Some(dpc), .. } => {
                self.give_dpc(at, dpc.into());
            }
            Kind::RequestCompleted { request, .. } => {
                self.give(at, Giver::Completed);
                self.give_request(at, request);
            }
            Kind::RequestsCompletedByPort { .. } => self.give(at, Giver::Completed),
            Kind::Called { ddi, .. } => self.called(at, ddi),
            Kind::Channel { channel, begins } => {
                let clock = &mut self.channels[usize::from(channel) % CHANNELS];
                let own = &mut self.contexts[at.index()];
                if begins { clock.take(self.run, own) } else { clock.give(self.run, own, at) }
            }
            _ => {}
        }
    }

    /// The order that an access makes by itself.
    #[inline]
    pub(super) fn accessed(&mut self, at: Context, access: &Access) {
        let Access { area, offset, touch, .. } = *access;
        if area == Area::Uncached && !touch.writes() {
            // The device writes there what it has done.
            self.take(at, Giver::Device);
        }
        if touch.acquires() || touch.releases() {
            self.atomic(at, area, offset, touch);
        }
    }

    #[inline(never)]
    fn atomic(&mut self, at: Context, area: Area, offset: u32, touch: Touch) {
        let key = u64::from(area.number()) << 32 | u64::from(offset);
        let (run, own) = (self.run, &mut self.contexts[at.index()]);
        let clock = match Edges::atomic_place(&self.atomics, run, key) {
            Some(place) => {
                let (known, clock) = &mut self.atomics[place];
                *known = key;
                clock
            }
            None => &mut self.givers[Giver::Atomics as usize],
        };
        if touch.acquires() {
            clock.take(run, own);
        }
        if touch.releases() {
            clock.give(run, own, at);
        }
    }

    /// The place of an atomic variable: its own, or the next that is free.
    #[inline]
    fn atomic_place(atomics: &[(u64, Handed); ATOMICS], run: u32, key: u64) -> Option<usize> {
        let first = (key ^ key >> 2 ^ key >> 30) as usize;
        let places = (0..ATOMICS).map(|step| (first + step) % ATOMICS);
        places.into_iter().find(|&place| {
            let (known, clock) = &atomics[place];
            *known == key || !clock.is_of(run)
        })
    }

    /// What happens in `at` from now on comes after what was given.
    fn take(&mut self, at: Context, giver: Giver) {
        self.givers[giver as usize].take(self.run, &mut self.contexts[at.index()]);
    }

    /// What has happened in `at` comes before what takes it.
    fn give(&mut self, at: Context, giver: Giver) {
        self.givers[giver as usize].give(self.run, &mut self.contexts[at.index()], at);
    }

    fn give_request(&mut self, at: Context, request: u16) {
        let clock = &mut self.requests[usize::from(request) % REQUESTS];
        clock.give(self.run, &mut self.contexts[at.index()], at);
    }

    fn give_dpc(&mut self, at: Context, dpc: u16) {
        let clock = &mut self.dpcs[usize::from(dpc) % DPCS_MAX];
        clock.give(self.run, &mut self.contexts[at.index()], at);
    }

    fn acquire(&mut self, at: Context, lock: Lock) {
        let (run, own) = (self.run, &mut self.contexts[at.index()]);
        self.locks[number(lock)].take(run, own);
        match lock {
            // With a lock for each message, Interrupt is all of them.
            Lock::Interrupt => self.take(at, Giver::Messages),
            Lock::Message(_) => self.locks[number(Lock::Interrupt)].take(run, own),
            _ => {}
        }
    }

    fn release(&mut self, at: Context, lock: Lock) {
        self.locks[number(lock)].give(self.run, &mut self.contexts[at.index()], at);
        if matches!(lock, Lock::Message(_)) {
            self.give(at, Giver::Messages);
        }
    }

    /// Code raises its own IRQL: what the new level holds off has run before, and so has the code itself.
    fn raise(&mut self, from: Context, to: Context) {
        for below in to.down_to(from) {
            let [clock, own] = pair(&mut self.contexts, below, to);
            own.join(clock);
            clock.advance(below);
        }
    }

    /// Code lowers its own IRQL: what was held off runs later.
    fn lower(&mut self, from: Context, to: Context) {
        for below in from.down_to(to) {
            let [clock, own] = pair(&mut self.contexts, below, from);
            clock.join(own);
        }
        if to.0 < from.0 {
            self.contexts[from.index()].advance(from);
        }
    }

    fn entered(&mut self, at: Context, routine: Routine, subject: u16) {
        self.take(at, Giver::Initialized);
        match routine {
            // It waits for nothing: requests are outstanding, and DPCs run.
            Routine::AdapterControl if subject == SURPRISE_REMOVAL => self.take(at, Giver::Life),
            Routine::FindAdapter
            | Routine::Initialize
            | Routine::PassiveInitialize
            | Routine::AdapterControl => {
                self.take(at, Giver::Life);
                self.take(at, Giver::Returned);
                self.take(at, Giver::Completed);
            }
            Routine::UnitControl | Routine::TracingEnabled | Routine::ResetBus => {
                self.take(at, Giver::Life);
            }
            Routine::BuildIo | Routine::StartIo => {
                self.take(at, Giver::Life);
                if routine == Routine::BuildIo || self.is_virtual {
                    self.take(at, Giver::Completed);
                }
                let request = &self.requests[usize::from(subject) % REQUESTS];
                request.take(self.run, &mut self.contexts[at.index()]);
            }
            Routine::Interrupt | Routine::MessageInterrupt => self.take(at, Giver::Device),
            Routine::Dpc => {
                let dpc = &self.dpcs[usize::from(subject) % DPCS_MAX];
                dpc.take(self.run, &mut self.contexts[at.index()]);
            }
            Routine::Timer => self.take(at, Giver::Timer),
            Routine::TimerEx => self.take(at, Giver::TimerEx),
            Routine::WorkItem => self.take(at, Giver::WorkItem),
            Routine::StateChange => self.take(at, Giver::StateChange),
            Routine::Synchronized => {}
        }
    }

    fn left(&mut self, at: Context, routine: Routine, subject: u16) {
        match routine {
            Routine::Synchronized => return,
            Routine::FindAdapter | Routine::Initialize => {
                self.give(at, Giver::Initialized);
                self.give(at, Giver::Life);
            }
            Routine::PassiveInitialize | Routine::AdapterControl | Routine::UnitControl => {
                self.give(at, Giver::Life);
            }
            Routine::BuildIo | Routine::StartIo => {
                self.give_request(at, subject);
            }
            Routine::Dpc => {
                self.give_dpc(at, subject);
            }
            _ => {}
        }
        self.give(at, Giver::Returned);
    }

    fn called(&mut self, at: Context, ddi: Ddi) {
        match ddi {
            Ddi::ReadRegister | Ddi::ReadPort => self.take(at, Giver::Device),
            Ddi::WriteRegister | Ddi::WritePort => self.give(at, Giver::Device),
            Ddi::RequestTimerCall => self.give(at, Giver::Timer),
            Ddi::RequestTimer | Ddi::RequestHighResolutionTimer => self.give(at, Giver::TimerEx),
            Ddi::QueueWorkItem => self.give(at, Giver::WorkItem),
            Ddi::StateChangeDetected => self.give(at, Giver::StateChange),
            Ddi::Resume | Ddi::ResumeDevice | Ddi::Ready | Ddi::DeviceReady => {
                self.give(at, Giver::Completed);
            }
            Ddi::SetEvent
            | Ddi::KeSetEvent
            | Ddi::WaitForSingleObject
            | Ddi::WaitForSingleObjectWaiting
            | Ddi::KeWaitForSingleObject
            | Ddi::KeWaitForSingleObjectWaiting
            | Ddi::InterlockedFlushSList
            | Ddi::InterlockedPopEntrySList
            | Ddi::InterlockedPushEntrySList
            | Ddi::InterlockedInsertHeadList
            | Ddi::InterlockedInsertTailList
            | Ddi::InterlockedRemoveHeadList => {
                self.take(at, Giver::Executive);
                self.give(at, Giver::Executive);
            }
            _ => {}
        }
    }
}

/// Two contexts' clocks, the lower first.
fn pair(contexts: &mut [Clock; CONTEXTS], low: Context, high: Context) -> [&mut Clock; 2] {
    let (below, above) = contexts.split_at_mut(high.index());
    [&mut below[low.index()], &mut above[0]]
}
