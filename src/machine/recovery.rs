//! Requests whose time is over: StorPort resets the logical unit, then the target, then the bus; what is
//! not complete after that is lost.
//!
//! The tiers are those of
//! <https://learn.microsoft.com/windows-hardware/drivers/storage/multi-tier-reset-in-storport>; how long StorPort waits
//! for each is not documented, so the times here are generous.

use super::deferred::Task;
use super::port::Port;
use super::request::Purpose;
use super::state::State;
use crate::event::{Kind, Routine, Sink, Site};
use crate::storport::srb::SrbFunction;

/// How long a tier may take before the next begins.
const TIER_NS: u64 = 15_000_000_000;

/// How far StorPort has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tier {
    /// No reset is under way.
    #[default]
    None,
    LogicalUnit,
    Target,
    Bus,
}

/// A recovery under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovery {
    tier: Tier,
    deadline: u64,
}

impl Recovery {
    /// Requests other than resets are held back.
    pub(super) fn is_active(&self) -> bool {
        self.tier != Tier::None
    }
}

impl<S: Sink> State<S> {
    /// When a request's time, a tier's time or a pause next ends.
    pub(super) fn next_deadline(&self) -> u64 {
        let mut next = u64::MAX;
        if self.recovery.is_active() {
            next = self.recovery.deadline;
        } else {
            for slot in self.requests.of_miniport() {
                next = next.min(self.requests.slots[slot].deadline);
            }
        }
        if !self.requests.waiting.is_empty() && self.adapter.is_started() {
            let retry = self.next_retry();
            if retry > self.time {
                next = next.min(retry);
            }
            if self.adapter.paused_until > self.time {
                next = next.min(self.adapter.paused_until);
            }
        }
        next
    }

    /// Acts on what is over now.
    pub(super) fn run_deadlines(&mut self) {
        if self.recovery.is_active() {
            if self.recovery.deadline <= self.time {
                self.next_tier();
            }
        } else if let Some(slot) = self.first_timed_out() {
            self.begin_recovery(slot);
        }
        if !self.requests.waiting.is_empty() && self.adapter.is_started() {
            self.restart_later();
        }
    }

    fn first_timed_out(&self) -> Option<usize> {
        self.requests.of_miniport().find(|&slot| self.requests.slots[slot].deadline <= self.time)
    }

    fn begin_recovery(&mut self, slot: usize) {
        if !self.adapter.is_present() {
            // After a surprise removal StorPort itself ends what the miniport left; no page says that
            // the miniport must.
            return self.take_back(slot, true);
        }
        let request = &self.requests.slots[slot];
        self.current = usize::from(request.processor) % self.processor_count;
        self.mark_timed_out();
        self.next_tier();
    }

    fn mark_timed_out(&mut self) {
        for slot in self.requests.of_miniport() {
            if self.requests.slots[slot].deadline <= self.time
                && !self.requests.slots[slot].timed_out
            {
                self.requests.slots[slot].timed_out = true;
                let request = self.requests.slots[slot].number;
                self.emit(Site::Port, Kind::RequestTimedOut { request });
            }
        }
    }

    fn any_timed_out(&self) -> bool {
        self.requests.of_miniport().any(|slot| self.requests.slots[slot].timed_out)
    }

    /// The next tier, if something that timed out is still not complete.
    fn next_tier(&mut self) {
        if !self.any_timed_out() {
            return self.end_recovery();
        }
        self.recovery.deadline = self.time + TIER_NS;
        self.recovery.tier = match self.recovery.tier {
            Tier::None => {
                self.submit(Purpose::Reset(SrbFunction::RESET_LOGICAL_UNIT));
                Tier::LogicalUnit
            }
            Tier::LogicalUnit => {
                self.submit(Purpose::Reset(SrbFunction::RESET_DEVICE));
                Tier::Target
            }
            Tier::Target => {
                self.add_task(Task::ResetBus);
                Tier::Bus
            }
            Tier::Bus => return self.give_up(),
        };
    }

    /// After every reset: what timed out and is not complete is lost.
    fn give_up(&mut self) {
        for slot in self.requests.of_miniport() {
            if self.requests.slots[slot].timed_out {
                let request = self.requests.slots[slot].number;
                self.emit(Site::Port, Kind::RequestLost { request });
                self.take_back(slot, true);
            }
        }
        self.end_recovery();
    }

    fn end_recovery(&mut self) {
        self.recovery = Recovery::default();
        self.restart_later();
    }

    /// A request is finished: a reset's end lets recovery go on.
    pub(super) fn recovery_saw_finish(&mut self, slot: usize) {
        let is_reset = matches!(
            self.requests.slots[slot].purpose,
            Purpose::Reset(SrbFunction::RESET_LOGICAL_UNIT | SrbFunction::RESET_DEVICE)
        );
        if !self.recovery.is_active() {
            return;
        }
        if !self.any_timed_out() {
            self.end_recovery();
        } else if is_reset {
            self.next_tier();
        }
    }

    /// HwStorResetBus has returned: give completions a moment, then judge.
    fn after_bus_reset(&mut self) {
        if self.recovery.tier == Tier::Bus {
            self.recovery.deadline = self.time + TIER_NS;
        }
    }
}

impl<S: Sink + 'static> Port<S> {
    /// HwStorResetBus: every channel token, StartIo and, in half duplex, Interrupt.
    pub(super) fn reset_bus(self) {
        let Some(routine) = self.driver().data.hw_reset_bus else { return };
        if !self.with(|s| s.adapter.is_started()) {
            return;
        }
        let channels = self.with(|s| match s.adapter.facts.channels {
            0 | 1 => 0,
            n => usize::from(n).min(super::lock::CHANNELS_MAX),
        });
        for channel in 0..channels {
            self.take_token(channel);
        }
        let extension = self.extension();
        self.under_start_io(|| {
            self.callback(Routine::ResetBus, 0, || {
                // SAFETY: the driver's own entry point and extension.
                u32::from(unsafe { self.invoke(routine, (extension, 0)) })
            })
        });
        for channel in 0..channels {
            self.give_token(channel);
        }
        self.act(State::after_bus_reset);
    }
}
