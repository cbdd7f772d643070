//! Requests: their memory, and who owns them.
//!
//! A slot is one request's life: created by a step (or by StorPort's recovery), sent to the miniport,
//! completed by it, finished in StorPort's DPC, free. Slots are used in turn, so that a late second
//! completion meets the old request and not a new one.

use super::data::Written;
use super::deferred::{Deferred, Ring};
use super::memory::{COMPLETED, DATA_BYTES, FRESH, PAGE, SLOTS};
use super::state::State;
use crate::event::{Kind, Owner, Sink, Site};
use crate::scenario::{Io, IoKind, Query};
use crate::storport::memory::{PhysicalAddress, StorScatterGatherElement, StorScatterGatherList};
use crate::storport::srb::{ScsiRequestBlock, SrbFlags, SrbFunction};
use crate::storport::{Srb, SrbStatus};

/// TimeOutValue of every request, in seconds: the disk class driver's default.
pub(super) const TIMEOUT_SECONDS: u32 = 10;
/// StorPort gives up on a request that was busy so often.
const BUSY_MAX: u8 = 16;
/// How long StorPort keeps a busy request before it tries again.
const RETRY_NS: u64 = 1_000_000;
/// Bytes of a block, for requests to a device that has none.
const BLOCK_BYTES: u32 = 512;
/// Bytes of every buffer that is not read or written.
pub(super) const QUERY_BYTES: u32 = 252;

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: the slot is free.
    Free,
    /// In StorPort, to be sent.
    Waiting,
    /// With the miniport.
    Miniport,
    /// Completed; StorPort's DPC has yet to finish it. `true` if StorPort itself completed it.
    Completed(bool),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Io(Io),
    Query(Query),
    /// One of StorPort's reset functions.
    Reset(SrbFunction),
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) place: Place,
    pub(super) purpose: Purpose,
    pub(super) number: u16,
    pub(super) processor: u8,
    pub(super) deadline: u64,
    /// StorPort has noticed that its time is over.
    pub(super) timed_out: bool,
    /// Processors that are inside HwStorBuildIo or HwStorStartIo with it.
    pub(super) starting: u8,
    pub(super) sent: u64,
    used: bool,
    busy_count: u8,
    not_before: u64,
    pub(super) completed: u64,
    pub(super) first_block: u32,
    pub(super) blocks: u32,
    pub(super) offset: u32,
    pub(super) bytes: u32,
    /// Sum over the request block at its completion.
    sum: u64,
}

const UNUSED: Request = Request {
    place: Place::Free,
    purpose: Purpose::Query(Query::TestUnitReady),
    number: 0,
    processor: 0,
    deadline: u64::MAX,
    timed_out: false,
    starting: 0,
    sent: 0,
    used: false,
    busy_count: 0,
    not_before: 0,
    completed: 0,
    first_block: 0,
    blocks: 0,
    offset: 0,
    bytes: 0,
    sum: 0,
};

/// Every request of the run.
pub(super) struct Requests {
    pub(super) slots: [Request; SLOTS],
    /// Slots with the miniport, a bit each.
    pub(super) with_miniport: u64,
    /// Slots used in this run, a bit each.
    used: u64,
    next_slot: usize,
    next_number: u16,
    pub(super) waiting: Ring<u8, 64>,
    pub(super) writes: Vec<Written>,
    /// Requests sent and not finished.
    pub(super) outstanding: u32,
}

impl Requests {
    pub(super) fn new() -> Self {
        Requests {
            slots: [UNUSED; SLOTS],
            with_miniport: 0,
            used: 0,
            next_slot: 0,
            next_number: 0,
            waiting: Ring::new(),
            writes: Vec::with_capacity(256),
            outstanding: 0,
        }
    }

    pub(super) fn power_on(&mut self) {
        while self.used != 0 {
            self.slots[self.used.trailing_zeros() as usize] = UNUSED;
            self.used &= self.used - 1;
        }
        (self.with_miniport, self.next_slot, self.next_number, self.outstanding) = (0, 0, 0, 0);
        self.waiting.clear();
        self.writes.clear();
    }

    /// Where a request's data begins in its slot's buffer; `None` without data.
    pub(super) fn buffer_offset(&self, slot: usize) -> Option<u32> {
        let request = &self.slots[slot];
        (request.used && request.bytes != 0).then_some(request.offset)
    }

