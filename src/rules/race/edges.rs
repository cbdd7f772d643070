//! What orders one context's doings before another's: the clocks of contexts, and of everything that hands an order on.
//!
//! Where events do not say what exactly StorPort waited for, more is ordered than is certain: that hides races and
//! invents none.

use super::clock::{CONTEXTS, Clock, Context};
use super::shadow::key;
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
    contexts: [Clock; CONTEXTS],
    givers: [Clock; GIVERS],
    locks: [Clock; LOCKS],
    dpcs: [Clock; DPCS_MAX],
    requests: [Clock; REQUESTS],
    channels: [Clock; CHANNELS],
    atomics: [(u64, Clock); ATOMICS],
    atomic_count: usize,
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
        contexts: BEGUN,
        givers: [Clock::ZERO; GIVERS],
        locks: [Clock::ZERO; LOCKS],
        dpcs: [Clock::ZERO; DPCS_MAX],
        requests: [Clock::ZERO; REQUESTS],
        channels: [Clock::ZERO; CHANNELS],
        atomics: [(0, Clock::ZERO); ATOMICS],
        atomic_count: 0,
    };

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
                publish(&mut self.contexts, at, &mut self.dpcs[usize::from(dpc) % DPCS_MAX]);
            }
            Kind::RequestCompleted { request, .. } => {
                self.give(at, Giver::Completed);
                let clock = &mut self.requests[usize::from(request) % REQUESTS];
                publish(&mut self.contexts, at, clock);
            }
            Kind::RequestsCompletedByPort { .. } => self.give(at, Giver::Completed),
            Kind::Called { ddi, .. } => self.called(at, ddi),
            Kind::Channel { channel, begins } => {
                let clock = &mut self.channels[usize::from(channel) % CHANNELS];
                if begins {
                    self.contexts[at.index()].join(clock);
                } else {
                    publish(&mut self.contexts, at, clock);
                }
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
            self.atomic(at, key(area, offset), touch);
        }
    }

    fn atomic(&mut self, at: Context, key: u64, touch: Touch) {
        let known = self.atomics[..self.atomic_count].iter().position(|known| known.0 == key);
        let place = known.or_else(|| {
            (self.atomic_count < ATOMICS).then(|| {
                self.atomics[self.atomic_count] = (key, Clock::ZERO);
                self.atomic_count += 1;
                self.atomic_count - 1
            })
        });
        let clock = match place {
            Some(place) => &mut self.atomics[place].1,
            None => &mut self.givers[Giver::Atomics as usize],
        };
        if touch.acquires() {
            self.contexts[at.index()].join(clock);
        }
        if touch.releases() {
            publish(&mut self.contexts, at, clock);
        }
    }

    /// What happens in `at` from now on comes after what was given.
    fn take(&mut self, at: Context, giver: Giver) {
        self.contexts[at.index()].join(&self.givers[giver as usize]);
    }

    /// What has happened in `at` comes before what takes it.
    fn give(&mut self, at: Context, giver: Giver) {
        publish(&mut self.contexts, at, &mut self.givers[giver as usize]);
    }

    fn acquire(&mut self, at: Context, lock: Lock) {
        let own = &mut self.contexts[at.index()];
        own.join(&self.locks[number(lock)]);
        match lock {
            // With a lock for each message, Interrupt is all of them.
            Lock::Interrupt => self.take(at, Giver::Messages),
            Lock::Message(_) => own.join(&self.locks[number(Lock::Interrupt)]),
            _ => {}
        }
    }

    fn release(&mut self, at: Context, lock: Lock) {
        publish(&mut self.contexts, at, &mut self.locks[number(lock)]);
        if matches!(lock, Lock::Message(_)) {
            self.give(at, Giver::Messages);
        }
    }

    /// Code raises its own IRQL: what the new level holds off has run before, and so has the code itself.
    fn raise(&mut self, from: Context, to: Context) {
        for below in to.down_to(from) {
            let [clock, own] = pair(&mut self.contexts, below, to);
            own.join(clock);
            clock.0[below.index()] += 1;
        }
    }

    /// Code lowers its own IRQL: what was held off runs later.
    fn lower(&mut self, from: Context, to: Context) {
        for below in from.down_to(to) {
            let [clock, own] = pair(&mut self.contexts, below, from);
            clock.join(own);
        }
        if to.0 < from.0 {
            self.contexts[from.index()].0[from.index()] += 1;
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
                self.contexts[at.index()].join(request);
            }
            Routine::Interrupt | Routine::MessageInterrupt => self.take(at, Giver::Device),
            Routine::Dpc => {
                self.contexts[at.index()].join(&self.dpcs[usize::from(subject) % DPCS_MAX]);
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
                let clock = &mut self.requests[usize::from(subject) % REQUESTS];
                publish(&mut self.contexts, at, clock);
            }
            Routine::Dpc => {
                publish(&mut self.contexts, at, &mut self.dpcs[usize::from(subject) % DPCS_MAX]);
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

/// Hands a context's clock on; what it does from now on is not in it.
#[inline]
fn publish(contexts: &mut [Clock; CONTEXTS], at: Context, to: &mut Clock) {
    let own = &mut contexts[at.index()];
    to.join(own);
    own.0[at.index()] += 1;
}

/// Two contexts' clocks, the lower first.
fn pair(contexts: &mut [Clock; CONTEXTS], low: Context, high: Context) -> [&mut Clock; 2] {
    let (below, above) = contexts.split_at_mut(high.index());
    [&mut below[low.index()], &mut above[0]]
}
