//! What the layer keeps to tell the rules facts and not guesses: who is inside the driver, which locks are held and
//! with which handle, which DPCs, executive locks and requests exist. Fixed arrays, no addresses followed.

use crate::event::{
    Adapter, DPCS_MAX, Duplex, EXECUTIVE_LOCKS_MAX, Handle, Interrupts, Kind, Lock, LockApi,
    LockMisuse, MESSAGES_MAX, Miniport, Owner, PROCESSORS_MAX, Routine,
};
use crate::rules::Kinds;
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Irql, StorDpc, StorLockHandle, StorSpinlock};

const START_IO: usize = 0;
const INTERRUPT: usize = 1;
const MESSAGES: usize = 2;
const DPCS: usize = MESSAGES + MESSAGES_MAX;
const EXECUTIVES: usize = DPCS + DPCS_MAX;
const LOCKS: usize = EXECUTIVES + EXECUTIVE_LOCKS_MAX;

/// Types of adapter control whose level depends on the Windows, as events number them.
const STOP_ADAPTER: u16 = ScsiAdapterControlType::STOP_ADAPTER.0 as u16;
const RESTART_ADAPTER: u16 = ScsiAdapterControlType::RESTART_ADAPTER.0 as u16;

/// Requests that StorPort can have at the miniport; more, and completions are believed.
const REQUESTS: usize = 2048;
/// How far a request may lie from the place that its address suggests.
const PROBES: usize = 32;
/// Threads without a slot that are counted one by one; more, and the watch sees nothing until they are gone.
const BLIND: usize = 32;

/// The thread inside the driver that the rules take for one processor.
#[derive(Clone, Copy)]
struct Slot {
    thread: usize,
    depth: u8,
    /// Address of the SRB that HwStorBuildIo or HwStorStartIo has there.
    starting: usize,
}

/// How a lock is held, or was held last.
#[derive(Clone, Copy)]
pub(super) struct Held {
    owner: Option<u8>,
    pub(super) api: LockApi,
    pub(super) saved: Irql,
    /// Address of the handle; 0 without one.
    handle: usize,
    kind: StorSpinlock,
    /// The handle as the acquire left it.
    context: KlockQueueHandle,
}

impl Held {
    pub(super) fn is_taken(&self) -> bool {
        self.owner.is_some()
    }
}

const FREE: Held = Held {
    owner: None,
    api: LockApi::Port,
    saved: Irql::PASSIVE,
    handle: 0,
    kind: StorSpinlock::INVALID,
    context: KlockQueueHandle { next: 0, lock: 0, old_irql: Irql::PASSIVE },
};

/// A request, by the address of its SRB.
#[derive(Clone, Copy)]
struct Request {
    srb: usize,
    number: u16,
    owner: Owner,
}

const NO_REQUEST: Request = Request { srb: 0, number: 0, owner: Owner::Port };

/// Everything.
pub(super) struct Book {
    pub(super) adapter: Adapter,
    pub(super) configured: bool,
    slots: [Slot; PROCESSORS_MAX],
    blind: [(usize, u8); BLIND],
    /// So many callbacks of threads that are not even in `blind`.
    lost: u32,
    locks: [Held; LOCKS],
    /// Which DPCs were initialised and which are queued, a bit each.
    dpcs_initialized: u32,
    dpcs_queued: u32,
    executives: [usize; EXECUTIVE_LOCKS_MAX],
    executives_initialized: u32,
    executive_count: usize,
    requests: [Request; REQUESTS],
    /// A request found no place: unknown ones may be good.
    overflowed: bool,
    next_request: u16,
}

/// A handle at its release.
pub(super) struct Given {
    pub(super) lock: Lock,
    pub(super) handle: Handle,
    pub(super) irql: Irql,
}

impl Book {
    pub(super) const fn new() -> Book {
        Book {
            adapter: UNCONFIGURED,
            configured: false,
            slots: [Slot { thread: 0, depth: 0, starting: 0 }; PROCESSORS_MAX],
            blind: [(0, 0); BLIND],
            lost: 0,
            locks: [FREE; LOCKS],
            dpcs_initialized: 0,
            dpcs_queued: 0,
            executives: [0; EXECUTIVE_LOCKS_MAX],
            executives_initialized: 0,
            executive_count: 0,
            requests: [NO_REQUEST; REQUESTS],
            overflowed: false,
            next_request: 0,
        }
    }

