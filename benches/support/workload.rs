//! The same lock workload twice: as a miniport, and as threads under Shuttle.
//!
//! Each of four processors takes two locks in order and gives them back, eight times.

use std::ffi::c_void;

use lockstorm::storport::config::StorSynchronizationModel;
use lockstorm::storport::guard::Locked;
use lockstorm::storport::perf::{PerfConfigurationData, PerfFlags};
use lockstorm::storport::{
    Extension, Initialization, Miniport, PortConfigurationInformation, Shared, SpReturn, Srb,
    SrbStatus, StorPort, StorPortExt,
};

/// A driver whose HwStorStartIo takes the StartIo and the Interrupt lock as often as it was told.
#[derive(Debug)]
pub(crate) struct Workload {
    rounds: Shared<usize>,
}

// SAFETY: an integer.
unsafe impl Extension for Workload {}

impl<P: StorPort> Miniport<P> for Workload {
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
            port.with_start_io_lock(|| port.with_interrupt_lock(|| ()));
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