    /// Slots with the miniport, lowest first.
    pub(super) fn of_miniport(&self) -> impl Iterator<Item = usize> + use<> {
        let mut left = self.with_miniport;
        std::iter::from_fn(move || {
            let slot = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(slot)
        })
    }

    /// The request in `slot` goes to or leaves the miniport.
    fn set_place(&mut self, slot: usize, place: Place) {
        self.slots[slot].place = place;
        let bit = 1 << slot;
        match place {
            Place::Miniport => self.with_miniport |= bit,
            _ => self.with_miniport &= !bit,
        }
    }
}

impl<S: Sink> State<S> {
    /// A new request from `processor`; `None` if every slot is taken.
    pub(super) fn create_request(&mut self, purpose: Purpose, processor: u8) -> Option<u8> {
        let free = |slot: &usize| self.requests.slots[*slot].place == Place::Free;
        let first = self.requests.next_slot;
        let slot = (0..SLOTS).map(|n| (first + n) % SLOTS).find(free)?;
        if self.requests.slots[slot].used {
            self.check_request_untouched(slot);
        }
        self.requests.next_slot = (slot + 1) % SLOTS;
        let number = self.requests.next_number;
        self.requests.next_number = self.requests.next_number.wrapping_add(1) & 0x7FFF;
        self.requests.used |= 1 << slot;
        let mut request = Request { purpose, number, processor, used: true, ..UNUSED };
        request.place = Place::Waiting;
        self.measure(&mut request);
        self.requests.slots[slot] = request;
        self.build_srb(slot);
        let function = self.srb(slot).function().0;
        self.emit(Site::Port, Kind::RequestCreated { request: number, function });
        Some(slot as u8)
    }

    /// Blocks and bytes of a request, cut to what disk and adapter can do.
    fn measure(&self, request: &mut Request) {
        let Purpose::Io(io) = request.purpose else {
            request.bytes = match request.purpose {
                Purpose::Query(query) if super::srb::has_data(query) => QUERY_BYTES,
                _ => 0,
            };
            return;
        };
        let (block_bytes, disk) = match self.device.geometry() {
            (_, 0) => (BLOCK_BYTES, 128),
            geometry => geometry,
        };
        if io.kind == IoKind::Flush {
            return;
        }
        let limit = self.adapter.transfer_limit.clamp(block_bytes, DATA_BYTES as u32 - PAGE as u32);
        request.first_block = u32::from(io.block) % disk;
        request.offset = u32::from(io.offset % 8) * 512;
        request.blocks =
            u32::from(io.blocks).clamp(1, limit / block_bytes).min(disk - request.first_block);
        request.bytes = match io.kind {
            IoKind::Unmap => 24,
            _ => request.blocks * block_bytes,
        };
    }

    /// The handle of a slot's request block.
    pub(super) fn srb(&self, slot: usize) -> Srb {
        // SAFETY: `build_srb` wrote a request block there, which lives as long as the machine.
        unsafe { Srb::new(self.memory.srb(slot).cast::<ScsiRequestBlock>()) }
    }

    fn build_srb(&mut self, slot: usize) {
        let request = &self.requests.slots[slot];
        let mut plan = super::srb::SrbPlan {
            legacy: self.adapter.legacy_srb,
            bytes: request.bytes,
            first_block: request.first_block,
            blocks: request.blocks,
            ..super::srb::plan(&request.purpose)
        };
        plan.data = match plan.flags.contains(SrbFlags::DATA_IN)
            || plan.flags.contains(SrbFlags::DATA_OUT)
        {
            true => self.memory.data(slot).wrapping_add(request.offset as usize),
            false => std::ptr::null_mut(),
        };
        plan.sense = self.memory.sense(slot);
        plan.extension = self.memory.srb_extension(slot);
        if plan.function == SrbFunction::ABORT_COMMAND
            && let Some(victim) = self.oldest_of_miniport()
        {
            plan.next = self.memory.srb(victim);
        }
        // SAFETY: the slot's request block region holds either kind with its extended data.
        unsafe { plan.write(self.memory.srb(slot)) };
    }

