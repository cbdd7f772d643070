//! Signals: Ctrl-C as a request, and what becomes of a process whose driver breaks the process itself.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// Somebody asked to stop: Ctrl-C, a termination, a closed terminal.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Signals that ask for an end.
const REQUESTS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Turns Ctrl-C, SIGTERM and SIGHUP into a request that [`interrupted`] tells, however often they come:
/// `timeout` and terminals send them to a process and to its group.
pub fn catch_interrupts() {
    for signal in REQUESTS {
        handle(signal, note_interrupt as *const () as usize, libc::SA_RESTART);
    }
}

/// Lets them end the process again.
pub fn release_interrupts() {
    for signal in REQUESTS {
        handle(signal, libc::SIG_DFL, 0);
    }
}

/// Whether somebody asked to stop.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note_interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Leaves Ctrl-C and its like to the parent: a terminal sends them to the whole process group.
pub(crate) fn ignore_interrupts() {
    for signal in REQUESTS {
        handle(signal, libc::SIG_IGN, 0);
    }
}

/// Sets what happens on a signal.
fn handle(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: a zeroed sigaction is a valid one (default handler, empty mask); the handlers given are
    // async-signal-safe functions or SIG_* values, and the signals exist, so that the call cannot fail.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Seconds of processor time that one run may take. A run takes microseconds; what takes this long has a
/// loop that no event interrupts. Processor time, so that neither a busy nor a suspended machine
/// makes a false alarm.
const STUCK_SECONDS: u64 = 5;

/// Runs begun and ended: odd while one is under way.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Tells the watchdog that a run begins.
#[inline]
pub fn run_begins() {
    TURN.fetch_add(1, Ordering::Relaxed);
}

/// Tells the watchdog that it has ended.
#[inline]
pub fn run_ends() {
    TURN.fetch_add(1, Ordering::Relaxed);
}

/// Raises SIGVTALRM, with what the process then does on it, when one run has used [`STUCK_SECONDS`] of
/// processor time.
pub(crate) fn watch() {
    alternate_stack();
    handle(libc::SIGVTALRM, note_second as *const () as usize, libc::SA_ONSTACK | libc::SA_RESTART);
    let second = libc::timeval { tv_sec: 1, tv_usec: 0 };
    let interval = libc::itimerval { it_interval: second, it_value: second };
    // SAFETY: a valid interval; nobody else in this process uses this timer.
    unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const interval, std::ptr::null_mut()) };
}

/// One second of processor time has passed.
extern "C" fn note_second(signal: libc::c_int) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let turn = TURN.load(Ordering::Relaxed);
    if turn.is_multiple_of(2) || LAST.swap(turn, Ordering::Relaxed) != turn {
        SECONDS.store(0, Ordering::Relaxed);
    } else if SECONDS.fetch_add(1, Ordering::Relaxed) + 1 >= STUCK_SECONDS {
        if !LINES.load(Ordering::Relaxed).is_null() {
            say_and_exit(signal);
        }
        // A worker: its parent sees which signal it died of. It arrives when this handler returns.
        handle(signal, libc::SIG_DFL, 0);
        // SAFETY: raise is async-signal-safe.
        unsafe { libc::raise(signal) };
    }
}

/// A stack for handlers: the driver's own may be the very thing that is broken.
fn alternate_stack() {
    const BYTES: usize = 64 * 1024;
    let stack = libc::stack_t {
        ss_sp: Vec::leak(vec![0u8; BYTES]).as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: BYTES,
    };
    // SAFETY: the memory is never freed and is used for nothing else.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

/// Signals by which a driver can end its process, with what it did.
const DEADLY: [(libc::c_int, &str, &str); 7] = [
    (
        libc::SIGSEGV,
        "SIGSEGV",
        "the driver touched memory that it does not have, or overran its stack",
    ),
    (libc::SIGBUS, "SIGBUS", "the driver touched memory that is not there"),
    (libc::SIGILL, "SIGILL", "the driver ran an illegal instruction"),
    (libc::SIGFPE, "SIGFPE", "the driver divided by zero"),
    (libc::SIGTRAP, "SIGTRAP", "the driver ran a breakpoint"),
    (libc::SIGABRT, "SIGABRT", "the driver aborted"),
    (libc::SIGVTALRM, "SIGVTALRM", "the run never ends: a loop without any call of StorPort"),
];

/// Name and meaning of a signal that a driver caused; `None` for one that came from outside.
#[must_use]
pub(crate) fn deadly(signal: libc::c_int) -> Option<(&'static str, &'static str)> {
    DEADLY.iter().find(|(number, ..)| *number == signal).map(|&(_, name, what)| (name, what))
}

/// The line that tells a death by a signal; it has the shape of every violation's.
#[must_use]
pub(crate) fn death_line(name: &str, what: &str) -> String {
    format!("lockstorm: VIOLATION driver.crashed error: {what} ({name}) [unknown] at unknown")
}

/// What to say in [`say_and_exit`], a line for each of [`DEADLY`], written before any driver runs.
static LINES: AtomicPtr<[String; DEADLY.len()]> = AtomicPtr::new(std::ptr::null_mut());

/// From now on a signal by which the driver breaks this process, or a run without end, prints its
/// violation on standard output and ends the process with exit status 1. For replays, where nobody watches
/// from outside. `render` makes the text to print out of a violation's line.
pub fn report_deadly_signals(render: impl Fn(&str) -> String) {
    let lines = DEADLY.map(|(_, name, what)| render(&death_line(name, what)));
    // The lines of an earlier call are leaked: a signal may be reading them.
    if LINES.swap(Box::into_raw(Box::new(lines)), Ordering::Relaxed).is_null() {
        watch();
        for (signal, ..) in DEADLY.into_iter().filter(|(signal, ..)| *signal != libc::SIGVTALRM) {
            handle(signal, say_and_exit as *const () as usize, libc::SA_ONSTACK);
        }
    }
}

/// Writes the prepared line and ends the process.
extern "C" fn say_and_exit(signal: libc::c_int) {
    let at = DEADLY.iter().position(|(number, ..)| *number == signal).unwrap_or(0);
    // SAFETY: the lines were stored before this handler was set and are never freed; write and _exit
    // are async-signal-safe.
    unsafe {
        let line = &(&*LINES.load(Ordering::Relaxed))[at];
        libc::write(libc::STDOUT_FILENO, line.as_ptr().cast(), line.len());
        libc::_exit(1);
    }
}
