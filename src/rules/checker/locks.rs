//! Following callbacks and locks: the events that nearly every decision of a run makes.

use super::{Checker, NearMiss};
use crate::event::{Flow, Interrupts, Lock, LockApi, Routine, Site};
use crate::rules::graph::{Cycle, Nesting};
use crate::rules::lockset::{LockSet, number};
use crate::rules::moment::Moment;
use crate::rules::order::{self, Cell, Kinds};
use crate::rules::state::{Frame, Taken};
use crate::rules::verdict::Verdict;
use crate::rules::{RuleId, balance, irql, time};
use crate::storport::Irql;

impl Checker {
    // Callbacks.

    #[inline(always)]
    pub(super) fn entered(&mut self, at: &Moment, routine: Routine, subject: u16) -> Flow {
        if routine == Routine::FindAdapter && at.irql == Irql::HIGH {
            // Nothing else calls it at HIGH_LEVEL, and what it is said to be comes only when it returns.
            self.adapter.dump = true;
        }
        let p = self.state.processor_mut(at.processor);
        let cell = match (routine, p.frame()) {
            (Routine::Synchronized, Some(caller)) => {
                Cell { held: Kinds::INTERRUPT, held_doubtful: false, ..caller.cell }
            }
            _ => order::cell(routine, subject, &self.adapter),
        };
        let over_lock = matches!(routine, Routine::Interrupt | Routine::MessageInterrupt)
            && p.held.kinds() & (Kinds::START_IO.0 | Kinds::DPC.0 | Kinds::EXECUTIVE.0) != 0;
        self.near = over_lock.then_some(NearMiss::InterruptOverLock);
        let nested_ns = p.nested_ns;
        p.enter(Frame {
            routine,
            subject,
            irql: at.irql,
            cell,
            overlong: false,
            nested_ns,
            irql_site: Site::Port,
            raised_from: 0,
        });
        self.state.give_to_callback(at.processor, cell.held.0.count_ones());
        Flow::Continue
    }

    #[inline(always)]
    pub(super) fn left(&mut self, at: &Moment, busy_ns: u32) -> Flow {
        let p = self.state.processor(at.processor);
        let Some(frame) = p.frame().copied() else { return Flow::Continue };
        let interrupted_ns = p.nested_ns - frame.nested_ns;
        let own_ns = u64::from(busy_ns).saturating_sub(interrupted_ns);
        let (processor, irql) = (at.processor, at.irql);
        let mut verdict = None;
        if !self.adapter.dump {
            verdict = balance::at_return(&self.state, processor)
                .or_else(|| irql::left(p, irql))
                .or_else(|| time::left(&frame, &self.adapter, own_ns));
        }
        let flow = self.object(at, verdict);
        let p = self.state.processor_mut(at.processor);
        let depth = p.depth;
        p.leave(&frame, busy_ns);
        self.state.take_from_callback(at.processor, depth);
        flow
    }

    // Locks.

    pub(super) fn waited(&mut self, at: &Moment, lock: Lock, api: LockApi) -> Flow {
        if self.adapter.dump {
            return Flow::Continue;
        }
        // With per-message synchronisation it may wait for another's message first, and for its own then.
        if let Some(own) = balance::own_hold(&self.state, at.processor, lock) {
            self.waits_for_itself = true;
            let verdict = balance::self_wait(&self.state, at.processor, (lock, own), api);
            return self.object(at, Some(verdict));
        }
        let p = self.state.processor_mut(at.processor);
        p.waits_at = at.site;
        self.near = (!p.held.is_empty()).then_some(NearMiss::WaitsHolding);
        self.requested(at, lock, api)
    }

    #[inline(always)]
    pub(super) fn acquired(
        &mut self,
        at: &Moment,
        lock: Lock,
        api: LockApi,
        irql: Irql,
        contended: bool,
    ) -> Flow {
        let mut flow = Flow::Continue;
        let number = number(lock);
        if !self.adapter.dump {
            if !contended {
                flow = self.requested(at, lock, api);
            }
            // What StorPort nests, for itself or because an interrupt comes, is no choice of the driver's.
            let nests = !matches!(api, LockApi::Port);
            if flow == Flow::Continue
                && nests
                && let Some(cycle) = self.nested(at, number)
            {
                flow = self.cycle(*at, cycle);
            }
            flow = match lock {
                _ if flow == Flow::Stop => flow,
                Lock::Executive(n) if self.executives.mixes(n, api) => {
                    self.object(at, Some(Verdict::of(RuleId::LockMixedApi).lock(lock)))
                }
                Lock::Interrupt if self.is_per_message() && !matches!(api, LockApi::Port) => {
                    match self.takes_all_messages(at.processor, at.site) {
                        Some(cycle) => self.cycle(*at, cycle),
                        None => flow,
                    }
                }
                _ => flow,
            };
        }
        let level = match lock {
            Lock::Interrupt | Lock::Message(_) => irql.min(self.adapter.device_irql),
            _ => irql.min(Irql::DISPATCH),
        };
        let taken = Taken { api, level, site: at.site };
        self.state.acquire(at.processor, number, taken);
        flow
    }

    /// The driver asks for a lock: the tables, the order and the level, once for each request.
    #[inline(always)]
    fn requested(&mut self, at: &Moment, lock: Lock, api: LockApi) -> Flow {
        let p = self.state.processor(at.processor);
        let levels = (at.irql, self.adapter.device_irql);
        if matches!(api, LockApi::Port) || order::is_plain(p, lock, api, levels) {
            return Flow::Continue;
        }
        self.requested_wrongly(*at, lock, api)
    }

