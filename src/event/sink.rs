//! Who reads events, and what else a run tells its watcher.

use super::Event;

/// A decision point, as a watcher of a run is told of it: what could have been chosen there. In the order in which a
/// scenario's choices number them: the interrupts, then the processors, then the device or timer that is due next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Virtual time, in nanoseconds.
    pub time: u64,
    /// The processor that passes it.
    pub processor: u8,
    /// Interrupts that could be delivered on it.
    pub interrupts: u8,
    /// Processors that it could be switched to, a bit each.
    pub processors: u8,
    /// When the device or a timer next does something, in nanoseconds; `u64::MAX` for never. What is due later can
    /// be chosen to happen now.
    pub due: u64,
    /// In which order the processors were preempted that have something under way: a digit each, in base 16, the
    /// first in the lowest.
    pub preempted: u32,
}

impl Point {
    /// The processor that a choice switches to, if it is a switch.
    #[must_use]
    pub fn target(&self, choice: u8) -> Option<u8> {
        let nth = choice.checked_sub(self.interrupts)?;
        (0..8).filter(|p| self.processors & 1 << p != 0).nth(usize::from(nth))
    }

    /// How many choices there are.
    #[must_use]
    pub const fn choices(&self) -> u8 {
        self.interrupts + self.processors.count_ones() as u8 + (self.due != u64::MAX) as u8
    }
}

/// What the machine looked at when it chose a processor to go on with, as a watcher of a run is told of it. Processors
/// are a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Virtual time, in nanoseconds.
    pub time: u64,
    /// When the device or a timer next does something, in nanoseconds; `u64::MAX` for never.
    pub due: u64,
    /// The processor that goes on; `None` if none can, so that StorPort makes something happen.
    pub next: Option<u8>,
    /// A decision, or the end of a quantum, has chosen it.
    pub forced: bool,
    /// Processors that wait for a lock.
    pub waiting: u8,
    /// Of those, the ones that would get it.
    pub granted: u8,
    /// Processors with nothing under way that have something to do.
    pub working: u8,
    /// Processors with work of StorPort's own before them: tasks of threads, and what is deferred other than DPCs.
    pub port_work: u8,
}

/// What a watcher of a run is told beside its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A decision point was passed.
    Point(Point),
    /// A processor was chosen to go on with.
    Pick(Pick),
}

/// Reads events: rules, coverage, recorders.
pub trait Sink {
    /// Takes one event. `Stop` ends the run at this event.
    fn record(&mut self, event: &Event) -> Flow;

    /// A decision point is passed; told only in a run that is observed.
    fn passes(&mut self, point: &Point) {
        let _ = point;
    }

    /// A processor is chosen to go on with; told only in a run that is observed.
    fn picks(&mut self, pick: &Pick) {
        let _ = pick;
    }
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It ends here.
    Stop,
}

/// Ignores every event; the machine alone, for measurements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Sink for Deaf {
    #[inline]
    fn record(&mut self, _: &Event) -> Flow {
        Flow::Continue
    }
}
