//! One hunt: from the first execution until the mistake shows, in seconds of this process's CPU time.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

/// What a hunt came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hunt {
    /// Executions, the one that failed included.
    pub(crate) executions: u64,
    /// CPU time of them.
    pub(crate) seconds: f64,
    /// The mistake showed.
    pub(crate) found: bool,
}

impl Hunt {
    /// Prints a line that [`Hunt::read`] reads: in a process that only hunts, that is all there is.
    pub(crate) fn print(&self, rule: &str) {
        println!("hunt {} {:.9} {} {rule}", self.executions, self.seconds, self.found);
    }

    pub(crate) fn read(line: &str) -> Option<(Hunt, &str)> {
        let mut words = line.strip_prefix("hunt ")?.split(' ');
        let executions = words.next()?.parse().ok()?;
        let seconds = words.next()?.parse().ok()?;
        let found = words.next()?.parse().ok()?;
        Some((Hunt { executions, seconds, found }, words.next().unwrap_or_default()))
    }
}

thread_local! {
    /// When the hunt under way began.
    static BEGAN: Cell<f64> = const { Cell::new(0.0) };
    /// When the first panic after that came.
    static ENDED: Cell<Option<f64>> = const { Cell::new(None) };
}

/// CPU time of this process.
pub(crate) fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The first execution begins now: whatever made it ready is no part of the hunt.
pub(crate) fn begins() {
    ENDED.set(None);
    BEGAN.set(cpu_seconds());
}

/// Lets panics be noted and not printed, from now on.
pub(crate) fn note_panics() {
    panic::set_hook(Box::new(|_| {
        if ENDED.get().is_none() {
            ENDED.set(Some(cpu_seconds()));
        }
    }));
}

/// A hunt of a peer, which ends with a panic where the program fails: what the panic costs is no part of it.
pub(crate) fn until_panic(hunt: impl FnOnce(), executions: impl Fn() -> u64) -> Hunt {
    let found = panic::catch_unwind(AssertUnwindSafe(hunt)).is_err();
    let ended = ENDED.get().filter(|_| found).unwrap_or_else(cpu_seconds);
    Hunt { executions: executions(), seconds: ended - BEGAN.get(), found }
}
