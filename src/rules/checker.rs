//! The checker: one fold over the events of a run, with a fixed footprint.
//!
//! It keeps the state that the rules share, shows each event to the rules that it concerns, and makes a
//! [`Finding`] of what they object to. An event that nothing is wrong with, which is nearly every one, passes a
//! few tests of bits and changes a few bytes.

use super::catalogue::{RuleId, RuleSet, Severity};
use super::dpc::Dpcs;
use super::end::Circle;
use super::finding::{FINDING_LOCKS_MAX, Finding, Path};
use super::graph::{Cycle, Graph, Nesting};
use super::kind::Executives;
use super::order::{self, Cell, Kinds};
use super::state::{Frame, LockSet, State, Taken, number};
use super::verdict::{At, Verdict};
use super::{balance, config, ddi, irql, request, time};
use crate::event::{
    Adapter, Duplex, Event, Flow, Interrupts, Kind, Lock, LockApi, Miniport, Routine, Sink, Site,
};
use crate::storport::{Ddi, Irql, StorStatus};

/// Most distinct findings that one run keeps; further warnings are dropped.
pub const FINDINGS_MAX: usize = 32;

/// Something that nearly broke a rule: what a fuzzer does well to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NearMiss {
    /// A processor waits for a lock while it holds another: half a deadlock.
    WaitsHolding,
    /// Two locks were nested in a way that no earlier nesting of the run had.
    NewNesting,
    /// A lock was held for more than half of what is allowed.
    HeldLong,
    /// An interrupt came while the driver held a lock.
    InterruptOverLock,
    /// A request was completed while another processor was still starting it.
    CompletedWhileStarting,
    /// A DPC was issued that was queued already.
    DpcQueuedAlready,
    /// A request was completed while its completer held a lock.
    CompletedUnderLock,
}

/// Judges the events of one run.
#[derive(Clone, Debug)]
pub struct Checker {
    state: State,
    graph: Graph,
    adapter: Adapter,
    dpcs: Dpcs,
    executives: Executives,
    circle: Circle,
    findings: [Finding; FINDINGS_MAX],
    ids: [u64; FINDINGS_MAX],
    count: usize,
    muted: RuleSet,
    /// An error was found: nothing that follows is judged any more.
    stopped: bool,
    /// A processor waits for itself, and that has been reported.
    waits_for_itself: bool,
    edge: Option<(Lock, Lock)>,
    near: Option<NearMiss>,
}

/// The adapter before HwStorFindAdapter has said what it is.
const UNCONFIGURED: Adapter = Adapter {
    miniport: Miniport::Physical,
    duplex: Duplex::Full,
    interrupts: Interrupts::Line,
    messages: 0,
    channels: 0,
    device_irql: Irql::DEVICE_LOWEST,
    dump: false,
    completes_in_start_io: false,
    control_under_interrupt_lock: false,
};

const NO_FINDING: Finding = Finding {
    rule: RuleId::RunHang,
    severity: Severity::Error,
    locks: [None; FINDING_LOCKS_MAX],
    path: Path::EMPTY,
    site: Site::Port,
    other_site: None,
    processor: 0,
    irql: Irql::PASSIVE,
    time: 0,
};

impl Default for Checker {
    fn default() -> Self {
        Checker::new()
    }
}

impl Sink for Checker {
    #[inline]
    fn record(&mut self, event: &Event) -> Flow {
        Checker::record(self, event)
    }
}

