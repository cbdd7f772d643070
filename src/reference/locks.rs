//! Requests and releases of locks, and IRQLs.

use std::collections::BTreeSet;

use crate::event::{Event, Handle, Kind, Lock, LockApi, LockMisuse, Routine};
use crate::storport::{Irql, StorStatus};

use super::model::{Held, Id, Model, SHORTEST_LIMIT_NS, Verdict};
use super::orders::{Edge, Guard};

/// No rule's id: the events contradict each other.
pub(crate) const CONTRADICTION: Id = "(the events contradict each other)";

/// Locks of the first rank, which come before Interrupt and the messages' locks.
fn is_first_rank(lock: Lock) -> bool {
    matches!(lock, Lock::StartIo | Lock::Dpc(_))
}

fn is_second_rank(lock: Lock) -> bool {
    matches!(lock, Lock::Interrupt | Lock::Message(_))
}

fn is_queued(api: LockApi) -> bool {
    matches!(api, LockApi::KeQueued | LockApi::KeQueuedDpcLevel)
}

/// Routines of the executive that leave the IRQL to their caller.
fn is_executive_at_dpc_level(api: LockApi) -> bool {
    matches!(api, LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel)
}

impl Model {
    pub(crate) fn judge_locks(&mut self, event: &Event, v: &mut Verdict) {
        let processor = event.processor;
        let depth = self.depth(processor);
        match event.kind {
            Kind::LockWaited { lock, api, .. } => {
                // With per-message synchronisation Interrupt waits for one message's lock after another.
                if self.spins.insert((processor, depth, lock)) {
                    self.requested(event, lock, api, v);
                }
            }
            Kind::LockAcquired { lock, api, irql, .. } => {
                if !self.spins.remove(&(processor, depth, lock)) {
                    self.requested(event, lock, api, v);
                }
                self.acquired(event, lock, api, irql, v);
            }
            Kind::LockReleased { .. } => self.released(event, v),
            Kind::IrqlSet { irql, raise } => self.irql_set(event, irql, raise, v),
            Kind::LockMisused { api, release, misuse } => {
                self.misused(event, (api, release, misuse), v);
            }
            Kind::LockRefused { status, .. } => self.refused(event, status, v),
            Kind::ContextIgnored { .. } => v.warning("lock.context_not_null"),
            Kind::ExecutiveInitialized { lock, held, .. } => {
                let again = !self.initialized.insert(Lock::Executive(lock));
                match (again, held) {
                    (_, true) => v.error("lock.initialized_twice"),
                    (true, false) => v.warning("lock.initialized_twice"),
                    (false, false) => {}
                }
            }
            Kind::ExecutiveUninitialized { .. } => v.error("lock.uninitialized"),
            _ => return,
        }
        if self.is_dump(event.processor) {
            *v = Verdict::default();
        }
    }

    /// Whether holding the one is in the way of taking the other: the same lock, or a message's lock against all of
    /// them.
    fn collide(&self, one: Lock, other: Lock) -> bool {
        one == other
            || self.is_per_message()
                && matches!(
                    (one, other),
                    (Lock::Interrupt, Lock::Message(_)) | (Lock::Message(_), Lock::Interrupt)
                )
    }

    /// A lock and what it stands for.
    fn expand(&self, lock: Lock) -> Vec<Lock> {
        let mut locks = vec![lock];
        if lock == Lock::Interrupt && self.is_per_message() {
            let messages = self.adapter.map_or(0, |adapter| adapter.messages);
            locks.extend((0..messages).map(Lock::Message));
        }
        locks
    }

    fn held_by(&self, processor: u8) -> impl DoubleEndedIterator<Item = &Held> {
        self.held.iter().filter(move |held| held.processor == processor)
    }

    fn requested(&mut self, event: &Event, lock: Lock, api: LockApi, v: &mut Verdict) {
        let processor = event.processor;
        let newest = self.held_by(processor).rev().find(|held| self.collide(held.lock, lock));
        if let Some(held) = newest {
            let (ids, doubtful) = (self.self_deadlock(processor, held, (lock, api)), held.doubtful);
            self.waits_for_itself = doubtful;
            return ids.into_iter().for_each(|id| v.judge(id, doubtful));
        }
        if api == LockApi::Port {
            return;
        }
        let inverted = self.held_by(processor).filter(|held| is_second_rank(held.lock));
        let doubts: Vec<bool> = inverted.map(|held| held.doubtful).collect();
        if is_first_rank(lock) && !doubts.is_empty() {
            return v.judge("lock.order", doubts.iter().all(|&doubtful| doubtful));
        }
        if let Lock::Message(message) = lock
            && self
                .held_by(processor)
                .any(|held| matches!(held.lock, Lock::Message(n) if n > message))
        {
            v.warning("lock.message_order");
        }
        self.judge_table(processor, lock, v);
        self.judge_level(lock, api, event.irql, v);
    }