    #[cold]
    fn requested_wrongly(&mut self, at: Moment, lock: Lock, api: LockApi) -> Flow {
        let levels = (at.irql, self.adapter.device_irql);
        let level = irql::request(lock, api, levels);
        let verdict = order::request(&self.state, at.processor, lock);
        let verdict = match (verdict, level) {
            // What another page permits does not excuse the level.
            (Some(order), Some(level)) if order.is_doubtful_cell() && !level.doubtful => {
                Some(level)
            }
            (order, level) => order.or(level),
        };
        self.object(&at, verdict)
    }

    /// A lock is acquired, perhaps under others: notes the orders, and the cycle that they close.
    #[inline(always)]
    fn nested(&mut self, at: &Moment, acquired: usize) -> Option<Cycle> {
        let newest = self.state.newest_number(at.processor)?;
        self.edge = Some((newest, acquired as u8));
        if self.nests_as_before(at.processor, acquired) {
            return None;
        }
        self.nests_anew(*at, acquired)
    }

    /// Whether every order in which the lock is acquired now is known.
    #[inline(always)]
    fn nests_as_before(&self, processor: u8, acquired: usize) -> bool {
        let holding = self.holding(processor);
        for held in self.state.numbers_held_by(processor) {
            if !self.graph.knows((held, acquired), holding) {
                return false;
            }
        }
        true
    }

    #[cold]
    fn nests_anew(&mut self, at: Moment, acquired: usize) -> Option<Cycle> {
        let Moment { processor, site, .. } = at;
        let p = self.state.processor(processor);
        let holding = self.holding(processor);
        let mut closed = None;
        for (lock, held) in self.state.held_by(processor) {
            let number = number(lock);
            if self.graph.knows((number, acquired), holding) || order::held_in_doubt(p, held) {
                continue;
            }
            let nesting = Nesting { held: number, acquired, holding, site };
            self.near = Some(NearMiss::NewNesting);
            closed = match (self.graph.add(&nesting, p.path()), closed) {
                (Some(cycle), Some(certain)) if cycle.doubtful => Some(certain),
                (cycle, other) => cycle.or(other),
            };
        }
        closed
    }

    /// The driver takes every message's lock at once, one after the other: an order too.
    fn takes_all_messages(&mut self, processor: u8, site: Site) -> Option<Cycle> {
        let interrupt = number(Lock::Interrupt);
        let holding = self.holding(processor);
        if self.graph.knows((interrupt, interrupt), holding) {
            return None;
        }
        let nesting = Nesting { held: interrupt, acquired: interrupt, holding, site };
        self.graph.add(&nesting, self.path(processor))
    }

    fn is_per_message(&self) -> bool {
        matches!(self.adapter.interrupts, Interrupts::PerMessage)
    }

    /// What keeps others out of what a processor does now.
    #[inline]
    fn holding(&self, processor: u8) -> LockSet {
        let p = self.state.processor(processor);
        let mut holding = p.held.with_gates(p.gates);
        if self.is_per_message() && holding.contains(Lock::Interrupt) {
            holding.insert_messages();
        }
        holding
    }

    #[inline(always)]
    pub(super) fn released(
        &mut self,
        at: &Moment,
        release: &balance::Release,
        held_ns: u32,
    ) -> Flow {
        let number = number(release.lock);
        let mut flow = Flow::Continue;
        if !self.adapter.dump && !matches!(release.api, LockApi::Port) {
            // What StorPortSynchronizeAccess took it gives back well, but how long it held it is the driver's.
            if !matches!(release.api, LockApi::Synchronize) {
                flow = self.given_back(at, release, number);
            }
            if flow == Flow::Continue {
                flow = self.held_for(at, (release.lock, number), held_ns);
            }
        }
        if release.holder.is_some() {
            self.state.release(number);
        }
        flow
    }

    /// The driver gives a lock back: whether it is its own, by the right routine, at the right level.
    #[inline(always)]
    fn given_back(&mut self, at: &Moment, release: &balance::Release, number: usize) -> Flow {
        if release.is_plain(&self.state, number) && irql::may_release(release.api, at.irql) {
            return Flow::Continue;
        }
        self.given_back_wrongly(*at, *release)
    }

    #[cold]
    fn given_back_wrongly(&mut self, at: Moment, release: balance::Release) -> Flow {
        let level = irql::release(release.lock, release.api, at.irql);
        let verdict = match (release.judge(&self.state), level) {
            (Some(order), Some(level)) if order.is_warning() => Some(level),
            (verdict, level) => verdict.or(level),
        };
        self.object(&at, verdict)
    }

    #[inline(always)]
    fn held_for(&mut self, at: &Moment, (lock, number): (Lock, usize), held_ns: u32) -> Flow {
        if u64::from(held_ns) <= time::LOCK_HELD_NS_MAX / 2 {
            return Flow::Continue;
        }
        let Some(held) = self.state.held_at(number) else { return Flow::Continue };
        let nested_ns = self.state.processor(at.processor).nested_ns;
        let interrupted_ns = nested_ns.saturating_sub(held.nested_ns);
        let own_ns = u64::from(held_ns).saturating_sub(interrupted_ns);
        if own_ns > time::LOCK_HELD_NS_MAX / 2 {
            self.near = Some(NearMiss::HeldLong);
        }
        self.object(at, time::released(lock, own_ns))
    }
}
