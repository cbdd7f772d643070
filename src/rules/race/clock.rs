//! Vector clocks over execution contexts.
//!
//! A context is a processor and a level of nesting on it: threads, DISPATCH_LEVEL, interrupts below the highest device
//! level, interrupts at it. What runs in one context runs in one order, in this run and, as far as the IRQL keeps them
//! apart, in every other. What interrupts, runs in another context than what it interrupts, and nothing orders the two
//! but what they do themselves.

use crate::event::PROCESSORS_MAX;
use crate::storport::Irql;

/// Levels of nesting that are told apart.
const LEVELS: usize = 4;
/// Contexts of a run.
pub(super) const CONTEXTS: usize = PROCESSORS_MAX * LEVELS;

/// An execution context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context(pub(super) u8);

impl Context {
    /// The context of code at `irql`, where the adapter interrupts at up to `device_irql`.
    #[inline]
    pub(super) fn of(processor: u8, irql: Irql, device_irql: Irql) -> Context {
        let level = match irql {
            Irql(0..2) => 0,
            Irql::DISPATCH => 1,
            irql if irql < device_irql => 2,
            _ => 3,
        };
        Context((processor % PROCESSORS_MAX as u8) * LEVELS as u8 + level)
    }

    /// Its place in a clock.
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0) % CONTEXTS
    }

    /// The contexts of its processor that are below it, down to `lowest`.
    pub(super) fn down_to(self, lowest: Context) -> impl Iterator<Item = Context> {
        (lowest.0..self.0).map(Context)
    }

    /// The processor.
    pub(super) fn processor(self) -> u8 {
        self.0 / LEVELS as u8
    }
}

/// How far each context had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock(pub(super) [u32; CONTEXTS]);

impl Clock {
    /// Before everything.
    pub(super) const ZERO: Clock = Clock([0; CONTEXTS]);

    /// After both.
    #[inline]
    pub(super) fn join(&mut self, other: &Clock) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = (*own).max(*other);
        }
    }

    /// How far a context had come.
    #[inline]
    pub(super) fn at(&self, context: Context) -> u32 {
        self.0[context.index()]
    }

    /// What its owner does from now on is not in what it has handed on.
    #[inline]
    pub(super) fn advance(&mut self, context: Context) {
        self.0[context.index()] += 1;
    }
}

/// What hands an order on: the clock that comes before whoever takes it.
///
/// Nearly always it is one context's clock as a whole, given at an epoch of it. Whoever has seen that epoch has seen the
/// clock, so that one comparison says that there is nothing to take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    clock: Clock,
    /// The run that it is of; in another it holds nothing.
    run: u32,
    by: Context,
    /// The giver's epoch; `u32::MAX`, which nobody sees, for a clock of several contexts.
    epoch: u32,
}

impl Handed {
    /// Of no run.
    pub(super) const NEVER: Handed =
        Handed { clock: Clock::ZERO, run: 0, by: Context(0), epoch: u32::MAX };

    /// Whether something was given in that run.
    #[inline]
    pub(super) fn is_of(&self, run: u32) -> bool {
        self.run == run
    }

    /// Whether `own` has nothing to take from it.
    #[inline]
    fn is_in(&self, run: u32, own: &Clock) -> bool {
        self.run != run || self.epoch <= own.at(self.by)
    }

    /// What `own` is of comes after what was given.
    #[inline]
    pub(super) fn take(&self, run: u32, own: &mut Clock) {
        if !self.is_in(run, own) {
            own.join(&self.clock);
        }
    }

    /// What has happened in `at`, of which `own` is the clock, comes before what takes this.
    #[inline]
    pub(super) fn give(&mut self, run: u32, own: &mut Clock, at: Context) {
        if self.is_in(run, own) {
            *self = Handed { clock: *own, run, by: at, epoch: own.at(at) };
        } else {
            self.clock.join(own);
            self.epoch = u32::MAX;
        }
        own.advance(at);
    }
}
