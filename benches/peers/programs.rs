//! The lock programs, each written once: the same text runs on lockstorm's processors, and as threads of Shuttle and
//! of Loom. What differs is the [`World`] under it.
//!
//! Every program has rounds of locking on either side of its mistake, which a scheduler has to get past: the two places
//! that must meet lie far apart in the calm course.

/// Locks that a program may use; each guards one word.
pub(crate) const LOCKS_MAX: usize = 6;

/// What a program runs on.
pub(crate) trait World {
    /// Runs `body` under a lock, with the word that it guards. Taking it and giving it back are decision points.
    #[track_caller]
    fn locked<R>(&self, lock: usize, body: impl FnOnce(&mut u32) -> R) -> R;

    /// Completes the request; twice is the failure. A decision point.
    fn complete(&self);

    /// Issues the DPC, which runs [`Program::dpc`]; without effect while it is queued. A decision point.
    fn issue(&self);

    /// The device sends a message, and that message's processor runs [`Program::interrupt`] on top of what it does.
    fn interrupt(&self, message: usize);
}

/// How a program's threads come to run under StorPort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// DPCs of the driver, one a processor, which HwStorPassiveInitializeRoutine issues.
    Dpcs,
    /// The same, issued by HwStorStartIo for a request, which the program completes.
    Request,
    /// One DPC that HwStorStartIo issues for a request, and HwStorResetBus on another processor.
    Reset,
    /// DPCs issued by HwStorStartIo when interrupts are on. What the program does on an interrupt is done under no lock of
    /// the program's.
    Interrupts,
    /// The same, but a message's routine is called with the lock of the message's number held, as StorPort does with
    /// per-message synchronisation; and each processor has a message of its own.
    Messages,
}

/// A program with one mistake.
pub(crate) trait Program: 'static {
    /// Its name in the table.
    const NAME: &'static str;
    /// Ordering constraints between threads that a schedule must meet for the mistake to show.
    const DEPTH: u8;
    /// Its threads.
    const THREADS: usize;
    /// Locks that it uses.
    const LOCKS: usize;
    /// How its threads come to run.
    const SHAPE: Shape = Shape::Dpcs;
    /// It has a DPC besides its threads.
    const HAS_DPC: bool = false;
    /// What no model of a peer expresses, and what stands for it there.
    const STANDS_FOR: &'static str = "";

    /// What thread `thread` does.
    fn thread<W: World>(world: &W, thread: usize);

    /// What the DPC does.
    fn dpc<W: World>(_world: &W) {}

    /// What the interrupt routine does for a message.
    fn interrupt<W: World>(_world: &W, _message: usize) {}

    /// Whether the words are right when all is over; `None` if there is nothing to check.
    const FINALLY: Option<fn(&[u32; LOCKS_MAX]) -> bool> = None;
}

/// Rounds on either side of a mistake: so that a run has some 150 lock calls, as one of the NVMe core has.
const ROUNDS: usize = 36;

/// Locks and unlocks: work that has nothing to do with the mistake.
fn work<W: World>(world: &W, lock: usize, rounds: usize) {
    for _ in 0..rounds {
        world.locked(lock, |count| *count += 1);
    }
}

/// Two threads add one to a counter, and give the lock away between reading and writing it.
pub(crate) struct LostUpdate;

impl Program for LostUpdate {
    const NAME: &'static str = "lost update";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 3;
    const FINALLY: Option<fn(&[u32; LOCKS_MAX]) -> bool> = Some(|words| words[0] == 2);

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 1 + thread, ROUNDS * thread);
        let seen = world.locked(0, |count| *count);
        world.locked(0, |count| *count = seen + 1);
        work(world, 1 + thread, ROUNDS * (1 - thread));
    }
}

/// Two threads take two locks in opposite order.
pub(crate) struct Abba;

impl Program for Abba {
    const NAME: &'static str = "ABBA";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 4;

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 2 + thread, ROUNDS * thread);
        world.locked(thread, |_| world.locked(1 - thread, |count| *count += 1));
        work(world, 2 + thread, ROUNDS * (1 - thread));
    }
}

/// Three threads take two of three locks, each another pair, in a circle.
pub(crate) struct AbbaOfThree;

impl Program for AbbaOfThree {
    const NAME: &'static str = "ABBA through three locks";
    const DEPTH: u8 = 3;
    const THREADS: usize = 3;
    const LOCKS: usize = 6;

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 3 + thread, ROUNDS / 3 * thread);
        world.locked(thread, |_| world.locked((thread + 1) % 3, |count| *count += 1));
        work(world, 3 + thread, ROUNDS / 3 * (2 - thread));
    }
}

