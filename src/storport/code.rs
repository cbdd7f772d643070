//! The two numbers by which a compiled miniport reaches StorPort: its inline routines all end in
//! StorPortNotification or StorPortExtendedFunction, and the first argument says which one it was.

use super::status::named;

named! {
    /// `SCSI_NOTIFICATION_TYPE`: the first argument of StorPortNotification. Not contiguous.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportnotification>.
    NotificationType(u32) {
        /// A request ended.
        REQUEST_COMPLETE = 0x0000, "RequestComplete";
        /// Heritage of SCSI port; ignored.
        NEXT_REQUEST = 0x0001, "NextRequest";
        /// Heritage of SCSI port; ignored.
        NEXT_LU_REQUEST = 0x0002, "NextLuRequest";
        RESET_DETECTED = 0x0003, "ResetDetected";
        OBSOLETE_1 = 0x0004, "_obsolete1";
        OBSOLETE_2 = 0x0005, "_obsolete2";
        /// Sets or cancels the adapter's one timer.
        REQUEST_TIMER_CALL = 0x0006, "RequestTimerCall";
        BUS_CHANGE_DETECTED = 0x0007, "BusChangeDetected";
        WMI_EVENT = 0x0008, "WMIEvent";
        WMI_REREGISTER = 0x0009, "WMIReregister";
        LINK_UP = 0x000A, "LinkUp";
        LINK_DOWN = 0x000B, "LinkDown";
        QUERY_TICK_COUNT = 0x000C, "QueryTickCount";
        BUFFER_OVERRUN_DETECTED = 0x000D, "BufferOverrunDetected";
        TRACE_NOTIFICATION = 0x000E, "TraceNotification";
        /// The table that Vista-era drivers call through.
        GET_EXTENDED_FUNCTION_TABLE = 0x000F, "GetExtendedFunctionTable";
        ENABLE_PASSIVE_INITIALIZATION = 0x1000, "EnablePassiveInitialization";
        INITIALIZE_DPC = 0x1001, "InitializeDpc";
        ISSUE_DPC = 0x1002, "IssueDpc";
        /// StorPortAcquireSpinLock.
        ACQUIRE_SPIN_LOCK = 0x1003, "AcquireSpinLock";
        /// StorPortReleaseSpinLock.
        RELEASE_SPIN_LOCK = 0x1004, "ReleaseSpinLock";
        /// StorPortStateChangeDetected.
        STATE_CHANGE_DETECTED_CALL = 0x1005, "StateChangeDetectedCall";
        IO_TARGET_REQUEST_SERVICE_TIME = 0x1006, "IoTargetRequestServiceTime";
        ASYNC_NOTIFICATION_DETECTED = 0x1007, "AsyncNotificationDetected";
        REQUEST_DIRECT_COMPLETE = 0x1008, "RequestDirectComplete";
        INITIALIZE_DPC_WITH_CONTEXT = 0x1009, "InitializeDpcWithContext";
        INITIALIZE_THREADED_DPC = 0x100A, "InitializeThreadedDpc";
        SET_TARGET_PROCESSOR_DPC = 0x100B, "SetTargetProcessorDpc";
        MARK_DEVICE_FAILED = 0x100C, "MarkDeviceFailed";
        MARK_DEVICE_FAILED_EX = 0x100D, "MarkDeviceFailedEx";
        TERMINATE_SYSTEM_THREAD = 0x100E, "TerminateSystemThread";
        NVMEOF_NOTIFICATION = 0x100F, "NvmeofNotification";
        STOR_MQ_CONTROLLER_START_INITIALIZATION = 0x1010, "StorMQControllerStartInitialization";
    }
}

