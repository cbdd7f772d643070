//! What the adapter can do right now: one word, changed by interlocked operations, because every
//! callback on every processor asks it.
//!
//! ```text
//!          HwStorInitialize         bring-up done
//!   Down ------------------> Starting ---------> Running
//!                             ^  |  ^               |
//!             restart, D0     |  |  +---------------+ a reset
//!   Stopped ------------------+  |
//!      ^                         +----> Failed (a bus reset tries again)
//!      |
//!      +-- stop, D3: from any state but Removed        Removed: from any state, for good
//! ```

use core::sync::atomic::Ordering;

use crate::storport::{Interlocked, SrbStatus, StorPort};

/// What the adapter can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Not yet initialised.
    Down = 0,
    /// The controller is being brought up, for the first time or after a reset.
    Starting = 1,
    /// Takes commands.
    Running = 2,
    /// StorPort stopped it.
    Stopped = 3,
    /// The controller could not be brought up.
    Failed = 4,
    /// The controller is gone.
    Removed = 5,
}

impl State {
    const fn of(number: u32) -> Self {
        match number {
            1 => State::Starting,
            2 => State::Running,
            3 => State::Stopped,
            4 => State::Failed,
            5 => State::Removed,
            _ => State::Down,
        }
    }

    /// How a request that needs the controller ends in this state.
    #[must_use]
    pub const fn refusal(self) -> SrbStatus {
        match self {
            State::Starting | State::Running => SrbStatus::BUSY,
            State::Down | State::Stopped => SrbStatus::NOT_POWERED,
            State::Failed | State::Removed => SrbStatus::NO_DEVICE,
        }
    }
}

/// The adapter's state.
#[derive(Debug)]
pub struct StateCell(Interlocked<u32>);

impl StateCell {
    /// The state now.
    pub fn get<P: StorPort>(&self, port: P) -> State {
        State::of(self.0.load(port, Ordering::SeqCst))
    }

    /// Changes `from` into `to`; `false` and no change in any other state.
    pub fn change<P: StorPort>(&self, port: P, from: State, to: State) -> bool {
        self.0.exchange(port, from as u32, to as u32).is_ok()
    }

    /// Changes any state but Removed into `to`, and returns the state before.
    pub fn leave<P: StorPort>(&self, port: P, to: State) -> State {
        let mut before = self.0.load(port, Ordering::SeqCst);
        while before != State::Removed as u32 {
            match self.0.exchange(port, before, to as u32) {
                Ok(_) => return State::of(before),
                Err(now) => before = now,
            }
        }
        State::Removed
    }
}
