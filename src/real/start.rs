//! How a driver begins, speaks and ends: StorPortInitialize, DbgPrint and KeBugCheckEx.

use core::ffi::{CStr, c_void};
use core::panic::PanicInfo;
use core::ptr;

use super::imports::{DbgPrint, KeBugCheckEx, StorPortInitialize};
use super::port::Port;
use crate::storport::{Miniport, entry};

/// Bug check code of a panic. Its parameters are the address and the length of the file's name, the line, and the
/// column.
pub const BUG_CHECK_PANIC: u32 = 0xE052_5354;

/// What DriverEntry of a miniport does: hands the entry points of `M` to StorPort. The result is DriverEntry's
/// NTSTATUS. IRQL: PASSIVE_LEVEL.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportinitialize>.
///
/// # Safety
///
/// `driver_object` and `registry_path` are DriverEntry's arguments.
pub unsafe fn initialize<M: Miniport<Port>>(
    driver_object: *mut c_void,
    registry_path: *mut c_void,
) -> u32 {
    let mut data = entry::initialization_data::<Port, M>();
    // SAFETY: the caller's promise; StorPort copies `data`.
    unsafe { StorPortInitialize(driver_object, registry_path, &raw mut data, ptr::null_mut()) }
}

/// KeBugCheckEx: stops the system with a code of the driver's own. Any IRQL.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-kebugcheckex>.
pub fn bug_check(code: u32, parameters: [usize; 4]) -> ! {
    let [a, b, c, d] = parameters;
    // SAFETY: it takes integers only and does not return.
    unsafe { KeBugCheckEx(code, a, b, c, d) }
}

/// What the panic handler of a driver does: stops the system and says where it was.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let parameters = info.location().map_or([0; 4], |at| {
        let file = at.file();
        [file.as_ptr().addr(), file.len(), at.line() as usize, at.column() as usize]
    });
    bug_check(BUG_CHECK_PANIC, parameters)
}

/// DbgPrint of one line of text, without conversions. IRQL up to DIRQL.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-dbgprint>.
pub fn print(text: &CStr) {
    // SAFETY: both are valid strings; "%s" takes exactly one.
    unsafe { DbgPrint(c"%s".as_ptr(), text.as_ptr()) };
}
