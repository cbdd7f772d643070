//! The exports of storport.sys and ntoskrnl.exe that this crate calls, with the types of
//! [`storport`](crate::storport).
//!
//! Prototypes: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/> and
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/>. What is inline in storport.h is not here but in
//! `port`.

use core::ffi::{c_char, c_void};

use crate::storport::code::{FunctionCode, NotificationType};
use crate::storport::config::{Boolean, HwSynchronizeRoutine, InterfaceType};
use crate::storport::lock::KlockQueueHandle;
use crate::storport::memory::{PhysicalAddress, StorScatterGatherList};
use crate::storport::srb::ScsiRequestBlock;
use crate::storport::{
    HwInitializationData, Irql, PortConfigurationInformation, SrbStatus, StorKspinLock, StorStatus,
};

/// HwDeviceExtension.
pub(super) type Extension = *mut c_void;

#[cfg_attr(
    all(windows, not(feature = "wdk")),
    link(name = "storport.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    pub(super) fn StorPortInitialize(
        driver_object: *mut c_void,
        registry_path: *mut c_void,
        data: *mut HwInitializationData,
        hw_context: *mut c_void,
    ) -> u32;
    pub(super) fn StorPortNotification(kind: NotificationType, extension: Extension, ...);
    pub(super) fn StorPortExtendedFunction(
        code: FunctionCode,
        extension: Extension,
        ...
    ) -> StorStatus;
    pub(super) fn StorPortSynchronizeAccess(
        extension: Extension,
        routine: HwSynchronizeRoutine,
        context: *mut c_void,
    ) -> Boolean;

    pub(super) fn StorPortCompleteRequest(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
        status: SrbStatus,
    );
    pub(super) fn StorPortPause(extension: Extension, seconds: u32) -> Boolean;
    pub(super) fn StorPortResume(extension: Extension) -> Boolean;
    pub(super) fn StorPortPauseDevice(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
        seconds: u32,
    ) -> Boolean;
    pub(super) fn StorPortResumeDevice(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
    ) -> Boolean;
    pub(super) fn StorPortBusy(extension: Extension, requests: u32) -> Boolean;
    pub(super) fn StorPortReady(extension: Extension) -> Boolean;
    pub(super) fn StorPortDeviceBusy(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
        requests: u32,
    ) -> Boolean;
    pub(super) fn StorPortDeviceReady(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
    ) -> Boolean;
    pub(super) fn StorPortSetDeviceQueueDepth(
        extension: Extension,
        path: u8,
        target: u8,
        lun: u8,
        depth: u32,
    ) -> Boolean;

    pub(super) fn StorPortGetDeviceBase(
        extension: Extension,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: Boolean,
    ) -> *mut c_void;
    pub(super) fn StorPortFreeDeviceBase(extension: Extension, base: *mut c_void);
    pub(super) fn StorPortGetUncachedExtension(
        extension: Extension,
        config: *mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void;
    pub(super) fn StorPortGetPhysicalAddress(
        extension: Extension,
        srb: *mut ScsiRequestBlock,
        virtual_address: *mut c_void,
        bytes: *mut u32,
    ) -> PhysicalAddress;
    pub(super) fn StorPortGetScatterGatherList(
        extension: Extension,
        srb: *mut ScsiRequestBlock,
    ) -> *const StorScatterGatherList;
    pub(super) fn StorPortGetBusData(
        extension: Extension,
        bus_data_type: u32,
        bus: u32,
        slot: u32,
        buffer: *mut c_void,
        bytes: u32,
    ) -> u32;
    pub(super) fn StorPortAllocateRegistryBuffer(extension: Extension, bytes: *mut u32) -> *mut u8;
    pub(super) fn StorPortFreeRegistryBuffer(extension: Extension, buffer: *mut u8);
    pub(super) fn StorPortRegistryRead(
        extension: Extension,
        name: *const c_char,
        global: u32,
        kind: u32,
        buffer: *mut u8,
        bytes: *mut u32,
    ) -> Boolean;

    pub(super) fn StorPortReadRegisterUlong(extension: Extension, register: *const u32) -> u32;
    pub(super) fn StorPortWriteRegisterUlong(extension: Extension, register: *mut u32, value: u32);

    pub(super) fn StorPortStallExecution(microseconds: u32);
    pub(super) fn StorPortQuerySystemTime(time: *mut u64);
    pub(super) fn StorPortLogError(
        extension: Extension,
        srb: *mut ScsiRequestBlock,
        path: u8,
        target: u8,
        lun: u8,
        code: u32,
        unique: u32,
    );
    pub(super) fn StorPortValidateRange(
        extension: Extension,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: Boolean,
    ) -> Boolean;
}

#[cfg_attr(
    all(windows, not(feature = "wdk")),
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    pub(super) fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    pub(super) fn PsGetCurrentThread() -> *mut c_void;
    pub(super) fn KeQueryPerformanceCounter(frequency: *mut u64) -> u64;
    pub(super) fn DbgPrint(format: *const c_char, ...) -> u32;

    pub(super) fn KeInitializeSpinLock(lock: *mut StorKspinLock);
    /// What KeAcquireSpinLock is on x64.
    pub(super) fn KeAcquireSpinLockRaiseToDpc(lock: *mut StorKspinLock) -> Irql;
    pub(super) fn KeReleaseSpinLock(lock: *mut StorKspinLock, irql: Irql);
    pub(super) fn KeAcquireSpinLockAtDpcLevel(lock: *mut StorKspinLock);
    pub(super) fn KeReleaseSpinLockFromDpcLevel(lock: *mut StorKspinLock);
    pub(super) fn KeAcquireInStackQueuedSpinLock(
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    );
    pub(super) fn KeReleaseInStackQueuedSpinLock(handle: *mut KlockQueueHandle);
    pub(super) fn KeAcquireInStackQueuedSpinLockAtDpcLevel(
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    );
    pub(super) fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut KlockQueueHandle);
    /// What KeRaiseIrql is on x64.
    pub(super) fn KfRaiseIrql(irql: Irql) -> Irql;
    pub(super) fn KeLowerIrql(irql: Irql);
    pub(super) fn KeGetCurrentIrql() -> Irql;
}

/// What the compiler itself calls: ntoskrnl.exe exports it, and nothing here names it.
#[cfg(all(windows, not(feature = "wdk")))]
mod intrinsics {
    use core::ffi::c_void;

    #[expect(dead_code, reason = "the code generator refers to them, the source does not")]
    #[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
    unsafe extern "C" {
        fn memcpy(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void;
        fn memmove(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void;
        fn memset(to: *mut c_void, byte: i32, bytes: usize) -> *mut c_void;
        fn memcmp(a: *const c_void, b: *const c_void, bytes: usize) -> i32;
        fn __chkstk();
    }
}
