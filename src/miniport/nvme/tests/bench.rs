//! StorPort's side: requests, interrupts, DPCs, the timer, and "other processors", which run nested at
//! the driver's calls.
//!
//! Nesting is enough to find a race between two critical sections: whatever another processor could do
//! between two calls of the driver, it does here in the middle of a call. It never enters a callback that
//! needs a lock that is held, because that processor would only wait.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;

use super::super::Nvme;
use super::super::state::State;
use super::model::{Manner, Model};
use super::port::Port;
use crate::storport::config::{AccessRange, PortConfigurationInformation};
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::memory::{PhysicalAddress, StorScatterGatherElement, StorScatterGatherList};
use crate::storport::srb::{ScsiRequestBlock, SrbFlags, SrbFunction};
use crate::storport::{Miniport, SpReturn, Srb, SrbStatus};

const PAGE: usize = 4096;
/// Where the registers pretend to be.
const REGISTERS: usize = 0xF000_0000;
/// Bytes of a request's buffer.
const BUFFER: usize = 36 * PAGE;
/// Nested processors.
const DEPTH_MAX: u32 = 4;

/// What StorPort grants and the registry says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) processors: u32,
    /// 0 for a line.
    pub(super) messages: u32,
    pub(super) per_message: bool,
    pub(super) half_duplex: bool,
    pub(super) channels: bool,
    pub(super) passive: bool,
    pub(super) dump: bool,
    pub(super) manner: Manner,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            processors: 2,
            messages: 3,
            per_message: true,
            half_duplex: false,
            channels: true,
            passive: true,
            dump: false,
            manner: Manner::default(),
        }
    }
}

/// A lock that is held, by StorPort or by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    StartIo,
    Interrupt,
    Message(u32),
    Dpc(usize),
}

#[repr(C, align(4096))]
struct Aligned([u8; BUFFER]);

/// A request and all its memory.
struct Request {
    srb: Box<ScsiRequestBlock>,
    buffer: Box<Aligned>,
    extension: Vec<u64>,
    list: Vec<u64>,
    owned: bool,
    status: Option<SrbStatus>,
    /// Bytes moved, as the driver said.
    moved: u32,
}

/// Byte that fills the memory of a request that was completed.
const POISON: u8 = 0xA5;

/// StorPort and the machine.
pub(super) struct Bench {
    pub(super) setup: Setup,
    pub(super) nvme: Box<Nvme>,
    pub(super) model: RefCell<Model>,
    requests: RefCell<Vec<Request>>,
    held: RefCell<Vec<Held>>,
    dpcs: RefCell<Vec<(usize, usize)>>,
    dpcs_known: RefCell<Vec<usize>>,
    timer: Cell<bool>,
    uncached: RefCell<Vec<u8>>,
    state: Cell<u64>,
    depth: Cell<u32>,
    /// One in so many calls is interrupted by another processor; 0 for none.
    pub(super) interleaving: Cell<u32>,
    /// StorPort may reset or start requests while others run.
    pub(super) wild: Cell<bool>,
    in_start_io: Cell<u32>,
    /// Polls that pass without anything happening.
    pub(super) stalled_us: Cell<u64>,
}

impl Bench {
    pub(super) fn new(setup: Setup, seed: u64) -> Box<Self> {
        // SAFETY: all-zero is a value of a device extension.
        let nvme = unsafe { Box::<Nvme>::new_zeroed().assume_init() };
        Box::new(Bench {
            setup,
            nvme,
            model: RefCell::new(Model::new(setup.manner)),
            requests: RefCell::default(),
            held: RefCell::default(),
            dpcs: RefCell::default(),
            dpcs_known: RefCell::default(),
            timer: Cell::new(false),
            uncached: RefCell::default(),
            state: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            depth: Cell::new(0),
            interleaving: Cell::new(0),
            wild: Cell::new(false),
            in_start_io: Cell::new(0),
            stalled_us: Cell::new(0),
        })
    }

    pub(super) fn port(&self) -> Port {
        Port(self)
    }

