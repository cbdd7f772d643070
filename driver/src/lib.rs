//! nvme.sys: DriverEntry for the nvme core on real StorPort.
#![no_std]

#[cfg(feature = "coverage")]
mod coverage;

use core::ffi::c_void;
use core::panic::PanicInfo;

#[cfg(feature = "checked")]
use lockstorm::checked::CheckedMiniport;
use lockstorm::miniport::nvme::Nvme;
use lockstorm::real;

/// What StorPort is told of.
#[cfg(not(feature = "checked"))]
type Core = Nvme;
#[cfg(feature = "checked")]
type Core = CheckedMiniport<Nvme, real::Kernel>;

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
    unsafe { real::initialize::<Core>(driver_object, registry_path) }
}

// A precompiled `core` names it in its unwind tables, as every panic may unwind there. None does here: the handler below
// does not return. In assembly, so that it is no export.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(".globl __CxxFrameHandler3", "__CxxFrameHandler3:", "ud2");

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    real::panicked(info)
}
