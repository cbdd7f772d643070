//! Reads a part: what each run of a callback did, and what led to it.

use super::Before;
use super::calls;
use super::slots::Uses;
use crate::event::{Event, Handle, Kind, Lock, LockApi, Owner, PROCESSORS_MAX, Routine};
use crate::miniport::puppet::{Call, Context, LockName, Op};
use crate::scenario::{AdapterAction, At, Io, Query, ResetTier, Step, UnitAction};
use crate::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use crate::storport::srb::SrbFunction;
use crate::storport::{Ddi, Irql, SpReturn, SrbStatus};

/// Register of the puppet's device that makes it interrupt.
const TRIGGER: u32 = 0xF0;
/// What a handle is for that no acquire filled.
const NO_LOCK: (Lock, LockApi) = (Lock::StartIo, LockApi::Port);

/// One thing that a callback did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) call: Call,
    /// The handle that it uses: an index.
    pub(super) handle: Option<usize>,
    /// The handle that it copies the other to.
    pub(super) copy: Option<usize>,
    /// The DPC, message or executive lock that it is about.
    pub(super) object: Option<Lock>,
}

/// One run of a callback.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) routine: Routine,
    pub(super) subject: u16,
    pub(super) acts: Vec<Act>,
    /// It returned.
    pub(super) complete: bool,
    /// It has completed or kept its request.
    took: bool,
}

/// What one acquire left behind.
#[derive(Debug)]
struct Held {
    lock: Lock,
    api: LockApi,
    old: Irql,
    /// The run of a callback that acquired it.
    home: usize,
    /// The lock is held by this acquire.
    held: bool,
    /// There is nothing that its home would still give back.
    given_back: bool,
    uses: Uses,
}

/// A part, read.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) before: Before,
    pub(super) invocations: Vec<Invocation>,
    /// What led to callbacks, with the time.
    pub(super) causes: Vec<(u64, Step)>,
    handles: Vec<Held>,
    /// Messages that came, each with the processor that it came to.
    pub(super) raised: Vec<(u8, u8)>,
    /// Executive locks that were used and never initialised, a bit each.
    pub(super) uninitialized: u32,
    /// An interrupt came before HwStorPassiveInitializeRoutine had returned.
    pub(super) early_interrupts: bool,
    /// StorPort found the adapter anew instead of restarting it.
    pub(super) found_anew: bool,

    frames: [Vec<usize>; PROCESSORS_MAX],
    /// The lock that is waited for, with its handle.
    waiting: [Option<(Lock, Option<usize>)>; PROCESSORS_MAX],
    context_given: [bool; PROCESSORS_MAX],
    /// Requests that something led to.
    known: Vec<u16>,
    /// Messages raised and not delivered yet; with a time where nothing in the scenario leads to it so far.
    pending: Vec<(u8, Option<u64>)>,
    /// The driver has just written to the puppet's device that it shall interrupt.
    triggers: [bool; PROCESSORS_MAX],
    /// A lock that was never initialised is about to be taken, by a routine that is not known yet.
    uninitialized_next: [Option<u8>; PROCESSORS_MAX],
    clock: u32,
    initializing: bool,
    quiescing: bool,
    timed_out: bool,
    /// The cause of a stop or power change that is under way.
    control: Option<usize>,
}

/// Reads events.
pub(super) fn fold(before: Before, events: &[Event]) -> Folded {
    let mut folded = Folded { before, ..Folded::default() };
    for event in events {
        folded.clock += 1;
        folded.take(event);
    }
    folded.end();
    folded
}

impl Folded {
    /// The uses of every handle.
    pub(super) fn uses(&self) -> Vec<Uses> {
        self.handles.iter().map(|held| held.uses.clone()).collect()
    }

    /// The record ends here, perhaps in the middle of callbacks: what they hold they would have given back.
    fn end(&mut self) {
        for p in 0..PROCESSORS_MAX {
            if let Some(lock) = self.uninitialized_next[p] {
                self.act_on(p, calls::of(Op::KeAcquireAtDpcLevel), Lock::Executive(lock));
            }
        }
        for handle in (0..self.handles.len()).rev() {
            let Held { lock, api, home, given_back, .. } = self.handles[handle];
            if given_back || self.invocations.get(home).is_none_or(|home| home.complete) {
                continue;
            }
            if let Some(call) = calls::release(api) {
                self.handles[handle].uses.add(home, self.clock);
                let act = Act { call, handle: Some(handle), copy: None, object: Some(lock) };
                self.invocations[home].acts.push(act);
            }
        }
        for (message, time) in std::mem::take(&mut self.pending) {
            if let Some(time) = time {
                self.causes.push((time, Step::Interrupt(At::default(), message)));
            }
        }
        self.causes.sort_by_key(|&(time, _)| time);
    }