named! {
    /// `STORPORT_FUNCTION_CODE`: the first argument of StorPortExtendedFunction.
    ///
    /// Each is the routine of the same name, `StorPort` before it, unless said otherwise. See
    /// <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/>.
    FunctionCode(u32) {
        ALLOCATE_POOL = 0x00, "ExtFunctionAllocatePool";
        FREE_POOL = 0x01, "ExtFunctionFreePool";
        ALLOCATE_MDL = 0x02, "ExtFunctionAllocateMdl";
        FREE_MDL = 0x03, "ExtFunctionFreeMdl";
        BUILD_MDL_FOR_NON_PAGED_POOL = 0x04, "ExtFunctionBuildMdlForNonPagedPool";
        GET_SYSTEM_ADDRESS = 0x05, "ExtFunctionGetSystemAddress";
        GET_ORIGINAL_MDL = 0x06, "ExtFunctionGetOriginalMdl";
        COMPLETE_SERVICE_IRP = 0x07, "ExtFunctionCompleteServiceIrp";
        GET_DEVICE_OBJECTS = 0x08, "ExtFunctionGetDeviceObjects";
        BUILD_SCATTER_GATHER_LIST = 0x09, "ExtFunctionBuildScatterGatherList";
        PUT_SCATTER_GATHER_LIST = 0x0A, "ExtFunctionPutScatterGatherList";
        ACQUIRE_MSI_SPIN_LOCK = 0x0B, "ExtFunctionAcquireMSISpinLock";
        RELEASE_MSI_SPIN_LOCK = 0x0C, "ExtFunctionReleaseMSISpinLock";
        /// StorPortGetMSIInfo.
        GET_MESSAGE_INTERRUPT_INFORMATION = 0x0D, "ExtFunctionGetMessageInterruptInformation";
        /// StorPortInitializePerfOpts.
        INITIALIZE_PERFORMANCE_OPTIMIZATIONS = 0x0E,
            "ExtFunctionInitializePerformanceOptimizations";
        /// StorPortGetStartIoPerfParams.
        GET_START_IO_PERFORMANCE_PARAMETERS = 0x0F, "ExtFunctionGetStartIoPerformanceParameters";
        LOG_SYSTEM_EVENT = 0x10, "ExtFunctionLogSystemEvent";
        GET_CURRENT_PROCESSOR_NUMBER = 0x11, "ExtFunctionGetCurrentProcessorNumber";
        GET_ACTIVE_GROUP_COUNT = 0x12, "ExtFunctionGetActiveGroupCount";
        GET_GROUP_AFFINITY = 0x13, "ExtFunctionGetGroupAffinity";
        GET_ACTIVE_NODE_COUNT = 0x14, "ExtFunctionGetActiveNodeCount";
        GET_NODE_AFFINITY = 0x15, "ExtFunctionGetNodeAffinity";
        GET_HIGHEST_NODE_NUMBER = 0x16, "ExtFunctionGetHighestNodeNumber";
        GET_LOGICAL_PROCESSOR_RELATIONSHIP = 0x17, "ExtFunctionGetLogicalProcessorRelationship";
        ALLOCATE_CONTIGUOUS_MEMORY_SPECIFY_CACHE_NODE = 0x18,
            "ExtFunctionAllocateContiguousMemorySpecifyCacheNode";
        FREE_CONTIGUOUS_MEMORY_SPECIFY_CACHE = 0x19, "ExtFunctionFreeContiguousMemorySpecifyCache";
        SET_POWER_SETTING_NOTIFICATION_GUIDS = 0x1A, "ExtFunctionSetPowerSettingNotificationGuids";
        INVOKE_ACPI_METHOD = 0x1B, "ExtFunctionInvokeAcpiMethod";
        GET_REQUEST_INFO = 0x1C, "ExtFunctionGetRequestInfo";
        INITIALIZE_WORKER = 0x1D, "ExtFunctionInitializeWorker";
        QUEUE_WORK_ITEM = 0x1E, "ExtFunctionQueueWorkItem";
        FREE_WORKER = 0x1F, "ExtFunctionFreeWorker";
        INITIALIZE_TIMER = 0x20, "ExtFunctionInitializeTimer";
        REQUEST_TIMER = 0x21, "ExtFunctionRequestTimer";
        FREE_TIMER = 0x22, "ExtFunctionFreeTimer";
        INITIALIZE_SLIST_HEAD = 0x23, "ExtFunctionInitializeSListHead";
        INTERLOCKED_FLUSH_SLIST = 0x24, "ExtFunctionInterlockedFlushSList";
        INTERLOCKED_POP_ENTRY_SLIST = 0x25, "ExtFunctionInterlockedPopEntrySList";
        INTERLOCKED_PUSH_ENTRY_SLIST = 0x26, "ExtFunctionInterlockedPushEntrySList";
        QUERY_DEPTH_SLIST = 0x27, "ExtFunctionQueryDepthSList";
        /// StorPortGetActivityIdSrb.
        GET_ACTIVITY_ID = 0x28, "ExtFunctionGetActivityId";
        GET_SYSTEM_PORT_NUMBER = 0x29, "ExtFunctionGetSystemPortNumber";
        GET_DATA_IN_BUFFER_MDL = 0x2A, "ExtFunctionGetDataInBufferMdl";
        GET_DATA_IN_BUFFER_SYSTEM_ADDRESS = 0x2B, "ExtFunctionGetDataInBufferSystemAddress";
        GET_DATA_IN_BUFFER_SCATTER_GATHER_LIST = 0x2C,
            "ExtFunctionGetDataInBufferScatterGatherList";
        MARK_DUMP_MEMORY = 0x2D, "ExtFunctionMarkDumpMemory";
        SET_UNIT_ATTRIBUTES = 0x2E, "ExtFunctionSetUnitAttributes";
        QUERY_PERFORMANCE_COUNTER = 0x2F, "ExtFunctionQueryPerformanceCounter";
        INITIALIZE_POFX_POWER = 0x30, "ExtFunctionInitializePoFxPower";
        POFX_ACTIVATE_COMPONENT = 0x31, "ExtFunctionPoFxActivateComponent";
        POFX_IDLE_COMPONENT = 0x32, "ExtFunctionPoFxIdleComponent";
        POFX_SET_COMPONENT_LATENCY = 0x33, "ExtFunctionPoFxSetComponentLatency";
        POFX_SET_COMPONENT_RESIDENCY = 0x34, "ExtFunctionPoFxSetComponentResidency";
        POFX_POWER_CONTROL = 0x35, "ExtFunctionPoFxPowerControl";
        FLUSH_DATA_BUFFER_MDL = 0x36, "ExtFunctionFlushDataBufferMdl";
        /// StorPortIsDeviceOperationAllowed.
        DEVICE_OPERATION_ALLOWED = 0x37, "ExtFunctionDeviceOperationAllowed";
        GET_PROCESSOR_INDEX_FROM_NUMBER = 0x38, "ExtFunctionGetProcessorIndexFromNumber";
        POFX_SET_IDLE_TIMEOUT = 0x39, "ExtFunctionPoFxSetIdleTimeout";
        /// StorPortEtwEvent2 (old targets).
        MINIPORT_ETW_EVENT2 = 0x3A, "ExtFunctionMiniportEtwEvent2";
        /// StorPortEtwEvent4 (old targets).
        MINIPORT_ETW_EVENT4 = 0x3B, "ExtFunctionMiniportEtwEvent4";
        /// StorPortEtwEvent8 (old targets).
        MINIPORT_ETW_EVENT8 = 0x3C, "ExtFunctionMiniportEtwEvent8";
        /// StorPortIsCurrentOsInstallationUpgrade.
        CURRENT_OS_INSTALLATION_UPGRADE = 0x3D, "ExtFunctionCurrentOsInstallationUpgrade";
        REGISTRY_READ_ADAPTER_KEY = 0x3E, "ExtFunctionRegistryReadAdapterKey";
        REGISTRY_WRITE_ADAPTER_KEY = 0x3F, "ExtFunctionRegistryWriteAdapterKey";
        SET_ADAPTER_BUS_TYPE = 0x40, "ExtFunctionSetAdapterBusType";
        POFX_REGISTER_PERF_STATES = 0x41, "ExtFunctionPoFxRegisterPerfStates";
        POFX_SET_PERF_STATE = 0x42, "ExtFunctionPoFxSetPerfState";
        GET_D3COLD_SUPPORT = 0x43, "ExtFunctionGetD3ColdSupport";
        INITIALIZE_RPMB = 0x44, "ExtFunctionInitializeRpmb";
        /// StorPortAllocateHostMemoryBuffer.
        ALLOCATE_HMB = 0x45, "ExtFunctionAllocateHmb";
        /// StorPortFreeHostMemoryBuffer.
        FREE_HMB = 0x46, "ExtFunctionFreeHmb";
        PROPAGATE_IRP_EXTENSION = 0x47, "ExtFunctionPropagateIrpExtension";
        INTERLOCKED_INSERT_HEAD_LIST = 0x48, "ExtFunctionInterlockedInsertHeadList";
        INTERLOCKED_INSERT_TAIL_LIST = 0x49, "ExtFunctionInterlockedInsertTailList";
        INTERLOCKED_REMOVE_HEAD_LIST = 0x4A, "ExtFunctionInterlockedRemoveHeadList";
        INITIALIZE_SPINLOCK = 0x4B, "ExtFunctionInitializeSpinlock";
        GET_PFNS = 0x4C, "ExtFunctionGetPfns";
        INITIALIZE_CRYPTO_ENGINE = 0x4D, "ExtFunctionInitializeCryptoEngine";
        GET_REQUEST_CRYPTO_INFO = 0x4E, "ExtFunctionGetRequestCryptoInfo";
        /// StorPortLogTelemetry.
        MINIPORT_TELEMETRY = 0x4F, "ExtFunctionMiniportTelemetry";
        UPDATE_ADAPTER_MAX_IO = 0x50, "ExtFunctionUpdateAdapterMaxIO";
        DELAY_EXECUTION = 0x51, "ExtFunctionDelayExecution";
        ALLOCATE_DMA_MEMORY = 0x52, "ExtFunctionAllocateDmaMemory";
        FREE_DMA_MEMORY = 0x53, "ExtFunctionFreeDmaMemory";
        /// StorPortUpdatePortConfigMaxIOInfo.
        UPDATE_ADAPTER_MAX_IO_INFO = 0x54, "ExtFunctionUpdateAdapterMaxIOInfo";
        /// StorPortEtwEvent2, StorPortEtwChannelEvent2.
        MINIPORT_CHANNEL_ETW_EVENT2 = 0x55, "ExtFunctionMiniportChannelEtwEvent2";
        /// StorPortEtwEvent4, StorPortEtwChannelEvent4.
        MINIPORT_CHANNEL_ETW_EVENT4 = 0x56, "ExtFunctionMiniportChannelEtwEvent4";
        /// StorPortEtwEvent8, StorPortEtwChannelEvent8.
        MINIPORT_CHANNEL_ETW_EVENT8 = 0x57, "ExtFunctionMiniportChannelEtwEvent8";
        INITIALIZE_HIGH_RESOLUTION_TIMER = 0x58, "ExtFunctionInitializeHighResolutionTimer";
        REQUEST_HIGH_RESOLUTION_TIMER = 0x59, "ExtFunctionRequestHighResolutionTimer";
        CANCEL_HIGH_RESOLUTION_TIMER = 0x5A, "ExtFunctionCancelHighResolutionTimer";
        FREE_HIGH_RESOLUTION_TIMER = 0x5B, "ExtFunctionFreeHighResolutionTimer";
        GET_CURRENT_PROCESSOR_INDEX = 0x5C, "ExtFunctionGetCurrentProcessorIndex";
        /// StorPortAcquireSpinLockEx.
        ACQUIRE_SPIN_LOCK = 0x5D, "ExtFunctionAcquireSpinLock";
        GET_PROCESSOR_COUNT = 0x5E, "ExtFunctionGetProcessorCount";
        CANCEL_DPC = 0x5F, "ExtFunctionCancelDpc";
        /// StorPortLogTelemetryEx.
        MINIPORT_TELEMETRY_EX = 0x60, "ExtFunctionMiniportTelemetryEx";
        QUERY_CONFIGURATION = 0x61, "ExtFunctionQueryConfiguration";
        /// StorPortEtwLogError.
        LOG_HARDWARE_ERROR = 0x62, "ExtFunctionLogHardwareError";
        INITIALIZE_EVENT = 0x63, "ExtFunctionInitializeEvent";
        /// StorPortWaitForSingleObject.
        WAIT_FOR_EVENT = 0x64, "ExtFunctionWaitForEvent";
        SET_EVENT = 0x65, "ExtFunctionSetEvent";
        /// StorPortHardwareReset.
        DEVICE_RESET = 0x66, "ExtFunctionDeviceReset";
        SET_FEATURE_LIST = 0x67, "ExtFunctionSetFeatureList";
        CAPTURE_LIVE_DUMP = 0x68, "ExtFunctionCaptureLiveDump";
        /// StorPortEtwLogByteStream.
        MINIPORT_LOG_BYTE_STREAM = 0x69, "ExtFunctionMiniportLogByteStream";
        QUERY_DPC_WATCHDOG_INFORMATION = 0x6A, "ExtFunctionQueryDpcWatchdogInformation";
        QUERY_TIMER_MIN_INTERVAL = 0x6B, "ExtFunctionQueryTimerMinInterval";
        /// StorPortMaskMsixInterrupt.
        MASK_PCI_MSIX_ENTRY = 0x6C, "ExtFunctionMaskPciMsixEntry";
        GET_CURRENT_IRQL = 0x6D, "ExtFunctionGetCurrentIrql";
        CREATE_SYSTEM_THREAD = 0x6E, "ExtFunctionCreateSystemThread";
        SET_PRIORITY_THREAD = 0x6F, "ExtFunctionSetPriorityThread";
        SET_SYSTEM_GROUP_AFFINITY_THREAD = 0x70, "ExtFunctionSetSystemGroupAffinityThread";
        REVERT_TO_USER_GROUP_AFFINITY_THREAD = 0x71, "ExtFunctionRevertToUserGroupAffinityThread";
        DEVICE_RESET_EX = 0x72, "ExtFunctionDeviceResetEx";
        MINIPORT_REPORT_INTERNAL_DATA = 0x73, "ExtFunctionMiniportReportInternalData";
        GET_MESSAGE_INTERRUPT_ID_FROM_PROCESSOR_INDEX = 0x74,
            "ExtFunctionGetMessageInterruptIDFromProcessorIndex";
        GET_NODE_AFFINITY2 = 0x75, "ExtFunctionGetNodeAffinity2";
        ENABLE_REGISTRY_KEY_NOTIFICATION = 0x76, "ExtFunctionEnableRegistryKeyNotification";
        POFX_REGISTER_PERF_STATES_EX = 0x77, "ExtFunctionPoFxRegisterPerfStatesEx";
        READ_REGISTRY_KEY = 0x78, "ExtFunctionReadRegistryKey";
        GET_DEVICE_BASE2 = 0x79, "ExtFunctionGetDeviceBase2";
        IS_DRIVER_HOT_SWAP_ENABLED = 0x7A, "ExtFunctionIsDriverHotSwapEnabled";
        REGISTER_DRIVER_PROXY = 0x7B, "ExtFunctionRegisterDriverProxy";
        REGISTER_DRIVER_PROXY_ENDPOINTS = 0x7C, "ExtFunctionRegisterDriverProxyEndpoints";
        GET_DRIVER_PROXY_ENDPOINT_WRAPPER = 0x7D, "ExtFunctionGetDriverProxyEndpointWrapper";
        NVME_ICE_IO_START = 0x7E, "ExtFunctionNvmeIceIoStart";
        NVME_ICE_IO_COMPLETE = 0x7F, "ExtFunctionNvmeIceIoComplete";
        NVME_MINIPORT_EVENT = 0x80, "ExtFunctionNvmeMiniportEvent";
        NVME_MINIPORT_TELEMETRY = 0x81, "ExtFunctionNvmeMiniportTelemetry";
        GET_DRIVER_PROXY_ENDPOINT_WRAPPER_FROM_ENDPOINT = 0x82,
            "ExtFunctionGetDriverProxyEndpointWrapperFromEndpoint";
        SWAP_DRIVER_PROXY_ENDPOINTS = 0x83, "ExtFunctionSwapDriverProxyEndpoints";
        STOR_MQ_ADD_CONTROLLER = 0x84, "ExtFunctionStorMQAddController";
        STOR_MQ_REMOVE_CONTROLLER = 0x85, "ExtFunctionStorMQRemoveController";
        NVME_ICE_IO_START_EX = 0x86, "ExtFunctionNvmeIceIoStartEx";
        QUERY_NVME_ICE_SUPPORT = 0x87, "ExtFunctionQueryNvmeIceSupport";
        QUEUE_WORK_ITEM_TO_NODE = 0x88, "ExtFunctionQueueWorkItemToNode";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", NotificationType::ACQUIRE_SPIN_LOCK), "AcquireSpinLock");
        assert_eq!(NotificationType(0x0010).name(), None);
        assert_eq!(NotificationType(0x1004), NotificationType::RELEASE_SPIN_LOCK);
        assert_eq!(FunctionCode(0x0B), FunctionCode::ACQUIRE_MSI_SPIN_LOCK);
        assert_eq!(format!("{}", FunctionCode(0x5D)), "ExtFunctionAcquireSpinLock");
        assert_eq!(format!("{}", FunctionCode(0x89)), "FunctionCode(0x89)");
    }

    #[test]
    fn function_codes_have_no_gap() {
        assert!((0..=0x88).all(|code| FunctionCode(code).name().is_some()));
    }
}