/// An interrupt routine takes a lock that code of its processor holds without keeping the interrupt away.
pub(crate) struct InterruptSelfDeadlock;

impl Program for InterruptSelfDeadlock {
    const NAME: &'static str = "interrupt self-deadlock";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 3;
    const SHAPE: Shape = Shape::Interrupts;
    const STANDS_FOR: &'static str = "no interrupts in Shuttle and Loom: the thread looks for one at its lock calls, and calls the routine";

    fn thread<W: World>(world: &W, thread: usize) {
        if thread == 0 {
            work(world, 1, ROUNDS / 2);
            world.locked(0, |count| *count += 1);
            work(world, 1, ROUNDS / 2);
        } else {
            work(world, 2, ROUNDS);
            world.interrupt(0);
        }
    }

    fn interrupt<W: World>(world: &W, _: usize) {
        work(world, 0, 1);
    }
}

/// A queue with a flag that says that its DPC is under way. The DPC finds the queue empty, and lowers the flag later:
/// what comes in between wakes nobody.
pub(crate) struct MissedWakeUp;

/// The DPC is under way.
const RUNNING: u32 = 1 << 31;

impl Program for MissedWakeUp {
    const NAME: &'static str = "missed wake-up through a DPC";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 3;
    const HAS_DPC: bool = true;
    const STANDS_FOR: &'static str =
        "a thread that waits for a condition variable stands for the DPC in Shuttle and Loom";
    const FINALLY: Option<fn(&[u32; LOCKS_MAX]) -> bool> = Some(|words| words[0] & !RUNNING == 0);

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 1 + thread, ROUNDS * thread);
        let was_running = world.locked(0, |queue| {
            let before = *queue;
            *queue = (before + 1) | RUNNING;
            before & RUNNING != 0
        });
        if !was_running {
            world.issue();
        }
        work(world, 1 + thread, ROUNDS * (1 - thread));
    }

    fn dpc<W: World>(world: &W) {
        while world.locked(0, |queue| std::mem::replace(queue, RUNNING) != RUNNING) {}
        world.locked(0, |queue| *queue &= !RUNNING);
    }
}

/// The routines of two messages take each other's lock.
pub(crate) struct MessageInversion;

impl Program for MessageInversion {
    const NAME: &'static str = "message-lock inversion";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 4;
    const SHAPE: Shape = Shape::Messages;
    const STANDS_FOR: &'static str = "a call under the message's lock stands for a processor's own interrupt in Shuttle and Loom";

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 2 + thread, ROUNDS * thread);
        world.interrupt(thread);
        work(world, 2 + thread, ROUNDS * (1 - thread));
    }

    fn interrupt<W: World>(world: &W, message: usize) {
        world.locked(1 - message, |count| *count += 1);
    }
}

/// A request that is pending.
const PENDING: u32 = 1;
/// A request that somebody completes.
const TAKEN: u32 = 0;

/// The interrupt's DPC and the timeout's look whether a request is pending, and take it later.
pub(crate) struct DoubleCompletion;

impl Program for DoubleCompletion {
    const NAME: &'static str = "double completion race";
    const DEPTH: u8 = 2;
    const THREADS: usize = 2;
    const LOCKS: usize = 3;
    const SHAPE: Shape = Shape::Request;

    fn thread<W: World>(world: &W, thread: usize) {
        work(world, 1 + thread, ROUNDS * thread);
        if world.locked(0, |request| *request) == PENDING {
            world.locked(0, |request| *request = TAKEN);
            world.complete();
        }
        work(world, 1 + thread, ROUNDS * (1 - thread));
    }
}

/// A completion looks whether a reset is under way before it takes its request; the reset says that it is, and then
/// completes what is pending without taking it first.
pub(crate) struct ResetRace;

impl Program for ResetRace {
    const NAME: &'static str = "reset racing completion";
    const DEPTH: u8 = 3;
    const THREADS: usize = 2;
    const LOCKS: usize = 4;
    const SHAPE: Shape = Shape::Reset;

    fn thread<W: World>(world: &W, thread: usize) {
        if thread == 0 {
            let reset = world.locked(1, |reset| *reset != 0);
            if !reset && world.locked(0, |request| std::mem::replace(request, TAKEN)) == PENDING {
                world.complete();
            }
            work(world, 2, ROUNDS);
        } else {
            work(world, 3, ROUNDS);
            world.locked(1, |reset| *reset = 1);
            if world.locked(0, |request| *request) == PENDING {
                world.complete();
                world.locked(0, |request| *request = TAKEN);
            }
            world.locked(1, |reset| *reset = 0);
        }
    }
}