    /// What it is called when a processor asks for what it holds itself.
    fn self_deadlock(&self, processor: u8, held: &Held, (lock, api): (Lock, LockApi)) -> Vec<Id> {
        if api == LockApi::Port {
            // On behalf of whoever comes in between.
            let interrupts = is_second_rank(lock);
            return vec![if interrupts { "interrupt.self_deadlock" } else { "dpc.self_deadlock" }];
        }
        let frames = self.frames.get(&processor).map_or(&[][..], Vec::as_slice);
        let inner = &frames[held.callback()..];
        let routines = || inner.iter().map(|frame| frame.routine);
        if (!held.is_ports() || held.around.is_some())
            && routines().all(|routine| routine == Routine::Synchronized)
        {
            return vec![if held.is_ports() { "lock.port_held" } else { "lock.recursive" }];
        }
        let is_interrupt = |r| matches!(r, Routine::Interrupt | Routine::MessageInterrupt);
        if routines().any(is_interrupt) {
            return vec!["interrupt.self_deadlock"];
        }
        let is_request = |r| matches!(r, Routine::BuildIo | Routine::StartIo);
        match routines().any(is_request) {
            // StorPort came back into the driver: in a DPC of its own, or in a call of the driver's.
            true => vec!["dpc.self_deadlock", "lock.recursive", "lock.port_held"],
            false => vec!["dpc.self_deadlock"],
        }
    }

    /// The table of the reference page. A cell that other pages contradict gives a warning.
    fn judge_table(&self, processor: u8, lock: Lock, v: &mut Verdict) {
        let Some(frame) = self.caller(processor) else { return };
        if self.table.allows(frame.routine, self.adapter.as_ref(), lock) != Some(false) {
            return;
        }
        let full = self.is_full_duplex();
        v.judge(
            "lock.forbidden",
            match frame.routine {
                Routine::Timer | Routine::ResetBus | Routine::StateChange => {
                    matches!(lock, Lock::Dpc(_)) && full
                }
                Routine::MessageInterrupt => matches!(lock, Lock::Message(_)),
                _ => false,
            },
        );
    }

    /// The level at which a lock is requested.
    fn judge_level(&self, lock: Lock, api: LockApi, irql: Irql, v: &mut Verdict) {
        let device = self.device_irql();
        match lock {
            Lock::Interrupt if irql > device => v.error("irql.lock_level"),
            // Its page allows any level.
            Lock::Message(_) if irql > device => v.warning("irql.lock_level"),
            Lock::Interrupt | Lock::Message(_) => {}
            // What DpcLevelLock needs is said in passing only.
            Lock::StartIo | Lock::Dpc(_) if api == LockApi::DpcLevel => {
                if irql != Irql::DISPATCH {
                    v.warning("irql.lock_level");
                }
            }
            Lock::StartIo | Lock::Dpc(_) => {
                if irql > Irql::DISPATCH {
                    v.error("irql.lock_level");
                }
            }
            Lock::Executive(_) if is_executive_at_dpc_level(api) => {
                if irql < Irql::DISPATCH {
                    v.error("irql.lock_level");
                } else if irql > Irql::DISPATCH {
                    v.warning("lock.executive_in_interrupt");
                }
            }
            Lock::Executive(_) => {
                if irql > Irql::DISPATCH {
                    v.error("irql.lock_level");
                }
            }
        }
    }

    fn device_irql(&self) -> Irql {
        self.adapter.map_or(Irql::DEVICE_HIGHEST, |adapter| adapter.device_irql)
    }

    fn acquired(&mut self, event: &Event, lock: Lock, api: LockApi, irql: Irql, v: &mut Verdict) {
        let processor = event.processor;
        self.note_orders(processor, lock, api, v);
        if let Lock::Executive(number) = lock {
            self.executive_families.insert((number, is_queued(api)));
            if self.executive_families.contains(&(number, !is_queued(api))) {
                v.error("lock.mixed_api");
            }
        }
        self.held.push(Held {
            lock,
            api,
            processor,
            depth: self.depth(processor),
            saved: event.irql,
            since: self.events,
            level: match lock {
                Lock::Interrupt | Lock::Message(_) => irql.min(self.device_irql()),
                _ => irql.min(Irql::DISPATCH),
            },
            around: None,
            doubtful: false,
        });
    }

