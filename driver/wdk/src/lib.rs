//! nvme.sys by the WDK: DriverEntry for the nvme core, linked by the WDK's import libraries.
#![no_std]

mod abi;

use core::panic::PanicInfo;

#[cfg(feature = "checked")]
use lockstorm::checked::CheckedMiniport;
use lockstorm::miniport::nvme::Nvme;
use lockstorm::real;
use wdk_sys::{NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT};

/// What StorPort is told of.
#[cfg(not(feature = "checked"))]
type Core = Nvme;
#[cfg(feature = "checked")]
type Core = CheckedMiniport<Nvme, real::Kernel>;

// `wdk-sys` links ntoskrnl.lib, but not this one.
#[link(name = "storport")]
unsafe extern "C" {}

/// DriverEntry: tells StorPort of the nvme core.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/storage/driverentry-of-storport-miniport>.
///
/// # Safety
///
/// Called by Windows only, once, with its driver object and registry path.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    driver_object: PDRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: Windows' own arguments.
    let status =
        unsafe { real::initialize::<Core>(driver_object.cast(), registry_path.cast_mut().cast()) };
    status.cast_signed()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    real::panicked(info)
}
