//! The deferred procedure call: the object that a miniport owns and StorPort queues, and its
//! routine.

use core::ffi::c_void;

/// `STOR_DPC`: a `KDPC` and the word of the DpcLock.
///
/// Opaque to drivers; pointers are plain words here, because only StorPort follows them.
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_dpc>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorDpc {
    /// `Dpc.Type`: the kind of kernel object; zero before StorPortInitializeDpc.
    pub kind: i16,
    /// `Dpc.Number`: the processor it is bound to.
    pub number: u8,
    /// `Dpc.Importance`: where in the processor's queue it goes.
    pub importance: u8,
    /// `Dpc.F`: forward link of the queue.
    pub forward: usize,
    /// `Dpc.B`: backward link of the queue.
    pub backward: usize,
    /// `Dpc.DeferredRoutine`.
    pub deferred_routine: usize,
    /// `Dpc.DeferredContext`.
    pub deferred_context: usize,
    /// `Dpc.SystemArgument1`.
    pub system_argument1: usize,
    /// `Dpc.SystemArgument2`.
    pub system_argument2: usize,
    /// `Dpc.DpcData`: the queue it is in; zero when it is in none.
    pub dpc_data: usize,
    /// `Lock`: the word of the DpcLock.
    pub lock: usize,
}

/// `HW_DPC_ROUTINE`: the routine of a DPC.
///
/// The page gives it a BOOLEAN result, the C header none; StorPort uses none.
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_dpc_routine>.
pub type HwDpcRoutine = unsafe extern "system-unwind" fn(
    dpc: *mut StorDpc,
    extension: *mut c_void,
    argument1: *mut c_void,
    argument2: *mut c_void,
);

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<StorDpc>() == 0x48);
    assert!(offset_of!(StorDpc, kind) == 0x00);
    assert!(offset_of!(StorDpc, number) == 0x02);
    assert!(offset_of!(StorDpc, importance) == 0x03);
    assert!(offset_of!(StorDpc, forward) == 0x08);
    assert!(offset_of!(StorDpc, backward) == 0x10);
    assert!(offset_of!(StorDpc, deferred_routine) == 0x18);
    assert!(offset_of!(StorDpc, deferred_context) == 0x20);
    assert!(offset_of!(StorDpc, system_argument1) == 0x28);
    assert!(offset_of!(StorDpc, system_argument2) == 0x30);
    assert!(offset_of!(StorDpc, dpc_data) == 0x38);
    assert!(offset_of!(StorDpc, lock) == 0x40);
};
