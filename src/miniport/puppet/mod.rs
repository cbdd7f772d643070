//! The miniport that plays lock calls which the scenario scripts, in any callback, so that every mistake
//! is possible: with it the rules themselves are tested.
//!
//! Without a script it is a driver that behaves: HwStorFindAdapter configures the adapter and initialises
//! executive locks, HwStorInitialize enables passive initialisation, HwStorPassiveInitializeRoutine initialises
//! DPCs, timers and workers, HwStorStartIo completes its request with success at its end, interrupt routines
//! quiet the line, HwStorResetBus and a removal complete everything that was kept. A [`Script`] adds calls: in
//! HwStorFindAdapter, HwStorInitialize, HwStorPassiveInitializeRoutine and the interrupt routines after what the
//! callback does by itself, elsewhere before. A call that takes the request over ([`Op::Complete`] and its like,
//! [`Op::Keep`]) stands in for the completion at the end.
//!
//! The puppet's own notes (what it kept, how often a callback ran) are not part of the driver under test:
//! they are plain memory, read and written without a call of the port in between, so that on the host,
//! where processors take turns at calls, each note is taken in one piece. Only the host's port may be given
//! the puppet: its calls break the contracts of the real one on purpose.

mod calls;
mod frame;
mod locks;
mod op;
mod play;
mod script;
mod state;

use core::ffi::c_void;

use crate::event::Routine;
use crate::storport::config::{
    InterruptSynchronizationMode, SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED,
    SRB_TYPE_SCSI_REQUEST_BLOCK, SRB_TYPE_STORAGE_REQUEST_BLOCK, StorSynchronizationModel,
};
use crate::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use crate::storport::srb::SrbFunction;
use crate::storport::{
    Executive, Extension, Initialization, Miniport, PortConfigurationInformation, SpReturn, Srb,
    SrbStatus, StorDpc, StorPort, entry,
};

use frame::{Entries, Frame};
pub use op::{Op, Operands};
pub use script::{
    ARGUMENT_MAX, Call, Context, DPCS, DPCS_INITIALIZED, EXECUTIVE_LOCKS,
    EXECUTIVE_LOCKS_INITIALIZED, FIRST_SHARED_SLOT, LockName, SLOTS, Script, When,
};
use state::State;

/// Bytes of SrbExtension, for [`Op::TouchSrbExtension`].
const SRB_EXTENSION_BYTES: u32 = 64;
/// Most requests at once: what a scenario can ask StorPort to send.
const REQUESTS_MAX: u32 = 32;
/// Largest transfer, in bytes, and in how many pieces.
const TRANSFER_BYTES_MAX: u32 = 128 * 1024;
const BREAKS_MAX: u32 = 33;
/// What HwStorFindAdapter returns after [`Op::ReturnUnknown`].
const UNKNOWN_RETURN: SpReturn = SpReturn(77);

/// The device extension of the puppet; `VIRTUAL` makes it a virtual miniport, `LEGACY` one that takes
/// SCSI_REQUEST_BLOCK.
///
/// The HwContext of its HwStorFindAdapter is NULL or a [`Script`].
#[repr(transparent)]
#[derive(Debug)]
pub struct Puppet<const VIRTUAL: bool = false, const LEGACY: bool = false>(State);

// SAFETY: `State` is made of integers, `Option`s of non-null pointers, raw pointers and structures of the
// DDI, for all of which zero is a value.
unsafe impl<const VIRTUAL: bool, const LEGACY: bool> Extension for Puppet<VIRTUAL, LEGACY> {}

const _: () = assert!(size_of::<Puppet>() < 4096, "StorPort gives an extension a page");

impl<const VIRTUAL: bool, const LEGACY: bool> Puppet<VIRTUAL, LEGACY> {
    /// The frame of a callback that has just been called.
    fn enter<P: StorPort + Executive>(&self, port: P, routine: Routine) -> Frame<'_, P> {
        self.0.frame(port, routine, const { &Entries::of::<P, Self>() })
    }

    /// What HwStorFindAdapter says of the adapter.
    fn configure<P: StorPort + Executive>(
        &self,
        port: P,
        config: &mut PortConfigurationInformation,
    ) {
        let registry = self.0.read_registry(port);
        self.0.in_dump.set(config.dump_mode != 0);
        config.maximum_transfer_length = TRANSFER_BYTES_MAX;
        config.number_of_physical_breaks = BREAKS_MAX;
        config.alignment_mask = 3;
        config.number_of_buses = 1;
        config.maximum_number_of_targets = 1;
        config.maximum_number_of_logical_units = 1;
        config.max_number_of_io = REQUESTS_MAX;
        config.max_ios_per_lun = REQUESTS_MAX;
        config.initial_lun_queue_depth = REQUESTS_MAX;
        config.scatter_gather = 1;
        config.master = 1;
        config.dma64_bit_addresses = SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED;
        config.virtual_device = u8::from(VIRTUAL);
        config.srb_type =
            if LEGACY { SRB_TYPE_SCSI_REQUEST_BLOCK } else { SRB_TYPE_STORAGE_REQUEST_BLOCK };
        config.synchronization_model = if registry.half_duplex {
            StorSynchronizationModel::HALF_DUPLEX
        } else {
            StorSynchronizationModel::FULL_DUPLEX
        };
        if !VIRTUAL {
            config.hw_ms_interrupt_routine = Some(entry::message_interrupt::<P, Self>);
            config.interrupt_synchronization_mode = if registry.per_message {
                InterruptSynchronizationMode::PER_MESSAGE
            } else {
                InterruptSynchronizationMode::ALL
            };
        }
    }
}

