//! Adapter and unit control: stop, restart, power, removal, tracing.
//!
//! IRQLs are those of the tables of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_adapter_control> and
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_unit_control>. For stopping
//! and restarting the first of them disagrees with the lock tables; the scenario chooses.

use std::ffi::c_void;

use super::adapter::Life;
use super::port::Port;
use crate::event::{Kind, Routine, Sink, Site};
use crate::scenario::{AdapterAction, UnitAction};
use crate::storport::address::StorAddrBtl8;
use crate::storport::control::{
    ScsiAdapterControlType, ScsiUnitControlType, StorAdapterControlPower, StorDevicePowerState,
};

/// Control types that StorPort asks about.
const CONTROL_TYPES: usize = 32;

impl<S: Sink + 'static> Port<S> {
    /// ScsiQuerySupportedControlTypes, of adapter and unit.
    pub(super) fn query_supported(self) {
        let mut list = [0_u32; 1 + CONTROL_TYPES / 4];
        list[0] = CONTROL_TYPES as u32;
        let parameters = (&raw mut list).cast::<c_void>();
        let adapter = self.call_adapter_control(
            ScsiAdapterControlType::QUERY_SUPPORTED_CONTROL_TYPES,
            parameters,
        );
        let bits = if adapter == Some(0) { bits_of(&list) } else { 0 };
        self.with(|s| s.adapter.supports_adapter = bits);
        list = [0; 1 + CONTROL_TYPES / 4];
        list[0] = CONTROL_TYPES as u32;
        let unit =
            self.call_unit_control(ScsiUnitControlType::QUERY_SUPPORTED_CONTROL_TYPES, parameters);
        let bits = if unit == Some(0) { bits_of(&list) } else { 0 };
        self.with(|s| s.adapter.supports_unit = bits);
    }

    /// Calls HwStorAdapterControl as the processor is; `None` if the driver has none.
    fn call_adapter_control(
        self,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> Option<u32> {
        let routine = self.driver().data.hw_adapter_control?;
        let extension = self.extension();
        Some(self.callback(Routine::AdapterControl, control.0 as u16, || {
            // SAFETY: the driver's own entry point, and what the control type takes.
            unsafe { self.invoke(routine, (extension, control, parameters)) }
        }))
    }

    fn call_unit_control(
        self,
        control: ScsiUnitControlType,
        parameters: *mut c_void,
    ) -> Option<u32> {
        let routine = self.driver().data.hw_unit_control?;
        let extension = self.extension();
        Some(self.callback(Routine::UnitControl, control.0 as u16, || {
            // SAFETY: as above.
            unsafe { self.invoke(routine, (extension, control, parameters)) }
        }))
    }

    /// Stop or restart: at PASSIVE_LEVEL without locks, or at DIRQL under Interrupt.
    fn stop_or_restart(self, control: ScsiAdapterControlType) -> Option<u32> {
        let null = std::ptr::null_mut();
        if self.with(|s| s.adapter.facts.control_under_interrupt_lock && !s.setup.dump) {
            self.under_interrupt(|| self.call_adapter_control(control, null))
        } else {
            self.call_adapter_control(control, null)
        }
    }

    /// ScsiAdapterPower to `state`.
    fn power(self, state: StorDevicePowerState) {
        let mut parameters = StorAdapterControlPower {
            version: 1,
            size: size_of::<StorAdapterControlPower>() as u32,
            address: std::ptr::null_mut(),
            power_action: 0,
            power_state: state,
        };
        let parameters = (&raw mut parameters).cast();
        let _ = self.call_adapter_control(ScsiAdapterControlType::POWER, parameters);
    }

    /// Does to the adapter what a step asks.
    pub(super) fn control_adapter(self, action: AdapterAction) {
        if !self.with(|s| s.adapter.is_started()) {
            return;
        }
        match action {
            AdapterAction::StopAndRestart => self.stop_and_restart(),
            AdapterAction::PowerCycle => {
                if self.with(|s| s.adapter.supports(ScsiAdapterControlType::POWER)) {
                    self.with(|s| s.adapter.life = Life::Stopped);
                    self.power(StorDevicePowerState::D3);
                    self.power(StorDevicePowerState::D0);
                    self.started_again(true);
                } else {
                    self.stop_and_restart();
                }
            }
            AdapterAction::SurpriseRemoval => self.remove_by_surprise(),
            AdapterAction::TracingEnabled => self.enable_tracing(),
            AdapterAction::QuerySupported => self.query_supported(),
        }
    }

    fn stop_and_restart(self) {
        if !self.with(|s| s.adapter.supports(ScsiAdapterControlType::STOP_ADAPTER)) {
            return;
        }
        self.with(|s| s.adapter.life = Life::Stopped);
        let _ = self.stop_or_restart(ScsiAdapterControlType::STOP_ADAPTER);
        self.act(|s| s.emit(Site::Port, Kind::AdapterStopped { surprise: false }));
        self.quiesce();
        let restarts = self.with(|s| {
            s.setup.restart_supported && s.adapter.supports(ScsiAdapterControlType::RESTART_ADAPTER)
        });
        let again = if restarts {
            self.stop_or_restart(ScsiAdapterControlType::RESTART_ADAPTER) == Some(0)
        } else {
            self.with(|s| {
                s.adapter.configured = false;
                s.memory.give_back_uncached();
            });
            self.find_adapter() && self.initialize()
        };
        self.started_again(again);
    }

    /// Disconnects the interrupts, and returns when every other processor rests: StorPort does not call a miniport that it
    /// has stopped until it starts it again
    /// (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-scsi_adapter_control_type>). What was
    /// under way when it was stopped, such as an interrupt that waited for the lock, ends first.
    fn quiesce(self) {
        self.with(|s| s.interrupts.enabled = false);
        while self.with(|s| s.let_another_rest()) {
            self.suspend();
        }
    }

    fn started_again(self, started: bool) {
        self.act(|s| {
            if !started {
                return s.fail_start();
            }
            s.adapter.life = Life::Started;
            s.interrupts.enabled = s.interrupts_are_connected();
            s.restart_later();
        });
        self.drain_deferred();
    }

    fn remove_by_surprise(self) {
        if !self.with(|s| s.adapter.supports(ScsiAdapterControlType::SURPRISE_REMOVAL)) {
            return;
        }
        self.act(|s| {
            s.with_device(|device, bus| device.remove(bus));
            s.adapter.life = Life::Removed;
        });
        let removal = ScsiAdapterControlType::SURPRISE_REMOVAL;
        let _ = self.call_adapter_control(removal, std::ptr::null_mut());
        self.act(|s| s.emit(Site::Port, Kind::AdapterStopped { surprise: true }));
    }

    fn enable_tracing(self) {
        let Some(routine) = self.driver().data.hw_tracing_enabled else { return };
        let extension = self.extension();
        self.callback(Routine::TracingEnabled, 0, || {
            // SAFETY: the driver's own entry point.
            unsafe { self.invoke(routine, (extension, 1)) };
            0
        });
    }

    /// HwStorUnitControl, at the control type's IRQL.
    pub(super) fn control_unit(self, action: UnitAction) {
        let control = match action {
            UnitAction::Start => ScsiUnitControlType::START,
            UnitAction::Usage => ScsiUnitControlType::USAGE,
            UnitAction::Power => ScsiUnitControlType::POWER,
            UnitAction::Remove => ScsiUnitControlType::REMOVE,
            UnitAction::SurpriseRemoval => ScsiUnitControlType::SURPRISE_REMOVAL,
        };
        let supported = self.with(|s| s.adapter.supports_unit & (1 << control.0) != 0);
        if !supported || !self.with(|s| s.adapter.is_started()) {
            return;
        }
        let mut address = StorAddrBtl8::new(0, 0, 0);
        // STOR_UNIT_CONTROL_POWER: address, action, state; every other type takes the address.
        let mut power = UnitPower {
            address: (&raw mut address).cast(),
            action: 0,
            state: StorDevicePowerState::D3,
        };
        if control == ScsiUnitControlType::POWER {
            self.at_dispatch(|| {
                let _ = self.call_unit_control(control, (&raw mut power).cast());
                power.state = StorDevicePowerState::D0;
                let _ = self.call_unit_control(control, (&raw mut power).cast());
            });
        } else {
            let _ = self.call_unit_control(control, (&raw mut address).cast());
        }
    }

    /// The end of the run: stops what is started.
    pub(super) fn stop_adapter_for_good(self) {
        let stops = self.with(|s| {
            s.adapter.is_started() && s.adapter.supports(ScsiAdapterControlType::STOP_ADAPTER)
        });
        if stops {
            let _ = self.stop_or_restart(ScsiAdapterControlType::STOP_ADAPTER);
        }
        self.act(|s| {
            if s.adapter.is_started() {
                s.adapter.life = Life::Removed;
                s.emit(Site::Port, Kind::AdapterStopped { surprise: false });
            }
            s.interrupts.enabled = false;
        });
    }
}

/// STOR_UNIT_CONTROL_POWER.
#[repr(C)]
struct UnitPower {
    address: *mut c_void,
    action: u32,
    state: StorDevicePowerState,
}

/// The BOOLEANs of a filled SCSI_SUPPORTED_CONTROL_TYPE_LIST as bits.
fn bits_of(list: &[u32]) -> u32 {
    let booleans = list[1..].iter().flat_map(|word| word.to_ne_bytes());
    booleans.enumerate().fold(0, |bits, (n, value)| bits | (u32::from(value != 0) << n))
}
