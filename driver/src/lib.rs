//! nvme.sys: DriverEntry for the nvme core on real StorPort.
#![no_std]

#[cfg(feature = "coverage")]
mod coverage;

use core::ffi::c_void;
use core::panic::PanicInfo;

use lockstorm::miniport::nvme::Nvme;
use lockstorm::real;

/// Bug check code of a panic; its parameters are the address and length of the file's name, line and column.
const PANIC: u32 = 0xE052_5354;

/// DriverEntry: tells StorPort of the nvme core.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/storage/driverentry-of-storport-miniport>.
///
/// # Safety
///
/// Called by Windows only, once, with its driver object and registry path.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    driver_object: *mut c_void,
    registry_path: *mut c_void,
) -> u32 {
    // SAFETY: Windows' own arguments.
    unsafe { real::initialize::<Nvme>(driver_object, registry_path) }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let parameters = info.location().map_or([0; 4], |at| {
        let file = at.file();
        [file.as_ptr().addr(), file.len(), at.line() as usize, at.column() as usize]
    });
    real::bug_check(PANIC, parameters)
}
