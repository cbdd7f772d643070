//! HwStorBuildIo and HwStorStartIo: from a request to a command in a submission ring.
//!
//! HwStorBuildIo runs without locks and does all that can be done without them: translation, the data
//! pointer, and the answer to whatever needs no command. HwStorStartIo picks a queue, takes its guard,
//! writes one ring entry and the doorbell. What it cannot place it completes with SRB_STATUS_BUSY, on
//! which StorPort tries again.

use core::sync::atomic::Ordering;

use super::Nvme;
use super::completion::{Outcome, complete};
use super::guard::Access;
use super::queue::Refusal;
use super::request::{Plan, Request};
use super::spec::Command;
use super::state::State;
use crate::storport::perf::{ProcessorNumber, StartIoPerformanceParameters};
use crate::storport::srb::SrbFunction;
use crate::storport::{Srb, SrbStatus, StorPort, StorStatus};

impl Nvme {
    /// HwStorBuildIo. `false`: the request is complete.
    pub(super) fn build<P: StorPort>(&self, port: P, srb: Srb) -> bool {
        let Some(request) = Request::of(srb) else {
            complete(port, srb, Outcome::Status(SrbStatus::INTERNAL_ERROR));
            return false;
        };
        match self.plan(port, srb, request) {
            Ok(plan) => {
                // A crash dump runs above the level of that routine, on one processor.
                let processor = if self.is_dump(port) { 0 } else { current_processor(port) };
                request.plan(port, plan, processor);
                true
            }
            Err(outcome) => {
                complete(port, srb, outcome);
                false
            }
        }
    }

    /// What HwStorStartIo is to do, or how the request ends without it.
    fn plan<P: StorPort>(&self, port: P, srb: Srb, request: &Request) -> Result<Plan, Outcome> {
        match srb.function() {
            SrbFunction::EXECUTE_SCSI => {
                request.set_command(port, self.translate(port, srb, request)?);
                Ok(Plan::Submit)
            }
            SrbFunction::FLUSH | SrbFunction::SHUTDOWN if self.has_nothing_to_flush(port) => {
                Err(Outcome::Success)
            }
            SrbFunction::FLUSH | SrbFunction::SHUTDOWN => {
                request.set_command(port, Command::flush());
                Ok(Plan::Submit)
            }
            SrbFunction::RESET_LOGICAL_UNIT
            | SrbFunction::RESET_DEVICE
            | SrbFunction::RESET_BUS => Ok(Plan::Reset),
            SrbFunction::ABORT_COMMAND => Ok(Plan::Abort),
            // Nothing to do: HwStorAdapterControl and HwStorUnitControl do it.
            SrbFunction::POWER => Err(Outcome::Success),
            _ => Err(Outcome::Status(SrbStatus::INVALID_REQUEST)),
        }
    }

    /// HwStorStartIo.
    pub(super) fn start<P: StorPort>(&self, port: P, srb: Srb) {
        let Some(request) = Request::of(srb) else {
            complete(port, srb, Outcome::Status(SrbStatus::INTERNAL_ERROR));
            return;
        };
        match request.planned(port) {
            Plan::Submit => self.start_command(port, srb, request),
            Plan::Reset => self.start_reset(port, srb, request),
            Plan::Abort => self.start_abort(port, srb),
        }
    }

    /// Submits the request's command. Once it is submitted, the request may be complete before this
    /// returns, so nothing touches it any more.
    fn start_command<P: StorPort>(&self, port: P, srb: Srb, request: &Request) {
        let access = self.start_io_access(port);
        let index = self.queue_for(port, srb, request);
        let command = request.command(port);
        let submit = || {
            if self.state.get(port) != State::Running {
                return Err(Refusal::Closed);
            }
            self.guarded(port, access, index, |queue| {
                queue.submit(port, &self.registers, &command, Some(srb))
            })
        };
        let mut sent = submit();
        if sent == Err(Refusal::Full) && self.may_complete_in_start_io(port) {
            self.service(port, access, index);
            sent = submit();
        }
        match sent {
            Ok(()) => {}
            Err(Refusal::Full) => complete(port, srb, Outcome::Status(SrbStatus::BUSY)),
            Err(Refusal::Closed) => {
                complete(port, srb, Outcome::Status(self.state.get(port).refusal()));
            }
        }
    }

    /// The I/O queue for a request: one whose interrupt goes to the message that StorPort prefers, or
    /// else the one of the processor that built the request.
    fn queue_for<P: StorPort>(&self, port: P, srb: Srb, request: &Request) -> usize {
        let count = self.io_queues.load(port, Ordering::Relaxed).max(1) as usize;
        let processor = request.processor(port);
        if self.has_perf_options(port) {
            let mut parameters = StartIoPerformanceParameters::default();
            let status = port.get_start_io_perf_params(srb, &mut parameters);
            if status == StorStatus::SUCCESS {
                let mut sharing = self.io_queues_of(port, parameters.message_number);
                if let Some(last) = sharing.len().checked_sub(1) {
                    return sharing.nth(processor % (last + 1)).unwrap_or(1);
                }
            }
        }
        1 + self.preferred_queue(port, processor) % count
    }

    /// What HwStorStartIo may do about a guard: in half duplex, StorPort holds the Interrupt lock.
    pub(super) fn start_io_access<P: StorPort>(&self, port: P) -> Access {
        if self.is_half_duplex(port) { Access::Have } else { Access::Take }
    }
}

/// The processor that runs this, or 0. IRQL up to DISPATCH_LEVEL.
fn current_processor<P: StorPort>(port: P) -> u8 {
    let mut number = ProcessorNumber::default();
    match port.get_current_processor_number(&mut number) {
        StorStatus::SUCCESS => number.number,
        _ => 0,
    }
}