    fn driver(&self) -> &impl Miniport<Port> {
        &*self.nvme
    }

    /// xorshift.
    pub(super) fn random(&self, below: u32) -> u32 {
        let mut state = self.state.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.state.set(state);
        (state >> 32) as u32 % below
    }

    // What StorPort does with an adapter.

    pub(super) fn find(&self) -> SpReturn {
        let mut range = AccessRange {
            range_start: PhysicalAddress(REGISTERS as u64),
            range_length: 0x4000,
            range_in_memory: 1,
        };
        let mut config = PortConfigurationInformation {
            maximum_transfer_length: u32::MAX,
            number_of_physical_breaks: u32::MAX,
            number_of_access_ranges: 1,
            access_ranges: &raw mut range,
            dump_mode: self.setup.dump.into(),
            ..PortConfigurationInformation::default()
        };
        self.driver().find_adapter(self.port(), core::ptr::null(), &mut config)
    }

    pub(super) fn initialize(&self) -> bool {
        self.hold(Held::Interrupt);
        let fine = self.driver().initialize(self.port());
        self.let_go(Held::Interrupt);
        fine
    }

    /// Finds and initialises the adapter; `false` if the driver refuses it.
    pub(super) fn start(&self) -> bool {
        if self.find() != SpReturn::FOUND || !self.initialize() {
            return false;
        }
        let passively = self.setup.passive && !self.setup.dump;
        !passively || self.driver().passive_initialize(self.port())
    }

    pub(super) fn control(&self, control: ScsiAdapterControlType) -> bool {
        self.driver().adapter_control(self.port(), control, core::ptr::null_mut())
    }

    pub(super) fn reset_bus(&self) {
        self.hold(Held::StartIo);
        if self.setup.half_duplex {
            self.hold(Held::Interrupt);
        }
        self.driver().reset_bus(self.port(), 0);
        if self.setup.half_duplex {
            self.let_go(Held::Interrupt);
        }
        self.let_go(Held::StartIo);
    }

    // Requests.

    /// Makes a request; `fill` sets its fields and its buffer. Returns its number.
    pub(super) fn request(&self, fill: impl FnOnce(&mut ScsiRequestBlock, &mut [u8])) -> usize {
        let mut request = Request {
            srb: Box::new(ScsiRequestBlock::default()),
            buffer: Box::new(Aligned([0; BUFFER])),
            extension: vec![0x5A5A_5A5A_5A5A_5A5A; size_of::<super::super::request::Request>() / 8],
            list: Vec::new(),
            owned: false,
            status: None,
            moved: 0,
        };
        let offset = 512 * self.random(8) as usize;
        let data = &mut request.buffer.0[offset..];
        request.srb.data_buffer = data.as_mut_ptr().cast();
        fill(&mut request.srb, data);
        request.srb.srb_extension = request.extension.as_mut_ptr().cast();
        let element = StorScatterGatherElement {
            physical_address: PhysicalAddress(request.srb.data_buffer.expose_provenance() as u64),
            length: request.srb.data_transfer_length,
            reserved: 0,
        };
        request.list = vec![1, 0, element.physical_address.0, u64::from(element.length), 0];
        self.requests.borrow_mut().push(request);
        self.requests.borrow().len() - 1
    }

    /// A SCSI request with data.
    pub(super) fn scsi(&self, cdb: &[u8], bytes: u32, data: &[u8]) -> usize {
        self.request(|srb, buffer| {
            srb.cdb[..cdb.len()].copy_from_slice(cdb);
            srb.cdb_length = cdb.len() as u8;
            srb.data_transfer_length = bytes;
            srb.srb_flags = SrbFlags(0);
            buffer[..data.len()].copy_from_slice(data);
        })
    }

    /// READ(10) or WRITE(10), the write of blocks that all hold `value`.
    pub(super) fn transfer(&self, write: bool, first: u8, blocks: u8, value: u8) -> usize {
        let operation = if write { 0x2A } else { 0x28 };
        let bytes = u32::from(blocks) * 512;
        let data = vec![if write { value } else { !value }; bytes as usize];
        self.scsi(&[operation, 0, 0, 0, 0, first, 0, 0, blocks, 0], bytes, &data)
    }

