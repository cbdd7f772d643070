//! The watch over one adapter: the checker, its book and its ring, behind the raw lock.

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::book::Book;
use super::record::RING_BYTES;
use super::ring::Ring;
use crate::event::{Event, Kind, Site};
use crate::rules::{Checker, Finding};
use crate::storport::Irql;

/// Turns of waiting for the raw lock before the watch is given up; some tenths of a second, thousands of times what
/// all processors together need.
pub const SPINS_MAX: u32 = 50_000_000;

/// What happened, before the book gives it a processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) thread: usize,
    pub(super) irql: Irql,
    pub(super) site: Site,
}

/// What a watch has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Findings recorded.
    pub findings: u64,
    /// Callbacks that went unwatched, because too many threads were inside the driver.
    pub unwatched: u32,
    /// The watch was given up.
    pub given_up: bool,
}

/// Watches one adapter. About 100 KB, which belong in a `static`, never on a stack.
pub struct Watch {
    busy: AtomicBool,
    given_up: AtomicBool,
    unwatched: AtomicU32,
    /// The adapter's extension; 0 while the watch is free.
    extension: AtomicUsize,
    /// The adapter has stopped, and may never come back.
    stopped: AtomicBool,
    state: UnsafeCell<State>,
}

// SAFETY: `state` is reached only in `with`, which holds `busy`.
unsafe impl Sync for Watch {}

/// What the raw lock guards.
pub(super) struct State {
    pub(super) checker: Checker,
    pub(super) book: Book,
    ring: Ring,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub const fn new() -> Watch {
        Watch {
            busy: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            unwatched: AtomicU32::new(0),
            extension: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            state: UnsafeCell::new(State {
                checker: Checker::new(),
                book: Book::new(),
                ring: Ring::new(),
            }),
        }
    }

    /// Takes the watch for an adapter: if it is free, this adapter's already, or that of one that has stopped.
    /// `false` if another adapter is watched.
    pub fn claim(&self, extension: *mut core::ffi::c_void) -> bool {
        let (own, free) = (extension.addr(), 0);
        match self.extension.compare_exchange(free, own, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(owner) if owner == own => true,
            Err(_) => {
                let stopped = self.stopped.swap(false, Ordering::AcqRel);
                if stopped {
                    self.extension.store(own, Ordering::Release);
                }
                stopped
            }
        }
    }

    /// Lets another adapter be watched: this one is gone.
    pub fn release(&self) {
        self.set_stopped(true);
    }

    pub(super) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
    }

    /// Whether it watches the adapter with this extension.
    #[inline]
    pub(super) fn is_of(&self, extension: *mut core::ffi::c_void) -> bool {
        self.extension.load(Ordering::Relaxed) == extension.addr()
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        Counts {
            findings: self.with(|s| s.ring.written()).unwrap_or_default(),
            unwatched: self.unwatched.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }

    /// Copies the ring of records: what [`record::read`](super::record::read) reads. For use where no interrupt of
    /// the driver can come: PASSIVE_LEVEL is not enough.
    pub fn copy_ring(&self, to: &mut [u8; RING_BYTES]) {
        self.with(|s| to.copy_from_slice(s.ring.bytes()));
    }

    /// The findings since the adapter was found last. As for [`Watch::copy_ring`].
    pub fn each_finding(&self, mut take: impl FnMut(&Finding)) {
        self.with(|s| s.checker.findings().iter().for_each(&mut take));
    }

    /// The adapter is found, or found again: nothing is held, nobody is inside.
    pub(super) fn begin(&self) {
        self.set_stopped(false);
        self.with(|s| {
            s.checker.reset();
            s.book.reset();
        });
    }

    /// Shows the rules what `make` says has happened, if it says anything; returns what they find.
    #[inline]
    pub(super) fn record(
        &self,
        moment: Moment,
        make: impl FnOnce(&mut Book, u8) -> Option<Kind>,
    ) -> Option<Finding> {
        self.with(|s| {
            let slot = s.book.slot(moment.thread)?;
            let kind = make(&mut s.book, slot)?;
            s.judge(&moment, slot, kind)
        })?
    }

    /// Keeps a finding in the ring.
    pub(super) fn keep(&self, finding: &Finding) {
        self.with(|s| s.ring.push(finding));
    }

    /// A callback begins. Until the matching `leave` its thread has a slot, or is left alone.
    pub(super) fn enter(&self, thread: usize) {
        let seen = self.with(|s| s.book.enter(thread).is_some());
        if seen == Some(false) {
            self.unwatched.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A callback ends.
    pub(super) fn leave(&self, thread: usize) {
        self.with(|s| s.book.leave(thread));
    }

    /// Runs `look` under the raw lock; `None` once the watch was given up. The caller has masked interrupts.
    #[inline]
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut turns = 0;
        while self.busy.swap(true, Ordering::Acquire) {
            while self.busy.load(Ordering::Relaxed) {
                turns += 1;
                if turns > SPINS_MAX {
                    self.given_up.store(true, Ordering::Relaxed);
                    return None;
                }
                core::hint::spin_loop();
            }
        }
        // SAFETY: `busy` was false and is ours until the store below.
        let result = (!self.given_up.load(Ordering::Relaxed))
            .then(|| look(unsafe { &mut *self.state.get() }));
        self.busy.store(false, Ordering::Release);
        result
    }
}

impl State {
    /// Judges one event; a finding that is new.
    #[inline]
    pub(super) fn judge(&mut self, moment: &Moment, slot: u8, kind: Kind) -> Option<Finding> {
        let event = Event {
            // Read only once something is found: a clock costs as much as all the rest.
            time: 0,
            site: moment.site,
            kind,
            processor: slot,
            irql: moment.irql,
            depth: self.book.depth(slot),
        };
        let before = self.checker.findings().len();
        let _ = self.checker.record(&event);
        let findings = self.checker.findings();
        if findings.len() == before { None } else { findings.last().copied() }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Watch::new()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch(..)")
    }
}

const _: () = assert!(size_of::<Watch>() <= 128 * 1024, "some of them fit into a driver's image");
