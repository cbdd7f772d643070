//! The checker: one fold over the events of a run, with a fixed footprint.
//!
//! It keeps the state that the rules share, shows each event to the rules that it concerns, and makes a
//! [`Finding`] of what they object to. An event that nothing is wrong with, which is nearly every one, passes a
//! few tests of bits and changes a few bytes.

mod locks;
mod report;

use super::catalogue::{RuleId, RuleSet, Severity};
use super::dpc::Dpcs;
use super::end::Circle;
use super::finding::{FINDING_LOCKS_MAX, Finding, Path};
use super::graph::Graph;
use super::kind::Executives;
use super::lockset::{LockSet, lock_of};
use super::moment::Moment;
use super::state::{Held, NONE, State};
use super::verdict::Verdict;
use super::{balance, config, ddi, irql, request, time};
use crate::event::{
    Adapter, Cause, Duplex, Event, Flow, Interrupts, Kind, Lock, Miniport, Routine, Sink, Site,
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
    /// By number.
    edge: Option<(u8, u8)>,
    near: Option<NearMiss>,
}

/// The adapter before HwStorFindAdapter has said what it is.
const UNCONFIGURED: Adapter = Adapter {
    miniport: Miniport::Physical,
    duplex: Duplex::Full,
    interrupts: Interrupts::Line,
    messages: 0,
    channels: 0,
    device_irql: Irql::DEVICE_HIGHEST,
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
    race: None,
};

impl Default for Checker {
    fn default() -> Self {
        Checker::new()
    }
}

impl Sink for Checker {
    #[inline(always)]
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

    /// The callback whose code runs on a processor, also when it does so through StorPortSynchronizeAccess.
    #[must_use]
    pub fn root_routine(&self, processor: u8) -> Option<Routine> {
        self.state.processor(processor).root().map(|frame| frame.routine)
    }

    /// What the innermost callback on a processor is about.
    pub(super) fn subject(&self, processor: u8) -> u16 {
        self.state.processor(processor).frame().map_or(0, |frame| frame.subject)
    }

    /// The locks that the callback which runs on a processor holds, the newest first: not those of what it interrupted.
    pub(super) fn own_locks(&self, processor: u8) -> impl Iterator<Item = Lock> {
        let root = self.state.processor(processor).root_depth();
        let own = move |held: &Held| held.callback != NONE && held.callback >= root;
        self.state.held_by(processor).take_while(move |(_, held)| own(held)).map(|(lock, _)| lock)
    }

    /// If the last event was an acquire under another lock: that one (the newest), and the one acquired.
    #[must_use]
    #[inline]
    pub fn last_edge(&self) -> Option<(Lock, Lock)> {
        self.edge.map(|(held, taken)| (lock_of(held.into()), lock_of(taken.into())))
    }

    /// What rule the last event nearly broke.
    #[must_use]
    #[inline]
    pub fn near_miss(&self) -> Option<NearMiss> {
        self.near
    }

