//! DriverEntry.

use super::{at, call};
use crate::binary::image::STEP;
use crate::binary::load::{Failure, Initialized, start};
use crate::binary::watch::{Fault, Hooks};
use crate::event::Cause;
use crate::storport::HwInitializationData;

/// Hooks of a driver that does not fault.
struct Quiet;

impl Hooks for Quiet {
    fn irql(&self, _: usize) -> u8 {
        0
    }
    fn set_irql(&self, _: usize, _: u8) {}
    fn set_interrupts(&self, _: usize, _: bool) {}
    fn port_read(&self, _: usize, _: u16, _: usize) -> u32 {
        0
    }
    fn port_write(&self, _: usize, _: u16, _: usize, _: u32) {}
    fn register_read(&self, _: usize, _: usize, _: usize) -> u64 {
        0
    }
    fn register_write(&self, _: usize, _: usize, _: usize, _: u64) {}
    fn processor_number(&self) -> u32 {
        0
    }
    fn thread(&self) -> u64 {
        0
    }

    fn time(&self) -> u64 {
        0
    }
    fn touched(&self, _: usize) -> bool {
        false
    }
    fn crashed(&self, _: &Fault) -> ! {
        std::process::abort()
    }
}

fn entered(entry: unsafe extern "win64" fn(usize, usize) -> u32) -> Result<Initialized, Failure> {
    // SAFETY: functions of this file.
    unsafe { start(entry as usize, 200 * STEP..200 * STEP + 1, &Quiet) }.expect("a stack")
}

unsafe extern "win64" fn short_data(object: usize, path: usize) -> u32 {
    let mut data = HwInitializationData::new();
    data.hw_initialization_data_size = 0x88;
    data.device_extension_size = 1234;
    data.feature_support = 0xFFFF;
    call("StorPortInitialize", [object, path, at(&mut data), 77]) as u32
}

unsafe extern "win64" fn two_buses(object: usize, path: usize) -> u32 {
    let mut data = HwInitializationData::new();
    for (bus, bytes) in [(1, 100), (5, 200), (0, 300)] {
        data.adapter_interface_type = crate::storport::config::InterfaceType(bus);
        data.device_extension_size = bytes;
        call("StorPortInitialize", [object, path, at(&mut data), 0]);
    }
    0
}

unsafe extern "win64" fn too_short(object: usize, path: usize) -> u32 {
    let mut size = 0x40_u32;
    call("StorPortInitialize", [object, path, at(&mut size), 0]) as u32
}

unsafe extern "win64" fn forgetful(object: usize, path: usize) -> u32 {
    // The driver's name at the end of the registry path, which a driver may read.
    let mut string = [0_usize; 2];
    call("RtlInitUnicodeString", [at(&mut string), 0]);
    call("memcpy", [at(&mut string), path, 16]);
    call("memset", [object + 0x70, 0, 8]);
    let mut lock = 0_usize;
    call("KeAcquireSpinLockRaiseToDpc", [at(&mut lock)]);
    call("KeReleaseSpinLock", [at(&mut lock), 0]);
    u32::from(string[0] as u16 == 0)
}

unsafe extern "win64" fn impatient(_: usize, _: usize) -> u32 {
    call("StorPortStallExecution", [10]);
    0
}

unsafe extern "win64" fn wild(_: usize, _: usize) -> u32 {
    call("memset", [16, 0, 8]);
    0
}

#[test]
fn data_of_an_older_header_is_zero_behind_its_end() {
    let Initialized { data, context } = entered(short_data).expect("it starts");
    assert_eq!((data.device_extension_size, data.feature_support), (1234, 0));
    assert_eq!(context.addr(), 77);
}

#[test]
fn of_several_buses_pci_counts() {
    let data = entered(two_buses).expect("it starts").data;
    assert_eq!(data.device_extension_size, 200);
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    let failure = |entry| entered(entry).expect_err("it does not start");
    assert_eq!(failure(too_short), Failure::Status(0xC000_0059));
    assert_eq!(failure(forgetful), Failure::NeverInitialized);
    assert!(matches!(failure(impatient), Failure::NeedsMachine(at) if at != 0));
    assert!(matches!(failure(wild), Failure::Crashed(Cause::BadPointer, at) if at != 0));
}