    pub(super) fn function(&self, function: SrbFunction, other: Option<usize>) -> usize {
        let next = other.map(|number| self.srb(number).as_ptr());
        self.request(|srb, _| {
            srb.function = function;
            srb.next_srb = next.unwrap_or(core::ptr::null_mut());
        })
    }

    fn srb(&self, number: usize) -> Srb {
        let at = (&raw const *self.requests.borrow()[number].srb).cast_mut();
        // SAFETY: the request lives as long as the bench.
        unsafe { Srb::new(at) }
    }

    /// Sends a request to the driver.
    pub(super) fn send(&self, number: usize) {
        let srb = self.srb(number);
        self.requests.borrow_mut()[number].owned = true;
        if !self.driver().build_io(self.port(), srb) {
            return;
        }
        // StorPort holds back what it has built until the lock is free.
        assert!(self.can_start_io());
        let half = self.setup.half_duplex && !self.setup.dump;
        let locks: &[Held] = match (half, self.setup.channels) {
            (true, _) => &[Held::StartIo, Held::Interrupt],
            (_, false) => &[Held::StartIo],
            _ => &[],
        };
        locks.iter().for_each(|&lock| self.hold(lock));
        self.in_start_io.set(self.in_start_io.get() + 1);
        self.driver().start_io(self.port(), srb);
        self.in_start_io.set(self.in_start_io.get() - 1);
        locks.iter().rev().for_each(|&lock| self.let_go(lock));
    }

    fn can_start_io(&self) -> bool {
        let free = !self.held.borrow().contains(&Held::StartIo);
        let concurrent = self.setup.channels && !self.setup.half_duplex;
        free && (concurrent || self.in_start_io.get() == 0) && self.no_driver_lock()
    }

    pub(super) fn complete(&self, srb: Srb) {
        {
            let mut requests = self.requests.borrow_mut();
            let request = requests
                .iter_mut()
                .find(|request| (&raw const *request.srb).cast_mut() == srb.as_ptr())
                .expect("a request of StorPort's");
            assert!(request.owned, "completed twice");
            assert_ne!(srb.status(), SrbStatus::PENDING);
            let buffer = request.buffer.0.as_ptr_range();
            let buffer = buffer.start.addr() as u64..buffer.end.addr() as u64;
            let model = self.model.borrow();
            assert!(
                model.gone || !model.flight.iter().any(|at| buffer.contains(&at.command.prp1)),
                "the device still owns the buffer"
            );
            request.owned = false;
            request.status = Some(srb.status());
            request.moved = srb.data_transfer_length();
            // Whoever touches the request from now on leaves a trace.
            request.extension.fill(u64::from_ne_bytes([POISON; 8]));
            request.srb.srb_status = SrbStatus(POISON);
        }
        self.interleave();
    }

    /// How a request ended.
    pub(super) fn status(&self, number: usize) -> Option<SrbStatus> {
        self.requests.borrow()[number].status
    }

    pub(super) fn moved(&self, number: usize) -> u32 {
        self.requests.borrow()[number].moved
    }

    /// A copy of what is in a request's buffer.
    pub(super) fn data(&self, number: usize, bytes: usize) -> Vec<u8> {
        let requests = self.requests.borrow();
        let request = &requests[number];
        let offset = request.srb.data_buffer.addr() - request.buffer.0.as_ptr().addr();
        request.buffer.0[offset..offset + bytes].to_vec()
    }

    pub(super) fn scatter_gather_list(&self, srb: Srb) -> *const StorScatterGatherList {
        let requests = self.requests.borrow();
        let of = |request: &&Request| (&raw const *request.srb).cast_mut() == srb.as_ptr();
        requests.iter().find(of).map_or(core::ptr::null(), |at| at.list.as_ptr().cast())
    }

    // Locks.

