//! Requests and releases of locks, and IRQLs.

use lockstorm::event::{Event, Handle, Kind, Lock, LockApi, LockMisuse, Routine};
use lockstorm::storport::{Irql, StorStatus};

use crate::model::{Held, Id, Model, Verdict};

/// Locks of the first rank, which come before Interrupt and the messages' locks.
fn is_first_rank(lock: Lock) -> bool {
    matches!(lock, Lock::StartIo | Lock::Dpc(_))
}

fn is_second_rank(lock: Lock) -> bool {
    matches!(lock, Lock::Interrupt | Lock::Message(_))
}

/// Whether the routine leaves the IRQL to its caller.
fn is_at_dpc_level(api: LockApi) -> bool {
    matches!(api, LockApi::DpcLevel | LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel)
}

fn is_queued(api: LockApi) -> bool {
    matches!(api, LockApi::KeQueued | LockApi::KeQueuedDpcLevel)
}

impl Model {
    pub(crate) fn judge_locks(&mut self, event: &Event, v: &mut Verdict) {
        let spot = (event.processor, self.depth(event.processor));
        match event.kind {
            Kind::LockWaited { lock, api, .. } => {
                // With per-message synchronisation Interrupt waits for one message's lock after another.
                if self.spins.insert(spot, lock) != Some(lock) {
                    self.requested(event, lock, api, v);
                }
            }
            Kind::LockAcquired { lock, api, .. } => {
                if self.spins.remove(&spot).is_none() {
                    self.requested(event, lock, api, v);
                }
                self.held.push(Held {
                    lock,
                    api,
                    processor: event.processor,
                    depth: spot.1,
                    saved: event.irql,
                });
            }
            Kind::LockReleased { .. } => self.released(event, v),
            Kind::IrqlSet { irql, raise } => self.irql_set(event, irql, raise, v),
            Kind::LockMisused { release, misuse, .. } => misused(misuse, release, v),
            Kind::LockRefused { status, .. } => {
                if status == StorStatus::INVALID_IRQL && !self.is_dump(event.processor) {
                    v.error("irql.lock_level");
                }
            }
            Kind::ContextIgnored { .. } => v.warning("lock.context_not_null"),
            Kind::ExecutiveInitialized { again: true, .. } => v.error("lock.initialized_twice"),
            Kind::ExecutiveUninitialized { .. } => v.error("lock.uninitialized"),
            _ => {}
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

    fn held_by(&self, processor: u8) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| held.processor == processor)
    }

    fn requested(&mut self, event: &Event, lock: Lock, api: LockApi, v: &mut Verdict) {
        if self.is_dump(event.processor) {
            return;
        }
        if api != LockApi::Port {
            self.judge_request(event, lock, api, v);
        }
        if v.errors.is_empty() && self.closes_a_cycle(event.processor, lock) {
            v.error("lock.cycle");
        }
    }

    fn judge_request(&mut self, event: &Event, lock: Lock, api: LockApi, v: &mut Verdict) {
        let processor = event.processor;
        if let Lock::Executive(number) = lock {
            self.executive_families.insert((number, is_queued(api)));
            if self.executive_families.contains(&(number, !is_queued(api))) {
                v.error("lock.mixed_api");
            }
            if event.irql > Irql::DISPATCH {
                v.warning("lock.executive_in_interrupt");
            }
        }
        if let Lock::Message(message) = lock
            && self
                .held_by(processor)
                .any(|held| matches!(held.lock, Lock::Message(n) if n > message))
        {
            v.warning("lock.message_order");
        }
        let holder = self.held_by(processor).find(|held| self.collide(held.lock, lock));
        let inverted = self.held_by(processor).any(|held| is_second_rank(held.lock));
        if let Some(held) = holder {
            v.error(self.self_deadlock(processor, held));
        } else if is_first_rank(lock) && inverted {
            v.error("lock.order");
        } else {
            if self.is_forbidden(processor, lock) {
                v.error("lock.forbidden");
            }
            if self.is_wrong_level(lock, api, event.irql) {
                v.error("irql.lock_level");
            }
        }
    }