    /// Back to a new adapter. In place: the book is too long for a stack.
    pub(super) fn reset(&mut self) {
        (self.adapter, self.configured) = (UNCONFIGURED, false);
        self.slots.fill(Slot { thread: 0, depth: 0, starting: 0 });
        self.blind.fill((0, 0));
        self.lost = 0;
        self.locks.fill(FREE);
        (self.dpcs_initialized, self.dpcs_queued) = (0, 0);
        (self.executives_initialized, self.executive_count) = (0, 0);
        self.requests.fill(NO_REQUEST);
        (self.overflowed, self.next_request) = (false, 0);
    }

    // Threads.

    /// The slot of a thread that is inside the driver and watched.
    #[inline]
    pub(super) fn slot(&self, thread: usize) -> Option<u8> {
        let slot = self.slots.iter().position(|slot| slot.thread == thread && slot.depth != 0)?;
        Some(slot as u8)
    }

    pub(super) fn depth(&self, slot: u8) -> u8 {
        self.slots[usize::from(slot)].depth
    }

    /// One callback more in a thread; its slot, or `None` for a callback that cannot be watched.
    pub(super) fn enter(&mut self, thread: usize) -> Option<u8> {
        if let Some(slot) = self.slot(thread) {
            self.slots[usize::from(slot)].depth += 1;
            return Some(slot);
        }
        let blind = self.blind.iter().any(|&(blind, count)| blind == thread && count != 0);
        let free = self.slots.iter().position(|slot| slot.depth == 0);
        match free.filter(|_| !blind && self.lost == 0) {
            Some(slot) => {
                self.slots[slot] = Slot { thread, depth: 1, starting: 0 };
                Some(slot as u8)
            }
            None => {
                self.enter_blindly(thread);
                None
            }
        }
    }

    #[cold]
    fn enter_blindly(&mut self, thread: usize) {
        let own = self.blind.iter().position(|&(blind, count)| blind == thread && count != 0);
        match own.or_else(|| self.blind.iter().position(|&(_, count)| count == 0)) {
            Some(place) => self.blind[place] = (thread, self.blind[place].1.saturating_add(1)),
            None => self.lost += 1,
        }
    }

    /// One callback less.
    pub(super) fn leave(&mut self, thread: usize) {
        if let Some(slot) = self.slot(thread) {
            self.slots[usize::from(slot)].depth -= 1;
            return;
        }
        let blind = self.blind.iter_mut().find(|(blind, count)| *blind == thread && *count != 0);
        match blind {
            Some((_, count)) => *count -= 1,
            None => self.lost = self.lost.saturating_sub(1),
        }
    }

    /// HwStorBuildIo or HwStorStartIo begins (or, with NULL, ends) with a request there.
    pub(super) fn set_starting(&mut self, slot: u8, srb: usize) {
        self.slots[usize::from(slot)].starting = srb;
    }

    // The adapter.

    /// What the level at which StorPort calls a routine tells of the adapter; whether that is new.
    pub(super) fn observe(&mut self, routine: Routine, subject: u16, irql: Irql) -> bool {
        let before = self.adapter;
        let physical = self.configured && before.miniport == Miniport::Physical && irql.is_device();
        let at_device_level =
            matches!(routine, Routine::Initialize | Routine::Interrupt | Routine::MessageInterrupt);
        if physical && at_device_level {
            let known = self.adapter.device_irql;
            let first = known == UNCONFIGURED.device_irql;
            self.adapter.device_irql = if first { irql } else { irql.max(known) };
        }
        let stops = matches!(subject, STOP_ADAPTER | RESTART_ADAPTER);
        if physical && routine == Routine::AdapterControl && stops {
            self.adapter.control_under_interrupt_lock = true;
        }
        self.adapter != before
    }

    // Locks.

    /// What StorPort holds around a callback, as the lock table has it: `held` by kinds, `subject` for a message.
    pub(super) fn port_lock(held: Kinds, subject: u16) -> [Option<Lock>; 3] {
        [
            held.has(Kinds::START_IO).then_some(Lock::StartIo),
            held.has(Kinds::INTERRUPT).then_some(Lock::Interrupt),
            held.has(Kinds::MESSAGE).then_some(Lock::Message(subject as u8 % MESSAGES_MAX as u8)),
        ]
    }

    fn is_per_message(&self) -> bool {
        self.adapter.interrupts == Interrupts::PerMessage
    }