    pub(super) fn acquire(&self, lock: Held) {
        self.interleave();
        let dpc_after_interrupt = matches!(lock, Held::Dpc(_))
            && self
                .held
                .borrow()
                .iter()
                .any(|held| matches!(held, Held::Interrupt | Held::Message(_)));
        assert!(!dpc_after_interrupt, "a DPC's lock under an interrupt's");
        if let Held::Dpc(dpc) = lock {
            assert!(self.dpcs_known.borrow().contains(&dpc), "the lock of an uninitialised DPC");
        }
        assert!(!matches!(lock, Held::Message(_)) || self.setup.per_message);
        self.hold(lock);
    }

    pub(super) fn release(&self, lock: Held) {
        self.let_go(lock);
        self.interleave();
    }

    fn hold(&self, lock: Held) {
        let mut held = self.held.borrow_mut();
        let taken = |other: &Held| match (lock, *other) {
            (Held::Interrupt, Held::Message(_)) | (Held::Message(_), Held::Interrupt) => true,
            (lock, other) => lock == other,
        };
        assert!(!held.iter().any(taken), "{lock:?} is held: {held:?}");
        held.push(lock);
    }

    fn let_go(&self, lock: Held) {
        assert_eq!(self.held.borrow_mut().pop(), Some(lock), "not the last that was taken");
    }

    /// Nobody is inside the driver's own critical sections, or at device IRQL under StorPort's.
    fn no_driver_lock(&self) -> bool {
        self.held.borrow().iter().all(|&held| held == Held::StartIo)
    }

    // Interrupts, DPCs, the timer.

    pub(super) fn initialize_dpc(&self, dpc: usize) {
        assert!(!self.dpcs_known.borrow().contains(&dpc), "initialised twice");
        self.dpcs_known.borrow_mut().push(dpc);
    }

    pub(super) fn issue_dpc(&self, dpc: usize, argument: usize) -> bool {
        assert!(self.dpcs_known.borrow().contains(&dpc), "not initialised");
        let mut dpcs = self.dpcs.borrow_mut();
        let queued = dpcs.iter().any(|&(other, _)| other == dpc);
        if !queued {
            dpcs.push((dpc, argument));
        }
        !queued
    }

    pub(super) fn set_timer(&self, armed: bool) {
        self.timer.set(armed);
    }

    pub(super) fn stall(&self, microseconds: u32) {
        assert!(microseconds < 1000);
        self.stalled_us.set(self.stalled_us.get() + u64::from(microseconds));
        self.model.borrow_mut().execute(0);
        self.interleave();
    }

    /// Delivers an interrupt, if there is one and its lock is free. Returns whether.
    pub(super) fn interrupt(&self) -> bool {
        let masked = |held: &Held| matches!(held, Held::Interrupt | Held::Message(_));
        if self.held.borrow().iter().any(masked) || self.setup.dump {
            return false;
        }
        if self.setup.messages == 0 {
            if !self.model.borrow().asserts() {
                return false;
            }
            self.hold(Held::Interrupt);
            let claimed = self.driver().interrupt(self.port());
            self.let_go(Held::Interrupt);
            // What the handler preempted gets no further while the line stays asserted.
            assert!(claimed, "the interrupt comes again for ever");
            return true;
        }
        let Some(message) = self.model.borrow_mut().sent.pop() else { return false };
        let lock = if self.setup.per_message { Held::Message(message) } else { Held::Interrupt };
        self.hold(lock);
        assert!(message < self.setup.messages, "a message that was not granted");
        self.driver().message_interrupt(self.port(), message);
        self.let_go(lock);
        true
    }

    pub(super) fn run_dpc(&self) -> bool {
        if !self.no_driver_lock() || self.dpcs.borrow().is_empty() {
            return false;
        }
        let count = self.dpcs.borrow().len() as u32;
        let (dpc, argument) = self.dpcs.borrow_mut().remove(self.random(count) as usize);
        self.driver().dpc(self.port(), core::ptr::without_provenance_mut(dpc), argument, 0);
        true
    }

