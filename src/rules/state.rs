//! What the rules share: who holds which lock, taken where, and which callbacks are active.
//!
//! [`Checker`](super::Checker) updates it once for every event; the rules only read it. Every processor's held
//! locks form a list through the lock table, newest first, so that an acquire, a release in reverse order
//! and a test of a kind of lock are a few instructions each.

use super::finding::Path;
use super::lockset::{LOCKS, LockSet, lock_of, number};
use super::order::{Cell, Kinds};
use crate::event::{DEPTH_MAX, DPCS_MAX, Lock, LockApi, PROCESSORS_MAX, Routine, Site};
use crate::storport::Irql;

/// No processor, no lock, no frame.
pub(super) const NONE: u8 = u8::MAX;

/// What an acquire tells of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) api: LockApi,
    /// The level below which the holder may not fall.
    pub(super) level: Irql,
    pub(super) site: Site,
}

/// How a lock is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The processor; [`NONE`] if nobody holds it.
    pub(super) owner: u8,
    /// Callbacks active on it when the lock was taken.
    pub(super) depth: u8,
    /// How deep the callback is that the lock was taken in, or for; [`NONE`] while StorPort holds it and has not
    /// called yet, or has been returned to: an interrupt can come in between.
    pub(super) callback: u8,
    /// The lock that the processor had taken before this one, by number; [`NONE`] for the first.
    below: u8,
    pub(super) api: LockApi,
    /// The level below which the holder may not fall.
    pub(super) level: Irql,
    /// [`Processor::nested_ns`] at the acquire.
    pub(super) nested_ns: u64,
    pub(super) site: Site,
}

impl Held {
    const FREE: Held = Held {
        owner: NONE,
        depth: 0,
        callback: NONE,
        below: NONE,
        api: LockApi::Port,
        level: Irql::PASSIVE,
        nested_ns: 0,
        site: Site::Port,
    };

    /// StorPort took it, for a callback that it was about to make.
    pub(super) const fn by_port(&self) -> bool {
        is_by_port(self.api)
    }
}

/// Whether StorPort takes a lock so, around a callback.
const fn is_by_port(api: LockApi) -> bool {
    matches!(api, LockApi::Port | LockApi::Synchronize)
}

/// An active callback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) routine: Routine,
    pub(super) subject: u16,
    /// IRQL at its beginning.
    pub(super) irql: Irql,
    /// What it may acquire.
    pub(super) cell: Cell,
    /// A time rule has spoken already, so that its end need not.
    pub(super) overlong: bool,
    /// [`Processor::nested_ns`] at its beginning.
    pub(super) nested_ns: u64,
    /// Where it last set the IRQL by itself.
    pub(super) irql_site: Site,
    /// Levels that KeRaiseIrql returned in it and KeLowerIrql has not gone back to, a bit each.
    pub(super) raised_from: u16,
}

impl Frame {
    const EMPTY: Frame = Frame {
        routine: Routine::FindAdapter,
        subject: 0,
        irql: Irql::PASSIVE,
        cell: Cell::FREE,
        overlong: false,
        nested_ns: 0,
        irql_site: Site::Port,
        raised_from: 0,
    };
}

/// One virtual processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor {
    /// Callbacks active.
    pub(super) depth: u8,
    /// The lock taken last, by number; [`NONE`] if none is held.
    top: u8,
    pub(super) held: LockSet,
    /// What the innermost callback may acquire.
    pub(super) allowed: Kinds,
    /// The DPCs whose routines are active here, a bit each.
    pub(super) gates: u32,
    /// Time spent in callbacks that interrupted others, in nanoseconds: what is not the fault of the
    /// interrupted.
    pub(super) nested_ns: u64,
    /// Where it last began to wait for a lock.
    pub(super) waits_at: Site,
    frames: [Frame; DEPTH_MAX],
}

impl Processor {
    const IDLE: Processor = Processor {
        depth: 0,
        top: NONE,
        held: LockSet::EMPTY,
        allowed: Kinds::ALL,
        gates: 0,
        nested_ns: 0,
        waits_at: Site::Port,
        frames: [Frame::EMPTY; DEPTH_MAX],
    };

