//! How a run ends: deadlock, hang, crash.
//!
//! Areas verified: processors that wait for each other in a circle; a run that never becomes quiet; a driver that
//! faults or panics. What a run leaves behind is judged where it belongs: locks in [`balance`](super::balance),
//! requests in [`request`](super::request).
//!
//! Areas not verified: why a run hangs. A processor that waits for itself has been reported when it began to wait,
//! as the mistake that it is, so its deadlock is not reported again.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/devtest/deadlock-detection>

use super::catalogue::{Family, Rule, Severity, drivers};
use super::finding::{FINDING_LOCKS_MAX, Path, site_rank};
use super::moment::Moment;
use super::order::Kinds;
use super::state::State;
use crate::event::{Lock, PROCESSORS_MAX, Site};

pub(super) const DEADLOCK: Rule = Rule {
    id: "run.deadlock",
    family: Family::End,
    severity: Severity::Error,
    sentence: "Processors wait for each other's locks for ever",
    why: "Each holds what the next one wants, at raised IRQL: nothing will ever run on them again.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: drivers!("kernel/preventing-errors-and-deadlocks-while-using-spin-locks"),
    example: "// wrong\nprocessor 0: StartIo, then Dpc\nprocessor 1: Dpc, then StartIo\n\
              // right: both StartIo, then Dpc",
};

pub(super) const HANG: Rule = Rule {
    id: "run.hang",
    family: Family::End,
    severity: Severity::Error,
    sentence: "The driver never comes to rest",
    why: "Processors still run, but what was asked for is not done: a loop that waits for what cannot happen, or \
          work that creates itself anew.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: drivers!("kernel/guidelines-for-writing-dpc-routines"),
    example: "// wrong: the device may never answer\nwhile (!(ReadStatus(ext) & READY)) ;\n\
              // right\nfor (i = 0; i < 1000 && !(ReadStatus(ext) & READY); i++) StorPortStallExecution(100);",
};

pub(super) const CRASHED: Rule = Rule {
    id: "driver.crashed",
    family: Family::End,
    severity: Severity::Error,
    sentence: "The driver crashes",
    why: "It touched memory that is not its own, executed what is no instruction, or failed a check of its own. \
          In the kernel that stops the machine.",
    sdv: None,
    bug_check: Some("0xD1 DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong\next->Registers->Doorbell = tail; // StorPortGetDeviceBase returned NULL\n\
              // right\nif (ext->Registers == NULL) return SP_RETURN_ERROR;",
};

/// One processor of a circle.
#[derive(Clone, Copy, Debug)]
struct Wait {
    lock: Lock,
    site: Site,
    path: Path,
}

/// A circle of waits, as its events come in.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    waits: [Wait; PROCESSORS_MAX],
    count: u8,
}

/// What the finding of a deadlock says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlock {
    pub(super) locks: [Option<Lock>; FINDING_LOCKS_MAX],
    pub(super) path: Path,
    pub(super) site: Site,
    pub(super) other_site: Option<Site>,
}

impl Circle {
    pub(super) const EMPTY: Circle = Circle {
        waits: [Wait { lock: Lock::StartIo, site: Site::Port, path: Path::EMPTY }; PROCESSORS_MAX],
        count: 0,
    };

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds one processor; the whole deadlock when all `length` are in.
    pub(super) fn add(
        &mut self,
        state: &State,
        at: &Moment,
        lock: Lock,
        length: u8,
    ) -> Option<Deadlock> {
        let p = state.processor(at.processor);
        let wait = Wait { lock, site: p.waits_at, path: p.path() };
        *self.waits.get_mut(usize::from(self.count))? = wait;
        self.count += 1;
        let whole = self.count >= length.min(PROCESSORS_MAX as u8);
        whole.then(|| self.told())
    }

    /// The circle, beginning with the processor whose site comes first in an order that no schedule changes: the
    /// order of [`graph`](super::graph), whose cycle is the same bug seen without the meeting.
    fn told(&mut self) -> Deadlock {
        let waits = &mut self.waits[..usize::from(self.count)];
        let rank = |at: usize| {
            let wait = &waits[at];
            // What it holds is what the one before it in the circle waits for.
            let held = waits[(at + waits.len() - 1) % waits.len()].lock;
            (site_rank(wait.site), Kinds::of(held).0, wait.path.routines().first().copied())
        };
        let first = (0..waits.len()).min_by_key(|&at| rank(at)).unwrap_or(0);
        waits.rotate_left(first);
        let mut locks = [None; FINDING_LOCKS_MAX];
        for (slot, wait) in locks.iter_mut().zip(waits.iter()) {
            *slot = Some(wait.lock);
        }
        let other_site = waits.get(1).map(|wait| wait.site);
        Deadlock { locks, path: waits[0].path, site: waits[0].site, other_site }
    }
}