    fn take(&mut self, event: &Event) {
        let p = usize::from(event.processor) % PROCESSORS_MAX;
        self.before.processors = self.before.processors.max(p as u8 + 1);
        let triggers = std::mem::take(&mut self.triggers[p]);
        match event.kind {
            Kind::Started { processors } => self.before.processors = processors,
            Kind::Configured(adapter) => self.before.adapter = Some(adapter),
            Kind::Quiescing => self.quiescing = true,
            Kind::Entered { routine, subject } => self.enter(event, p, routine, subject),
            Kind::Left { routine, result, .. } => self.leave(p, routine, result),

            Kind::LockWaited { lock, api, .. } if api != LockApi::Port => {
                let handle = self.acquire(event, p, lock, api);
                self.waiting[p] = Some((lock, handle));
            }
            Kind::LockAcquired { lock, api, .. } if api != LockApi::Port => {
                let handle = match self.waiting[p].take() {
                    Some((waited, handle)) if waited == lock => handle,
                    _ => self.acquire(event, p, lock, api),
                };
                if let Some(handle) = handle {
                    self.handles[handle].held = true;
                }
            }
            Kind::LockReleased { lock, api, handle, irql, .. } => {
                self.release(p, (lock, api), handle, irql);
            }
            Kind::LockMisused { api, release, misuse } => {
                self.misuse(p, calls::misused(api, release, misuse));
            }
            Kind::LockRefused { api, .. } => self.misuse(p, calls::refused(api)),
            Kind::ContextIgnored { .. } => self.context_given[p] = true,
            Kind::ExecutiveInitialized { lock, again: true, .. } => {
                self.act_on(p, calls::of(Op::KeInitialize), Lock::Executive(lock));
            }
            Kind::ExecutiveUninitialized { lock } => {
                self.uninitialized |= 1 << lock;
                self.uninitialized_next[p] = Some(lock);
            }
            Kind::IrqlSet { irql, .. } => self.set_irql(p, event, irql),

            Kind::DpcInitialized { dpc, again: true, .. } => {
                self.act_on(p, calls::of(Op::InitializeDpc), Lock::Dpc(dpc));
            }
            Kind::DpcIssued { dpc, target, .. } => self.issue(p, dpc, target),
            Kind::DpcCancelled { dpc: Some(dpc), .. } => {
                self.act_on(p, calls::of(Op::CancelDpc), Lock::Dpc(dpc));
            }
            Kind::InterruptRaised { message, target } => {
                self.raise(event, p, message, (target, triggers));
            }

            Kind::RequestCreated { request, function } => self.create(event, request, function),
            Kind::RequestCompleted { request, status, owner, .. } => {
                self.complete(p, request, status, owner);
            }
            Kind::RequestsCompletedByPort { .. } => self.act(p, calls::of(Op::CompleteByPort)),
            Kind::RequestTimedOut { .. } => self.timed_out = true,
            Kind::Called { ddi: Ddi::WriteRegister, argument: TRIGGER, .. } => {
                self.triggers[p] = true;
            }
            Kind::Called { ddi, argument, .. } => {
                if let Some(call) = calls::other(ddi, argument) {
                    self.act(p, call);
                }
            }
            _ => {}
        }
    }

    fn cause(&mut self, event: &Event, step: impl FnOnce(At) -> Step) {
        if !self.quiescing {
            let at = At { processor: event.processor, gap: 0 };
            self.causes.push((event.time, step(at)));
        }
    }

    // Callbacks.

