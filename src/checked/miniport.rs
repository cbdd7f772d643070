//! [`CheckedMiniport`]: a core as StorPort sees it, each of its callbacks told of.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr;

use super::Hooks;
use super::callback::Header;
use super::tell::Checked;
use crate::event::{
    Adapter, ConfigurationMistake, Duplex, Interrupts, Miniport as MiniportKind, Routine,
};
use crate::storport::config::{
    InterruptSynchronizationMode, KinterruptMode, PortConfigurationInformation,
    SP_UNINITIALIZED_VALUE, StorSynchronizationModel,
};
use crate::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use crate::storport::{Executive, Extension, Initialization, Irql, Miniport, SpReturn, Srb, entry};

/// The core `M`, watched. Give `entry::initialization_data::<P, CheckedMiniport<M, H>>()` to StorPortInitialize.
#[repr(C)]
pub struct CheckedMiniport<M, H> {
    header: Header,
    core: M,
    hooks: PhantomData<fn() -> H>,
}

impl<M, H> CheckedMiniport<M, H> {
    const CORE_IS_BEHIND_THE_HEADER: () =
        assert!(offset_of!(Self, core) == size_of::<Header>(), "the core wants no wider alignment");

    fn extension(&self) -> *mut c_void {
        let () = Self::CORE_IS_BEHIND_THE_HEADER;
        ptr::from_ref(self).cast_mut().cast()
    }

    fn port<P: Executive>(&self) -> Checked<P, H>
    where
        H: Hooks<P>,
    {
        // SAFETY: `self` is StorPort's HwDeviceExtension of an adapter of this very type.
        unsafe { Checked::of(self.extension()) }
    }
}

// SAFETY: the header is atomics, for which zeroes are a value; the core promises the same of itself.
unsafe impl<M: Extension, H> Extension for CheckedMiniport<M, H> {}

impl<P, H, M> Miniport<P> for CheckedMiniport<M, H>
where
    P: Executive,
    H: Hooks<P>,
    M: Miniport<Checked<P, H>>,
{
    const INITIALIZATION: Initialization = M::INITIALIZATION;

    fn find_adapter(
        &self,
        port: P,
        context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        let dump = config.dump_mode != 0 || port.ke_get_current_irql() == Irql::HIGH;
        self.port::<P>().set_stopped(false);
        if !dump && self.port::<P>().is_unwatched() {
            let watch = H::start(port, self.extension());
            let watch = watch.filter(|watch| watch.claim(self.extension()));
            self.header.set_watch(watch);
            self.port::<P>().begin();
        }
        let port = self.port::<P>();
        let mut found = SpReturn::NOT_FOUND;
        port.callback(Routine::FindAdapter, 0, || {
            found = self.core.find_adapter(port, context, config);
            found.0
        });
        self.judge_configuration(port, found, config);
        if config.hw_ms_interrupt_routine.is_some() {
            config.hw_ms_interrupt_routine = Some(entry::message_interrupt::<P, Self>);
        }
        found
    }

    fn initialize(&self, _: P) -> bool {
        let port = self.port::<P>();
        port.callback(Routine::Initialize, 0, || u32::from(self.core.initialize(port))) != 0
    }

    fn build_io(&self, _: P, srb: Srb) -> bool {
        let port = self.port::<P>();
        port.starting(Routine::BuildIo, srb, || u32::from(self.core.build_io(port, srb))) != 0
    }

    fn start_io(&self, _: P, srb: Srb) -> bool {
        let port = self.port::<P>();
        port.starting(Routine::StartIo, srb, || u32::from(self.core.start_io(port, srb))) != 0
    }

    fn interrupt(&self, _: P) -> bool {
        let port = self.port::<P>();
        port.callback(Routine::Interrupt, 0, || u32::from(self.core.interrupt(port))) != 0
    }

    fn message_interrupt(&self, _: P, message: u32) -> bool {
        let port = self.port::<P>();
        let call = || u32::from(self.core.message_interrupt(port, message));
        port.callback(Routine::MessageInterrupt, message as u16, call) != 0
    }

    fn reset_bus(&self, _: P, path: u32) -> bool {
        let port = self.port::<P>();
        let call = || u32::from(self.core.reset_bus(port, path));
        port.callback(Routine::ResetBus, path as u16, call) != 0
    }

    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        self.core.supports_adapter_control(control)
    }

    fn adapter_control(
        &self,
        _: P,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> bool {
        let port = self.port::<P>();
        if control == ScsiAdapterControlType::RESTART_ADAPTER {
            port.set_stopped(false);
        }
        let call = || u32::from(!self.core.adapter_control(port, control, parameters));
        let result = port.callback(Routine::AdapterControl, control.0 as u16, call);
        match control {
            ScsiAdapterControlType::STOP_ADAPTER => port.stopped(false),
            ScsiAdapterControlType::SURPRISE_REMOVAL => port.stopped(true),
            _ => {}
        }
        result == 0
    }

    fn supports_unit_control(&self, control: ScsiUnitControlType) -> bool {
        self.core.supports_unit_control(control)
    }

    fn unit_control(&self, _: P, control: ScsiUnitControlType, parameters: *mut c_void) -> bool {
        let port = self.port::<P>();
        let call = || u32::from(!self.core.unit_control(port, control, parameters));
        port.callback(Routine::UnitControl, control.0 as u16, call) == 0
    }

    fn tracing_enabled(&self, _: P, enabled: bool) {
        let port = self.port::<P>();
        port.callback(Routine::TracingEnabled, 0, || {
            self.core.tracing_enabled(port, enabled);
            0
        });
    }
}

