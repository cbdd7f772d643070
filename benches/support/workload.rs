//! The same lock workload twice: as a miniport, and as threads under Shuttle.
//!
//! Each of four processors takes two locks in order and gives them back, eight times.

use std::ffi::c_void;

use lockstorm::storport::config::StorSynchronizationModel;
use lockstorm::storport::perf::{PerfConfigurationData, PerfFlags};
use lockstorm::storport::{
    Executive, Extension, Initialization, Miniport, PortConfigurationInformation, Shared, SpReturn,
    Srb, SrbStatus, StorKspinLock, StorPortExt,
};

/// A driver whose HwStorStartIo takes two executive spin locks as often as it was told: plain ones, which, as
/// Shuttle's mutex, go to whoever comes first.
#[derive(Debug)]
pub(crate) struct Workload {
    rounds: Shared<usize>,
    outer: Shared<StorKspinLock>,
    inner: Shared<StorKspinLock>,
}

// SAFETY: integers.
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
        self.rounds.set(port, context.addr());
        // SAFETY: the locks live as long as the extension.
        unsafe {
            port.ke_initialize_spin_lock(self.outer.as_ptr());
            port.ke_initialize_spin_lock(self.inner.as_ptr());
        }
        config.maximum_transfer_length = 4096;
        config.number_of_physical_breaks = 2;
        config.synchronization_model = StorSynchronizationModel::FULL_DUPLEX;
        SpReturn::FOUND
    }

    fn initialize(&self, port: P) -> bool {
        port.enable_passive_initialization_of::<Self>()
    }

    fn passive_initialize(&self, port: P) -> bool {
        // Concurrent channels, so that StartIo runs on every processor at once.
        let mut data = PerfConfigurationData {
            flags: PerfFlags(0x2),
            concurrent_channels: 8,
            ..PerfConfigurationData::default()
        };
        let _ = port.initialize_perf_opts(false, &raw mut data);
        true
    }

    fn start_io(&self, port: P, srb: Srb) -> bool {
        for _ in 0..self.rounds.get(port) {
            // SAFETY: initialised, and released in reverse order.
            unsafe {
                let outer = port.ke_acquire_spin_lock(self.outer.as_ptr());
                let inner = port.ke_acquire_spin_lock(self.inner.as_ptr());
                port.ke_release_spin_lock(self.inner.as_ptr(), inner);
                port.ke_release_spin_lock(self.outer.as_ptr(), outer);
            }
        }
        srb.set_status(SrbStatus::SUCCESS);
        port.request_complete(srb);
        true
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
