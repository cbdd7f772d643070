//! Which DDI a miniport called: the name under which events, rules and coverage know a routine, with
//! its documented IRQL limits.
//!
//! Lock, DPC and request routines have events of their own kinds; [`Ddi`] still names them, because a
//! report says "StorPortAcquireSpinLock", not "LockAcquired".

use super::irql::Irql;

/// Declares [`Ddi`] from rows of name, lowest IRQL, highest IRQL.
macro_rules! ddis {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $low:expr, $high:expr;)*) => {
        /// A routine that a miniport may call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
        #[repr(u8)]
        pub enum Ddi { $($(#[$doc])* #[doc = concat!("`", $name, "`.")] $variant,)* }

        impl Ddi {
            /// Every routine, in the order of declaration.
            pub const ALL: &'static [Ddi] = &[$(Ddi::$variant,)*];

            /// The name as Windows spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Ddi::$variant => $name,)* }
            }

            /// Lowest and highest IRQL at which the documentation allows the call.
            ///
            /// From the `req.irql` line of each reference page; a routine whose page gives none has no
            /// limit here, because a rule must not invent one.
            #[must_use]
            #[inline]
            pub const fn irql_limits(self) -> (Irql, Irql) {
                match self { $(Ddi::$variant => ($low, $high),)* }
            }
        }
    };
}

const PASSIVE: Irql = Irql::PASSIVE;
const APC: Irql = Irql::APC;
const DISPATCH: Irql = Irql::DISPATCH;
const DEVICE: Irql = Irql::DEVICE_LOWEST;
const HIGH: Irql = Irql::HIGH;

ddis! {
    AcquireSpinLock = "StorPortAcquireSpinLock", PASSIVE, HIGH;
    AcquireSpinLockEx = "StorPortAcquireSpinLockEx", PASSIVE, HIGH;
    ReleaseSpinLock = "StorPortReleaseSpinLock", PASSIVE, HIGH;
    AcquireMsiSpinLock = "StorPortAcquireMSISpinLock", PASSIVE, HIGH;
    ReleaseMsiSpinLock = "StorPortReleaseMSISpinLock", PASSIVE, HIGH;
    SynchronizeAccess = "StorPortSynchronizeAccess", PASSIVE, HIGH;
    InitializeDpc = "StorPortInitializeDpc", PASSIVE, HIGH;
    IssueDpc = "StorPortIssueDpc", PASSIVE, HIGH;
    CancelDpc = "StorPortCancelDpc", PASSIVE, HIGH;
    RequestComplete = "StorPortNotification(RequestComplete)", PASSIVE, HIGH;
    RequestTimerCall = "StorPortNotification(RequestTimerCall)", PASSIVE, HIGH;
    ResetDetected = "StorPortNotification(ResetDetected)", PASSIVE, HIGH;
    BusChangeDetected = "StorPortNotification(BusChangeDetected)", PASSIVE, HIGH;
    /// Any other notification type, the type being the event's argument.
    Notification = "StorPortNotification", PASSIVE, HIGH;
    CompleteRequest = "StorPortCompleteRequest", PASSIVE, HIGH;
    Pause = "StorPortPause", PASSIVE, HIGH;
    Resume = "StorPortResume", PASSIVE, HIGH;
    PauseDevice = "StorPortPauseDevice", PASSIVE, HIGH;
    ResumeDevice = "StorPortResumeDevice", PASSIVE, HIGH;
    Busy = "StorPortBusy", PASSIVE, HIGH;
    Ready = "StorPortReady", PASSIVE, HIGH;
    DeviceBusy = "StorPortDeviceBusy", PASSIVE, HIGH;
    DeviceReady = "StorPortDeviceReady", PASSIVE, HIGH;
    SetDeviceQueueDepth = "StorPortSetDeviceQueueDepth", PASSIVE, HIGH;
    GetDeviceBase = "StorPortGetDeviceBase", PASSIVE, HIGH;
    FreeDeviceBase = "StorPortFreeDeviceBase", PASSIVE, HIGH;
    GetUncachedExtension = "StorPortGetUncachedExtension", PASSIVE, HIGH;
    GetPhysicalAddress = "StorPortGetPhysicalAddress", PASSIVE, HIGH;
    GetVirtualAddress = "StorPortGetVirtualAddress", PASSIVE, HIGH;
    GetScatterGatherList = "StorPortGetScatterGatherList", PASSIVE, HIGH;
    GetSystemAddress = "StorPortGetSystemAddress", PASSIVE, DISPATCH;
    AllocatePool = "StorPortAllocatePool", PASSIVE, DISPATCH;
    FreePool = "StorPortFreePool", PASSIVE, DISPATCH;
    GetBusData = "StorPortGetBusData", PASSIVE, HIGH;
    RegistryRead = "StorPortRegistryRead", PASSIVE, PASSIVE;
    InitializePerfOpts = "StorPortInitializePerfOpts", PASSIVE, HIGH;
    GetStartIoPerfParams = "StorPortGetStartIoPerfParams", PASSIVE, HIGH;
    GetMsiInfo = "StorPortGetMSIInfo", PASSIVE, HIGH;
    EnablePassiveInitialization = "StorPortEnablePassiveInitialization", DEVICE, HIGH;
    InitializeWorker = "StorPortInitializeWorker", PASSIVE, DISPATCH;
    QueueWorkItem = "StorPortQueueWorkItem", PASSIVE, DISPATCH;
    FreeWorker = "StorPortFreeWorker", PASSIVE, DISPATCH;
    InitializeTimer = "StorPortInitializeTimer", PASSIVE, DISPATCH;
    RequestTimer = "StorPortRequestTimer", PASSIVE, HIGH;
    FreeTimer = "StorPortFreeTimer", PASSIVE, DISPATCH;
    StateChangeDetected = "StorPortStateChangeDetected", PASSIVE, HIGH;
    StallExecution = "StorPortStallExecution", PASSIVE, HIGH;
    QuerySystemTime = "StorPortQuerySystemTime", PASSIVE, HIGH;
    GetCurrentProcessorNumber = "StorPortGetCurrentProcessorNumber", PASSIVE, DISPATCH;
    GetGroupAffinity = "StorPortGetGroupAffinity", PASSIVE, DISPATCH;
    LogError = "StorPortLogError", PASSIVE, HIGH;
    ValidateRange = "StorPortValidateRange", PASSIVE, HIGH;
    ReadRegister = "StorPortReadRegister", PASSIVE, HIGH;
    WriteRegister = "StorPortWriteRegister", PASSIVE, HIGH;
    KeAcquireSpinLock = "KeAcquireSpinLock", PASSIVE, DISPATCH;
    KeAcquireSpinLockAtDpcLevel = "KeAcquireSpinLockAtDpcLevel", DISPATCH, HIGH;
    KeReleaseSpinLock = "KeReleaseSpinLock", DISPATCH, DISPATCH;
    KeReleaseSpinLockFromDpcLevel = "KeReleaseSpinLockFromDpcLevel", DISPATCH, HIGH;
    KeAcquireInStackQueuedSpinLock = "KeAcquireInStackQueuedSpinLock", PASSIVE, DISPATCH;
    KeReleaseInStackQueuedSpinLock = "KeReleaseInStackQueuedSpinLock", DISPATCH, DISPATCH;
    KeAcquireInStackQueuedSpinLockAtDpcLevel =
        "KeAcquireInStackQueuedSpinLockAtDpcLevel", DISPATCH, HIGH;
    KeReleaseInStackQueuedSpinLockFromDpcLevel =
        "KeReleaseInStackQueuedSpinLockFromDpcLevel", DISPATCH, HIGH;
    KeInitializeSpinLock = "KeInitializeSpinLock", PASSIVE, HIGH;
    KeRaiseIrql = "KeRaiseIrql", PASSIVE, HIGH;
    KeLowerIrql = "KeLowerIrql", PASSIVE, HIGH;
    KeGetCurrentIrql = "KeGetCurrentIrql", PASSIVE, HIGH;

    // Routines that only compiled drivers reach; new ones go to the end, because event hashes count places.
    /// A function code without a model, the code being the event's argument.
    ExtendedFunction = "StorPortExtendedFunction", PASSIVE, HIGH;
    AllocateMdl = "StorPortAllocateMdl", PASSIVE, DISPATCH;
    FreeMdl = "StorPortFreeMdl", PASSIVE, DISPATCH;
    BuildMdlForNonPagedPool = "StorPortBuildMdlForNonPagedPool", PASSIVE, DISPATCH;
    GetOriginalMdl = "StorPortGetOriginalMdl", PASSIVE, HIGH;
    LogSystemEvent = "StorPortLogSystemEvent", PASSIVE, HIGH;
    GetActiveGroupCount = "StorPortGetActiveGroupCount", PASSIVE, DISPATCH;
    GetActiveNodeCount = "StorPortGetActiveNodeCount", PASSIVE, DISPATCH;
    GetNodeAffinity = "StorPortGetNodeAffinity", PASSIVE, DISPATCH;
    GetHighestNodeNumber = "StorPortGetHighestNodeNumber", PASSIVE, DISPATCH;
    AllocateContiguousMemory =
        "StorPortAllocateContiguousMemorySpecifyCacheNode", PASSIVE, DISPATCH;
    FreeContiguousMemory = "StorPortFreeContiguousMemorySpecifyCache", PASSIVE, DISPATCH;
    SetPowerSettingNotificationGuids =
        "StorPortSetPowerSettingNotificationGuids", PASSIVE, HIGH;
    InvokeAcpiMethod = "StorPortInvokeAcpiMethod", PASSIVE, PASSIVE;
    GetRequestInfo = "StorPortGetRequestInfo", PASSIVE, HIGH;
    InitializeSListHead = "StorPortInitializeSListHead", PASSIVE, DISPATCH;
    InterlockedFlushSList = "StorPortInterlockedFlushSList", PASSIVE, DISPATCH;
    InterlockedPopEntrySList = "StorPortInterlockedPopEntrySList", PASSIVE, DISPATCH;
    InterlockedPushEntrySList = "StorPortInterlockedPushEntrySList", PASSIVE, DISPATCH;
    QueryDepthSList = "StorPortQueryDepthSList", PASSIVE, DISPATCH;
    GetActivityIdSrb = "StorPortGetActivityIdSrb", PASSIVE, HIGH;
    GetSystemPortNumber = "StorPortGetSystemPortNumber", PASSIVE, HIGH;
    MarkDumpMemory = "StorPortMarkDumpMemory", PASSIVE, HIGH;
    SetUnitAttributes = "StorPortSetUnitAttributes", PASSIVE, HIGH;
    QueryPerformanceCounter = "StorPortQueryPerformanceCounter", PASSIVE, HIGH;
    IsDeviceOperationAllowed = "StorPortIsDeviceOperationAllowed", PASSIVE, PASSIVE;
    GetProcessorIndexFromNumber = "StorPortGetProcessorIndexFromNumber", PASSIVE, HIGH;
    /// StorPortEtwEvent2, 4 and 8, with and without a channel.
    EtwEvent = "StorPortEtwEvent", PASSIVE, DISPATCH;
    EtwLogError = "StorPortEtwLogError", PASSIVE, HIGH;
    IsCurrentOsInstallationUpgrade =
        "StorPortIsCurrentOsInstallationUpgrade", PASSIVE, PASSIVE;
    RegistryReadAdapterKey = "StorPortRegistryReadAdapterKey", PASSIVE, PASSIVE;
    RegistryWriteAdapterKey = "StorPortRegistryWriteAdapterKey", PASSIVE, PASSIVE;
    RegistryWrite = "StorPortRegistryWrite", PASSIVE, PASSIVE;
    SetAdapterBusType = "StorPortSetAdapterBusType", PASSIVE, HIGH;
    GetD3ColdSupport = "StorPortGetD3ColdSupport", PASSIVE, HIGH;
    AllocateHostMemoryBuffer = "StorPortAllocateHostMemoryBuffer", PASSIVE, DISPATCH;
    FreeHostMemoryBuffer = "StorPortFreeHostMemoryBuffer", PASSIVE, HIGH;
    InterlockedInsertHeadList = "StorPortInterlockedInsertHeadList", PASSIVE, HIGH;
    InterlockedInsertTailList = "StorPortInterlockedInsertTailList", PASSIVE, HIGH;
    InterlockedRemoveHeadList = "StorPortInterlockedRemoveHeadList", PASSIVE, HIGH;
    LogTelemetry = "StorPortLogTelemetry", PASSIVE, HIGH;
    UpdateAdapterMaxIo = "StorPortUpdateAdapterMaxIO", PASSIVE, HIGH;
    DelayExecution = "StorPortDelayExecution", PASSIVE, HIGH;
    AllocateDmaMemory = "StorPortAllocateDmaMemory", PASSIVE, DISPATCH;
    FreeDmaMemory = "StorPortFreeDmaMemory", PASSIVE, HIGH;
    InitializeHighResolutionTimer = "StorPortInitializeHighResolutionTimer", PASSIVE, DISPATCH;
    RequestHighResolutionTimer = "StorPortRequestHighResolutionTimer", PASSIVE, HIGH;
    CancelHighResolutionTimer = "StorPortCancelHighResolutionTimer", PASSIVE, HIGH;
    FreeHighResolutionTimer = "StorPortFreeHighResolutionTimer", PASSIVE, DISPATCH;
    GetCurrentProcessorIndex = "StorPortGetCurrentProcessorIndex", PASSIVE, HIGH;
    GetProcessorCount = "StorPortGetProcessorCount", PASSIVE, HIGH;
    QueryConfiguration = "StorPortQueryConfiguration", PASSIVE, HIGH;
    InitializeEvent = "StorPortInitializeEvent", PASSIVE, HIGH;
    WaitForSingleObject = "StorPortWaitForSingleObject", PASSIVE, DISPATCH;
    /// With no timeout or a timeout above zero.
    WaitForSingleObjectWaiting = "StorPortWaitForSingleObject(wait)", PASSIVE, APC;
    SetEvent = "StorPortSetEvent", PASSIVE, HIGH;
    QueryDpcWatchdogInformation = "StorPortQueryDpcWatchdogInformation", DISPATCH, DISPATCH;
    QueryTimerMinInterval = "StorPortQueryTimerMinInterval", PASSIVE, HIGH;
    SetBusDataByOffset = "StorPortSetBusDataByOffset", PASSIVE, HIGH;
    /// StorPortReadPortUchar and its kin.
    ReadPort = "StorPortReadPort", PASSIVE, HIGH;
    /// StorPortWritePortUchar and its kin.
    WritePort = "StorPortWritePort", PASSIVE, HIGH;
    GetLogicalUnit = "StorPortGetLogicalUnit", PASSIVE, HIGH;
    KeTryToAcquireSpinLockAtDpcLevel = "KeTryToAcquireSpinLockAtDpcLevel", DISPATCH, HIGH;
    KeSetEvent = "KeSetEvent", PASSIVE, DISPATCH;
    KeWaitForSingleObject = "KeWaitForSingleObject", PASSIVE, DISPATCH;
    /// With no timeout or a timeout above zero.
    KeWaitForSingleObjectWaiting = "KeWaitForSingleObject(wait)", PASSIVE, APC;
    KeDelayExecutionThread = "KeDelayExecutionThread", PASSIVE, APC;
    /// ExAllocatePoolWithTag, ExAllocatePool2 and their kin, for nonpaged memory.
    ExAllocatePool = "ExAllocatePool", PASSIVE, DISPATCH;
    /// ExAllocatePoolWithTag and its kin, for paged memory.
    ExAllocatePoolPaged = "ExAllocatePool(PagedPool)", PASSIVE, APC;
    ExFreePool = "ExFreePool", PASSIVE, DISPATCH;
    MmMapIoSpace = "MmMapIoSpace", PASSIVE, DISPATCH;
    MmUnmapIoSpace = "MmUnmapIoSpace", PASSIVE, DISPATCH;
    /// ExInterlockedInsertHeadList and its kin, which take a KSPIN_LOCK at any IRQL.
    ExInterlocked = "ExInterlockedList", PASSIVE, HIGH;
}

impl core::fmt::Display for Ddi {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
