//! Reset and abort.
//!
//! The driver knows one reset, that of the controller: only when the controller has said that it is
//! disabled does it certainly not touch the buffers of what was outstanding. HwStorResetBus and the
//! reset requests therefore only begin it; the state machine of [`controller`](super::controller) closes
//! the queues, disables the controller, completes what was outstanding with SRB_STATUS_BUS_RESET, then
//! the reset requests that asked for it, and brings the controller up again. Meanwhile new requests end
//! with SRB_STATUS_BUSY.
//!
//! A request is completed by whoever takes its slot out of the queue under the queue's guard, so a DPC
//! and a reset never both complete it.

use core::ptr;
use core::sync::atomic::Ordering;

use super::completion::{Outcome, complete};
use super::guard::Access;
use super::queue::{Batch, ENTRIES_MAX};
use super::request::Request;
use super::spec::Command;
use super::state::State;
use super::{Nvme, READY_BUDGET_US};
use crate::storport::srb::ScsiRequestBlock;
use crate::storport::{Interlocked, Srb, SrbStatus, StorPort};

/// Batches that hold every request of a queue, and one to find it empty.
const BATCHES_MAX: usize = ENTRIES_MAX as usize / Batch::ROOM + 1;

/// Requests that wait for the end of a reset: a stack linked through their extensions, pushed to and
/// emptied by interlocked operations.
#[derive(Debug)]
pub struct Waiting(Interlocked<*mut ScsiRequestBlock>);

impl Waiting {
    fn push<P: StorPort>(&self, port: P, srb: Srb, request: &Request) {
        let mut first = self.0.load(port, Ordering::SeqCst);
        loop {
            request.link(port, first);
            match self.0.exchange(port, first, srb.as_ptr()) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Empties the stack and passes each request to `end`, which may complete it.
    fn drain<P: StorPort>(&self, port: P, mut end: impl FnMut(Srb)) {
        let mut next = self.0.swap(port, ptr::null_mut());
        while !next.is_null() {
            // SAFETY: only `push` put it there, from a request that is the driver's until `end`.
            let srb = unsafe { Srb::new(next) };
            next = Request::of(srb).map_or(ptr::null_mut(), |request| request.linked(port));
            end(srb);
        }
    }
}

impl Nvme {
    /// HwStorResetBus. StartIo held; a DPC's lock may not be taken.
    pub(super) fn reset<P: StorPort>(&self, port: P) {
        self.begin_reset(port);
        if self.is_dump(port) {
            self.drive_alone(port, READY_BUDGET_US);
        }
    }

    /// A request for a reset: it waits until the reset has completed everything else.
    pub(super) fn start_reset<P: StorPort>(&self, port: P, srb: Srb, request: &Request) {
        self.waiting.push(port, srb, request);
        self.reset(port);
        // Whoever leaves Starting answers those that wait afterwards. In any other state nobody will.
        if self.state.get(port) != State::Starting {
            self.answer_waiting(port);
        }
    }

    /// Hands the controller to the state machine, unless it has it already or must not get it.
    fn begin_reset<P: StorPort>(&self, port: P) {
        let began = self.state.change(port, State::Running, State::Starting)
            || self.state.change(port, State::Failed, State::Starting);
        if began {
            self.engine.want_reset(port);
            self.kick(port);
        }
    }

    /// Completes the requests that wait for a reset.
    pub(super) fn answer_waiting<P: StorPort>(&self, port: P) {
        let outcome = match self.state.get(port) {
            State::Starting | State::Running => Outcome::Success,
            state => Outcome::Status(state.refusal()),
        };
        self.waiting.drain(port, |srb| complete(port, srb, outcome));
    }

    /// Completes everything that is outstanding in closed queues.
    pub(super) fn flush<P: StorPort>(&self, port: P, access: Access, outcome: Outcome) {
        for index in self.queue_indices(port) {
            for _ in 0..BATCHES_MAX {
                let mut batch = Batch::default();
                let more = self
                    .guarded(port, access, index, |queue| queue.take_outstanding(port, &mut batch));
                for finished in batch.take() {
                    complete(port, finished.srb, outcome);
                }
                if !more {
                    break;
                }
            }
        }
    }

    /// SRB_FUNCTION_ABORT_COMMAND: looks for the request that NextSrb names and sends Abort for it. The
    /// name is only compared: that request may be complete, and its memory no longer the driver's.
    pub(super) fn start_abort<P: StorPort>(&self, port: P, srb: Srb) {
        let access = self.start_io_access(port);
        let sent = srb.next_srb().and_then(|victim| {
            let (queue, identifier) = self.find_outstanding(port, access, victim)?;
            let command = Command::abort(queue as u16, identifier);
            self.guarded(port, access, 0, |queue| {
                queue.submit(port, &self.registers, &command, Some(srb)).ok()
            })
        });
        if sent.is_none() {
            complete(port, srb, Outcome::Status(SrbStatus::ABORT_FAILED));
        }
    }

    /// The I/O queue and command identifier of an outstanding request.
    fn find_outstanding<P: StorPort>(
        &self,
        port: P,
        access: Access,
        victim: Srb,
    ) -> Option<(usize, u16)> {
        self.queue_indices(port).skip(1).find_map(|index| {
            self.guarded(port, access, index, |queue| queue.find(port, victim))
                .map(|identifier| (index, identifier))
        })
    }
}
