//! An NVMe miniport: an NVM Express controller behind StorPort, as a disk.
//!
//! The driver is a queue pair for each processor, as far as messages and the controller allow, one state
//! machine that brings the controller up, and a translation from SCSI. A request goes through it like
//! this:
//!
//! ```text
//! HwStorBuildIo   scsi, prp: CDB -> command in the SrbExtension; or an answer at once
//! HwStorStartIo   io: pick a queue -> [guard] slot, ring entry, doorbell
//!                                              ... the controller works ...
//! HwMSInterruptRoutine, HwStorInterrupt    interrupt: issue the queue's DPC
//! HwStorDpcRoutine                         interrupt: [guard] drain the ring into a batch
//!                                          completion: status -> SrbStatus, RequestComplete
//! ```
//!
//! The square brackets are the only places where the driver holds a lock; which one, is in [`guard`].
//! What each field may be touched under is said at the field.

pub mod buffer;
pub mod completion;
pub mod controller;
mod find;
pub mod guard;
mod init;
pub mod inquiry;
mod interrupt;
mod io;
pub mod memory;
mod power;
pub mod prp;
pub mod queue;
pub mod registers;
pub mod request;
pub mod reset;
mod scsi;
pub mod spec;
pub mod stall;
pub mod state;
#[cfg(test)]
mod tests;

use core::ffi::c_void;
use core::ops::RangeInclusive;
use core::sync::atomic::Ordering;

use self::controller::Engine;
use self::guard::{Access, Guard};
use self::memory::Uncached;
use self::prp::TRANSFER_BYTES_MAX;
use self::queue::Queue;
use self::registers::Registers;
use self::request::Request;
use self::reset::Waiting;
use self::spec::{Controller, Namespace, PAGE_BYTES};
use self::state::StateCell;
use crate::storport::config::PortConfigurationInformation;
use crate::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use crate::storport::perf::GroupAffinity;
use crate::storport::{
    Dpc, Extension, Initialization, Interlocked, Miniport, Shared, SpReturn, Srb, StorDpc, StorPort,
};

/// Most pairs of I/O queues. Each pair takes two pages of uncached memory, of which there is little;
/// processors beyond this share.
pub const IO_QUEUES_MAX: usize = 6;
/// Entries of the admin queue: one command of the driver's own at a time, and a few aborts.
const ADMIN_ENTRIES: u16 = 16;
/// Processors that can have a queue of their choice; others take turns.
const PROCESSORS_MAX: usize = 64;
/// Messages that the driver looks for; more do not help.
const MESSAGES_MAX: u32 = 64;
/// The argument of the recovery DPC, where the others have the number of their queue.
const RECOVERY: usize = IO_QUEUES_MAX + 1;
/// No limit but those of the state machine's own phases.
const READY_BUDGET_US: u32 = u32::MAX;

/// The device extension.
#[derive(Debug)]
pub struct Nvme {
    /// Written in HwStorFindAdapter only.
    registers: Registers,
    /// Written in HwStorFindAdapter only; its pages belong to the queues.
    memory: Uncached,
    /// Written in HwStorFindAdapter and HwStorInitialize only, before any request or DPC.
    settings: Shared<Settings>,
    /// StorPort granted performance options. Asked for anew when the adapter is powered up by HwStorInitialize, when
    /// HwStorTimer may run.
    perf_options: Interlocked<bool>,
    /// Among them, to complete requests in HwStorStartIo.
    completes_in_start_io: Interlocked<bool>,
    /// Written in HwStorInitialize only, before any request or DPC.
    guard: Shared<Guard>,
    /// Where StorPort writes which processors the I/O messages interrupt; HwStorInitialize only.
    message_targets: Shared<[GroupAffinity; IO_QUEUES_MAX + 1]>,
    /// The I/O queue that a processor prefers, 0 for none, 1 for the first. HwStorInitialize only.
    preferred: [Shared<u8>; PROCESSORS_MAX],

    /// What the adapter can do.
    state: StateCell,
    /// The bring-up.
    engine: Engine,
    /// Requests that wait for the end of a reset.
    waiting: Waiting,
    /// I/O queues that exist.
    io_queues: Interlocked<u32>,
    /// The DPCs are initialised and may be issued.
    dpcs_ready: Interlocked<bool>,
    /// The controller's line is masked. Set in HwStorInterrupt and cleared by the DPC, both under the
    /// Interrupt lock.
    line_masked: Interlocked<bool>,

