//! A program as a miniport core, for lockstorm.

use std::ffi::c_void;
use std::marker::PhantomData;

use lockstorm::storport::config::{InterruptSynchronizationMode, StorSynchronizationModel};
use lockstorm::storport::control::ScsiAdapterControlType;
use lockstorm::storport::guard::Locked;
use lockstorm::storport::perf::ProcessorNumber;
use lockstorm::storport::srb::SrbFunction;
use lockstorm::storport::{
    Dpc, Executive, Extension, Initialization, Miniport, PortConfigurationInformation, Shared,
    SpReturn, Srb, SrbStatus, StorDpc, StorKspinLock, StorPortExt,
};

use super::programs::{LOCKS_MAX, Program, Shape, World};

/// Threads of a program, and one for its DPC.
const DPCS: usize = 4;

/// The device extension.
#[repr(C)]
pub(crate) struct Core<Q> {
    locks: [Shared<StorKspinLock>; LOCKS_MAX],
    words: [Shared<u32>; LOCKS_MAX],
    dpcs: [Dpc; DPCS],
    request: Shared<Option<Srb>>,
    trigger: Shared<usize>,
    program: PhantomData<Q>,
}

// SAFETY: zeroes are words, no request, and objects that are initialised before use; nothing needs a drop.
unsafe impl<Q> Extension for Core<Q> {}

/// The core, seen from one of its routines.
struct Running<'a, Q, P> {
    core: &'a Core<Q>,
    port: P,
}

impl<Q: Program, P: Executive> World for Running<'_, Q, P> {
    #[track_caller]
    fn locked<R>(&self, lock: usize, body: impl FnOnce(&mut u32) -> R) -> R {
        let (port, word) = (self.port, &self.core.words[lock]);
        let body = || {
            let mut value = word.get(port);
            let result = body(&mut value);
            word.set(port, value);
            result
        };
        if Q::SHAPE == Shape::Messages && lock < Q::THREADS {
            // The routine of the other message.
            return port.with_message_lock(lock as u32, body);
        }
        let lock = self.core.locks[lock].as_ptr();
        // SAFETY: initialised before the program began; every routine of a program runs at DISPATCH_LEVEL or above.
        unsafe {
            port.ke_acquire_spin_lock_at_dpc_level(lock);
            let result = body();
            port.ke_release_spin_lock_from_dpc_level(lock);
            result
        }
    }

    fn complete(&self) {
        if let Some(srb) = self.core.request.get(self.port) {
            srb.set_status(SrbStatus::SUCCESS);
            self.port.request_complete(srb);
        }
    }

    fn issue(&self) {
        self.port.issue(&self.core.dpcs[Q::THREADS], 0, 0);
    }

    fn interrupt(&self, message: usize) {
        let register = std::ptr::with_exposed_provenance_mut(self.core.trigger.get(self.port));
        // SAFETY: mapped by `find_adapter`.
        unsafe { self.port.write_register_ulong(register, message as u32) };
    }
}

impl<Q: Program> Core<Q> {
    fn running<P>(&self, port: P) -> Running<'_, Q, P> {
        Running { core: self, port }
    }

    /// Threads that are DPCs.
    const fn threads() -> usize {
        match Q::SHAPE {
            Shape::Reset => 1,
            _ => Q::THREADS,
        }
    }

    const fn has_interrupts() -> bool {
        matches!(Q::SHAPE, Shape::Interrupts | Shape::Messages)
    }

    fn prepare<P: Executive>(&self, port: P) {
        for lock in &self.locks[..Q::LOCKS] {
            // SAFETY: locks and DPCs live as long as the extension.
            unsafe { port.ke_initialize_spin_lock(lock.as_ptr()) };
        }
        let count = Self::threads() + usize::from(Q::HAS_DPC);
        for (number, dpc) in self.dpcs[..count].iter().enumerate() {
            let target = ProcessorNumber { group: 0, number: number as u8, reserved: 0 };
            port.initialize_dpc_of::<Self>(dpc);
            // SAFETY: as above.
            let _ = unsafe { port.set_target_processor_dpc(dpc.as_ptr(), target) };
        }
    }

    /// Lets the threads run; the own processor's last, because issuing it may run it.
    fn begin<P: Executive>(&self, port: P) {
        for dpc in self.dpcs[..Self::threads()].iter().rev() {
            port.issue(dpc, 0, 0);
        }
    }
}

impl<P: Executive, Q: Program> Miniport<P> for Core<Q> {
    const INITIALIZATION: Initialization = Initialization {
        is_virtual: false,
        srb_extension_bytes: 0,
        extended_srb: true,
        access_ranges: 1,
        adapter_control: Q::FINALLY.is_some(),
        unit_control: false,
    };

    fn find_adapter(
        &self,
        port: P,
        _: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        config.maximum_transfer_length = 4096;
        config.number_of_physical_breaks = 2;
        config.synchronization_model = StorSynchronizationModel::FULL_DUPLEX;
        config.interrupt_synchronization_mode = InterruptSynchronizationMode::PER_MESSAGE;
        config.hw_ms_interrupt_routine = <Self as Miniport<P>>::message_interrupt_entry();
        if Self::has_interrupts() {
            // SAFETY: StorPort passes as many ranges as the driver asked for.
            let range = unsafe { &*config.access_ranges };
            let (bus, start) = (config.adapter_interface_type, range.range_start);
            let base = port.get_device_base(bus, 0, start, range.range_length, false);
            let trigger = lockstorm::device::bare::TRIGGER as usize;
            self.trigger.set(port, base.expose_provenance() + trigger);
        }
        SpReturn::FOUND
    }

    fn initialize(&self, port: P) -> bool {
        port.enable_passive_initialization_of::<Self>()
    }

    fn passive_initialize(&self, port: P) -> bool {
        self.prepare(port);
        if Q::SHAPE == Shape::Dpcs {
            self.begin(port);
        }
        true
    }

    fn start_io(&self, port: P, srb: Srb) -> bool {
        let begins = srb.function() == SrbFunction::EXECUTE_SCSI;
        if begins && !Self::has_interrupts() {
            self.request.set(port, Some(srb));
            self.words[0].set(port, 1);
        } else {
            srb.set_status(SrbStatus::SUCCESS);
            port.request_complete(srb);
        }
        if begins {
            self.begin(port);
        }
        true
    }

    fn dpc(&self, port: P, dpc: *mut StorDpc, _: usize, _: usize) {
        let thread = self.dpcs.iter().position(|known| known.as_ptr() == dpc);
        match thread {
            Some(thread) if thread < Self::threads() => Q::thread(&self.running(port), thread),
            _ => Q::dpc(&self.running(port)),
        }
    }

    fn message_interrupt(&self, port: P, message: u32) -> bool {
        Q::interrupt(&self.running(port), message as usize);
        true
    }

    fn reset_bus(&self, port: P, _: u32) -> bool {
        if Q::SHAPE == Shape::Reset {
            Q::thread(&self.running(port), 1);
        }
        true
    }

    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        control == ScsiAdapterControlType::STOP_ADAPTER
    }

    fn adapter_control(&self, port: P, _: ScsiAdapterControlType, _: *mut c_void) -> bool {
        let words = std::array::from_fn(|lock| self.words[lock].get(port));
        assert!(Q::FINALLY.is_none_or(|right| right(&words)), "{}", Q::NAME);
        true
    }
}
