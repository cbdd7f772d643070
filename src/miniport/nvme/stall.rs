//! Waiting for the controller where nothing else can be done meanwhile.

use crate::storport::StorPort;

/// The first stall of a wait: about as long as a controller takes for an easy command.
const FIRST_US: u32 = 10;
/// The longest, well below the millisecond that StorPortStallExecution is meant for.
const LONGEST_US: u32 = 400;

/// Stalls that grow while nothing happens, up to a total that is never exceeded.
#[derive(Debug)]
pub struct Stalls {
    next_us: u32,
    left_us: u32,
}

impl Stalls {
    /// Stalls of `budget_us` microseconds together.
    #[must_use]
    pub const fn new(budget_us: u32) -> Self {
        Stalls { next_us: FIRST_US, left_us: budget_us }
    }

    /// Something happened: the next stall is short again.
    pub const fn restart(&mut self) {
        self.next_us = FIRST_US;
    }

    /// Stalls once and says for how many microseconds; `None` if the budget is spent.
    #[track_caller]
    pub fn stall<P: StorPort>(&mut self, port: P) -> Option<u32> {
        let stall_us = self.next_us;
        self.left_us = self.left_us.checked_sub(stall_us)?;
        self.next_us = (2 * stall_us).min(LONGEST_US);
        port.stall_execution(stall_us);
        Some(stall_us)
    }
}
