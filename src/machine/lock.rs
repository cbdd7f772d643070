//! The lock table: who holds what, waiting, and circles of waits.
//!
//! Every lock of the contract has one index in one table, and so have StorPort's channel tokens, which
//! exclude in the same way but are no locks of the contract and make no events. A processor that finds a lock
//! held is switched out until it is free. Queued locks (StartIo, DPC, in-stack queued) go to the
//! longest waiter, as <https://learn.microsoft.com/windows-hardware/drivers/kernel/queued-spin-locks>
//! promises; the others to whoever runs first.

use super::port::Port;
use super::processor::Status;
use super::state::{End, State};
use crate::event::number::{DPCS, EXECUTIVES, LOCKS, START_IO, lock_of, number};
use crate::event::{Handle, Interrupts, Kind, Lock, LockApi, Sink, Site};
use crate::storport::Irql;

/// The first channel token; below are the locks of the contract, by number.
const TOKENS: usize = LOCKS;
/// Channel tokens: as many as StorPort grants channels.
pub(super) const CHANNELS_MAX: usize = 8;
const COUNT: usize = TOKENS + CHANNELS_MAX;

/// A lock, who waits for it, and, for a lock of the contract, what held it last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) owner: Option<u8>,
    /// Processors that wait for a queued lock, the longest first.
    queue: [u8; QUEUE_MAX],
    queued: u8,
    /// Processors that wait for it now, a bit each.
    waiters: u8,
    pub(super) api: LockApi,
    pub(super) saved: Irql,
    /// Number of the acquire, which the handle repeats.
    pub(super) serial: u32,
    /// Address of the handle; 0 without one.
    pub(super) handle: usize,
    /// The owner's busy time at the acquire.
    since: u64,
}

/// Places in a lock's queue: a processor needs one, and one more for each interrupt that came while it waited.
const QUEUE_MAX: usize = 14;

/// The table.
pub(super) struct Locks {
    records: [Record; COUNT],
    /// Which records this run has used.
    used: [u64; COUNT.div_ceil(64)],
    serial: u32,
    movable: u8,
}

/// How an acquire asks for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) api: LockApi,
    /// IRQL to run at while it is held.
    pub(super) level: Irql,
    /// Address of the handle; 0 without one.
    pub(super) handle: usize,
}

impl Request {
    /// StorPort's own, around a callback.
    pub(super) const fn of_port(level: Irql) -> Request {
        Request { api: LockApi::Port, level, handle: 0 }
    }
}

impl Locks {
    pub(super) fn new() -> Self {
        Locks { records: [FREE; COUNT], used: [0; COUNT.div_ceil(64)], serial: 0, movable: 0 }
    }

    pub(super) fn power_on(&mut self) {
        for (word, bits) in self.used.iter_mut().enumerate() {
            while *bits != 0 {
                self.records[word * 64 + bits.trailing_zeros() as usize] = FREE;
                *bits &= *bits - 1;
            }
        }
        (self.serial, self.movable) = (0, 0);
    }

    pub(super) fn record(&self, lock: Lock) -> &Record {
        &self.records[number(lock)]
    }

    #[inline]
    fn touch(&mut self, index: usize) -> &mut Record {
        self.used[index / 64] |= 1 << (index % 64);
        &mut self.records[index]
    }

    /// The processors that have something under way and can go on with it, a bit each: they wait for no lock, or for
    /// one that is free or was handed to them.
    #[inline]
    pub(super) fn movable(&self) -> u8 {
        self.movable
    }

    /// Whether somebody holds the lock.
    #[inline]
    pub(super) fn is_held(&self, index: usize) -> bool {
        self.records[index].owner.is_some()
    }

    /// Frees the lock; a queued one goes to who waits longest.
    #[inline]
    fn free(&mut self, index: usize) {
        let record = &mut self.records[index];
        record.owner = None;
        if record.queued == 0 {
            self.movable |= record.waiters;
        } else {
            record.owner = Some(record.queue[0]);
            self.movable |= record.waiters & 1 << record.queue[0];
            record.queue.copy_within(1.., 0);
            record.queued -= 1;
            // Until its new owner runs and books it no handle fits it, the last owner's least of all.
            (record.serial, record.handle, record.since) = (0, 0, u64::MAX);
        }
    }
}

const FREE: Record = Record {
    owner: None,
    queue: [0; QUEUE_MAX],
    queued: 0,
    waiters: 0,
    api: LockApi::Port,
    saved: Irql::PASSIVE,
    serial: 0,
    handle: 0,
    since: 0,
};

impl<S: Sink> State<S> {
    /// Whether `processor`, which waits for the lock, can go on: a queued lock was handed to it, another is
    /// free.
    #[inline]
    fn is_granted(&self, processor: usize, index: usize) -> bool {
        match self.locks.records[index].owner {
            Some(owner) => is_queued(index) && usize::from(owner) == processor,
            None => true,
        }
    }

