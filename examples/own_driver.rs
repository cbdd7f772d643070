//! A miniport core of your own, fuzzed on the simulated StorPort.
//!
//! `cargo run --release --example own_driver`
//!
//! The core below is the smallest that has a lock bug which no lock table shows: StorPort holds the StartIo
//! lock around HwStorStartIo, which takes the lock of a DPC; the DPC takes the two the other way round.
//! With `FIXED` it does not. The same core, with another `P`, is what a driver for Windows is built from.

use std::ffi::c_void;
use std::ptr;

use lockstorm::device::bare::Bare;
use lockstorm::machine::{Abi, Driver, Machine, Port};
use lockstorm::rules::{Checker, Finding, Severity};
use lockstorm::scenario::{Scenario, codec};
use lockstorm::storport::config::StorSynchronizationModel;
use lockstorm::storport::entry::initialization_data;
use lockstorm::storport::guard::Locked;
use lockstorm::storport::srb::SrbFunction;
use lockstorm::storport::{
    Dpc, Extension, Initialization, Miniport, PortConfigurationInformation, Shared, SpReturn, Srb,
    SrbStatus, StorDpc, StorPort, StorPortExt,
};

/// The device extension: StorPort makes it by filling memory with zeroes.
#[derive(Debug)]
pub struct OneAtATime<const FIXED: bool> {
    completer: Dpc,
    /// The request that the DPC is to complete; guarded by the lock of `completer`.
    pending: Shared<Option<Srb>>,
}

// SAFETY: zeroes are a STOR_DPC that is not initialised, and no request; nothing needs a drop.
unsafe impl<const FIXED: bool> Extension for OneAtATime<FIXED> {}

impl<const FIXED: bool> OneAtATime<FIXED> {
    fn take<P: StorPort>(&self, port: P) -> Option<Srb> {
        let request = self.pending.get(port);
        self.pending.set(port, None);
        request
    }
}

impl<P: StorPort, const FIXED: bool> Miniport<P> for OneAtATime<FIXED> {
    const INITIALIZATION: Initialization = Initialization {
        is_virtual: false,
        srb_extension_bytes: 0,
        extended_srb: true,
        access_ranges: 0,
        adapter_control: false,
        unit_control: false,
    };

    fn find_adapter(
        &self,
        _port: P,
        _context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        if config.dump_mode != 0 {
            return SpReturn::NOT_FOUND;
        }
        config.maximum_transfer_length = 64 * 1024;
        config.number_of_physical_breaks = 17;
        config.synchronization_model = StorSynchronizationModel::FULL_DUPLEX;
        SpReturn::FOUND
    }

    fn initialize(&self, port: P) -> bool {
        port.enable_passive_initialization_of::<Self>()
    }

    fn passive_initialize(&self, port: P) -> bool {
        port.initialize_dpc_of::<Self>(&self.completer);
        true
    }

    fn start_io(&self, port: P, srb: Srb) -> bool {
        let is_command = srb.function() == SrbFunction::EXECUTE_SCSI;
        let accepted = is_command
            && port.with_dpc_lock(&self.completer, || {
                let free = self.pending.get(port).is_none();
                if free {
                    self.pending.set(port, Some(srb));
                }
                free
            });
        if accepted {
            port.issue(&self.completer, 0, 0);
        } else {
            srb.set_status(if is_command { SrbStatus::BUSY } else { SrbStatus::SUCCESS });
            port.request_complete(srb);
        }
        true
    }

    fn dpc(&self, port: P, _dpc: *mut StorDpc, _argument1: usize, _argument2: usize) {
        let request = if FIXED {
            port.with_start_io_lock(|| port.with_dpc_lock(&self.completer, || self.take(port)))
        } else {
            port.with_dpc_lock(&self.completer, || port.with_start_io_lock(|| self.take(port)))
        };
        if let Some(srb) = request {
            srb.set_status(SrbStatus::SUCCESS);
            port.request_complete(srb);
        }
    }

    fn reset_bus(&self, _port: P, _path: u32) -> bool {
        true
    }
}

/// Runs random scenarios until one breaks a rule: the finding, and the scenario that replays it.
pub fn fuzz<M: Miniport<Port<Checker>>>(runs: u32) -> Option<(Finding, Scenario)> {
    let data = initialization_data::<Port<Checker>, M>();
    let driver = Driver { data, context: ptr::null_mut(), abi: Abi::Host };
    let mut machine = Machine::new(Checker::new(), Box::new(Bare::new()));
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..runs {
        // Any bytes are a scenario: this could as well be the body of a libFuzzer or AFL++ target.
        let scenario = codec::decode(&bytes(&mut random));
        machine.sink().reset();
        // SAFETY: the entry points are those of `M` over this machine's port; the context is NULL.
        unsafe { machine.run(&driver, &scenario) };
        let findings = machine.sink().findings();
        if let Some(error) = findings.iter().find(|found| found.severity == Severity::Error) {
            return Some((*error, scenario));
        }
    }
    None
}

/// Random bytes, after the number of the format's version.
fn bytes(random: &mut u64) -> Vec<u8> {
    let mut next = || {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random >> 32) as u8
    };
    let length = 64 + usize::from(next());
    std::iter::once(codec::VERSION).chain((1..length).map(|_| next())).collect()
}

fn main() {
    match fuzz::<OneAtATime<false>>(100_000) {
        Some((finding, scenario)) => {
            println!("{finding}");
            println!("a scenario of {} steps replays it", scenario.steps.len());
        }
        None => println!("no violation found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstorm::rules::RuleId;

    #[test]
    fn the_bug_is_found() {
        let (finding, _) = fuzz::<OneAtATime<false>>(1_000).expect("a finding");
        assert_eq!(finding.rule, RuleId::LockCycle);
    }

    #[test]
    fn the_remedy_is_silent() {
        let found = fuzz::<OneAtATime<true>>(20_000);
        assert!(found.is_none(), "{found:?}");
    }
}
