//! The same lock workload twice: as a miniport, and as threads under Shuttle.
//!
//! Each of four processors takes two locks in order and gives them back, eight times.

use std::ffi::c_void;

use lockstorm::storport::config::StorSynchronizationModel;
use lockstorm::storport::perf::ProcessorNumber;
use lockstorm::storport::{
    Dpc, Executive, Extension, Initialization, Miniport, PortConfigurationInformation, Shared,
    SpReturn, Srb, StorDpc, StorKspinLock, StorPortExt,
};

/// A driver whose DPCs, one a processor, take two executive spin locks as often as they were told: plain ones,
/// which, as Shuttle's mutex, go to whoever comes first.
#[derive(Debug)]
pub(crate) struct Workload {
    task: Shared<usize>,
    dpcs: [Dpc; PROCESSORS],
    outer: Shared<StorKspinLock>,
    inner: Shared<StorKspinLock>,
}

/// Most processors of the workload.
const PROCESSORS: usize = 4;

/// The driver's context: on so many processors, so many rounds.
pub(crate) fn task(processors: usize, rounds: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(processors << 32 | rounds)
}

// SAFETY: integers, and DPC objects that are initialised before use.
unsafe impl Extension for Workload {}

impl<P: Executive> Miniport<P> for Workload {
    const INITIALIZATION: Initialization = Initialization {
        is_virtual: false,
        srb_extension_bytes: 16,
        extended_srb: true,
        access_ranges: 1,
        adapter_control: false,
        unit_control: false,
    };

    fn find_adapter(
        &self,
        port: P,
        context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        self.task.set(port, context.addr());
        config.maximum_transfer_length = 4096;
        config.number_of_physical_breaks = 2;
        config.synchronization_model = StorSynchronizationModel::FULL_DUPLEX;
        SpReturn::FOUND
    }

    fn initialize(&self, port: P) -> bool {
        port.enable_passive_initialization_of::<Self>()
    }

    fn passive_initialize(&self, port: P) -> bool {
        // SAFETY: locks and DPCs live as long as the extension.
        unsafe {
            port.ke_initialize_spin_lock(self.outer.as_ptr());
            port.ke_initialize_spin_lock(self.inner.as_ptr());
        }
        let processors = (self.task.get(port) >> 32).min(PROCESSORS);
        for (number, dpc) in self.dpcs[..processors].iter().enumerate() {
            let target = ProcessorNumber { group: 0, number: number as u8, reserved: 0 };
            port.initialize_dpc_of::<Self>(dpc);
            // SAFETY: as above.
            let _ = unsafe { port.set_target_processor_dpc(dpc.as_ptr(), target) };
        }
        // The own processor's last: issuing it runs it.
        for dpc in self.dpcs[..processors].iter().rev() {
            port.issue(dpc, 0, 0);
        }
        true
    }

    fn dpc(&self, port: P, _: *mut StorDpc, _: usize, _: usize) {
        for _ in 0..self.task.get(port) & 0xFFFF_FFFF {
            // SAFETY: initialised, and released in reverse order, at DISPATCH_LEVEL.
            unsafe {
                port.ke_acquire_spin_lock_at_dpc_level(self.outer.as_ptr());
                port.ke_acquire_spin_lock_at_dpc_level(self.inner.as_ptr());
                port.ke_release_spin_lock_from_dpc_level(self.inner.as_ptr());
                port.ke_release_spin_lock_from_dpc_level(self.outer.as_ptr());
            }
        }
    }

    fn start_io(&self, _: P, _: Srb) -> bool {
        false
    }

    fn reset_bus(&self, _: P, _: u32) -> bool {
        true
    }
}

/// The same under Shuttle: four threads, two locks, eight rounds.
pub(crate) fn shuttle_rounds() {
    use shuttle::sync::{Arc, Mutex};
    let outer = Arc::new(Mutex::new(()));
    let inner = Arc::new(Mutex::new(()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (outer, inner) = (Arc::clone(&outer), Arc::clone(&inner));
            shuttle::thread::spawn(move || {
                for _ in 0..8 {
                    let _outer = outer.lock();
                    let _inner = inner.lock();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the workload has no panic");
    }
}