    /// What the miniport has had longest.
    fn oldest_of_miniport(&self) -> Option<usize> {
        self.requests.of_miniport().min_by_key(|&slot| self.requests.slots[slot].sent)
    }

    /// A request goes to the miniport: a fresh SrbExtension, a stamped buffer, its time begins.
    pub(super) fn hand_over(&mut self, slot: usize) {
        let bytes = self.extension_bytes();
        // SAFETY: at most the region's size, checked when the adapter was found.
        unsafe { self.memory.srb_extension(slot).write_bytes(FRESH, bytes) };
        self.order += 1;
        let order = self.order;
        self.srb(slot).set_status(SrbStatus::PENDING);
        let request = &mut self.requests.slots[slot];
        request.deadline = self.time + u64::from(TIMEOUT_SECONDS) * 1_000_000_000;
        request.timed_out = false;
        if request.busy_count == 0 {
            request.sent = order;
            self.stamp(slot);
        }
        self.requests.set_place(slot, Place::Miniport);
        self.requests.outstanding += 1;
    }

    pub(super) fn extension_bytes(&self) -> usize {
        self.driver.map_or(0, |driver| driver.data.srb_extension_size as usize)
    }

    /// StorPort takes a request back that the miniport refused: it is tried again later.
    pub(super) fn defer_request(&mut self, slot: usize) {
        let number = self.requests.slots[slot].number;
        self.requests.outstanding -= 1;
        self.emit(Site::Port, Kind::RequestDeferred { request: number });
        let request = &mut self.requests.slots[slot];
        request.busy_count += 1;
        request.not_before = self.time + RETRY_NS;
        if request.busy_count > BUSY_MAX {
            request.completed = 0;
            self.end_write(slot, false);
            self.requests.set_place(slot, Place::Free);
        } else {
            self.requests.set_place(slot, Place::Waiting);
            self.requests.waiting.push(slot as u8);
        }
    }

    /// StorPortNotification(RequestComplete).
    pub(super) fn complete_request(&mut self, address: usize, site: Site) {
        let slot = self.memory.slot_of(address).filter(|&slot| self.requests.slots[slot].used);
        let Some(slot) = slot else {
            let kind = Kind::RequestCompleted {
                request: u16::MAX,
                status: SrbStatus::PENDING,
                owner: Owner::Nobody,
                device_owns: false,
                starting_elsewhere: false,
            };
            return self.emit(site, kind);
        };
        let request = self.requests.slots[slot];
        let owner = match request.place {
            Place::Miniport => Owner::Miniport,
            Place::Completed(true) => Owner::PortAfterReset,
            _ => Owner::Port,
        };
        let status = self.srb(slot).status();
        let kind = Kind::RequestCompleted {
            request: request.number,
            status,
            owner,
            device_owns: owner == Owner::Miniport && self.device_owns(slot),
            starting_elsewhere: request.starting & !(1 << self.current) != 0,
        };
        self.emit(site, kind);
        if owner == Owner::Miniport {
            self.take_back(slot, false);
        }
    }

    /// The request belongs to StorPort again; its DPC will finish it.
    pub(super) fn take_back(&mut self, slot: usize, by_port: bool) {
        self.order += 1;
        let order = self.order;
        let sum = self.sum(slot);
        let bytes = self.extension_bytes();
        // SAFETY: as in `hand_over`.
        unsafe { self.memory.srb_extension(slot).write_bytes(COMPLETED, bytes) };
        self.requests.set_place(slot, Place::Completed(by_port));
        let request = &mut self.requests.slots[slot];
        (request.completed, request.sum) = (order, sum);
        let issuer = usize::from(request.processor);
        let target = if self.adapter.redirects_dpcs { issuer } else { self.current };
        self.processors[target].completions.push(slot as u8);
        self.defer(target, Deferred::Completions);
    }

    /// The last of a request: in StorPort's DPC, after its completion.
    pub(super) fn finish_request(&mut self, slot: usize) {
        self.check_request_untouched(slot);
        let status = self.srb(slot).status().code();
        if status == SrbStatus::BUSY && self.adapter.is_present() {
            return self.defer_request(slot);
        }
        self.requests.outstanding -= 1;
        let succeeded = status == SrbStatus::SUCCESS;
        self.end_write(slot, succeeded);
        if succeeded {
            self.check_read(slot);
        }
        self.requests.set_place(slot, Place::Free);
        self.after_finish(slot);
    }