    fn enter(&mut self, event: &Event, p: usize, routine: Routine, subject: u16) {
        match routine {
            Routine::FindAdapter => {
                self.initializing = true;
                self.found_anew |= self.control.take().is_some();
            }
            Routine::Interrupt | Routine::MessageInterrupt => self.interrupted(event, p, subject),
            Routine::BuildIo | Routine::StartIo if !self.known.contains(&subject) => {
                self.known.push(subject);
                self.cause(event, |at| Step::Io(at, Io::default()));
            }
            Routine::ResetBus if !self.timed_out => {
                self.cause(event, |at| Step::Reset(at, ResetTier::Bus));
            }
            Routine::AdapterControl => self.control(event, ScsiAdapterControlType(subject.into())),
            Routine::UnitControl => {
                if let Some(action) = unit_action(ScsiUnitControlType(subject.into())) {
                    self.cause(event, |at| Step::Unit(at, action));
                }
            }
            Routine::TracingEnabled => {
                self.cause(event, |at| Step::Adapter(at, AdapterAction::TracingEnabled));
            }
            _ => {}
        }
        self.frames[p].push(self.invocations.len());
        let (acts, complete, took) = (Vec::new(), false, false);
        self.invocations.push(Invocation { routine, subject, acts, complete, took });
    }

    fn raise(&mut self, event: &Event, p: usize, message: u8, (target, triggers): (u8, bool)) {
        self.raised.push((message, target));
        let inside = !self.frames[p].is_empty();
        if inside && triggers {
            self.act(p, calls::of(Op::SendMessage).argument(message));
        } else if !inside {
            self.cause(event, |at| Step::Interrupt(at, message));
        }
        self.pending.push((message, (inside && !triggers).then_some(event.time)));
    }

    /// What interrupts a callback must come from within it: steps are issued where no callback runs.
    fn interrupted(&mut self, event: &Event, p: usize, message: u16) {
        self.early_interrupts |= self.initializing;
        let message = message.min(63) as u8;
        let raised = self.pending.iter().find(|pending| pending.0 == message).copied();
        self.pending.retain(|pending| pending.0 != message);
        let time = match raised {
            Some((_, None)) => return,
            Some((_, Some(time))) => time,
            None => event.time,
        };
        if raised.is_none() {
            self.raised.push((message, event.processor));
        }
        if self.frames[p].is_empty() {
            self.cause(&Event { time, ..*event }, |at| Step::Interrupt(at, message));
        } else {
            self.act(p, calls::of(Op::SendMessage).argument(message));
        }
    }

    /// Stops, restarts and power changes come as one action.
    fn control(&mut self, event: &Event, control: ScsiAdapterControlType) {
        match (control, self.control) {
            (ScsiAdapterControlType::STOP_ADAPTER, None) => {
                self.control = (!self.quiescing).then_some(self.causes.len());
                self.cause(event, |at| Step::Adapter(at, AdapterAction::StopAndRestart));
            }
            (ScsiAdapterControlType::POWER, None) => {
                self.control = (!self.quiescing).then_some(self.causes.len());
                self.cause(event, |at| Step::Adapter(at, AdapterAction::PowerCycle));
            }
            (ScsiAdapterControlType::POWER, Some(index)) => {
                if let Step::Adapter(_, action) = &mut self.causes[index].1 {
                    *action = AdapterAction::PowerCycle;
                }
            }
            (ScsiAdapterControlType::RESTART_ADAPTER, _) => self.control = None,
            (ScsiAdapterControlType::SURPRISE_REMOVAL, _) => {
                self.cause(event, |at| Step::Adapter(at, AdapterAction::SurpriseRemoval));
            }
            _ => {}
        }
    }

    fn leave(&mut self, p: usize, routine: Routine, result: u32) {
        // A record may begin inside of a callback.
        let Some(index) = self.frames[p].pop() else { return };
        if matches!(routine, Routine::PassiveInitialize) {
            self.initializing = false;
        }
        let invocation = &mut self.invocations[index];
        invocation.complete = true;
        let took = invocation.took;
        let returns = match (routine, result) {
            (Routine::FindAdapter, result) if result != SpReturn::FOUND.0 => Some(Op::ReturnFalse),
            (Routine::BuildIo, 0) if !took => Some(Op::ReturnFalse),
            (Routine::BuildIo, 1..) if took => Some(Op::ReturnTrue),
            (Routine::Initialize | Routine::PassiveInitialize | Routine::StartIo, 0) => {
                Some(Op::ReturnFalse)
            }
            (Routine::StartIo, _) if !took => Some(Op::Keep),
            _ => None,
        };
        if let Some(op) = returns {
            let call = calls::of(op);
            invocation.acts.push(Act { call, handle: None, copy: None, object: None });
        } else if routine == Routine::StartIo
            && invocation.acts.last().is_some_and(|act| act.call.op == Op::Complete)
        {
            // The puppet does that by itself.
            invocation.acts.pop();
        }
    }

