//! The admin command set (NVMe 1.4, 5), as far as the controller has it.
//!
//! | command | supported |
//! | --- | --- |
//! | Create and Delete I/O queues | contiguous queues, up to the number that the scenario grants |
//! | Identify | namespace, controller, active namespaces, namespace descriptors |
//! | Get and Set Features | see [`super::feature`] |
//! | Get Log Page | errors, health, firmware |
//! | Abort | any command in flight |
//! | Asynchronous Event Request | held; answered when a doorbell is written wrongly |
//!
//! Everything else is an invalid opcode.

use super::Nvme;
use super::command::Entry;
use super::feature;
use super::flight::{NEVER, Waiting};
use super::identify::{self, EVENT_REQUESTS};
use super::namespace::NAMESPACE;
use super::prp::{PAGE_BYTES, Pages, TRANSFER_BYTES_MAX};
use super::queue::{Completion, CompletionQueue, PAIRS, SubmissionQueue};
use super::status::Status;
use crate::device::Bus;

/// Messages that the controller has.
pub(super) const VECTORS: u16 = 64;
/// Log pages that report errors.
const ERROR_LOG: u8 = 0x01;

/// An admin command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Admin {
    DeleteSubmission { id: u16 },
    CreateSubmission(NewQueue),
    DeleteCompletion { id: u16 },
    CreateCompletion(NewQueue),
    GetLogPage { page: u8, bytes: u32, offset: u64, retain_event: bool },
    Identify { cns: u8, nsid: u32 },
    Abort { submission: u16, cid: u16 },
    SetFeature { id: u8, save: bool, value: u32 },
    GetFeature { id: u8, select: u8, value: u32 },
    EventRequest,
}

/// A queue to create.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewQueue {
    id: u16,
    /// Index of its last entry.
    last: u16,
    base: u64,
    /// CDW11's lower half: contiguous; interrupts enabled or priority.
    flags: u16,
    /// CDW11's upper half: vector, or completion queue.
    partner: u16,
}

impl NewQueue {
    const fn decode(entry: &Entry) -> Self {
        NewQueue {
            id: entry.words[0] as u16,
            last: (entry.words[0] >> 16) as u16,
            base: entry.prp[0],
            flags: entry.words[1] as u16,
            partner: (entry.words[1] >> 16) as u16,
        }
    }
}

impl Admin {
    pub(super) fn decode(entry: &Entry) -> Result<Admin, Status> {
        let low = entry.words[0] as u16;
        let high = (entry.words[0] >> 16) as u16;
        Ok(match entry.opcode {
            0x00 => Admin::DeleteSubmission { id: low },
            0x01 => Admin::CreateSubmission(NewQueue::decode(entry)),
            0x02 => return Admin::decode_log(entry),
            0x04 => Admin::DeleteCompletion { id: low },
            0x05 => Admin::CreateCompletion(NewQueue::decode(entry)),
            0x06 => Admin::Identify { cns: low as u8, nsid: entry.nsid },
            0x08 => Admin::Abort { submission: low, cid: high },
            0x09 => Admin::SetFeature {
                id: low as u8,
                save: entry.words[0] >> 31 != 0,
                value: entry.words[1],
            },
            0x0A => Admin::GetFeature {
                id: low as u8,
                select: (low >> 8) as u8 & 7,
                value: entry.words[1],
            },
            0x0C => Admin::EventRequest,
            _ => return Err(Status::INVALID_OPCODE),
        })
    }

    fn decode_log(entry: &Entry) -> Result<Admin, Status> {
        let dwords = u64::from(entry.words[0] >> 16) | u64::from(entry.words[1] & 0xFFFF) << 16;
        let bytes = (dwords + 1) * 4;
        let offset = u64::from(entry.words[2]) | u64::from(entry.words[3]) << 32;
        if bytes > u64::from(TRANSFER_BYTES_MAX) || offset & 3 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Admin::GetLogPage {
            page: entry.words[0] as u8,
            bytes: bytes as u32,
            offset,
            retain_event: entry.words[0] & 0x8000 != 0,
        })
    }

    pub(super) const fn bytes(&self) -> u32 {
        match self {
            Admin::Identify { .. } => PAGE_BYTES,
            Admin::GetLogPage { bytes, .. } => *bytes,
            _ => 0,
        }
    }
}

/// Asynchronous Event Requests and what they wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    /// Identifiers of the requests held, the oldest first.
    held: [u16; EVENT_REQUESTS],
    count: usize,
    /// DW0 of an event that no request has carried away.
    pending: Option<u32>,
    /// An error event was reported and its log not read since.
    masked: bool,
}

impl Events {
    pub(super) fn holds(&self, cid: u16) -> bool {
        self.held[..self.count].contains(&cid)
    }

    /// Takes the request back.
    fn withdraw(&mut self, cid: u16) -> bool {
        let Some(index) = self.held[..self.count].iter().position(|&held| held == cid) else {
            return false;
        };
        self.held.copy_within(index + 1..self.count, index);
        self.count -= 1;
        true
    }
}