impl<P: StorPort + Executive, const VIRTUAL: bool, const LEGACY: bool> Miniport<P>
    for Puppet<VIRTUAL, LEGACY>
{
    const INITIALIZATION: Initialization = Initialization {
        is_virtual: VIRTUAL,
        srb_extension_bytes: SRB_EXTENSION_BYTES,
        extended_srb: !LEGACY,
        access_ranges: if VIRTUAL { 0 } else { 1 },
        adapter_control: true,
        unit_control: true,
    };

    fn find_adapter(
        &self,
        port: P,
        context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        self.0.take_script(context.cast());
        let frame = self.enter(port, Routine::FindAdapter);
        let mut found = true;
        if !frame.skips_default() {
            self.configure(port, config);
            self.0.initialize_executive_locks(port);
            found = VIRTUAL || self.0.map_registers(port, config);
        }
        let frame = frame.configuring(config);
        frame.play();
        match (frame.returns_unknown(), frame.result(found)) {
            (true, _) => UNKNOWN_RETURN,
            (false, true) => SpReturn::FOUND,
            (false, false) => SpReturn::ERROR,
        }
    }

    fn initialize(&self, port: P) -> bool {
        let frame = self.enter(port, Routine::Initialize);
        let mut enabled = true;
        // Nothing passes below HIGH_LEVEL while a dump is written.
        if !frame.skips_default() && !self.0.in_dump.get() {
            enabled = port.enable_passive_initialization(entry::passive_initialize::<P, Self>);
        }
        frame.play();
        frame.result(enabled)
    }

    fn passive_initialize(&self, port: P) -> bool {
        let frame = self.enter(port, Routine::PassiveInitialize);
        if !frame.skips_default() {
            self.0.initialize_objects(port, entry::dpc::<P, Self>);
        }
        frame.play();
        frame.result(true)
    }

    fn build_io(&self, port: P, srb: Srb) -> bool {
        let frame = self.enter(port, Routine::BuildIo).with_request(srb);
        frame.play();
        frame.result(!frame.took_request())
    }

    fn start_io(&self, port: P, srb: Srb) -> bool {
        let frame = self.enter(port, Routine::StartIo).with_request(srb);
        frame.play();
        let accepted = frame.result(true);
        if accepted && !frame.took_request() && !frame.skips_default() {
            if is_reset(srb.function()) {
                self.0.complete_kept(port, SrbStatus::BUS_RESET);
            }
            frame.complete_current(SrbStatus::SUCCESS);
        }
        accepted
    }

    fn interrupt(&self, port: P) -> bool {
        let frame = self.enter(port, Routine::Interrupt);
        if !frame.skips_default() {
            self.0.quiet_line(port);
        }
        frame.play();
        frame.result(true)
    }

    fn message_interrupt(&self, port: P, message: u32) -> bool {
        let frame = self.enter(port, Routine::MessageInterrupt).about(message);
        if !frame.skips_default() {
            self.0.quiet_line(port);
        }
        frame.play();
        frame.result(true)
    }

    fn dpc(&self, port: P, dpc: *mut StorDpc, _argument1: usize, _argument2: usize) {
        let number = self.0.number_of_dpc(dpc);
        self.enter(port, Routine::Dpc).about(number).play();
    }

    fn timer(&self, port: P) {
        self.enter(port, Routine::Timer).play();
    }

    fn timer_ex(&self, port: P, _context: usize) {
        self.enter(port, Routine::TimerEx).play();
    }

    fn work_item(&self, port: P, _context: usize, _worker: *mut c_void) {
        self.enter(port, Routine::WorkItem).play();
    }

    fn reset_bus(&self, port: P, _path: u32) -> bool {
        let frame = self.enter(port, Routine::ResetBus);
        frame.play();
        if !frame.skips_default() {
            self.0.complete_kept(port, SrbStatus::BUS_RESET);
        }
        frame.result(true)
    }

    fn state_change(&self, port: P, _context: usize, _status: u32) {
        self.enter(port, Routine::StateChange).play();
    }

    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        [
            ScsiAdapterControlType::STOP_ADAPTER,
            ScsiAdapterControlType::RESTART_ADAPTER,
            ScsiAdapterControlType::POWER,
            ScsiAdapterControlType::SURPRISE_REMOVAL,
        ]
        .contains(&control)
    }

    fn adapter_control(
        &self,
        port: P,
        control: ScsiAdapterControlType,
        _parameters: *mut c_void,
    ) -> bool {
        let frame = self.enter(port, Routine::AdapterControl);
        frame.play();
        if !frame.skips_default() {
            self.0.follow_control(port, control);
        }
        frame.result(true)
    }

    fn supports_unit_control(&self, control: ScsiUnitControlType) -> bool {
        [
            ScsiUnitControlType::USAGE,
            ScsiUnitControlType::START,
            ScsiUnitControlType::POWER,
            ScsiUnitControlType::REMOVE,
            ScsiUnitControlType::SURPRISE_REMOVAL,
        ]
        .contains(&control)
    }

    fn unit_control(&self, port: P, _: ScsiUnitControlType, _parameters: *mut c_void) -> bool {
        let frame = self.enter(port, Routine::UnitControl);
        frame.play();
        frame.result(true)
    }

    fn tracing_enabled(&self, port: P, _enabled: bool) {
        self.enter(port, Routine::TracingEnabled).play();
    }
}

/// Whether a request asks to give up others, so that a driver that behaves completes those first.
const fn is_reset(function: SrbFunction) -> bool {
    matches!(
        function,
        SrbFunction::ABORT_COMMAND
            | SrbFunction::RESET_BUS
            | SrbFunction::RESET_DEVICE
            | SrbFunction::RESET_LOGICAL_UNIT
    )
}