    /// Adds the orders between what the processor holds and what the driver takes. What StorPort nests is no choice
    /// of the driver's.
    fn note_orders(&mut self, processor: u8, lock: Lock, api: LockApi, v: &mut Verdict) {
        if api == LockApi::Port {
            return;
        }
        let guards = self.guards(processor);
        let held = self.held_by(processor).filter(|held| !held.doubtful);
        let firsts: Vec<Lock> = held.flat_map(|held| self.expand(held.lock)).collect();
        for first in firsts {
            for second in self.expand(lock) {
                let edge = Edge { first, second, guards: guards.clone() };
                if first == second {
                    continue;
                }
                if self.orders.meets_all(&edge) {
                    v.warning("lock.cycle");
                }
                if self.orders.add(edge) {
                    v.error("lock.cycle");
                }
            }
        }
        let all = lock == Lock::Interrupt && self.is_per_message();
        if all && self.orders.take_all(guards) {
            v.warning("lock.cycle");
        }
    }

    fn guards(&self, processor: u8) -> BTreeSet<Guard> {
        let held = self.held_by(processor).flat_map(|held| self.expand(held.lock));
        let dpcs = self.frames.get(&processor).into_iter().flatten();
        let dpcs = dpcs.filter(|frame| frame.routine == Routine::Dpc);
        held.map(Guard::Held).chain(dpcs.map(|frame| Guard::DpcRoutine(frame.subject))).collect()
    }