    pub(super) fn fire_timer(&self) -> bool {
        let free = !self.held.borrow().contains(&Held::StartIo) && self.no_driver_lock();
        if !free || !self.timer.replace(false) {
            return false;
        }
        self.hold(Held::StartIo);
        if self.setup.half_duplex {
            self.hold(Held::Interrupt);
        }
        self.driver().timer(self.port());
        if self.setup.half_duplex {
            self.let_go(Held::Interrupt);
        }
        self.let_go(Held::StartIo);
        true
    }

    /// Another processor, or the device, does something, or not.
    pub(super) fn interleave(&self) {
        let chance = self.interleaving.get();
        if chance == 0 || self.depth.get() == DEPTH_MAX || self.random(chance) != 0 {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        match self.random(8) {
            0 | 1 => {
                self.interrupt();
            }
            2 | 3 => {
                self.run_dpc();
            }
            4 | 5 => {
                let index = self.random(4) as usize;
                self.model.borrow_mut().execute(index);
            }
            6 => {
                self.fire_timer();
            }
            _ => self.be_wild(),
        }
        self.depth.set(self.depth.get() - 1);
    }

    fn be_wild(&self) {
        if !self.wild.get() || !self.can_start_io() {
            return;
        }
        match self.random(6) {
            0 if self.in_start_io.get() == 0 => self.reset_bus(),
            1 => self.send(self.function(SrbFunction::RESET_LOGICAL_UNIT, None)),
            2 => {
                let count = self.requests.borrow().len() as u32;
                let victim = self.random(count.max(1)) as usize;
                if count > 0 {
                    self.send(self.function(SrbFunction::ABORT_COMMAND, Some(victim)));
                }
            }
            _ => {
                let (write, first) = (self.random(2) == 0, self.random(120) as u8);
                self.send(self.transfer(write, first, 1 + self.random(8) as u8, 0));
            }
        }
    }

    // Registers and memory.

    pub(super) fn read_register(&self, address: usize) -> u32 {
        self.interleave();
        self.model.borrow_mut().read(address - REGISTERS)
    }

    pub(super) fn write_register(&self, address: usize, value: u32) {
        self.interleave();
        if address - REGISTERS == 0x14 && value & 1 == 0 {
            // The last moment at which the controller can answer.
            self.model.borrow_mut().execute(0);
            self.interrupt();
        }
        self.model.borrow_mut().write(address - REGISTERS, value);
        self.interleave();
    }

    pub(super) fn uncached(&self, bytes: u32) -> *mut c_void {
        let mut memory = self.uncached.borrow_mut();
        memory.resize(bytes as usize, 0);
        memory.as_mut_ptr().cast()
    }

    // The end of a run.

    /// Lets everything happen that is still to happen, and checks that all is quiet.
    pub(super) fn settle(&self) {
        for _ in 0..10_000 {
            let mut busy = self.model.borrow_mut().execute(0);
            busy |= self.interrupt();
            busy |= self.run_dpc();
            if self.setup.dump {
                self.hold(Held::Interrupt);
                busy |= self.driver().interrupt(self.port());
                self.let_go(Held::Interrupt);
            }
            if !busy && !self.fire_timer() {
                break;
            }
        }
        assert!(self.held.borrow().is_empty());
        assert!(!self.timer.get() && self.dpcs.borrow().is_empty(), "never quiet");
        for request in self.requests.borrow().iter() {
            assert!(!request.owned, "lost: {:?} {:x?}", request.srb.function, request.srb.cdb);
            if request.status.is_some() {
                let poisoned = u64::from_ne_bytes([POISON; 8]);
                assert!(request.extension.iter().all(|&word| word == poisoned), "touched");
                assert_eq!(request.srb.srb_status, SrbStatus(POISON), "touched");
            }
        }
    }

    /// Sends a request and lets everything happen.
    pub(super) fn perform(&self, number: usize) -> SrbStatus {
        self.send(number);
        self.settle();
        self.status(number).expect("complete")
    }

    pub(super) fn adapter_state(&self) -> State {
        self.nvme.state.get(self.port())
    }
}