    /// The active callbacks, innermost last; those beyond [`DEPTH_MAX`] are not told apart.
    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames[..usize::from(self.depth).min(DEPTH_MAX)]
    }

    /// The innermost callback.
    #[inline]
    pub(super) fn frame(&self) -> Option<&Frame> {
        self.frames.get(usize::from(self.depth).wrapping_sub(1))
    }

    /// What the innermost callback may acquire, and StorPort outside any.
    pub(super) fn cell(&self) -> Cell {
        self.frame().map_or(Cell::FREE, |frame| frame.cell)
    }

    /// The innermost callback, to note something in it.
    pub(super) fn frame_mut(&mut self) -> Option<&mut Frame> {
        self.frames.get_mut(usize::from(self.depth).wrapping_sub(1))
    }

    /// The callback whose code runs, also when it does so through StorPortSynchronizeAccess.
    pub(super) fn root(&self) -> Option<&Frame> {
        self.frames().iter().rev().find(|frame| frame.routine != Routine::Synchronized)
    }

    /// How deep the callback is whose code runs; 0 for none.
    pub(super) fn root_depth(&self) -> u8 {
        let root = |frame: &Frame| frame.routine != Routine::Synchronized;
        self.frames().iter().rposition(root).map_or(0, |place| place as u8 + 1)
    }

    /// Whether the callback whose code runs is `routine`.
    pub(super) fn runs(&self, routine: Routine) -> bool {
        self.root().is_some_and(|frame| frame.routine == routine)
    }

    /// The callback whose code runs, and the synchronised routine inside it: not what they interrupted,
    /// because that is the schedule's doing.
    pub(super) fn path(&self) -> Path {
        let frames = self.frames();
        let root =
            frames.iter().rposition(|frame| frame.routine != Routine::Synchronized).unwrap_or(0);
        let mut path = Path::EMPTY;
        for frame in &frames[root..] {
            path.push(frame.routine);
        }
        path
    }

    /// As [`Processor::path`], but beginning with the callback that holds a lock, which it interrupted.
    pub(super) fn path_from(&self, held: &Held) -> Path {
        if held.callback == NONE {
            return self.path();
        }
        let holder = usize::from(held.callback).min(self.frames().len());
        let frames = &self.frames()[..holder];
        let mut path = Path::EMPTY;
        if let Some(frame) = frames.iter().rev().find(|f| f.routine != Routine::Synchronized) {
            path.push(frame.routine);
        }
        if holder < self.frames().len() {
            for &routine in self.path().routines() {
                path.push(routine);
            }
        }
        path
    }

    /// Begins a callback.
    #[inline]
    pub(super) fn enter(&mut self, frame: Frame) {
        if frame.routine == Routine::Dpc {
            self.gates |= gate(&frame);
        }
        if let Some(slot) = self.frames.get_mut(usize::from(self.depth)) {
            *slot = frame;
        }
        self.depth = self.depth.saturating_add(1);
        self.allowed = self.cell().allowed;
    }

    /// Ends the innermost callback, which kept the processor busy for `busy_ns`.
    #[inline]
    pub(super) fn leave(&mut self, frame: &Frame, busy_ns: u32) {
        self.depth -= 1;
        self.allowed = self.cell().allowed;
        if frame.routine == Routine::Dpc {
            self.gates &= !gate(frame);
        }
        if frame.routine != Routine::Synchronized {
            self.nested_ns = frame.nested_ns + u64::from(busy_ns);
        }
    }
}

/// The bit of a DPC's routine.
const fn gate(frame: &Frame) -> u32 {
    1 << (frame.subject as usize % DPCS_MAX)
}

/// All processors and all locks.
#[derive(Clone, Debug)]
pub(super) struct State {
    processors: [Processor; PROCESSORS_MAX],
    locks: [Held; LOCKS],
    /// Locks that this run has used, for the reset.
    used: LockSet,
}

impl State {
    pub(super) const fn new() -> Self {
        State {
            processors: [Processor::IDLE; PROCESSORS_MAX],
            locks: [Held::FREE; LOCKS],
            used: LockSet::EMPTY,
        }
    }

    /// Back to nothing held and nothing active.
    pub(super) fn reset(&mut self) {
        while let Some(number) = self.used.pop_number() {
            self.locks[number].owner = NONE;
        }
        // All of them: to note on every acquire which were used costs more than that saves.
        for processor in &mut self.processors {
            (processor.depth, processor.top) = (0, NONE);
            (processor.held, processor.allowed) = (LockSet::EMPTY, Kinds::ALL);
            (processor.gates, processor.nested_ns) = (0, 0);
            processor.waits_at = Site::Port;
        }
    }

    #[inline]
    pub(super) fn processor(&self, index: u8) -> &Processor {
        &self.processors[usize::from(index) % PROCESSORS_MAX]
    }

    /// The processor, to change it.
    #[inline]
    pub(super) fn processor_mut(&mut self, index: u8) -> &mut Processor {
        &mut self.processors[usize::from(index) % PROCESSORS_MAX]
    }

    /// How `lock` is held; `None` if nobody holds it.
    pub(super) fn held(&self, lock: Lock) -> Option<&Held> {
        self.held_at(number(lock))
    }