    /// What the current processor does from now on.
    pub(super) fn set_status(&mut self, status: Status) {
        let current = self.current;
        let bit = 1 << current;
        if let Status::Waiting(lock) = self.processor().status {
            self.locks.records[lock].waiters &= !bit;
        }
        self.processor().status = status;
        let (under_way, movable) = match status {
            Status::Idle => (false, false),
            Status::Busy => (true, true),
            Status::Waiting(lock) => {
                self.locks.touch(lock).waiters |= bit;
                (true, self.is_granted(current, lock))
            }
        };
        self.under_way = self.under_way & !bit | u8::from(under_way) << current;
        self.locks.movable = self.locks.movable & !bit | u8::from(movable) << current;
    }

    /// Whether the Interrupt lock stands for every message's lock.
    pub(super) fn interrupt_is_all_messages(&self) -> bool {
        self.adapter.facts.interrupts == Interrupts::PerMessage
    }

    /// Notes that the current processor waits, and ends the run if that closes a circle.
    fn begin_to_wait(&mut self, index: usize) {
        let current = self.current as u8;
        let record = self.locks.touch(index);
        if is_queued(index) && usize::from(record.queued) < QUEUE_MAX {
            record.queue[usize::from(record.queued)] = current;
            record.queued += 1;
        }
        self.set_status(Status::Waiting(index));
        self.end_if_circular();
    }

    /// Follows holder to lock to holder from the current processor; back there, the run is over.
    pub(super) fn end_if_circular(&mut self) {
        let mut at = self.current;
        for length in 1..=self.processor_count {
            let Some((_, holder)) = self.waits_for(at) else { return };
            at = usize::from(holder);
            if at == self.current {
                return self.deadlock(length as u8);
            }
        }
    }

    /// The lock that a processor waits for, and who holds it.
    fn waits_for(&self, processor: usize) -> Option<(Lock, u8)> {
        let Status::Waiting(index) = self.processors[processor].status else { return None };
        let holder = self.locks.records[index].owner?;
        Some((if index < TOKENS { lock_of(index) } else { Lock::StartIo }, holder))
    }

    #[cold]
    fn deadlock(&mut self, length: u8) {
        let first = self.current;
        for _ in 0..length {
            let Some((lock, holder)) = self.waits_for(self.current) else { break };
            self.emit(Site::Port, Kind::Deadlocked { lock, holder, length });
            self.current = usize::from(holder);
        }
        self.current = first;
        self.stop(End::Deadlock);
    }

    /// Books the lock to the current processor; the number of the acquire.
    #[inline]
    fn book(&mut self, index: usize, request: Request, saved: Irql) -> u32 {
        self.locks.serial += 1;
        let serial = self.locks.serial;
        let (owner, since) = (self.current as u8, self.processors[self.current].busy);
        let record = self.locks.touch(index);
        record.owner = Some(owner);
        let waiters = record.waiters;
        (record.api, record.saved, record.serial) = (request.api, saved, serial);
        (record.handle, record.since) = (request.handle, since);
        self.locks.movable &= !waiters;
        serial
    }
}

/// Whether waiters get the lock in the order in which they came.
#[inline]
fn is_queued(index: usize) -> bool {
    index == START_IO || (DPCS..EXECUTIVES).contains(&index) || index >= TOKENS
}