    fn released(&mut self, event: &Event, v: &mut Verdict) {
        let Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns } = event.kind
        else {
            unreachable!("asked about a release");
        };
        let processor = event.processor;
        let holding = self.holding(lock).cloned();
        let heir = holder.filter(|&heir| holding.is_none() && self.spins_for(heir, lock));
        let known = holding.as_ref().map(|held| held.processor).or(heir);
        if holder != known {
            v.error(CONTRADICTION);
        }
        if !matches!(api, LockApi::Port | LockApi::Synchronize) {
            match &holding {
                _ if handle == Handle::OtherLock => v.error("lock.release_other"),
                Some(held) if held.processor == processor => {
                    if saved != held.saved {
                        v.error(CONTRADICTION);
                    }
                    self.judge_release(event, held, (handle, irql), v);
                }
                _ => self.judge_foreign_release(event, holder.is_some(), handle, v),
            }
        }
        if api != LockApi::Port
            && let Some(held) = &holding
        {
            let own_ns = self.own_ns(processor, held.since, held_ns);
            if own_ns > SHORTEST_LIMIT_NS {
                v.warning("time.lock_held");
            }
        }
        if holder == Some(processor) {
            self.held.retain(|held| held.lock != lock);
        }
    }

    /// Whether a processor may hold the lock although it spins: a queued lock belongs to whoever waits longest as soon
    /// as its holder gives it back, and whoever waits for every message's lock has some of them.
    fn spins_for(&self, processor: u8, lock: Lock) -> bool {
        let mut spins = self.spins.iter().filter(|(p, ..)| *p == processor);
        spins.any(|&(.., spins_for)| self.expand(spins_for).contains(&lock))
    }

    /// The acquire that keeps a lock.
    fn holding(&self, lock: Lock) -> Option<&Held> {
        let all = matches!(lock, Lock::Message(_)) && self.is_per_message();
        self.held.iter().find(|held| held.lock == lock || all && held.lock == Lock::Interrupt)
    }

    /// Whether the driver holds a message's lock on the processor, other than this one.
    fn holds_other_message(&self, processor: u8, lock: Option<Lock>) -> bool {
        self.held_by(processor).any(|held| {
            matches!(held.lock, Lock::Message(_)) && !held.is_ports() && Some(held.lock) != lock
        })
    }

    fn judge_foreign_release(&self, event: &Event, is_held: bool, handle: Handle, v: &mut Verdict) {
        let Kind::LockReleased { lock, api, .. } = event.kind else { return };
        if api == LockApi::Msi && self.holds_other_message(event.processor, Some(lock)) {
            v.error("lock.release_message");
            return;
        }
        match (is_held, handle) {
            (false, _) => v.error("lock.release_unheld"),
            (true, Handle::Stale) => v.error("lock.handle_stale"),
            (true, _) => v.error("lock.release_foreign"),
        }
    }

    fn judge_release(
        &self,
        event: &Event,
        held: &Held,
        (handle, irql): (Handle, Irql),
        v: &mut Verdict,
    ) {
        let Kind::LockReleased { lock, api, .. } = event.kind else { return };
        if handle == Handle::Stale {
            return v.error("lock.handle_stale");
        }
        if held.is_ports() {
            return v.error("lock.release_port_held");
        }
        match handle {
            Handle::OtherApi => return v.error("lock.api_pair"),
            // A queued lock is spoilt by it, another one's rule is broken.
            Handle::Copied => return v.judge("lock.handle_copied", is_second_rank(lock)),
            _ => {}
        }
        self.judge_restored(event, held, (api, irql), v);
        let newest = self.held_by(event.processor).next_back().expect("it holds this one");
        if newest.lock != held.lock {
            v.warning("lock.release_order");
        }
    }

    /// The IRQL that a release restores, and the one at which it is called.
    fn judge_restored(
        &self,
        event: &Event,
        held: &Held,
        (api, irql): (LockApi, Irql),
        v: &mut Verdict,
    ) {
        if !is_executive_at_dpc_level(api) && irql != held.saved {
            v.error("lock.old_irql");
        }
        let at_dispatch = matches!(api, LockApi::Ke | LockApi::KeQueued);
        let below = is_executive_at_dpc_level(api) && event.irql < Irql::DISPATCH;
        if at_dispatch && event.irql != Irql::DISPATCH || below {
            v.error("irql.ddi");
        }
        let mut others = self.held_by(event.processor).filter(|other| other.lock != held.lock);
        if irql < event.irql && others.any(|other| irql < other.level && !other.doubtful) {
            v.error("irql.below_lock");
        }
    }

    fn irql_set(&mut self, event: &Event, irql: Irql, raise: bool, v: &mut Verdict) {
        let (now, processor) = (event.irql, event.processor);
        let needy = self.held_by(processor).any(|held| irql < held.level && !held.doubtful);
        let Some(frame) = self.frames.entry(processor).or_default().last_mut() else { return };
        let returned = frame.raised.contains(&irql);
        if raise {
            frame.raised.push(now);
        } else {
            frame.raised.retain(|&raised| raised < irql);
        }
        match raise {
            true if irql < now => v.error("irql.raise"),
            true => {}
            false if needy && irql < now => v.error("irql.below_lock"),
            false if irql != now && !returned => v.error("irql.lower"),
            false => {}
        }
    }

    fn refused(&self, event: &Event, status: StorStatus, v: &mut Verdict) {
        if status != StorStatus::INVALID_IRQL {
            return;
        }
        // Up to the device's level only a lock of the first rank is refused.
        let inverted = self.held_by(event.processor).any(|held| is_second_rank(held.lock));
        match inverted && event.irql <= self.device_irql() {
            true => v.warning("lock.order"),
            false => v.warning("irql.lock_level"),
        }
    }

    fn misused(
        &self,
        event: &Event,
        (api, release, misuse): (LockApi, bool, LockMisuse),
        v: &mut Verdict,
    ) {
        match misuse {
            LockMisuse::UnknownKind => v.error("lock.unknown_kind"),
            LockMisuse::ExOnlyKind => v.error("lock.ex_only"),
            LockMisuse::DpcNull | LockMisuse::DpcUninitialized | LockMisuse::DpcForeign => {
                v.error("lock.dpc_context");
            }
            LockMisuse::NotPerMessage => v.error("lock.not_per_message"),
            LockMisuse::MessageOutOfRange => {
                let other = self.holds_other_message(event.processor, None);
                match release && api == LockApi::Msi && other {
                    true => v.error("lock.release_message"),
                    false => v.error("lock.message_range"),
                }
            }
            LockMisuse::HandleNeverAcquired => v.error("lock.release_unheld"),
        }
    }

    /// Whether the callback that runs holds a lock of DISPATCH_LEVEL that the driver took.
    pub(crate) fn holds_own_dispatch_lock(&self, processor: u8) -> bool {
        self.held_by(processor).any(|held| !held.is_ports() && !is_second_rank(held.lock))
    }
}
