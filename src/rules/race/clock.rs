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
}