/// Why a doorbell write is wrong: the event information of an error event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorbellError {
    /// No such queue.
    Register = 0,
    /// Not a value for that queue.
    Value = 1,
}

impl Nvme {
    /// Does an admin command; `None` if it is not answered now.
    pub(super) fn perform_admin(
        &mut self,
        bus: &mut dyn Bus,
        admin: Admin,
        cid: u16,
        pages: &Pages,
    ) -> Option<Result<u32, Status>> {
        Some(match admin {
            Admin::CreateCompletion(new) => self.create_completion(new),
            Admin::CreateSubmission(new) => self.create_submission(new),
            Admin::DeleteSubmission { id } => self.delete_submission(bus, id),
            Admin::DeleteCompletion { id } => self.delete_completion(bus, id),
            Admin::Identify { cns, nsid } => self.identify(bus, cns, nsid, pages),
            Admin::GetLogPage { page, offset, retain_event, .. } => {
                self.get_log_page(bus, page, offset, retain_event, pages)
            }
            Admin::Abort { submission, cid } => Ok(self.abort(bus, submission, cid)),
            Admin::SetFeature { save: true, .. } => Err(Status::FEATURE_NOT_SAVEABLE),
            Admin::SetFeature { id, value, .. } => self.set_feature(id, value),
            Admin::GetFeature { id, select, value } => self.features.get(id, select, value),
            Admin::EventRequest => return self.hold_event_request(bus, cid),
        })
    }

    fn set_feature(&mut self, id: u8, value: u32) -> Result<u32, Status> {
        let io_queues = self.completions[1..].iter().any(CompletionQueue::is_open);
        if id == feature::NUMBER_OF_QUEUES && io_queues {
            return Err(Status::SEQUENCE_ERROR);
        }
        self.features.set(id, value)
    }

    /// An identifier that an I/O queue can have.
    fn io_queue(&self, id: u16) -> Option<usize> {
        (id != 0 && id <= self.manner.queue_pairs.into()).then_some(id.into())
    }

    /// What the creation of both kinds checks.
    fn check_new_queue(&mut self, new: NewQueue, granted: u16) -> Result<usize, Status> {
        let fails = self.answers.queue_creation_fails(&self.manner);
        let index = self.io_queue(new.id).ok_or(Status::INVALID_QUEUE_IDENTIFIER)?;
        if new.id > granted {
            return Err(Status::INVALID_QUEUE_IDENTIFIER);
        }
        if new.last == 0 || new.last >= self.manner.queue_entries.into() {
            return Err(Status::INVALID_QUEUE_SIZE);
        }
        if new.base & u64::from(PAGE_BYTES - 1) != 0 {
            return Err(Status::PRP_OFFSET_INVALID);
        }
        if new.flags & 1 == 0 {
            return Err(Status::INVALID_FIELD);
        }
        if fails {
            return Err(Status::INTERNAL_ERROR);
        }
        Ok(index)
    }

    fn create_completion(&mut self, new: NewQueue) -> Result<u32, Status> {
        let index = self.check_new_queue(new, self.features.completion_queues())?;
        if self.completions[index].is_open() {
            return Err(Status::INVALID_QUEUE_IDENTIFIER);
        }
        if self.registers.completion_entry_size() != 4 {
            return Err(Status::INVALID_QUEUE_SIZE);
        }
        if new.partner >= VECTORS {
            return Err(Status::INVALID_VECTOR);
        }
        self.completions[index] =
            CompletionQueue::open(new.base, new.last + 1, new.partner, new.flags & 2 != 0);
        Ok(0)
    }

    fn create_submission(&mut self, new: NewQueue) -> Result<u32, Status> {
        let index = self.check_new_queue(new, self.features.submission_queues())?;
        if self.submissions[index].is_open() {
            return Err(Status::INVALID_QUEUE_IDENTIFIER);
        }
        if self.registers.submission_entry_size() != 6 {
            return Err(Status::INVALID_QUEUE_SIZE);
        }
        let partner = self.io_queue(new.partner).ok_or(Status::COMPLETION_QUEUE_INVALID)?;
        if !self.completions[partner].is_open() {
            return Err(Status::COMPLETION_QUEUE_INVALID);
        }
        self.submissions[index] = SubmissionQueue::open(new.base, new.last + 1, partner as u8);
        Ok(0)
    }

    /// Commands of the queue that are in flight end with it: answered as aborted if there is room for
    /// the answer, silently otherwise.
    fn delete_submission(&mut self, bus: &mut dyn Bus, id: u16) -> Result<u32, Status> {
        let index = self.io_queue(id).filter(|&index| self.submissions[index].is_open());
        let index = index.ok_or(Status::INVALID_QUEUE_IDENTIFIER)?;
        let of_queue = |waiting: &Waiting| usize::from(waiting.submission) == index;
        while let Some(at) = self.flight.list().iter().position(of_queue) {
            let waiting = self.flight.list()[at];
            self.flight.remove(at);
            if !waiting.ghost {
                self.answer(bus, &waiting, Status::ABORTED_BY_QUEUE_DELETION);
            }
        }
        self.submissions[index] = SubmissionQueue::default();
        Ok(0)
    }