    /// As [`State::held`], by the lock's number.
    #[inline]
    pub(super) fn held_at(&self, number: usize) -> Option<&Held> {
        let held = &self.locks[number % LOCKS];
        (held.owner != NONE).then_some(held)
    }

    /// The locks that a processor holds, newest first.
    pub(super) fn held_by(&self, processor: u8) -> impl Iterator<Item = (Lock, &Held)> {
        self.numbers_held_by(processor).map(|number| (lock_of(number), &self.locks[number]))
    }

    /// The lock that a processor took last.
    pub(super) fn newest(&self, processor: u8) -> Option<Lock> {
        self.newest_number(processor).map(|top| lock_of(usize::from(top)))
    }

    /// The number of the lock that a processor took last.
    #[inline]
    pub(super) fn newest_number(&self, processor: u8) -> Option<u8> {
        Some(self.processor(processor).top).filter(|&top| top != NONE)
    }

    /// The numbers of the locks that a processor holds, newest first.
    #[inline]
    pub(super) fn numbers_held_by(&self, processor: u8) -> impl Iterator<Item = usize> {
        let mut next = usize::from(self.processor(processor).top);
        core::iter::from_fn(move || {
            let number = next;
            next = usize::from(self.locks.get(number)?.below);
            Some(number)
        })
    }

    /// Notes an acquire. A lock that somebody holds according to the events so far changes hands, so that no
    /// stream of events can break the lists.
    #[inline]
    pub(super) fn acquire(&mut self, processor: u8, number: usize, taken: Taken) {
        if self.locks[number % LOCKS].owner != NONE {
            self.release(number);
        }
        self.used.insert_number(number);
        let owner = processor % PROCESSORS_MAX as u8;
        let p = self.processor_mut(owner);
        let Taken { api, level, site } = taken;
        let depth = p.depth;
        let callback = if is_by_port(api) { NONE } else { depth };
        let held =
            Held { owner, depth, callback, below: p.top, api, level, nested_ns: p.nested_ns, site };
        p.top = number as u8;
        p.held.insert_number(number);
        self.locks[number % LOCKS] = held;
    }

    /// The `count` locks that StorPort took last were for the callback that begins now.
    #[inline]
    pub(super) fn give_to_callback(&mut self, processor: u8, count: u32) {
        let p = self.processor(processor);
        let (mut next, callback) = (p.top, p.depth);
        for _ in 0..count {
            match self.locks.get_mut(usize::from(next)) {
                Some(held) if held.by_port() && held.callback == NONE => {
                    held.callback = callback;
                    next = held.below;
                }
                _ => return,
            }
        }
    }

    /// The innermost callback has returned; StorPort still holds what it took for it.
    #[inline]
    pub(super) fn take_from_callback(&mut self, processor: u8, depth: u8) {
        let mut next = self.processor(processor).top;
        while let Some(held) = self.locks.get_mut(usize::from(next))
            && held.by_port()
            && held.callback == depth
        {
            held.callback = NONE;
            next = held.below;
        }
    }

    /// Notes a release of the lock of that number.
    #[inline]
    pub(super) fn release(&mut self, number: usize) {
        let Held { owner, below, .. } = self.locks[number % LOCKS];
        if owner == NONE {
            return;
        }
        self.locks[number % LOCKS].owner = NONE;
        let p = &mut self.processors[usize::from(owner) % PROCESSORS_MAX];
        p.held.remove_number(number);
        if usize::from(p.top) == number {
            p.top = below;
        } else {
            let top = p.top;
            self.unlink(top, number as u8, below);
        }
    }

    /// Takes a lock out of the middle of a processor's list, which begins at `above`.
    #[cold]
    fn unlink(&mut self, mut above: u8, number: u8, below: u8) {
        while let Some(held) = self.locks.get_mut(usize::from(above)) {
            if held.below == number {
                held.below = below;
                return;
            }
            above = held.below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: Taken = Taken { api: LockApi::Spin, level: Irql::DISPATCH, site: Site::Port };

    #[test]
    fn a_release_from_the_middle_keeps_the_rest() {
        let mut state = State::new();
        let locks = [Lock::StartIo, Lock::Dpc(3), Lock::Interrupt];
        for lock in locks {
            state.acquire(1, number(lock), TAKEN);
        }
        state.release(number(Lock::Dpc(3)));
        let held: Vec<_> = state.held_by(1).map(|(lock, _)| lock).collect();
        assert_eq!(held, [Lock::Interrupt, Lock::StartIo]);
        state.acquire(0, number(Lock::Interrupt), TAKEN);
        assert_eq!(state.held_by(1).count(), 1, "it changed hands");
        state.reset();
        assert!(state.newest(0).is_none() && state.newest(1).is_none());
        assert!(locks.into_iter().all(|lock| state.held(lock).is_none()));
    }
}
