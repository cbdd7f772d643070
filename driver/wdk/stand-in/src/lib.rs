//! What `driver/wdk` uses of `wdk-sys`, by the same names and with the same types, for hosts without a WDK.
//!
//! Written from the documentation of storport.h, in the shape that bindgen gives it in `wdk-sys` (structures by their C
//! names, enumerations as modules of constants, routines in `storage`). Sizes and offsets are those of x64; of a
//! structure only the fields that are looked at have names. Only the type checker ever sees it.
#![no_std]
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "the names are those of the C headers"
)]

use core::ffi::c_void;

pub type BOOLEAN = u8;
pub type NTSTATUS = i32;
pub type PCUNICODE_STRING = *const UNICODE_STRING;
pub type PDRIVER_OBJECT = *mut DRIVER_OBJECT;
pub type PHW_INITIALIZATION_DATA = *mut HW_INITIALIZATION_DATA;
pub type PVOID = *mut c_void;
pub type SCSI_NOTIFICATION_TYPE = _SCSI_NOTIFICATION_TYPE::Type;
pub type STORPORT_FUNCTION_CODE = _STORPORT_FUNCTION_CODE::Type;
pub type ULONG = u32;

/// Structures of which only the size, and one field near the end, is looked at.
macro_rules! structures {
    ($($name:ident = $bytes:literal $({ $before:literal, $field:ident: $type:ty, $after:literal })?;)*) => {
        $(
            #[repr(C, align(8))]
            pub struct $name {
                $(_before: [u8; $before], pub $field: $type, _after: [u8; $after],)?
                _rest: [u8; structures!(@rest $bytes $(, $before)?)],
            }
            const _: () = assert!(size_of::<$name>() == $bytes);
        )*
    };
    (@rest $bytes:literal) => { $bytes };
    (@rest $bytes:literal, $before:literal) => { 0 };
}

structures! {
    DRIVER_OBJECT = 0x150;
    UNICODE_STRING = 0x10;
    HW_INITIALIZATION_DATA = 0xD0 { 0xC8, HwUnitControl: usize, 0 };
    PORT_CONFIGURATION_INFORMATION = 0xE0 { 0xDC, FeatureSupport: ULONG, 0 };
    STOR_LOCK_HANDLE = 0x20 { 0x08, Context: [u64; 3], 0 };
    STOR_DPC = 0x48 { 0x40, Lock: usize, 0 };
    SCSI_REQUEST_BLOCK = 0x58;
    STORAGE_REQUEST_BLOCK = 0x80;
    PERF_CONFIGURATION_DATA = 0x28;
    STARTIO_PERFORMANCE_PARAMETERS = 0x10;
    MESSAGE_INTERRUPT_INFORMATION = 0x20;
}

/// Enumerations, as bindgen writes those of C for this target.
macro_rules! enumerations {
    ($($name:ident { $($value:ident = $number:literal,)* })*) => {
        $(
            pub mod $name {
                pub type Type = core::ffi::c_int;
                $(pub const $value: Type = $number;)*
            }
        )*
    };
}

enumerations! {
    _SCSI_NOTIFICATION_TYPE {
        RequestComplete = 0,
        RequestTimerCall = 6,
        EnablePassiveInitialization = 0x1000,
        InitializeDpc = 0x1001,
        IssueDpc = 0x1002,
        AcquireSpinLock = 0x1003,
        ReleaseSpinLock = 0x1004,
    }
    _STORPORT_FUNCTION_CODE {
        ExtFunctionAllocatePool = 0x00,
        ExtFunctionAcquireMSISpinLock = 0x0B,
        ExtFunctionReleaseMSISpinLock = 0x0C,
        ExtFunctionRequestTimer = 0x21,
        ExtFunctionAcquireSpinLock = 0x5D,
        ExtFunctionCancelDpc = 0x5F,
    }
    _STOR_SPINLOCK {
        DpcLock = 1,
        StartIoLock = 2,
        InterruptLock = 3,
        ThreadedDpcLock = 4,
        DpcLevelLock = 5,
    }
}

pub mod storage {
    use super::{
        BOOLEAN, PHW_INITIALIZATION_DATA, PVOID, SCSI_NOTIFICATION_TYPE, STORPORT_FUNCTION_CODE,
        ULONG,
    };

    unsafe extern "C" {
        pub fn StorPortNotification(
            NotificationType: SCSI_NOTIFICATION_TYPE,
            HwDeviceExtension: PVOID,
            ...
        );
        pub fn StorPortExtendedFunction(
            FunctionCode: STORPORT_FUNCTION_CODE,
            HwDeviceExtension: PVOID,
            ...
        ) -> ULONG;
        pub fn StorPortInitialize(
            Argument1: PVOID,
            Argument2: PVOID,
            HwInitializationData: PHW_INITIALIZATION_DATA,
            Unused: PVOID,
        ) -> ULONG;
        pub fn StorPortPause(HwDeviceExtension: PVOID, TimeOut: ULONG) -> BOOLEAN;
    }
}