impl<M, H> CheckedMiniport<M, H> {
    /// Tells what HwStorFindAdapter left in ConfigInfo, as StorPort takes it.
    fn judge_configuration<P>(
        &self,
        port: Checked<P, H>,
        found: SpReturn,
        config: &PortConfigurationInformation,
    ) where
        P: Executive,
        H: Hooks<P>,
        M: Miniport<Checked<P, H>>,
    {
        let known = [SpReturn::FOUND, SpReturn::NOT_FOUND, SpReturn::ERROR, SpReturn::BAD_CONFIG];
        if !known.contains(&found) {
            port.mistaken(ConfigurationMistake::ReturnValueUnknown);
        }
        if found != SpReturn::FOUND {
            return;
        }
        let is_virtual = M::INITIALIZATION.is_virtual;
        let unset = config.maximum_transfer_length == SP_UNINITIALIZED_VALUE
            || config.number_of_physical_breaks == SP_UNINITIALIZED_VALUE;
        if unset && !is_virtual {
            port.mistaken(ConfigurationMistake::TransferLimitsUnset);
        }
        if is_virtual != (config.virtual_device != 0) {
            port.mistaken(ConfigurationMistake::VirtualDeviceWrong);
        }
        port.configured(|adapter| adopt(adapter, is_virtual, config));
    }
}

/// What the adapter is from now on.
fn adopt(adapter: &mut Adapter, is_virtual: bool, config: &PortConfigurationInformation) {
    let by_message = config.hw_ms_interrupt_routine.is_some()
        && config.interrupt_mode == KinterruptMode::LATCHED;
    let per_message =
        config.interrupt_synchronization_mode == InterruptSynchronizationMode::PER_MESSAGE;
    adapter.miniport = if is_virtual { MiniportKind::Virtual } else { MiniportKind::Physical };
    adapter.duplex = match config.synchronization_model {
        StorSynchronizationModel::FULL_DUPLEX => Duplex::Full,
        _ => Duplex::Half,
    };
    adapter.interrupts = match (is_virtual, by_message, per_message) {
        (true, ..) => Interrupts::None,
        (_, false, _) => Interrupts::Line,
        (_, true, false) => Interrupts::MessagesTogether,
        (_, true, true) => Interrupts::PerMessage,
    };
}

impl<M, H> fmt::Debug for CheckedMiniport<M, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedMiniport(..)")
    }
}