    /// Takes one event: judges it, and follows it. `Stop` at the first error; warnings go on.
    #[inline(always)]
    pub fn record(&mut self, event: &Event) -> Flow {
        if self.stopped {
            return Flow::Stop;
        }
        (self.edge, self.near) = (None, None);
        let at = &Moment::of(event);
        match event.kind {
            Kind::Called { ddi, argument, result } => self.called(at, ddi, argument, result),
            Kind::LockAcquired { lock, api, irql, contended } => {
                self.acquired(at, lock, api, irql, contended)
            }
            Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns } => {
                let release = balance::Release {
                    processor: at.processor,
                    lock,
                    api,
                    holder,
                    handle,
                    from: at.irql,
                    irql,
                    saved,
                };
                self.released(at, &release, held_ns)
            }
            Kind::Entered { routine, subject } => self.entered(at, routine, subject),
            Kind::Left { busy_ns, .. } => self.left(at, busy_ns),
            _ => self.record_rare(*event),
        }
    }

    /// Events that are rarer than a DDI call. By value, and not inlined, as all that leaves the hot path: see
    /// [`Checker::object`].
    #[inline(never)]
    fn record_rare(&mut self, event: Event) -> Flow {
        let at = &Moment::of(&event);
        match event.kind {
            Kind::LockWaited { lock, api, .. } => self.waited(at, lock, api),
            Kind::RequestCompleted { status, owner, device_owns, starting_elsewhere, .. } => {
                let completion = request::Completion { status, owner, device_owns };
                self.completed(at, &completion, starting_elsewhere)
            }
            Kind::Configured(adapter) => self.configured(at, adapter),
            Kind::Deadlocked { lock, length, .. } => self.deadlocked(at, lock, length),
            Kind::AdapterStopped { .. } => {
                self.dpcs.forget_initialization();
                self.executives.forget_initialization();
                let verdict = self.held_at_end(RuleId::LockHeldAtRemoval);
                self.object(at, verdict)
            }
            Kind::DpcInitialized { dpc, queued, .. } => {
                let verdict = self.dpcs.initialize(&self.state, at.processor, dpc, queued);
                self.object(at, verdict)
            }
            Kind::DpcIssued { dpc: Some(_), queued, .. } => {
                self.near = (!queued).then_some(NearMiss::DpcQueuedAlready);
                Flow::Continue
            }
            Kind::ExecutiveInitialized { lock, held, .. } if !self.adapter.dump => {
                let verdict = self.executives.initialize(lock, held);
                self.object(at, verdict)
            }
            Kind::IrqlSet { irql, raise } => self.irql_set(at, irql, raise),
            _ => {
                let verdict = self.judge_plain(at, event.kind);
                self.object(at, verdict)
            }
        }
    }

    /// Events that say by themselves which rule is broken, if one is.
    fn judge_plain(&self, at: &Moment, kind: Kind) -> Option<Verdict> {
        let lawful = !self.adapter.dump;
        Some(match kind {
            Kind::LockMisused { api, release, misuse } if lawful => {
                super::kind::misused(&self.state, at.processor, api, release, misuse)
            }
            Kind::LockRefused { status: StorStatus::INVALID_IRQL, .. } if lawful => {
                let p = self.state.processor(at.processor);
                irql::refused(p, at.irql, self.adapter.device_irql)
            }
            Kind::ContextIgnored { .. } if lawful => Verdict::of(RuleId::LockContextNotNull),
            Kind::ExecutiveUninitialized { lock } if lawful => {
                Verdict::of(RuleId::LockUninitialized).lock(Lock::Executive(lock))
            }
            Kind::DpcIssued { dpc: None, .. } | Kind::DpcCancelled { dpc: None, .. } => {
                Verdict::of(RuleId::DpcUninitialized)
            }
            Kind::DpcCorrupted { dpc } => Verdict::of(RuleId::DpcCorrupted).lock(Lock::Dpc(dpc)),
            Kind::RequestsCompletedByPort { .. } if at.site != Site::Port => {
                Verdict::of(RuleId::DdiCompleteRequest)
            }
            Kind::RequestTouched { .. } => Verdict::of(RuleId::RequestTouched),
            Kind::DataWrong { .. } => Verdict::of(RuleId::DataWrong),
            Kind::RequestLost { .. } => Verdict::of(RuleId::RequestLost),
            Kind::ConfigurationWrong { mistake } => config::mistaken(mistake),
            Kind::Hung if !self.waits_for_itself => Verdict::of(RuleId::RunHang),
            Kind::Crashed { cause } if cause != Cause::Unmodelled => {
                Verdict::of(RuleId::DriverCrashed)
            }
            Kind::Finished => return self.held_at_end(RuleId::LockLeaked),
            _ => return None,
        })
    }

    fn held_at_end(&self, rule: RuleId) -> Option<Verdict> {
        if self.adapter.dump { None } else { balance::held_at_end(&self.state, rule) }
    }

    #[inline]
    fn called(&mut self, at: &Moment, called: Ddi, argument: u32, result: u32) -> Flow {
        let mut verdict = None;
        if ddi::is_watched(called) {
            verdict = self.called_watched(at.processor, called, argument, result);
        }
        if verdict.is_none() && !self.adapter.dump {
            verdict = irql::called(called, at.irql);
        }
        self.object(at, verdict)
    }

    fn called_watched(
        &mut self,
        processor: u8,
        called: Ddi,
        argument: u32,
        result: u32,
    ) -> Option<Verdict> {
        let p = self.state.processor_mut(processor);
        match called {
            Ddi::StallExecution => time::stalled(p, &self.adapter, argument),
            Ddi::AllocatePool => time::allocated(p, &self.adapter),
            _ => ddi::called(p, called, argument, result),
        }
    }

    fn completed(&mut self, at: &Moment, completion: &request::Completion, starting: bool) -> Flow {
        if starting {
            self.near = Some(NearMiss::CompletedWhileStarting);
        } else if !self.state.processor(at.processor).held.is_empty() {
            self.near = Some(NearMiss::CompletedUnderLock);
        }
        let verdict = completion.judge(&self.state, at.processor, &self.adapter);
        self.object(at, verdict)
    }

    fn configured(&mut self, at: &Moment, adapter: Adapter) -> Flow {
        let verdict = config::configured(&self.adapter, &adapter);
        self.adapter = adapter;
        self.graph.set_per_message(matches!(adapter.interrupts, Interrupts::PerMessage));
        self.object(at, verdict)
    }

    fn irql_set(&mut self, at: &Moment, irql: Irql, raise: bool) -> Flow {
        let verdict = if self.adapter.dump {
            None
        } else {
            irql::set(&self.state, at.processor, at.irql, irql, raise)
        };
        if let Some(frame) = self.state.processor_mut(at.processor).frame_mut() {
            frame.irql_site = at.site;
            frame.raised_from = irql::follow(frame.raised_from, at.irql, irql, raise);
        }
        self.object(at, verdict)
    }

    fn deadlocked(&mut self, at: &Moment, lock: Lock, length: u8) -> Flow {
        if length <= 1 && self.waits_for_itself {
            return Flow::Continue;
        }
        let Some(deadlock) = self.circle.add(&self.state, at, lock, length) else {
            return Flow::Continue;
        };
        self.circle.clear();
        let finding = Finding {
            locks: deadlock.locks,
            path: deadlock.path,
            site: deadlock.site,
            other_site: deadlock.other_site,
            ..self.finding(at, RuleId::RunDeadlock)
        };
        self.report(finding)
    }
}

const _: () =
    assert!(size_of::<Checker>() <= 64 * 1024, "it is one object of the harness, not of a stack");