impl Checker {
    /// A checker that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Checker {
            state: State::new(),
            graph: Graph::new(),
            adapter: UNCONFIGURED,
            dpcs: Dpcs::NEW,
            executives: Executives::NEW,
            circle: Circle::EMPTY,
            findings: [NO_FINDING; FINDINGS_MAX],
            ids: [0; FINDINGS_MAX],
            count: 0,
            muted: RuleSet::NONE,
            stopped: false,
            waits_for_itself: false,
            edge: None,
            near: None,
        }
    }

    /// Forgets the last run, at a cost that depends only on what that run did. What is muted stays muted.
    pub fn reset(&mut self) {
        self.state.reset();
        self.graph.reset();
        self.graph.set_per_message(false);
        self.adapter = UNCONFIGURED;
        self.dpcs = Dpcs::NEW;
        self.executives = Executives::NEW;
        self.circle.clear();
        self.count = 0;
        (self.stopped, self.waits_for_itself) = (false, false);
        (self.edge, self.near) = (None, None);
    }

    /// Passes over what these rules would say: for rules that a scenario breaks on purpose, and for findings
    /// that are known.
    pub fn mute(&mut self, rules: RuleSet) {
        self.muted = rules;
    }

    /// The findings so far, each bug once, in the order in which they were made.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings[..self.count]
    }

    /// The adapter as configured last.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// The locks that a processor holds, by the driver's doing or StorPort's.
    #[must_use]
    #[inline]
    pub fn held(&self, processor: u8) -> LockSet {
        self.state.processor(processor).held
    }

    /// The routine whose code runs on a processor, innermost.
    #[must_use]
    #[inline]
    pub fn routine(&self, processor: u8) -> Option<Routine> {
        self.state.processor(processor).frame().map(|frame| frame.routine)
    }

    /// The callback whose code runs on a processor, with the synchronised routine inside it; not what it
    /// interrupted.
    #[must_use]
    pub fn path(&self, processor: u8) -> Path {
        self.state.processor(processor).path()
    }

    /// If the last event was an acquire under another lock: that one (the newest), and the one acquired.
    #[must_use]
    #[inline]
    pub fn last_edge(&self) -> Option<(Lock, Lock)> {
        self.edge
    }

    /// What rule the last event nearly broke.
    #[must_use]
    #[inline]
    pub fn near_miss(&self) -> Option<NearMiss> {
        self.near
    }

    /// Takes one event: judges it, and follows it. `Stop` at the first error; warnings go on.
    #[inline]
    pub fn record(&mut self, event: &Event) -> Flow {
        if self.stopped {
            return Flow::Stop;
        }
        (self.edge, self.near) = (None, None);
        match event.kind {
            Kind::Called { ddi, argument, result } => self.called(event, ddi, argument, result),
            Kind::LockAcquired { lock, api, irql, contended } => {
                self.acquired(event, lock, api, irql, contended)
            }
            Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns } => {
                let release = balance::Release {
                    processor: event.processor,
                    lock,
                    api,
                    holder,
                    handle,
                    irql,
                    saved,
                };
                self.released(event, &release, held_ns)
            }
            Kind::Entered { routine, subject } => self.entered(event, routine, subject),
            Kind::Left { busy_ns, .. } => self.left(event, busy_ns),
            _ => self.record_rare(event),
        }
    }

    /// Events that are rarer than a DDI call.
    fn record_rare(&mut self, event: &Event) -> Flow {
        match event.kind {
            Kind::LockWaited { lock, api, holder } => self.waited(event, lock, api, holder),
            Kind::RequestCompleted { status, owner, device_owns, starting_elsewhere, .. } => {
                let completion = request::Completion { status, owner, device_owns };
                self.completed(event, &completion, starting_elsewhere)
            }
            Kind::Configured(adapter) => self.configured(event, adapter),
            Kind::Deadlocked { lock, length, .. } => self.deadlocked(event, lock, length),
            Kind::AdapterStopped { .. } => {
                self.dpcs.forget_initialization();
                self.executives.forget_initialization();
                self.object(event, balance::held_at_end(&self.state, RuleId::LockHeldAtRemoval))
            }
            Kind::DpcInitialized { dpc, queued, .. } => {
                let verdict = self.dpcs.initialize(&self.state, event.processor, dpc, queued);
                self.object(event, verdict)
            }
            Kind::DpcIssued { dpc: Some(_), queued, .. } => {
                self.near = (!queued).then_some(NearMiss::DpcQueuedAlready);
                Flow::Continue
            }
            Kind::ExecutiveInitialized { lock, held, .. } => {
                let verdict = self.executives.initialize(lock, held);
                self.object(event, verdict)
            }
            Kind::IrqlSet { irql, raise } => self.irql_set(event, irql, raise),
            _ => {
                let verdict = self.judge_plain(event);
                self.object(event, verdict)
            }
        }
    }

    /// Events that say by themselves which rule is broken, if one is.
    fn judge_plain(&self, event: &Event) -> Option<Verdict> {
        let lawful = !self.adapter.dump;
        Some(match event.kind {
            Kind::LockMisused { api, release, misuse } if lawful => {
                super::kind::misused(&self.state, event.processor, api, release, misuse)
            }
            Kind::LockRefused { status: StorStatus::INVALID_IRQL, .. } if lawful => {
                irql::refused(self.state.processor(event.processor))
            }
            Kind::ContextIgnored { .. } => Verdict::of(RuleId::LockContextNotNull),
            Kind::ExecutiveUninitialized { lock } => {
                Verdict::of(RuleId::LockUninitialized).lock(Lock::Executive(lock))
            }
            Kind::DpcIssued { dpc: None, .. } | Kind::DpcCancelled { dpc: None, .. } => {
                Verdict::of(RuleId::DpcUninitialized)
            }
            Kind::DpcCorrupted { dpc } => Verdict::of(RuleId::DpcCorrupted).lock(Lock::Dpc(dpc)),
            Kind::RequestsCompletedByPort { .. } if event.site != Site::Port => {
                Verdict::of(RuleId::DdiCompleteRequest)
            }
            Kind::RequestTouched { .. } => Verdict::of(RuleId::RequestTouched),
            Kind::DataWrong { .. } => Verdict::of(RuleId::DataWrong),
            Kind::RequestLost { .. } => Verdict::of(RuleId::RequestLost),
            Kind::ConfigurationWrong { mistake } => config::mistaken(mistake),
            Kind::Hung if !self.waits_for_itself => Verdict::of(RuleId::RunHang),
            Kind::Crashed => Verdict::of(RuleId::DriverCrashed),
            Kind::Finished => return balance::held_at_end(&self.state, RuleId::LockLeaked),
            _ => return None,
        })
    }

    // Callbacks.

    #[inline]
    fn entered(&mut self, event: &Event, routine: Routine, subject: u16) -> Flow {
        if routine == Routine::FindAdapter && event.irql == Irql::HIGH {
            // Nothing else calls it at HIGH_LEVEL, and what it is said to be comes only when it returns.
            self.adapter.dump = true;
        }
        let p = self.state.processor_mut(event.processor);
        let cell = match (routine, p.frame()) {
            (Routine::Synchronized, Some(caller)) => Cell { held_doubtful: false, ..caller.cell },
            _ => order::cell(routine, subject, &self.adapter),
        };
        let over_lock = matches!(routine, Routine::Interrupt | Routine::MessageInterrupt)
            && p.held.kinds() & (Kinds::START_IO.0 | Kinds::DPC.0 | Kinds::EXECUTIVE.0) != 0;
        self.near = over_lock.then_some(NearMiss::InterruptOverLock);
        let nested_ns = p.nested_ns;
        p.enter(Frame {
            routine,
            subject,
            irql: event.irql,
            cell,
            overlong: false,
            nested_ns,
            irql_site: Site::Port,
        });
        Flow::Continue
    }

    #[inline]
    fn left(&mut self, event: &Event, busy_ns: u32) -> Flow {
        let p = self.state.processor(event.processor);
        let Some(frame) = p.frame().copied() else { return Flow::Continue };
        let interrupted_ns = p.nested_ns - frame.nested_ns;
        let own_ns = u64::from(busy_ns).saturating_sub(interrupted_ns);
        let mut verdict = None;
        if !self.adapter.dump {
            verdict = balance::at_return(&self.state, event.processor)
                .or_else(|| irql::left(p, event.irql))
                .or_else(|| time::left(&frame, &self.adapter, own_ns));
        }
        let flow = self.object(event, verdict);
        self.state.processor_mut(event.processor).leave(&frame, busy_ns);
        flow
    }

    // Locks.

    fn waited(&mut self, event: &Event, lock: Lock, api: LockApi, holder: u8) -> Flow {
        if self.adapter.dump {
            return Flow::Continue;
        }
        if holder == event.processor
            && let Some(own) = balance::own_hold(&self.state, holder, lock)
        {
            self.waits_for_itself = true;
            let verdict = balance::self_wait(&self.state, event.processor, (lock, own), api);
            return self.object(event, Some(verdict));
        }
        let p = self.state.processor_mut(event.processor);
        p.waits_at = event.site;
        self.near = (!p.held.is_empty()).then_some(NearMiss::WaitsHolding);
        self.requested(event, lock, api)
    }

    #[inline]
    fn acquired(
        &mut self,
        event: &Event,
        lock: Lock,
        api: LockApi,
        irql: Irql,
        contended: bool,
    ) -> Flow {
        let mut flow = Flow::Continue;
        if !self.adapter.dump {
            if !contended {
                flow = self.requested(event, lock, api);
            }
            if flow == Flow::Continue && !self.state.processor(event.processor).held.is_empty() {
                flow = self.nested(event, lock, api);
            }
            flow = match lock {
                _ if flow == Flow::Stop => flow,
                Lock::Executive(n) => {
                    let verdict = self.executives.acquire(n, api);
                    self.object(event, verdict)
                }
                Lock::Interrupt if self.is_per_message() && !matches!(api, LockApi::Port) => {
                    self.takes_all_messages(event)
                }
                _ => flow,
            };
        }
        let level = match lock {
            Lock::Interrupt | Lock::Message(_) => irql,
            _ => irql.min(Irql::DISPATCH),
        };
        let taken = Taken { api, level, site: event.site };
        self.state.acquire(event.processor, number(lock), taken);
        flow
    }

    /// The driver asks for a lock: the tables, the order and the level, once for each request.
    #[inline]
    fn requested(&mut self, event: &Event, lock: Lock, api: LockApi) -> Flow {
        let p = self.state.processor(event.processor);
        if matches!(api, LockApi::Port) || order::is_plain(p, lock, api, event.irql) {
            return Flow::Continue;
        }
        let verdict = order::request(&self.state, event.processor, lock)
            .or_else(|| irql::request(lock, api, event.irql));
        self.object(event, verdict)
    }

    /// A lock is acquired under others: notes the orders, and the cycle that they close.
    fn nested(&mut self, event: &Event, lock: Lock, api: LockApi) -> Flow {
        let p = self.state.processor(event.processor);
        self.edge = self.state.newest(event.processor).map(|newest| (newest, lock));
        let holding = self.holding(event.processor);
        let mut closed = None;
        for (held_lock, held) in self.state.held_by(event.processor) {
            if matches!(api, LockApi::Port) && !(held.by_port() && held.depth == p.depth) {
                // An interrupt that comes while something is held is no choice of the driver's.
                break;
            }
            let nesting = Nesting { held: held_lock, acquired: lock, holding, site: event.site };
            if self.graph.knows(&nesting) || order::held_in_doubt(p, held) {
                continue;
            }
            self.near = Some(NearMiss::NewNesting);
            closed = self.graph.add(&nesting, p.path()).or(closed);
        }
        match closed {
            Some(cycle) => self.cycle(event, cycle),
            None => Flow::Continue,
        }
    }

    /// The driver takes every message's lock at once, one after the other: an order too.
    fn takes_all_messages(&mut self, event: &Event) -> Flow {
        let lock = Lock::Interrupt;
        let holding = self.holding(event.processor);
        let nesting = Nesting { held: lock, acquired: lock, holding, site: event.site };
        if self.graph.knows(&nesting) {
            return Flow::Continue;
        }
        match self.graph.add(&nesting, self.path(event.processor)) {
            Some(cycle) => self.cycle(event, cycle),
            None => Flow::Continue,
        }
    }

    fn is_per_message(&self) -> bool {
        matches!(self.adapter.interrupts, Interrupts::PerMessage)
    }

    /// What keeps others out of what a processor does now.
    fn holding(&self, processor: u8) -> LockSet {
        let p = self.state.processor(processor);
        let mut holding = p.held.with_gates(p.gates);
        if self.is_per_message() && holding.contains(Lock::Interrupt) {
            holding.insert_messages();
        }
        holding
    }

    #[inline]
    fn released(&mut self, event: &Event, release: &balance::Release, held_ns: u32) -> Flow {
        let number = number(release.lock);
        let mut flow = Flow::Continue;
        if !self.adapter.dump && !matches!(release.api, LockApi::Port) {
            // What StorPortSynchronizeAccess took it gives back well, but how long it held it is the driver's.
            if !matches!(release.api, LockApi::Synchronize) {
                flow = self.given_back(event, release, number);
            }
            if flow == Flow::Continue {
                flow = self.held_for(event, (release.lock, number), held_ns);
            }
        }
        if release.holder.is_some() {
            self.state.release(number);
        }
        flow
    }

    /// The driver gives a lock back: whether it is its own, by the right routine, at the right level.
    #[inline]
    fn given_back(&mut self, event: &Event, release: &balance::Release, number: usize) -> Flow {
        let level = irql::release(release.lock, release.api, event.irql);
        if release.is_plain(&self.state, number) {
            self.object(event, level)
        } else {
            self.object(event, release.judge(&self.state).or(level))
        }
    }

    #[inline]
    fn held_for(&mut self, event: &Event, (lock, number): (Lock, usize), held_ns: u32) -> Flow {
        if u64::from(held_ns) <= time::LOCK_HELD_NS_MAX / 2 {
            return Flow::Continue;
        }
        let Some(held) = self.state.held_at(number) else { return Flow::Continue };
        let nested_ns = self.state.processor(event.processor).nested_ns;
        let interrupted_ns = nested_ns.saturating_sub(held.nested_ns);
        let own_ns = u64::from(held_ns).saturating_sub(interrupted_ns);
        if own_ns > time::LOCK_HELD_NS_MAX / 2 {
            self.near = Some(NearMiss::HeldLong);
        }
        self.object(event, time::released(lock, own_ns))
    }

    // Everything else.

    #[inline]
    fn called(&mut self, event: &Event, called: Ddi, argument: u32, result: u32) -> Flow {
        let mut verdict = None;
        if ddi::is_watched(called) {
            verdict = self.called_watched(event, called, argument, result);
        }
        if verdict.is_none() && !self.adapter.dump {
            verdict = irql::called(called, event.irql);
        }
        self.object(event, verdict)
    }

    fn called_watched(
        &mut self,
        event: &Event,
        called: Ddi,
        argument: u32,
        result: u32,
    ) -> Option<Verdict> {
        let p = self.state.processor_mut(event.processor);
        match called {
            Ddi::StallExecution => time::stalled(p, &self.adapter, argument),
            Ddi::AllocatePool => time::allocated(p, &self.adapter),
            _ => ddi::called(p, called, argument, result),
        }
    }

    fn completed(
        &mut self,
        event: &Event,
        completion: &request::Completion,
        starting: bool,
    ) -> Flow {
        if starting {
            self.near = Some(NearMiss::CompletedWhileStarting);
        } else if !self.state.processor(event.processor).held.is_empty() {
            self.near = Some(NearMiss::CompletedUnderLock);
        }
        let verdict = completion.judge(&self.state, event.processor, &self.adapter);
        self.object(event, verdict)
    }

    fn configured(&mut self, event: &Event, adapter: Adapter) -> Flow {
        let verdict = config::configured(&self.adapter, &adapter);
        self.adapter = adapter;
        self.graph.set_per_message(matches!(adapter.interrupts, Interrupts::PerMessage));
        self.object(event, verdict)
    }

    fn irql_set(&mut self, event: &Event, irql: Irql, raise: bool) -> Flow {
        let verdict = if self.adapter.dump {
            None
        } else {
            irql::set(&self.state, event.processor, event.irql, irql, raise)
        };
        if let Some(frame) = self.state.processor_mut(event.processor).frame_mut() {
            frame.irql_site = event.site;
        }
        self.object(event, verdict)
    }

    fn deadlocked(&mut self, event: &Event, lock: Lock, length: u8) -> Flow {
        if length <= 1 && self.waits_for_itself {
            return Flow::Continue;
        }
        let Some(deadlock) = self.circle.add(&self.state, event, lock, length) else {
            return Flow::Continue;
        };
        self.circle.clear();
        let finding = Finding {
            locks: deadlock.locks,
            path: deadlock.path,
            site: deadlock.site,
            other_site: deadlock.other_site,
            ..self.finding(event, RuleId::RunDeadlock)
        };
        self.report(finding)
    }

    // Findings.

    /// Makes a finding of what a rule objects to, if it does.
    #[inline]
    fn object(&mut self, event: &Event, verdict: Option<Verdict>) -> Flow {
        match verdict {
            None => Flow::Continue,
            Some(verdict) => self.found(event, verdict),
        }
    }

    /// A finding without particulars.
    fn finding(&self, event: &Event, rule: RuleId) -> Finding {
        Finding {
            rule,
            severity: rule.rule().severity,
            locks: [None; FINDING_LOCKS_MAX],
            path: self.state.processor(event.processor).path(),
            site: event.site,
            other_site: None,
            processor: event.processor,
            irql: event.irql,
            time: event.time,
        }
    }

    #[cold]
    fn found(&mut self, event: &Event, verdict: Verdict) -> Flow {
        let mut finding = self.finding(event, verdict.rule);
        if verdict.doubtful {
            finding.severity = Severity::Warning;
        }
        let against = verdict.against.filter(|against| Some(*against) != verdict.lock);
        finding.locks = [verdict.lock, against, None];
        let p = self.state.processor(event.processor);
        let taken = |lock: Option<Lock>| lock.and_then(|lock| self.state.held(lock));
        finding.other_site = taken(verdict.against).map(|held| held.site);
        match verdict.at {
            At::Event => {}
            At::Acquire => {
                finding.other_site = Some(event.site).filter(|site| *site != Site::Port);
                finding.site = taken(verdict.lock).map_or(event.site, |held| held.site);
            }
            At::IrqlSet => finding.site = p.frame().map_or(event.site, |frame| frame.irql_site),
        }
        if verdict.interrupted
            && let Some(held) = taken(verdict.against)
        {
            finding.path = p.path_from(held);
        }
        self.report(finding)
    }

    #[cold]
    fn cycle(&mut self, event: &Event, cycle: Cycle) -> Flow {
        let mut finding = self.finding(event, RuleId::LockCycle);
        let mut edges = self.graph.edges_of(cycle);
        let mut locks = finding.locks.iter_mut();
        if let (Some(first), Some(slot)) = (edges.next(), locks.next()) {
            *slot = Some(first.held());
            (finding.path, finding.site) = (first.path, first.site);
        }
        for edge in edges {
            finding.other_site = finding.other_site.or(Some(edge.site));
            if let Some(slot) = locks.next() {
                *slot = Some(edge.held());
            }
        }
        self.report(finding)
    }

    fn report(&mut self, finding: Finding) -> Flow {
        if self.muted.contains(finding.rule) {
            return Flow::Continue;
        }
        let id = finding.id();
        let known = self.ids[..self.count].contains(&id);
        let error = finding.severity == Severity::Error;
        if !known && (self.count < FINDINGS_MAX || error) {
            // An error is the last finding of a run, so it may take the place of a warning.
            let slot = self.count.min(FINDINGS_MAX - 1);
            (self.findings[slot], self.ids[slot]) = (finding, id);
            self.count = slot + 1;
        }
        self.stopped = error;
        if error { Flow::Stop } else { Flow::Continue }
    }
}

const _: () =
    assert!(size_of::<Checker>() <= 64 * 1024, "it is one object of the harness, not of a stack");
