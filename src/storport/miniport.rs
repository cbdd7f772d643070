//! What StorPort calls: the callbacks of a miniport.
//!
//! The type that implements [`Miniport`] *is* the device extension: StorPort allocates it, fills it
//! with zeroes and passes its address to every callback, on any processor, so every method takes
//! `&self` and shared fields are [`Shared`](super::Shared) cells. Which locks StorPort holds around each call, and which
//! the call may take, is the table of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>.

use core::ffi::c_void;

use super::config::PortConfigurationInformation;
use super::control::{ScsiAdapterControlType, ScsiUnitControlType};
use super::dpc::StorDpc;
use super::port::StorPort;
use super::srb::Srb;
use super::status::SpReturn;

/// A type that StorPort may create by filling its memory with zeroes.
///
/// # Safety
///
/// All-zero bytes are a valid value, and the type needs no drop.
pub unsafe trait Extension: Sized {}

/// What HW_INITIALIZATION_DATA says of a miniport besides its entry points.
#[derive(Clone, Copy, Debug)]
pub struct Initialization {
    /// A virtual miniport: no hardware, no interrupt, no HwStorBuildIo.
    pub is_virtual: bool,
    /// Bytes of SrbExtension for each request.
    pub srb_extension_bytes: u32,
    /// Takes STORAGE_REQUEST_BLOCK instead of SCSI_REQUEST_BLOCK.
    pub extended_srb: bool,
    /// Number of register ranges.
    pub access_ranges: u32,
    /// Answers adapter control.
    pub adapter_control: bool,
    /// Answers unit control.
    pub unit_control: bool,
}

/// The callbacks of a miniport, over the StorPort `P`.
///
/// Page of each: `nc-storport-hw_` and the name, below
/// <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/>.
pub trait Miniport<P: StorPort>: Extension {
    /// What DriverEntry tells StorPort.
    const INITIALIZATION: Initialization;

    /// HwStorFindAdapter. PASSIVE_LEVEL, no locks. `context` is the HwContext of StorPortInitialize,
    /// `again` is meaningful to virtual miniports only.
    fn find_adapter(
        &self,
        port: P,
        context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn;

    /// HwStorInitialize. DIRQL, Interrupt held (physical miniports).
    fn initialize(&self, port: P) -> bool;

    /// HwStorPassiveInitializeRoutine. PASSIVE_LEVEL, no locks.
    fn passive_initialize(&self, port: P) -> bool {
        let _ = port;
        true
    }

    /// HwStorBuildIo. DISPATCH_LEVEL, no locks, on several processors at once. `false`: do not call
    /// [`Miniport::start_io`]; the miniport completes the request itself.
    fn build_io(&self, port: P, srb: Srb) -> bool {
        let _ = (port, srb);
        true
    }

    /// HwStorStartIo. See the lock table: StartIo held with one channel, Interrupt too in half duplex.
    fn start_io(&self, port: P, srb: Srb) -> bool;

    /// HwStorInterrupt. DIRQL, Interrupt held. `false`: not ours.
    fn interrupt(&self, port: P) -> bool {
        let _ = port;
        false
    }

    /// HwMSInterruptRoutine. DIRQL, the message's lock (or Interrupt) held.
    fn message_interrupt(&self, port: P, message: u32) -> bool {
        let _ = (port, message);
        false
    }

    /// HwStorDpcRoutine. DISPATCH_LEVEL, no locks.
    fn dpc(&self, port: P, dpc: *mut StorDpc, argument1: usize, argument2: usize) {
        let _ = (port, dpc, argument1, argument2);
    }

    /// HwStorTimer. StartIo held (Interrupt too in half duplex).
    fn timer(&self, port: P) {
        let _ = port;
    }

    /// HW_TIMER_EX. DISPATCH_LEVEL, no locks.
    fn timer_ex(&self, port: P, context: usize) {
        let _ = (port, context);
    }

    /// HW_WORKITEM. PASSIVE_LEVEL, no locks.
    fn work_item(&self, port: P, context: usize, worker: *mut c_void) {
        let _ = (port, context, worker);
    }

    /// HwStorResetBus. StartIo held (Interrupt too in half duplex); every queue is paused.
    fn reset_bus(&self, port: P, path: u32) -> bool;

    /// HwStorStateChange. StartIo held (Interrupt too in half duplex).
    fn state_change(&self, port: P, context: usize, status: u32) {
        let _ = (port, context, status);
    }

    /// HwStorAdapterControl: whether the control type is supported. Asked at PASSIVE_LEVEL, no locks.
    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        let _ = control;
        false
    }

    /// HwStorAdapterControl. `true` is ScsiAdapterControlSuccess.
    fn adapter_control(
        &self,
        port: P,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> bool {
        let _ = (port, control, parameters);
        false
    }

    /// HwStorUnitControl: whether the control type is supported. Asked at PASSIVE_LEVEL, no locks.
    fn supports_unit_control(&self, control: ScsiUnitControlType) -> bool {
        let _ = control;
        false
    }

    /// HwStorUnitControl. No locks. `true` is ScsiUnitControlSuccess.
    fn unit_control(&self, port: P, control: ScsiUnitControlType, parameters: *mut c_void) -> bool {
        let _ = (port, control, parameters);
        false
    }

    /// HwStorTracingEnabled. No locks.
    fn tracing_enabled(&self, port: P, enabled: bool) {
        let _ = (port, enabled);
    }

    /// HwMSInterruptRoutine as an entry point, for `HwMSInterruptRoutine` of ConfigInfo; `None` makes
    /// the adapter use its line.
    fn message_interrupt_entry() -> Option<super::config::HwMessageInterrupt>
    where
        P: StorPort,
    {
        Some(super::entry::message_interrupt::<P, Self>)
    }
}