    /// Who, by the book, stands in the way of an acquire: itself before any other.
    pub(super) fn holder(&self, lock: Lock, slot: u8) -> Option<u8> {
        let own = |held: &&Held| held.owner == Some(slot);
        let of = |number: usize| &self.locks[number];
        let others: &[Held] = match lock {
            Lock::Interrupt if self.is_per_message() => &self.locks[MESSAGES..DPCS],
            Lock::Message(_) if self.is_per_message() => &self.locks[INTERRUPT..=INTERRUPT],
            _ => &[],
        };
        let mut all = others.iter().chain([of(index(lock))]);
        let first = all.clone().find(own).or_else(|| all.find(|held| held.owner.is_some()));
        first.and_then(|held| held.owner)
    }

    /// Notes an acquire, with the handle that it filled.
    pub(super) fn acquire(
        &mut self,
        slot: u8,
        lock: Lock,
        (api, saved): (LockApi, Irql),
        handle: Option<(usize, StorLockHandle)>,
    ) {
        let (handle, contents) = handle.unwrap_or_default();
        let StorLockHandle { lock: kind, context } = contents;
        self.locks[index(lock)] = Held { owner: Some(slot), api, saved, handle, kind, context };
    }

    /// The release of a lock as an event. The lock is free from here on, if it was the caller's.
    pub(super) fn release(&mut self, slot: u8, api: LockApi, given: &Given) -> Kind {
        let held = &mut self.locks[index(given.lock)];
        let kind = Kind::LockReleased {
            lock: given.lock,
            api,
            holder: held.owner,
            handle: given.handle,
            irql: given.irql,
            saved: held.saved,
            held_ns: 0,
        };
        if held.owner == Some(slot) {
            held.owner = None;
        }
        kind
    }

    /// How a lock is or was held.
    pub(super) fn held(&self, lock: Lock) -> &Held {
        &self.locks[index(lock)]
    }

    /// Which lock a handle at `address` with these contents gives back; `None` for one that no acquire filled.
    pub(super) fn given(&self, address: usize, contents: &StorLockHandle) -> Option<Given> {
        let StorLockHandle { lock: kind, context } = contents;
        let at = |held: &Held| held.handle == address;
        let same = |held: &Held| {
            held.handle != 0 && held.kind == *kind && held.context.lock == context.lock
        };
        let taken = |held: &Held| held.owner.is_some();
        let find = |test: &dyn Fn(&Held) -> bool| self.locks.iter().position(test);
        let (number, handle) = find(&|held| taken(held) && at(held) && same(held))
            .map(|number| (number, Handle::Same))
            .or_else(|| {
                find(&|held| taken(held) && same(held)).map(|number| (number, Handle::Copied))
            })
            .or_else(|| find(&same).map(|number| (number, Handle::Stale)))
            .or_else(|| {
                find(&|held| taken(held) && at(held)).map(|number| (number, Handle::OtherLock))
            })?;
        let held = &self.locks[number];
        // The byte may not be where real StorPort keeps the level: what counts is that it did not change.
        let kept = held.context.old_irql == context.old_irql;
        let irql = if kept { held.saved } else { context.old_irql };
        // The simulated StorPort numbers its acquires there; with real handles old and new copies look alike.
        let used_up = handle == Handle::Copied && held.context.next != context.next;
        let lock = match (handle, *kind) {
            (Handle::OtherLock, StorSpinlock::START_IO) => Lock::StartIo,
            (Handle::OtherLock, StorSpinlock::INTERRUPT) => Lock::Interrupt,
            _ => lock_at(number),
        };
        Some(Given { lock, handle: if used_up { Handle::Stale } else { handle }, irql })
    }

    // DPCs.

    /// What is wrong with an object that is no initialised one; `kind` is its Type, if it can be read.
    pub(super) fn dpc_misuse(dpc: *const StorDpc, kind: i16) -> LockMisuse {
        match (dpc.is_null(), kind) {
            (true, _) => LockMisuse::DpcNull,
            (_, 0) => LockMisuse::DpcUninitialized,
            _ => LockMisuse::DpcForeign,
        }
    }

    /// StorPortInitializeDpc.
    pub(super) fn initialize_dpc(&mut self, dpc: u8) -> Kind {
        let bit = 1 << dpc;
        let again = self.dpcs_initialized & bit != 0;
        self.dpcs_initialized |= bit;
        Kind::DpcInitialized { dpc, again, queued: self.dpcs_queued & bit != 0 }
    }

    /// The object goes to the queue, or leaves it.
    pub(super) fn set_queued(&mut self, dpc: u8, queued: bool) {
        let bit = 1 << dpc;
        self.dpcs_queued = if queued { self.dpcs_queued | bit } else { self.dpcs_queued & !bit };
    }

    // Executive locks.