    /// `controller`, `namespace` and `transfer_bytes` are there. They are written before and never again.
    identified: Interlocked<bool>,
    controller: Shared<Controller>,
    namespace: Shared<Namespace>,
    transfer_bytes: Shared<u32>,
    /// StorPort was told that the unit is gone.
    unit_removed: Interlocked<bool>,

    /// Runs the state machine.
    recovery: Dpc,
    /// The admin queue and the I/O queues. Each is touched under its guard.
    queues: [Queue; 1 + IO_QUEUES_MAX],
}

// SAFETY: every field is an integer, an atomic, a pointer, an `Option` of a non-null pointer, a STOR_DPC or an
// enumeration with a zero, or an array or structure of these; none needs a drop.
unsafe impl Extension for Nvme {}

/// What was settled when the adapter was found and initialised.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Loaded to write a crash dump.
    dump: bool,
    /// Registry: a lock for each message.
    per_message: bool,
    /// Registry: half duplex.
    half_duplex: bool,
    /// StorPort granted HwStorPassiveInitializeRoutine, and with it DPCs.
    uses_dpcs: bool,
    /// I/O queues to ask the controller for, at least 1.
    io_queues_wanted: u16,
    /// Entries of a ring, at least 2.
    queue_entries: u16,
    /// Messages granted; 0 with a line.
    messages: u32,
    /// Longest that the controller takes to become ready or not ready, in microseconds.
    ready_timeout_us: u32,
}

/// What a translation needs to know of the logical unit.
#[derive(Clone, Copy, Debug)]
struct Unit {
    namespace: Namespace,
    /// Most bytes of one command.
    transfer_bytes: u32,
    /// The controller knows Dataset Management.
    deallocates: bool,
}

impl Nvme {
    fn is_dump<P: StorPort>(&self, port: P) -> bool {
        self.settings.get(port).dump
    }

    fn is_half_duplex<P: StorPort>(&self, port: P) -> bool {
        self.settings.get(port).half_duplex
    }

    fn is_line<P: StorPort>(&self, port: P) -> bool {
        self.settings.get(port).messages == 0
    }

    fn uses_dpcs<P: StorPort>(&self, port: P) -> bool {
        self.settings.get(port).uses_dpcs
    }

    fn has_perf_options<P: StorPort>(&self, port: P) -> bool {
        self.perf_options.load(port, Ordering::Acquire)
    }

    fn may_complete_in_start_io<P: StorPort>(&self, port: P) -> bool {
        self.completes_in_start_io.load(port, Ordering::Acquire)
    }

    fn io_queues_wanted<P: StorPort>(&self, port: P) -> u16 {
        self.settings.get(port).io_queues_wanted
    }

    fn queue_entries<P: StorPort>(&self, port: P) -> u16 {
        self.settings.get(port).queue_entries
    }

    fn ready_timeout_us<P: StorPort>(&self, port: P) -> u32 {
        self.settings.get(port).ready_timeout_us
    }

    /// The queues that can exist, the admin queue first.
    fn queue_indices<P: StorPort>(&self, port: P) -> RangeInclusive<usize> {
        0..=usize::from(self.io_queues_wanted(port))
    }

    /// The message of a queue: 0 for the admin queue, the others in turn for the I/O queues; with one
    /// message or a line, 0 for all.
    fn message_of<P: StorPort>(&self, port: P, queue: usize) -> u32 {
        let io_messages = self.settings.get(port).messages.saturating_sub(1);
        match (queue as u32).checked_sub(1) {
            Some(io_queue) if io_messages > 0 => 1 + io_queue % io_messages,
            _ => 0,
        }
    }

    /// The I/O queues that interrupt with `message`.
    fn io_queues_of<P: StorPort>(
        &self,
        port: P,
        message: u32,
    ) -> impl ExactSizeIterator<Item = usize> {
        let count = self.io_queues.load(port, Ordering::Relaxed) as usize;
        let io_messages = self.settings.get(port).messages.saturating_sub(1) as usize;
        let message = message as usize;
        match io_messages {
            0 if message == 0 => (1..1 + count).step_by(1),
            _ if (1..=io_messages).contains(&message) => {
                (message..(1 + count).max(message)).step_by(io_messages)
            }
            _ => (0..0).step_by(1),
        }
    }