    fn delete_completion(&mut self, bus: &mut dyn Bus, id: u16) -> Result<u32, Status> {
        let index = self.io_queue(id).filter(|&index| self.completions[index].is_open());
        let index = index.ok_or(Status::INVALID_QUEUE_IDENTIFIER)?;
        let feeds =
            |queue: &SubmissionQueue| queue.is_open() && usize::from(queue.completion()) == index;
        if self.submissions[..PAIRS].iter().any(feeds) {
            return Err(Status::INVALID_QUEUE_DELETION);
        }
        self.completions[index] = CompletionQueue::default();
        self.interrupts.quiet(bus, index);
        Ok(0)
    }

    fn identify(
        &mut self,
        bus: &mut dyn Bus,
        cns: u8,
        nsid: u32,
        pages: &Pages,
    ) -> Result<u32, Status> {
        let page = &mut *self.page;
        match cns {
            0x00 | 0x03 if nsid != NAMESPACE => return Err(Status::INVALID_NAMESPACE),
            0x02 if nsid >= u32::MAX - 1 => return Err(Status::INVALID_NAMESPACE),
            0x00 => identify::namespace(page),
            0x01 => identify::controller(page),
            0x02 => identify::active_namespaces(page, nsid),
            0x03 => identify::descriptors(page),
            _ => return Err(Status::INVALID_FIELD),
        }
        if self.manner.garbage_identify {
            identify::garble(page, &self.manner, cns);
        }
        pages.send(bus, page)?;
        Ok(0)
    }

    fn get_log_page(
        &mut self,
        bus: &mut dyn Bus,
        id: u8,
        offset: u64,
        retain_event: bool,
        pages: &Pages,
    ) -> Result<u32, Status> {
        let length = identify::log(&mut self.page, id).ok_or(Status::INVALID_LOG_PAGE)?;
        if offset > u64::from(length) {
            return Err(Status::INVALID_FIELD);
        }
        pages.send(bus, &self.page[offset as usize..])?;
        if id == ERROR_LOG && !retain_event {
            self.events.masked = false;
        }
        Ok(0)
    }

    /// Aborts a command; the result's bit 0 says that it was not.
    fn abort(&mut self, bus: &mut dyn Bus, submission: u16, cid: u16) -> u32 {
        const NOT_ABORTED: u32 = 1;
        if submission == 0 && self.events.holds(cid) && self.completions[0].room() >= 2 {
            self.events.withdraw(cid);
            self.answer(bus, &Waiting::admin(cid), Status::ABORT_REQUESTED);
            return 0;
        }
        let Some(submission) = u8::try_from(submission).ok() else { return NOT_ABORTED };
        let Some(index) = self.flight.find(submission, cid) else { return NOT_ABORTED };
        let waiting = self.flight.list()[index];
        // Room for its answer and for that of the Abort command.
        if self.completions[usize::from(waiting.completion)].room() < 2 {
            return NOT_ABORTED;
        }
        let answered_all_the_same = self.answers.answers_after_reset(&self.manner);
        if answered_all_the_same && submission != 0 && waiting.due != NEVER {
            self.flight.command_mut(index).pages.clear();
            self.flight.list_mut()[index].ghost = true;
        } else {
            self.flight.remove(index);
        }
        self.answer(bus, &waiting, Status::ABORT_REQUESTED);
        0
    }

    fn hold_event_request(&mut self, bus: &mut dyn Bus, cid: u16) -> Option<Result<u32, Status>> {
        if self.events.count == EVENT_REQUESTS {
            return Some(Err(Status::EVENT_LIMIT_EXCEEDED));
        }
        self.events.held[self.events.count] = cid;
        self.events.count += 1;
        self.deliver_event(bus);
        None
    }

    /// A doorbell was written wrongly: nothing happens but this.
    pub(super) fn report_doorbell(&mut self, bus: &mut dyn Bus, error: DoorbellError) {
        if !self.events.masked {
            self.events.pending = Some(u32::from(ERROR_LOG) << 16 | (error as u32) << 8);
            self.deliver_event(bus);
        }
    }

    /// Answers a held request with the pending event, if there are both and room for it.
    pub(super) fn deliver_event(&mut self, bus: &mut dyn Bus) {
        if self.events.count == 0 || self.completions[0].room() == 0 {
            return;
        }
        let Some(result) = self.events.pending.take() else { return };
        let cid = self.events.held[0];
        self.events.withdraw(cid);
        self.events.masked = true;
        let head = self.submissions[0].head();
        let completion = Completion { result, head, queue: 0, cid, status: Status::SUCCESS };
        self.post(bus, 0, &completion);
        self.interrupt(bus, 0);
    }
}
