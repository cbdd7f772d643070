//! Virtual processors: IRQL, callback frames, and the coroutine on which a processor's code runs.
//!
//! A coroutine lives as long as the machine. Between tasks it is suspended in its idle loop; a run that ends
//! in the middle of a callback resets it, which forgets its frames without unwinding them. That is sound
//! because nothing on them needs a drop: a miniport core has no allocator, and StorPort's own code here keeps
//! its state in [`State`](super::state::State).

use corosensei::{Coroutine, Yielder};

use super::arena::Stack;
use super::deferred::{Deferred, Ring, Task};
use super::port::Port;
use super::state::{Completions, End, State};
use crate::event::{Cause, DEPTH_MAX, Kind, Routine, Sink, Site};
use crate::storport::Irql;

/// A processor's coroutine.
pub(super) type Fiber = Coroutine<(), (), (), Stack>;

/// Whether a processor can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing under way.
    Idle,
    /// Something under way, on the processor or preempted.
    Busy,
    /// Spinning for a lock.
    Waiting(usize),
}

/// A callback under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) routine: Routine,
    /// The processor's busy time when it began.
    pub(super) began: u64,
}

/// One virtual processor.
pub(super) struct Processor {
    pub(super) irql: Irql,
    pub(super) depth: usize,
    pub(super) frames: [Frame; DEPTH_MAX],
    pub(super) status: Status,
    /// Virtual nanoseconds that this processor itself has run.
    pub(super) busy: u64,
    /// When it last lost the processor, in order; the latest goes on first.
    pub(super) preempted: u64,
    pub(super) deferred: Ring<Deferred, 64>,
    pub(super) completions: Completions,
    pub(super) tasks: Ring<Task, 128>,
    /// The yielder of its coroutine, once that runs.
    pub(super) yielder: *const Yielder<(), ()>,
}

impl Processor {
    pub(super) fn new() -> Self {
        let frame = Frame { routine: Routine::FindAdapter, began: 0 };
        Processor {
            irql: Irql::PASSIVE,
            depth: 0,
            frames: [frame; DEPTH_MAX],
            status: Status::Idle,
            busy: 0,
            preempted: 0,
            deferred: Ring::new(),
            completions: Ring::new(),
            tasks: Ring::new(),
            yielder: std::ptr::null(),
        }
    }

    pub(super) fn power_on(&mut self) {
        self.irql = Irql::PASSIVE;
        self.depth = 0;
        self.status = Status::Idle;
        self.busy = 0;
        self.preempted = 0;
        self.deferred.clear();
        self.completions.clear();
        self.tasks.clear();
    }

    /// The callback that runs now.
    pub(super) fn frame(&self) -> Option<&Frame> {
        self.depth.checked_sub(1).map(|top| &self.frames[top])
    }

    /// Whether some callback under way, innermost first, is `routine`.
    pub(super) fn inside(&self, routine: Routine) -> bool {
        self.frames[..self.depth].iter().any(|frame| frame.routine == routine)
    }
}

/// A coroutine for processor `index`; it suspends at once and then runs whatever the processor has to do each
/// time it is resumed.
pub(super) fn fiber<S: Sink + 'static>(port: Port<S>, index: usize, stack: Stack) -> Fiber {
    let mut fiber = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        port.with(|s| s.processors[index].yielder = yielder);
        loop {
            yielder.suspend(());
            let work = std::panic::AssertUnwindSafe(|| port.work());
            if std::panic::catch_unwind(work).is_err() {
                port.with(|s| s.crash(super::port::panic_site(), Cause::Panic));
                // What was unwound is as good as abandoned: the drive loop gives the stack a new coroutine.
                port.park();
            }
            port.with(State::rest);
        }
    });
    let _ = fiber.resume(());
    fiber
}

impl<S: Sink + 'static> Port<S> {
    /// All that the processor has to do now, from its idle loop.
    fn work(self) {
        self.with(|s| s.set_status(Status::Busy));
        loop {
            self.deliver_pending();
            self.drain_deferred();
            let Some(task) = self.with(|s| s.processor().tasks.pop()) else { return };
            self.perform(task);
        }
    }

    /// Calls the miniport: the callback's frame and its two events around `call`.
    pub(super) fn callback(
        self,
        routine: Routine,
        subject: u16,
        call: impl FnOnce() -> u32,
    ) -> u32 {
        self.act(|s| s.enter(routine, subject));
        self.point();
        let result = call();
        self.act(|s| s.leave(routine, result));
        self.point();
        result
    }

    /// Gives the processor away; returns when the drive loop gives it back. Inlined: after a switch every return
    /// is mispredicted, so the fewer there are the better.
    #[inline(always)]
    pub(super) fn suspend(self) {
        let yielder = self.with(|s| s.processor().yielder);
        // SAFETY: the yielder lives in the frame of the coroutine's closure, which never returns, and we run
        // on that coroutine.
        unsafe { (*yielder).suspend(()) };
    }

    /// The run has ended: never goes on.
    #[cold]
    pub(super) fn park(self) -> ! {
        loop {
            self.suspend();
        }
    }
}

impl<S: Sink> State<S> {
    fn enter(&mut self, routine: Routine, subject: u16) {
        let processor = &mut self.processors[self.current];
        if processor.depth == DEPTH_MAX {
            self.stop(End::Hang);
            return;
        }
        let began = processor.busy;
        processor.frames[processor.depth] = Frame { routine, began };
        processor.depth += 1;
        self.emit(Site::Port, Kind::Entered { routine, subject });
    }

    fn leave(&mut self, routine: Routine, result: u32) {
        let processor = &self.processors[self.current];
        let began = processor.frame().map_or(processor.busy, |frame| frame.began);
        let busy_ns = u32::try_from(processor.busy - began).unwrap_or(u32::MAX);
        self.emit(Site::Port, Kind::Left { routine, result, busy_ns });
        self.processor().depth -= 1;
    }
}
