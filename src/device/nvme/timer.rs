//! What the controller does at a time of its own, besides commands.

use super::flight::NEVER;

/// Something that happens later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// CSTS.RDY follows CC.EN.
    Ready,
    /// CSTS.SHST says that the shutdown is complete.
    Shutdown,
    /// An interrupt with nothing behind it leaves the line.
    Pulse,
    /// Interrupts that were held back are sent.
    Coalescing,
}

impl Timer {
    const ALL: [Timer; 4] = [Timer::Ready, Timer::Shutdown, Timer::Pulse, Timer::Coalescing];
}

/// When each is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers([u64; Timer::ALL.len()]);

impl Timers {
    pub(super) const STOPPED: Timers = Timers([NEVER; Timer::ALL.len()]);

    pub(super) const fn is_running(&self, timer: Timer) -> bool {
        self.0[timer as usize] != NEVER
    }

    /// Starts a timer unless it runs; returns when it is due.
    pub(super) fn start(&mut self, timer: Timer, due: u64) -> u64 {
        if !self.is_running(timer) {
            self.0[timer as usize] = due;
        }
        self.0[timer as usize]
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = NEVER;
    }

    /// Lets none that runs be due after this time.
    pub(super) fn hasten(&mut self, by: u64) {
        for due in self.0.iter_mut().filter(|due| **due != NEVER) {
            *due = (*due).min(by);
        }
    }

    /// The first that is due.
    pub(super) fn next(&self) -> Option<(u64, Timer)> {
        let due = self.0.into_iter().fold(NEVER, u64::min);
        if due == NEVER {
            return None;
        }
        Timer::ALL
            .into_iter()
            .find(|timer| self.0[*timer as usize] == due)
            .map(|timer| (due, timer))
    }
}