    /// The I/O queue that a processor prefers, counted from 0.
    fn preferred_queue<P: StorPort>(&self, port: P, processor: usize) -> usize {
        let told = self.preferred.get(processor).map_or(0, |queue| queue.get(port));
        if told == 0 { processor } else { usize::from(told) - 1 }
    }

    fn is_identified<P: StorPort>(&self, port: P) -> bool {
        self.identified.load(port, Ordering::Acquire)
    }

    /// Keeps what the controller said of itself.
    fn adopt_controller<P: StorPort>(&self, port: P, controller: Controller) {
        let limit = match controller.transfer_pages_log2 {
            0 => TRANSFER_BYTES_MAX,
            pages => (PAGE_BYTES as u32).checked_shl(pages.into()).unwrap_or(TRANSFER_BYTES_MAX),
        };
        // A shift that drops the bit is a limit beyond 32 bits.
        let limit = if limit == 0 { TRANSFER_BYTES_MAX } else { limit };
        self.transfer_bytes.set(port, limit.min(TRANSFER_BYTES_MAX));
        self.controller.set(port, controller);
    }

    /// Keeps what it said of the namespace; `None` for none that the driver can use.
    fn adopt_namespace<P: StorPort>(&self, port: P, namespace: Option<Namespace>) {
        let exists = self.controller.get(port).namespaces > 0;
        let none = Namespace { blocks: 0, block_log2: 9, eui64: 0 };
        self.namespace.set(port, namespace.filter(|_| exists).unwrap_or(none));
        self.identified.store(port, true, Ordering::Release);
    }

    /// There is no unit whose cache could be flushed.
    fn has_nothing_to_flush<P: StorPort>(&self, port: P) -> bool {
        self.is_identified(port) && self.identified_unit(port).is_none()
    }

    /// The logical unit, if there is one. Only once identified.
    fn identified_unit<P: StorPort>(&self, port: P) -> Option<Unit> {
        let namespace = self.namespace.get(port);
        let there = namespace.blocks > 0 && !self.unit_removed.load(port, Ordering::SeqCst);
        there.then(|| Unit {
            namespace,
            transfer_bytes: self.transfer_bytes.get(port),
            deallocates: self.controller.get(port).deallocates,
        })
    }
}

impl<P: StorPort> Miniport<P> for Nvme {
    const INITIALIZATION: Initialization = Initialization {
        is_virtual: false,
        srb_extension_bytes: size_of::<Request>() as u32,
        extended_srb: true,
        access_ranges: 1,
        adapter_control: true,
        unit_control: true,
    };

    fn find_adapter(
        &self,
        port: P,
        _context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        self.find(port, config)
    }

    fn initialize(&self, port: P) -> bool {
        self.initialize_adapter(port)
    }

    fn passive_initialize(&self, port: P) -> bool {
        self.initialize_passively(port)
    }

    fn build_io(&self, port: P, srb: Srb) -> bool {
        self.build(port, srb)
    }

    fn start_io(&self, port: P, srb: Srb) -> bool {
        self.start(port, srb);
        true
    }

    fn interrupt(&self, port: P) -> bool {
        self.on_line(port)
    }

    fn message_interrupt(&self, port: P, message: u32) -> bool {
        self.on_message(port, message);
        true
    }

    fn dpc(&self, port: P, _dpc: *mut StorDpc, argument1: usize, _argument2: usize) {
        self.on_dpc(port, argument1);
    }

    fn timer(&self, port: P) {
        self.engine.count_interval(port);
        if self.dpcs_ready.load(port, Ordering::SeqCst) {
            // A DPC's lock may not be taken here.
            self.kick(port);
        } else if !self.uses_dpcs(port) {
            let access = if self.is_half_duplex(port) { Access::Have } else { Access::Take };
            self.drive(port, access, false);
        }
    }

    fn reset_bus(&self, port: P, _path: u32) -> bool {
        self.reset(port);
        true
    }

    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        Nvme::knows_adapter_control(control)
    }

    fn adapter_control(
        &self,
        port: P,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> bool {
        self.control_adapter(port, control, parameters)
    }

    fn supports_unit_control(&self, control: ScsiUnitControlType) -> bool {
        Nvme::knows_unit_control(control)
    }

    fn unit_control(&self, port: P, control: ScsiUnitControlType, _: *mut c_void) -> bool {
        self.control_unit(port, control)
    }
}

const _: () = assert!(size_of::<Nvme>() < 8 * 1024);