    /// The number of an executive lock, a new one at first sight; the last stands for all beyond the limit.
    pub(super) fn executive(&mut self, address: usize) -> u8 {
        let known = self.executives[..self.executive_count].iter().position(|&a| a == address);
        known.unwrap_or_else(|| {
            self.executive_count = (self.executive_count + 1).min(EXECUTIVE_LOCKS_MAX);
            self.executives[self.executive_count - 1] = address;
            self.executive_count - 1
        }) as u8
    }

    pub(super) fn is_executive_initialized(&self, number: u8) -> bool {
        self.executives_initialized & (1 << number) != 0
    }

    /// KeInitializeSpinLock.
    pub(super) fn initialize_executive(&mut self, address: usize) -> Kind {
        let lock = self.executive(address);
        let again = self.is_executive_initialized(lock);
        self.executives_initialized |= 1 << lock;
        let held = self.locks[index(Lock::Executive(lock))].owner.is_some();
        Kind::ExecutiveInitialized { lock, again, held }
    }

    // Requests.

    /// StorPort gives a request to the miniport; its number.
    pub(super) fn open(&mut self, srb: usize) -> u16 {
        let place = self.find(srb).or_else(|| self.place_for(srb));
        let Some(place) = place else {
            self.overflowed = true;
            return u16::MAX;
        };
        let Request { srb: known, number, owner } = self.requests[place];
        if known == srb && owner == Owner::Miniport {
            return number;
        }
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        self.requests[place] = Request { srb, number, owner: Owner::Miniport };
        number
    }

    /// The miniport gives a request back: what is to be said of it.
    pub(super) fn close(&mut self, slot: Option<u8>, srb: usize) -> (u16, Owner, bool) {
        let (number, owner) = match self.find(srb) {
            Some(place) => {
                let request = &mut self.requests[place];
                (request.number, core::mem::replace(&mut request.owner, Owner::Port))
            }
            None if self.overflowed => (u16::MAX, Owner::Miniport),
            None => (u16::MAX, Owner::Nobody),
        };
        let elsewhere = |(n, other): (usize, &Slot)| {
            other.depth != 0 && other.starting == srb && slot != Some(n as u8)
        };
        (number, owner, self.slots.iter().enumerate().any(elsewhere))
    }

    /// StorPort has completed every request itself; how many.
    pub(super) fn close_all(&mut self) -> u16 {
        let mut count = 0;
        for request in self.requests.iter_mut().filter(|request| request.owner == Owner::Miniport) {
            request.owner = Owner::PortAfterReset;
            count += 1;
        }
        count
    }

    fn places(srb: usize) -> impl Iterator<Item = usize> {
        // SRBs are aligned to 16 bytes and come from pools of equal blocks.
        let start = (srb >> 4).wrapping_mul(0x9E37_79B9) >> 8;
        (0..PROBES).map(move |step| (start + step) % REQUESTS)
    }

    fn find(&self, srb: usize) -> Option<usize> {
        Self::places(srb).find(|&place| self.requests[place].srb == srb)
    }

    /// An empty place, or else one whose request is done.
    fn place_for(&self, srb: usize) -> Option<usize> {
        Self::places(srb).find(|&place| self.requests[place].srb == 0).or_else(|| {
            Self::places(srb).find(|&place| self.requests[place].owner != Owner::Miniport)
        })
    }
}

/// The adapter before HwStorFindAdapter has said what it is.
const UNCONFIGURED: Adapter = Adapter {
    miniport: Miniport::Physical,
    duplex: Duplex::Half,
    interrupts: Interrupts::None,
    messages: 0,
    channels: 1,
    device_irql: Irql::DEVICE_HIGHEST,
    dump: false,
    completes_in_start_io: false,
    control_under_interrupt_lock: false,
};

fn index(lock: Lock) -> usize {
    match lock {
        Lock::StartIo => START_IO,
        Lock::Interrupt => INTERRUPT,
        Lock::Message(n) => MESSAGES + usize::from(n) % MESSAGES_MAX,
        Lock::Dpc(n) => DPCS + usize::from(n) % DPCS_MAX,
        Lock::Executive(n) => EXECUTIVES + usize::from(n) % EXECUTIVE_LOCKS_MAX,
    }
}

fn lock_at(index: usize) -> Lock {
    match index {
        START_IO => Lock::StartIo,
        INTERRUPT => Lock::Interrupt,
        MESSAGES..DPCS => Lock::Message((index - MESSAGES) as u8),
        DPCS..EXECUTIVES => Lock::Dpc((index - DPCS) as u8),
        _ => Lock::Executive((index - EXECUTIVES) as u8),
    }
}
