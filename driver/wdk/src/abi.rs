//! The WDK's declarations, as bindgen reads them out of storport.h, against those of
//! [`lockstorm::storport`]: this file compiles only if both say the same.

use core::mem::offset_of;

use lockstorm::storport as ours;
use ours::code::{FunctionCode, NotificationType};
use wdk_sys::{
    _SCSI_NOTIFICATION_TYPE, _STOR_SPINLOCK, _STORPORT_FUNCTION_CODE, BOOLEAN,
    HW_INITIALIZATION_DATA, MESSAGE_INTERRUPT_INFORMATION, PERF_CONFIGURATION_DATA,
    PHW_INITIALIZATION_DATA, PORT_CONFIGURATION_INFORMATION, PVOID, SCSI_NOTIFICATION_TYPE,
    SCSI_REQUEST_BLOCK, STARTIO_PERFORMANCE_PARAMETERS, STOR_DPC, STOR_LOCK_HANDLE,
    STORAGE_REQUEST_BLOCK, STORPORT_FUNCTION_CODE, ULONG, storage,
};

// The two routines that everything inline ends in, and the one that begins.
const _: unsafe extern "C" fn(SCSI_NOTIFICATION_TYPE, PVOID, ...) = storage::StorPortNotification;
const _: unsafe extern "C" fn(STORPORT_FUNCTION_CODE, PVOID, ...) -> ULONG =
    storage::StorPortExtendedFunction;
const _: unsafe extern "C" fn(PVOID, PVOID, PHW_INITIALIZATION_DATA, PVOID) -> ULONG =
    storage::StorPortInitialize;
const _: unsafe extern "C" fn(PVOID, ULONG) -> BOOLEAN = storage::StorPortPause;

/// Sizes.
macro_rules! same_size {
    ($($theirs:ty = $ours:ty;)*) => {
        $(const _: () = assert!(size_of::<$theirs>() == size_of::<$ours>());)*
    };
}

same_size! {
    HW_INITIALIZATION_DATA = ours::HwInitializationData;
    PORT_CONFIGURATION_INFORMATION = ours::PortConfigurationInformation;
    STOR_LOCK_HANDLE = ours::StorLockHandle;
    STOR_DPC = ours::StorDpc;
    SCSI_REQUEST_BLOCK = ours::srb::ScsiRequestBlock;
    STORAGE_REQUEST_BLOCK = ours::srb::StorageRequestBlock;
    PERF_CONFIGURATION_DATA = ours::perf::PerfConfigurationData;
    STARTIO_PERFORMANCE_PARAMETERS = ours::perf::StartIoPerformanceParameters;
    MESSAGE_INTERRUPT_INFORMATION = ours::perf::MessageInterruptInformation;
}

/// Offsets of what a change of the header would move.
macro_rules! same_offset {
    ($($theirs:ident.$field:ident = $ours:ty, $name:ident;)*) => {
        $(const _: () = assert!(offset_of!($theirs, $field) == offset_of!($ours, $name));)*
    };
}

same_offset! {
    HW_INITIALIZATION_DATA.HwUnitControl = ours::HwInitializationData, hw_unit_control;
    PORT_CONFIGURATION_INFORMATION.FeatureSupport =
        ours::PortConfigurationInformation, feature_support;
    STOR_LOCK_HANDLE.Context = ours::StorLockHandle, context;
    STOR_DPC.Lock = ours::StorDpc, lock;
}

/// Codes: the C ones are of type `int`.
macro_rules! same_code {
    ($($theirs:expr => $ours:expr;)*) => {
        $(const _: () = assert!($theirs as u32 == $ours.0);)*
    };
}

same_code! {
    _SCSI_NOTIFICATION_TYPE::RequestComplete => NotificationType::REQUEST_COMPLETE;
    _SCSI_NOTIFICATION_TYPE::RequestTimerCall => NotificationType::REQUEST_TIMER_CALL;
    _SCSI_NOTIFICATION_TYPE::EnablePassiveInitialization =>
        NotificationType::ENABLE_PASSIVE_INITIALIZATION;
    _SCSI_NOTIFICATION_TYPE::InitializeDpc => NotificationType::INITIALIZE_DPC;
    _SCSI_NOTIFICATION_TYPE::IssueDpc => NotificationType::ISSUE_DPC;
    _SCSI_NOTIFICATION_TYPE::AcquireSpinLock => NotificationType::ACQUIRE_SPIN_LOCK;
    _SCSI_NOTIFICATION_TYPE::ReleaseSpinLock => NotificationType::RELEASE_SPIN_LOCK;
    _STORPORT_FUNCTION_CODE::ExtFunctionAllocatePool => FunctionCode::ALLOCATE_POOL;
    _STORPORT_FUNCTION_CODE::ExtFunctionAcquireMSISpinLock => FunctionCode::ACQUIRE_MSI_SPIN_LOCK;
    _STORPORT_FUNCTION_CODE::ExtFunctionReleaseMSISpinLock => FunctionCode::RELEASE_MSI_SPIN_LOCK;
    _STORPORT_FUNCTION_CODE::ExtFunctionRequestTimer => FunctionCode::REQUEST_TIMER;
    _STORPORT_FUNCTION_CODE::ExtFunctionAcquireSpinLock => FunctionCode::ACQUIRE_SPIN_LOCK;
    _STORPORT_FUNCTION_CODE::ExtFunctionCancelDpc => FunctionCode::CANCEL_DPC;
    _STOR_SPINLOCK::DpcLock => ours::StorSpinlock::DPC;
    _STOR_SPINLOCK::StartIoLock => ours::StorSpinlock::START_IO;
    _STOR_SPINLOCK::InterruptLock => ours::StorSpinlock::INTERRUPT;
    _STOR_SPINLOCK::ThreadedDpcLock => ours::StorSpinlock::THREADED_DPC;
    _STOR_SPINLOCK::DpcLevelLock => ours::StorSpinlock::DPC_LEVEL;
}