    // What a callback does.

    fn push(&mut self, p: usize, act: Act) {
        let Some(&index) = self.frames[p].last() else { return };
        for handle in [act.handle, act.copy].into_iter().flatten() {
            self.handles[handle].uses.add(index, self.clock);
        }
        self.invocations[index].acts.push(act);
    }

    fn act(&mut self, p: usize, call: Call) {
        self.push(p, Act { call, handle: None, copy: None, object: None });
    }

    fn act_on(&mut self, p: usize, call: Call, object: Lock) {
        self.push(p, Act { call, handle: None, copy: None, object: Some(object) });
    }

    fn act_with(&mut self, p: usize, call: Call, handle: usize) {
        self.push(p, Act { call, handle: Some(handle), copy: None, object: None });
    }

    fn new_handle(&mut self, p: usize, (lock, api): (Lock, LockApi), old: Irql) -> usize {
        let home = self.frames[p].last().copied().unwrap_or(usize::MAX);
        let (held, given_back, uses) = (false, true, Uses::default());
        self.handles.push(Held { lock, api, old, home, held, given_back, uses });
        self.handles.len() - 1
    }

    fn acquire(&mut self, event: &Event, p: usize, lock: Lock, api: LockApi) -> Option<usize> {
        self.uninitialized_next[p] = None;
        let (mut call, keeps) = calls::acquire(lock, api);
        if std::mem::take(&mut self.context_given[p]) {
            call = call.context(Context::Dpc);
        }
        let handle = keeps.then(|| self.new_handle(p, (lock, api), event.irql));
        if let Some(handle) = handle {
            self.handles[handle].given_back = false;
        }
        self.push(p, Act { call, handle, copy: None, object: Some(lock) });
        handle
    }

    fn misuse(&mut self, p: usize, call: Call) {
        let handle = self.new_handle(p, NO_LOCK, Irql::PASSIVE);
        self.act_with(p, call, handle);
    }

    fn release(&mut self, p: usize, (lock, api): (Lock, LockApi), how: Handle, irql: Irql) {
        let Some(call) = calls::release(api) else { return };
        if api == LockApi::KeDpcLevel {
            return self.act_on(p, call, lock);
        }
        self.uninitialized_next[p] = None;
        let mut handle = self.handle_of(p, (lock, api), how);
        if how == Handle::OtherLock {
            let name = if lock == Lock::StartIo { LockName::StartIo } else { LockName::Interrupt };
            self.act_with(p, calls::of(Op::RelabelHandle).lock(name), handle);
        } else if how != Handle::Stale {
            self.handles[handle].held = false;
            self.handles[handle].given_back |=
                self.frames[p].last() == Some(&self.handles[handle].home);
        }
        if how == Handle::Copied {
            let copy = self.new_handle(p, (lock, api), self.handles[handle].old);
            let call = calls::of(Op::CopyHandle);
            self.push(p, Act { call, handle: Some(handle), copy: Some(copy), object: None });
            handle = copy;
        }
        let level_free = api == LockApi::KeQueuedDpcLevel;
        if self.handles[handle].old != irql && !level_free {
            self.act_with(p, calls::of(Op::SetOldIrql).argument(irql.0), handle);
            self.handles[handle].old = irql;
        }
        self.push(p, Act { call, handle: Some(handle), copy: None, object: Some(lock) });
    }

    /// The handle that a release gives back.
    fn handle_of(&mut self, p: usize, (lock, api): (Lock, LockApi), how: Handle) -> usize {
        let last = |fits: &dyn Fn(&Held) -> bool| self.handles.iter().rposition(fits);
        let found = match how {
            Handle::OtherLock => last(&|held| held.held && held.lock != lock),
            Handle::Stale => last(&|held| !held.held && held.lock == lock),
            _ => last(&|held| held.held && held.lock == lock),
        };
        let found = found.or_else(|| last(&|held| held.lock == lock));
        found.unwrap_or_else(|| self.new_handle(p, (lock, api), Irql::PASSIVE))
    }