    /// Whether a request that waits may be tried again yet.
    pub(super) fn may_retry(&self, slot: usize) -> bool {
        self.requests.slots[slot].not_before <= self.time
    }

    /// When the first request that waits may be tried again.
    pub(super) fn next_retry(&self) -> u64 {
        let times = self.requests.waiting.iter();
        times
            .map(|slot| self.requests.slots[usize::from(slot)].not_before)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Whether a command with this request's buffer is with the device.
    fn device_owns(&self, slot: usize) -> bool {
        let request = &self.requests.slots[slot];
        let mut address = self.memory.data(slot).addr() + request.offset as usize;
        let mut left = request.bytes as usize;
        while left > 0 {
            let Some((physical, run)) = self.memory.physical(address) else { return false };
            let step = run.min(left);
            if self.device.owns(physical, step as u64) {
                return true;
            }
            address += step;
            left -= step;
        }
        false
    }

    /// StorPortGetScatterGatherList: one element a page.
    pub(super) fn scatter_gather(&mut self, slot: usize) -> *const StorScatterGatherList {
        let request = &self.requests.slots[slot];
        if request.bytes == 0 {
            return std::ptr::null();
        }
        let list = self.memory.scatter_gather(slot).cast::<StorScatterGatherList>();
        let mut address = self.memory.data(slot).addr() + request.offset as usize;
        let (mut left, mut count) = (request.bytes as usize, 0);
        // SAFETY: the region holds the header and `DATA_BYTES / PAGE` elements and is aligned to 16.
        let elements = unsafe { list.add(1).cast::<StorScatterGatherElement>() };
        while left > 0 {
            let Some((physical, run)) = self.memory.physical(address) else { break };
            let step = run.min(left);
            let element = StorScatterGatherElement {
                physical_address: PhysicalAddress(physical),
                length: step as u32,
                reserved: 0,
            };
            // SAFETY: at most one element a page.
            unsafe { elements.add(count).write(element) };
            address += step;
            left -= step;
            count += 1;
        }
        // SAFETY: as above.
        unsafe {
            list.write(StorScatterGatherList {
                number_of_elements: count as u32,
                reserved: 0,
                list: [],
            });
        }
        list
    }

    /// A sum over the request block.
    fn sum(&self, slot: usize) -> u64 {
        let words = self.memory.srb(slot).cast::<u64>();
        // SAFETY: the region is longer than this, aligned, and initialised.
        (0..11).fold(0, |sum: u64, n| unsafe {
            sum.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ words.add(n).read_volatile()
        })
    }

    /// Tells of a request that somebody wrote to after its completion.
    fn check_request_untouched(&mut self, slot: usize) {
        let Request { completed, sum, number, .. } = self.requests.slots[slot];
        if completed != 0 && !(self.extension_is_untouched(slot) && self.sum(slot) == sum) {
            self.emit(Site::Port, Kind::RequestTouched { request: number });
        }
    }

    /// Whether the SrbExtension of a completed request is as its completion left it; compared by words, for it
    /// is looked at twice for each request.
    fn extension_is_untouched(&self, slot: usize) -> bool {
        let (extension, bytes) = (self.memory.srb_extension(slot), self.extension_bytes());
        // SAFETY: inside the slot's region, which is longer by more than a word, aligned, and initialised.
        let words = unsafe { std::slice::from_raw_parts(extension.cast::<u64>(), bytes / 8) };
        // SAFETY: as above.
        let rest = unsafe { std::slice::from_raw_parts(extension.add(bytes / 8 * 8), bytes % 8) };
        let difference =
            words.iter().fold(0, |sum, word| sum | (word ^ u64::from_ne_bytes([COMPLETED; 8])));
        difference == 0 && rest.iter().all(|&byte| byte == COMPLETED)
    }

    /// At the end of a run: no finished request was written to since.
    pub(super) fn check_touched(&mut self) {
        let mut used = self.requests.used;
        while used != 0 {
            let slot = used.trailing_zeros() as usize;
            used &= used - 1;
            let request = &self.requests.slots[slot];
            if request.place == Place::Free {
                self.check_request_untouched(slot);
            }
        }
    }
}