    /// What it is called when a processor asks for what it holds itself.
    fn self_deadlock(&self, processor: u8, held: &Held) -> Id {
        let caller = self.caller_depth(processor);
        if held.depth >= caller {
            // In this callback, or in what it runs under StorPortSynchronizeAccess.
            return "lock.recursive";
        }
        if held.depth + 1 == caller && held.is_ports() {
            return "lock.port_held";
        }
        let frames = &self.frames[&processor][held.depth..];
        let interrupts =
            |routine| matches!(routine, Routine::Interrupt | Routine::MessageInterrupt);
        match frames.iter().any(|frame| interrupts(frame.routine)) {
            true => "interrupt.self_deadlock",
            false => "dpc.self_deadlock",
        }
    }

    /// Whether the table forbids the lock to the routine that asks for it. A cell that other pages contradict
    /// forbids nothing.
    fn is_forbidden(&self, processor: u8, lock: Lock) -> bool {
        let Some(frame) = self.caller(processor) else { return false };
        let doubtful = match frame.routine {
            Routine::Timer | Routine::ResetBus | Routine::StateChange => {
                matches!(lock, Lock::Dpc(_))
            }
            Routine::MessageInterrupt => matches!(lock, Lock::Message(_)),
            _ => false,
        };
        let allows = self.table.allows(frame.routine, self.adapter.as_ref(), lock);
        !doubtful && allows == Some(false)
    }

    fn is_wrong_level(&self, lock: Lock, api: LockApi, irql: Irql) -> bool {
        if is_at_dpc_level(api) {
            return irql < Irql::DISPATCH;
        }
        irql > self.level(lock)
    }

    /// IRQL at which code runs that holds the lock.
    fn level(&self, lock: Lock) -> Irql {
        if is_second_rank(lock) {
            self.adapter.map_or(Irql::DEVICE_HIGHEST, |adapter| adapter.device_irql)
        } else {
            Irql::DISPATCH
        }
    }

    /// Adds the orders between what the processor holds and what it asks for.
    fn closes_a_cycle(&mut self, processor: u8, lock: Lock) -> bool {
        let held: Vec<Lock> = self.held_by(processor).map(|held| held.lock).collect();
        let mut edges = Vec::new();
        for &held in &held {
            for first in self.expand(held) {
                for second in self.expand(lock) {
                    edges.push((first, second));
                }
            }
        }
        for &(first, second) in &edges {
            self.orders.add(first, second);
        }
        edges.iter().any(|&(first, second)| {
            first != second && self.orders.cycle_through(first, second).is_some()
        })
    }