    fn set_irql(&mut self, p: usize, event: &Event, irql: Irql) {
        if irql > event.irql {
            let handle = self.new_handle(p, NO_LOCK, event.irql);
            self.act_with(p, calls::of(Op::RaiseIrql).argument(irql.0), handle);
        } else {
            self.act(p, calls::of(Op::LowerIrql).argument(irql.0));
        }
    }

    fn issue(&mut self, p: usize, dpc: Option<u8>, target: u8) {
        let Some(dpc) = dpc else {
            return self.act(p, calls::of(Op::IssueDpc).context(Context::Foreign));
        };
        if usize::from(target) != p {
            self.act_on(p, calls::of(Op::SetTargetDpc).slot(target), Lock::Dpc(dpc));
        }
        self.act_on(p, calls::of(Op::IssueDpc), Lock::Dpc(dpc));
    }

    // Requests.

    fn create(&mut self, event: &Event, request: u16, function: u8) {
        if !self.known.contains(&request) {
            self.known.push(request);
        }
        let tier = match SrbFunction(function) {
            SrbFunction::RESET_LOGICAL_UNIT => Some(ResetTier::LogicalUnit),
            SrbFunction::RESET_DEVICE => Some(ResetTier::Target),
            SrbFunction::ABORT_COMMAND => Some(ResetTier::Abort),
            _ => None,
        };
        match tier {
            // StorPort's own, after a timeout: it comes by itself.
            Some(_) if self.timed_out => {}
            Some(tier) => self.cause(event, |at| Step::Reset(at, tier)),
            None => self.cause(event, |at| match SrbFunction(function) {
                SrbFunction::EXECUTE_SCSI => Step::Io(at, Io::default()),
                SrbFunction::FLUSH => Step::Query(at, Query::FunctionFlush),
                SrbFunction::SHUTDOWN => Step::Query(at, Query::FunctionShutdown),
                SrbFunction::PNP => Step::Query(at, Query::FunctionPnp),
                SrbFunction::POWER => Step::Query(at, Query::FunctionPower),
                _ => Step::Query(at, Query::FunctionUnknown),
            }),
        }
    }

    fn complete(&mut self, p: usize, request: u16, status: SrbStatus, owner: Owner) {
        self.known.retain(|&known| known != request);
        let Some(&index) = self.frames[p].last() else { return };
        let routine = self.invocations[index].routine;
        let starts = |invocation: &Invocation| {
            matches!(invocation.routine, Routine::BuildIo | Routine::StartIo)
                && invocation.subject == request
        };
        // What the puppet keeps it gives back by itself there.
        let by_itself = status == SrbStatus::BUS_RESET
            && matches!(routine, Routine::ResetBus | Routine::StartIo)
            || status == SrbStatus::NO_DEVICE && routine == Routine::AdapterControl;
        if by_itself && !starts(&self.invocations[index]) {
            return;
        }
        // Another processor may still be inside of HwStorStartIo with it: it has kept it before.
        let open = self.frames.iter().flatten().copied();
        let starting: Vec<usize> = open.filter(|&open| starts(&self.invocations[open])).collect();
        let current = starting.contains(&index) || routine == Routine::Synchronized;
        for open in starting {
            let invocation = &mut self.invocations[open];
            if !std::mem::replace(&mut invocation.took, true) && !current {
                let call = calls::of(Op::Keep);
                invocation.acts.push(Act { call, handle: None, copy: None, object: None });
            }
        }
        let call = match owner {
            Owner::Miniport => calls::complete(status, current),
            Owner::Port | Owner::PortAfterReset => calls::of(Op::CompleteAgain),
            Owner::Nobody => calls::of(Op::CompleteUnknown),
        };
        self.act(p, call);
    }
}

fn unit_action(control: ScsiUnitControlType) -> Option<UnitAction> {
    Some(match control {
        ScsiUnitControlType::START => UnitAction::Start,
        ScsiUnitControlType::USAGE => UnitAction::Usage,
        ScsiUnitControlType::POWER => UnitAction::Power,
        ScsiUnitControlType::REMOVE => UnitAction::Remove,
        ScsiUnitControlType::SURPRISE_REMOVAL => UnitAction::SurpriseRemoval,
        _ => return None,
    })
}

/// Whether a callback has no run of its own in the puppet: StorPort's questions are answered before it.
pub(super) fn is_question(invocation: &Invocation) -> bool {
    matches!(invocation.routine, Routine::AdapterControl | Routine::UnitControl)
        && invocation.subject == 0
}