impl<S: Sink + 'static> Port<S> {
    /// Takes a lock, spinning as long as it is held. Returns the number of the acquire.
    ///
    /// Inlined into the DDIs that drivers call most, and so are the event and what the sink makes of it: there the
    /// kind of lock and the routine are constants, and half of the work is gone.
    #[inline(always)]
    pub(super) fn take(self, lock: Lock, request: Request, site: Site) -> u32 {
        let index = number(lock);
        let (saved, busy) = self.with(|s| {
            let saved = std::mem::replace(&mut s.processor().irql, request.level);
            let all = matches!(lock, Lock::Interrupt) && s.interrupt_is_all_messages();
            (saved, all || s.locks.is_held(index))
        });
        let contended = busy && self.spin_for(lock, request, saved, site);
        // SAFETY: the reference ends here, and nothing in between calls the driver or switches processors.
        let s = unsafe { self.state() };
        let serial = s.book(index, request, saved);
        let (api, irql) = (request.api, request.level);
        s.emit_at(site, saved, Kind::LockAcquired { lock, api, irql, contended });
        if s.end.is_some() {
            self.park();
        }
        serial
    }

    /// As [`Port::take`], for StorPort's own locks and for rare routines.
    #[inline(never)]
    pub(super) fn take_seldom(self, lock: Lock, request: Request, site: Site) -> u32 {
        self.take(lock, request, site)
    }

    /// Waits for the lock, or takes all that it stands for; whether that took waiting.
    #[cold]
    #[inline(never)]
    fn spin_for(self, lock: Lock, request: Request, saved: Irql, site: Site) -> bool {
        let mut contended = false;
        if matches!(lock, Lock::Interrupt) && self.with(|s| s.interrupt_is_all_messages()) {
            contended = self.take_all_messages(request, saved, site);
        }
        contended | self.spin((lock, number(lock)), request.api, saved, site)
    }

    /// Takes every message's lock, as part of the Interrupt lock; whether that took waiting.
    fn take_all_messages(self, request: Request, saved: Irql, site: Site) -> bool {
        let mut contended = false;
        for message in 0..self.with(|s| s.adapter.facts.messages) {
            let index = number(Lock::Message(message));
            contended |= self.spin((Lock::Interrupt, index), request.api, saved, site);
            self.with(|s| s.book(index, request, saved));
        }
        contended
    }

    /// Waits for `lock` until what is at `index` is free; whether that took waiting.
    fn spin(self, (lock, index): (Lock, usize), api: LockApi, saved: Irql, site: Site) -> bool {
        if !self.with(|s| s.locks.is_held(index)) {
            return false;
        }
        self.act(|s| {
            let holder = s.locks.records[index].owner.unwrap_or_default();
            s.emit_at(site, saved, Kind::LockWaited { lock, api, holder });
            if s.end.is_none() {
                s.begin_to_wait(index);
            }
        });
        self.wait(index);
        true
    }

    /// Is switched out until the lock at `index` may be taken; interrupts can arrive meanwhile.
    #[inline]
    fn wait(self, index: usize) {
        loop {
            self.suspend();
            let granted = self.with(|s| {
                s.set_status(Status::Busy);
                s.is_granted(s.current, index)
            });
            if granted {
                return;
            }
            self.deliver_pending();
            let granted = self.act(|s| {
                let granted = s.is_granted(s.current, index);
                if !granted {
                    s.set_status(Status::Waiting(index));
                    s.end_if_circular();
                }
                granted
            });
            if granted {
                return;
            }
        }
    }

    /// Gives a lock back with `irql` to restore; what is wrong with that is the rules' affair, a lock of
    /// somebody else's stays his. Inlined as [`Port::take`].
    #[inline(always)]
    pub(super) fn give(self, lock: Lock, api: LockApi, handle: Handle, irql: Irql, site: Site) {
        // SAFETY: as in `take`.
        let s = unsafe { self.state() };
        let index = number(lock);
        let Record { owner: holder, saved, since, .. } = s.locks.records[index];
        let held_ns = match holder {
            Some(owner) => s.processors[usize::from(owner)].busy.saturating_sub(since),
            None => 0,
        };
        let held_ns = u32::try_from(held_ns).unwrap_or(u32::MAX);
        let kind = Kind::LockReleased { lock, api, holder, handle, irql, saved, held_ns };
        s.emit(site, kind);
        if holder == Some(s.current as u8) {
            s.release(lock, index);
            s.processor().irql = irql;
        }
        if s.end.is_some() {
            self.park();
        }
        self.drain_deferred();
    }

    /// As [`Port::give`], for StorPort's own locks and for rare routines.
    #[inline(never)]
    pub(super) fn give_seldom(
        self,
        lock: Lock,
        api: LockApi,
        handle: Handle,
        irql: Irql,
        site: Site,
    ) {
        self.give(lock, api, handle, irql, site);
    }

    /// Takes a channel token: exclusion inside StorPort, unseen by rules.
    pub(super) fn take_token(self, channel: usize) {
        let index = TOKENS + channel;
        if self.with(|s| s.locks.is_held(index)) {
            self.act(|s| s.begin_to_wait(index));
            self.wait(index);
        }
        self.with(|s| {
            let request = Request::of_port(s.processor().irql);
            s.book(index, request, Irql::DISPATCH);
            s.tell_channel(channel, true);
        });
    }

    /// Gives a channel token back.
    pub(super) fn give_token(self, channel: usize) {
        self.with(|s| {
            s.tell_channel(channel, false);
            s.locks.free(TOKENS + channel);
        });
    }
}

impl<S: Sink> State<S> {
    /// What StorPort's channels keep apart, no lock of the contract does: who watches memory must know.
    fn tell_channel(&mut self, channel: usize, begins: bool) {
        if self.watch.events {
            self.emit(Site::Port, Kind::Channel { channel: channel as u8, begins });
        }
    }

    #[inline]
    fn release(&mut self, lock: Lock, index: usize) {
        self.locks.free(index);
        if matches!(lock, Lock::Interrupt) && self.interrupt_is_all_messages() {
            for message in 0..self.adapter.facts.messages {
                self.locks.free(number(Lock::Message(message)));
            }
        }
    }
}