    fn released(&mut self, event: &Event, v: &mut Verdict) {
        let Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns } = event.kind
        else {
            unreachable!("asked about a release");
        };
        let processor = event.processor;
        let holding = self.holding(lock).cloned();
        assert_eq!(holder, holding.as_ref().map(|held| held.processor), "the holder of {event:?}");
        let is_drivers = !matches!(api, LockApi::Port | LockApi::Synchronize);
        if !self.is_dump(processor) && is_drivers {
            match &holding {
                Some(held) if held.processor == processor => {
                    assert_eq!(saved, held.saved, "what the acquire saved, at {event:?}");
                    self.judge_release(event, held, (handle, irql), v);
                }
                holding => self.judge_foreign_release(event, holding.as_ref(), handle, v),
            }
        }
        if !self.is_dump(processor) && api != LockApi::Port && held_ns > 25_000 {
            v.warning("time.lock_held");
        }
        if holder == Some(processor) {
            self.held.retain(|held| held.lock != lock);
        }
    }

    /// The acquire that keeps a lock.
    fn holding(&self, lock: Lock) -> Option<&Held> {
        let all = matches!(lock, Lock::Message(_)) && self.is_per_message();
        self.held.iter().find(|held| held.lock == lock || all && held.lock == Lock::Interrupt)
    }

    fn judge_foreign_release(
        &self,
        event: &Event,
        holding: Option<&Held>,
        handle: Handle,
        v: &mut Verdict,
    ) {
        let Kind::LockReleased { lock, api, .. } = event.kind else { return };
        let other_message =
            |held: &Held| api == LockApi::Msi && held.api == LockApi::Msi && held.lock != lock;
        if self.held_by(event.processor).any(other_message) {
            v.error("lock.release_message");
            return;
        }
        match (holding, handle) {
            (_, Handle::OtherLock) => v.error("lock.release_other"),
            (None, _) => v.error("lock.release_unheld"),
            (Some(_), Handle::Stale) => {
                v.error("lock.handle_stale");
                v.error("lock.release_foreign");
            }
            (Some(_), _) => v.error("lock.release_foreign"),
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
        if held.is_ports() {
            return v.error("lock.release_port_held");
        }
        match handle {
            Handle::Same => self.judge_restored(event, held, (api, irql), v),
            Handle::Copied if is_second_rank(lock) => v.warning("lock.handle_copied"),
            Handle::Copied => v.error("lock.handle_copied"),
            Handle::Stale => v.error("lock.handle_stale"),
            Handle::OtherLock => v.error("lock.release_other"),
            Handle::OtherApi => v.error("lock.api_pair"),
        }
        let newest = self.held_by(event.processor).last().expect("it holds this one");
        if newest.lock != held.lock && v.errors.is_empty() {
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
        if !matches!(api, LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel) && irql != held.saved {
            v.error("lock.old_irql");
        }
        let at_dispatch = matches!(api, LockApi::Ke | LockApi::KeQueued);
        if at_dispatch && event.irql != Irql::DISPATCH {
            v.error("irql.ddi");
        }
        let others = self.held_by(event.processor).filter(|other| other.lock != held.lock);
        if others.into_iter().any(|other| irql < self.level(other.lock)) {
            v.error("irql.below_lock");
        }
    }

    fn irql_set(&mut self, event: &Event, irql: Irql, raise: bool, v: &mut Verdict) {
        let frames = self.frames.entry(event.processor).or_default();
        let mut raised = frames.last_mut().map(|frame| &mut frame.raised);
        if raise {
            if let Some(raised) = &mut raised {
                raised.push(event.irql);
            }
        } else if raised.and_then(|raised| raised.pop()) != Some(irql) {
            v.error("irql.lower");
        }
        if raise && irql < event.irql {
            v.error("irql.raise");
        }
        if irql < event.irql
            && self.held_by(event.processor).any(|held| irql < self.level(held.lock))
        {
            v.error("irql.below_lock");
        }
        if self.is_dump(event.processor) {
            *v = Verdict::default();
        }
    }

    /// Whether the callback that runs holds a lock of its own.
    pub(crate) fn holds_own_lock(&self, processor: u8) -> bool {
        let depth = self.caller_depth(processor);
        self.held_by(processor).any(|held| held.depth >= depth && !held.is_ports())
    }
}

fn misused(misuse: LockMisuse, release: bool, v: &mut Verdict) {
    match misuse {
        LockMisuse::UnknownKind => v.error("lock.unknown_kind"),
        LockMisuse::ExOnlyKind => v.error("lock.ex_only"),
        LockMisuse::DpcNull | LockMisuse::DpcUninitialized | LockMisuse::DpcForeign => {
            v.error("lock.dpc_context");
        }
        LockMisuse::NotPerMessage => v.error("lock.not_per_message"),
        LockMisuse::MessageOutOfRange => v.error("lock.message_range"),
        LockMisuse::HandleNeverAcquired => {
            assert!(release);
            v.error("lock.release_unheld");
        }
    }
}
