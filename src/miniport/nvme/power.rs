//! HwStorAdapterControl and HwStorUnitControl: stop, restart, power, removal.
//!
//! StorPort's own pages disagree on whether it holds the Interrupt lock around a stop and a restart
//! (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_adapter_control>
//! says so, the table of StorPortAcquireSpinLock does not), so neither takes a lock here, and neither
//! touches a queue: a stop writes registers, a restart hands the controller to the state machine.

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use super::completion::Outcome;
use super::guard::Access;
use super::registers::{ABSENT, CC_DISABLE, CC_SHUTDOWN, Register, is_shut_down};
use super::stall::Stalls;
use super::state::State;
use super::{Nvme, READY_BUDGET_US};
use crate::storport::control::{
    ScsiAdapterControlType, ScsiUnitControlType, StorAdapterControlPower, StorDevicePowerState,
};
use crate::storport::{SrbStatus, StorPort};

/// How long a stop waits for the end of a shutdown: far below what StorPort grants a callback.
const SHUTDOWN_BUDGET_US: u32 = 10_000;

impl Nvme {
    /// The adapter control types that the driver answers.
    pub(super) fn knows_adapter_control(control: ScsiAdapterControlType) -> bool {
        matches!(
            control,
            ScsiAdapterControlType::STOP_ADAPTER
                | ScsiAdapterControlType::RESTART_ADAPTER
                | ScsiAdapterControlType::POWER
                | ScsiAdapterControlType::SURPRISE_REMOVAL
        )
    }

    /// HwStorAdapterControl.
    pub(super) fn control_adapter<P: StorPort>(
        &self,
        port: P,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> bool {
        match control {
            ScsiAdapterControlType::STOP_ADAPTER => self.stop(port),
            ScsiAdapterControlType::RESTART_ADAPTER => self.restart(port),
            ScsiAdapterControlType::POWER => {
                let power = parameters.cast::<StorAdapterControlPower>();
                if power.is_null() {
                    return false;
                }
                // SAFETY: the parameter of this control type, valid for the call.
                let state = unsafe { (&raw const (*power).power_state).read_unaligned() };
                if state == StorDevicePowerState::D0 {
                    self.restart(port);
                } else {
                    self.stop(port);
                }
            }
            ScsiAdapterControlType::SURPRISE_REMOVAL => self.remove(port),
            _ => return false,
        }
        true
    }

    /// ScsiStopAdapter, or power off. No request is outstanding. Twice is as good as once.
    fn stop<P: StorPort>(&self, port: P) {
        match self.state.leave(port, State::Stopped) {
            State::Running => self.shut_down(port),
            // The state machine may be enabling the controller this very moment; it looks at the state
            // afterwards, and then disables it itself.
            State::Starting | State::Failed => {
                self.registers.write(port, Register::Configuration, CC_DISABLE);
            }
            _ => return,
        }
        if !self.is_dump(port) && !self.engine.is_disabling(port) {
            port.request_timer_call(None, 0);
        }
    }

    /// Lets the controller write back what it caches, for a bounded time, and disables it. An absent
    /// controller is not waited for.
    fn shut_down<P: StorPort>(&self, port: P) {
        self.registers.write(port, Register::Configuration, CC_SHUTDOWN);
        let mut stalls = Stalls::new(SHUTDOWN_BUDGET_US);
        loop {
            let status = self.registers.read(port, Register::Status);
            if status == ABSENT || is_shut_down(status) || stalls.stall(port).is_none() {
                break;
            }
        }
        self.registers.write(port, Register::Configuration, CC_DISABLE);
    }

    /// ScsiRestartAdapter, power on, or HwStorInitialize once more. Twice is as good as once.
    pub(super) fn restart<P: StorPort>(&self, port: P) {
        if self.state.change(port, State::Stopped, State::Starting) {
            self.engine.want_reset(port);
            self.kick(port);
            if self.is_dump(port) {
                self.drive_alone(port, READY_BUDGET_US);
            }
        }
    }

    /// ScsiAdapterSurpriseRemoval: no lock is held, below DISPATCH_LEVEL. The controller is gone and
    /// reaches no memory, so everything can end at once.
    fn remove<P: StorPort>(&self, port: P) {
        self.state.leave(port, State::Removed);
        if !self.is_dump(port) {
            port.request_timer_call(None, 0);
        }
        self.close_queues(port, Access::Take);
        self.flush(port, Access::Take, Outcome::Status(SrbStatus::NO_DEVICE));
        self.answer_waiting(port);
    }

    /// The unit control types that the driver answers.
    pub(super) fn knows_unit_control(control: ScsiUnitControlType) -> bool {
        matches!(
            control,
            ScsiUnitControlType::USAGE
                | ScsiUnitControlType::START
                | ScsiUnitControlType::POWER
                | ScsiUnitControlType::REMOVE
                | ScsiUnitControlType::SURPRISE_REMOVAL
        )
    }

    /// HwStorUnitControl. The unit has no memory or power of its own; it only is there or not.
    pub(super) fn control_unit<P: StorPort>(&self, port: P, control: ScsiUnitControlType) -> bool {
        match control {
            ScsiUnitControlType::START => self.unit_removed.store(port, false, Ordering::SeqCst),
            ScsiUnitControlType::SURPRISE_REMOVAL => {
                self.unit_removed.store(port, true, Ordering::SeqCst);
            }
            ScsiUnitControlType::USAGE
            | ScsiUnitControlType::POWER
            | ScsiUnitControlType::REMOVE => {}
            _ => return false,
        }
        true
    }
}
