/*
 * adapter.c: DriverEntry, and the life of an adapter: found, initialised, stopped, restarted, gone.
 */
#include "ramdisk.h"

/* What a register of a device that is gone reads as. */
#define NO_DEVICE_THERE 0xFFFFFFFF

#define TABLE_BYTES (DOORBELL_SLOTS_MAX * sizeof(DOORBELL_COMMAND))

DRIVER_INITIALIZE DriverEntry;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    HW_INITIALIZATION_DATA data;

    RtlZeroMemory(&data, sizeof(data));
    data.HwInitializationDataSize = sizeof(data);
    data.AdapterInterfaceType = PCIBus;
    data.HwFindAdapter = RamdiskFindAdapter;
    data.HwInitialize = RamdiskInitialize;
    data.HwBuildIo = RamdiskBuildIo;
    data.HwStartIo = RamdiskStartIo;
    data.HwInterrupt = RamdiskInterrupt;
    data.HwResetBus = RamdiskResetBus;
    data.HwAdapterControl = RamdiskAdapterControl;
    data.DeviceExtensionSize = sizeof(ADAPTER);
    data.SrbExtensionSize = sizeof(REQUEST);
    data.NumberOfAccessRanges = 1;
    data.MapBuffers = STOR_MAP_NON_READ_WRITE_BUFFERS;
    data.NeedPhysicalAddresses = TRUE;
    data.TaggedQueuing = TRUE;
    data.AutoRequestSense = TRUE;
    data.MultipleRequestPerLu = TRUE;
    data.SrbTypeFlags = SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK;
    data.AddressTypeFlags = ADDRESS_TYPE_FLAG_BTL8;
    return (NTSTATUS)StorPortInitialize(DriverObject, RegistryPath, &data, NULL);
}

/* Whether the registry asks for one interrupt lock for all messages; one for each is the default. */
static BOOLEAN ReadPerMessage(PADAPTER Adapter)
{
    static UCHAR name[] = "InterruptSynchronizePerMessage";
    ULONG value = TRUE;
    ULONG length = sizeof(value);

    if (!StorPortRegistryRead(Adapter, name, 1, MINIPORT_REG_DWORD, (PUCHAR)&value, &length)) {
        return TRUE;
    }
    return value != 0;
}

static VOID DescribeAdapter(PADAPTER Adapter, PPORT_CONFIGURATION_INFORMATION Config)
{
    ULONG depth = Adapter->ChannelCount * Adapter->SlotCount;

    /* A buffer of so many pages may begin in the middle of one. */
    Config->NumberOfPhysicalBreaks = DOORBELL_ELEMENTS_MAX;
    Config->MaximumTransferLength = (DOORBELL_ELEMENTS_MAX - 1) * 4096;
    Config->AlignmentMask = 3;
    Config->NumberOfBuses = 1;
    Config->MaximumNumberOfTargets = 1;
    Config->MaximumNumberOfLogicalUnits = 1;
    Config->ScatterGather = TRUE;
    Config->Master = TRUE;
    Config->NeedPhysicalAddresses = TRUE;
    Config->TaggedQueuing = TRUE;
    Config->AutoRequestSense = TRUE;
    Config->MultipleRequestPerLu = TRUE;
    Config->Dma32BitAddresses = TRUE;
    if (Config->Dma64BitAddresses & SCSI_DMA64_SYSTEM_SUPPORTED) {
        Config->Dma64BitAddresses = SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED;
    }
    Config->CachesData = TRUE;
    Config->ResetTargetSupported = TRUE;
    Config->MapBuffers = STOR_MAP_NON_READ_WRITE_BUFFERS;
    Config->SrbExtensionSize = sizeof(REQUEST);
    Config->SynchronizationModel = StorSynchronizeFullDuplex;
    Config->HwMSInterruptRoutine = RamdiskMessageInterrupt;
    Config->InterruptSynchronizationMode =
        Adapter->PerMessage ? InterruptSynchronizePerMessage : InterruptSynchronizeAll;
    Config->MaxNumberOfIO = depth;
    Config->MaxIOsPerLun = depth;
    Config->InitialLunQueueDepth = depth;
}

static BOOLEAN ReadLimits(PADAPTER Adapter)
{
    ULONG limits = ReadRegister(Adapter, DOORBELL_LIMITS);

    Adapter->SlotCount = limits & 0xFF;
    Adapter->ChannelCount = (limits >> 8) & 0xFF;
    Adapter->Blocks = ReadRegister(Adapter, DOORBELL_BLOCKS);
    return ReadRegister(Adapter, DOORBELL_ID) == DOORBELL_ID_VALUE && (limits >> 16) == 0 && Adapter->SlotCount >= 1 &&
           Adapter->SlotCount <= DOORBELL_SLOTS_MAX && Adapter->ChannelCount >= 1 &&
           Adapter->ChannelCount <= DOORBELL_CHANNELS_MAX && Adapter->Blocks != 0 &&
           Adapter->Blocks != NO_DEVICE_THERE;
}

static BOOLEAN ClaimTables(PADAPTER Adapter, PPORT_CONFIGURATION_INFORMATION Config)
{
    ULONG bytes = Adapter->ChannelCount * TABLE_BYTES;
    PUCHAR memory = (PUCHAR)StorPortGetUncachedExtension(Adapter, Config, bytes);
    ULONG index;

    if (memory == NULL) {
        return FALSE;
    }
    for (index = 0; index < Adapter->ChannelCount; index++) {
        PCHANNEL channel = &Adapter->Channel[index];
        ULONG length = 0;

        channel->Index = index;
        channel->Table = (PDOORBELL_COMMAND)(memory + index * TABLE_BYTES);
        channel->TableAddress = StorPortGetPhysicalAddress(Adapter, NULL, channel->Table, &length);
        if (length < TABLE_BYTES) {
            return FALSE;
        }
    }
    return TRUE;
}

/* PASSIVE_LEVEL, no locks. StorPort calls it again to start an adapter that it does not restart. */
ULONG RamdiskFindAdapter(PVOID DeviceExtension, PVOID HwContext, PVOID BusInformation, PCHAR ArgumentString,
                         PPORT_CONFIGURATION_INFORMATION Config, PBOOLEAN Again)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    PCI_COMMON_CONFIG pci;
    ACCESS_RANGE *range;

    UNREFERENCED_PARAMETER(HwContext);
    UNREFERENCED_PARAMETER(BusInformation);
    UNREFERENCED_PARAMETER(ArgumentString);
    *Again = FALSE;
    if (Config->DumpMode != 0) {
        /* A crash dump needs a driver that polls; this one does not. */
        return SP_RETURN_NOT_FOUND;
    }
    RtlZeroMemory(&pci, sizeof(pci));
    if (StorPortGetBusData(adapter, PCIConfiguration, Config->SystemIoBusNumber, Config->SlotNumber, &pci,
                           sizeof(pci)) < FIELD_OFFSET(PCI_COMMON_CONFIG, Command) ||
        pci.VendorID != DOORBELL_VENDOR || pci.DeviceID != DOORBELL_DEVICE) {
        return SP_RETURN_NOT_FOUND;
    }
    if (Config->NumberOfAccessRanges == 0) {
        return SP_RETURN_BAD_CONFIG;
    }
    range = &(*Config->AccessRanges)[0];
    if (!range->RangeInMemory || range->RangeLength < DOORBELL_REGISTER_BYTES) {
        return SP_RETURN_BAD_CONFIG;
    }
    if (adapter->Registers == NULL) {
        adapter->Registers = (PUCHAR)StorPortGetDeviceBase(adapter, Config->AdapterInterfaceType,
                                                           Config->SystemIoBusNumber, range->RangeStart,
                                                           range->RangeLength, FALSE);
        if (adapter->Registers == NULL) {
            return SP_RETURN_ERROR;
        }
        adapter->PerMessage = ReadPerMessage(adapter);
    }
    if (!ReadLimits(adapter) || !ClaimTables(adapter, Config)) {
        StorPortFreeDeviceBase(adapter, adapter->Registers);
        adapter->Registers = NULL;
        return SP_RETURN_ERROR;
    }
    DescribeAdapter(adapter, Config);
    return SP_RETURN_FOUND;
}

static VOID CountMessages(PADAPTER Adapter)
{
    MESSAGE_INTERRUPT_INFORMATION information;

    Adapter->Messages = 0;
    while (Adapter->Messages < MESSAGES_MAX &&
           StorPortGetMSIInfo(Adapter, Adapter->Messages, &information) == STOR_STATUS_SUCCESS) {
        Adapter->Messages++;
    }
}

/* Completions on the processor that sent the request, and also from within HwStorStartIo. */
static VOID ChoosePerformance(PADAPTER Adapter)
{
    PERF_CONFIGURATION_DATA data;
    ULONG wanted = STOR_PERF_DPC_REDIRECTION | STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO;

    RtlZeroMemory(&data, sizeof(data));
    data.Version = STOR_PERF_VERSION;
    data.Size = sizeof(data);
    if (StorPortInitializePerfOpts(Adapter, TRUE, &data) != STOR_STATUS_SUCCESS) {
        return;
    }
    wanted &= data.Flags;
    if (!(wanted & STOR_PERF_DPC_REDIRECTION)) {
        return;
    }
    RtlZeroMemory(&data, sizeof(data));
    data.Version = STOR_PERF_VERSION;
    data.Size = sizeof(data);
    data.Flags = wanted;
    StorPortInitializePerfOpts(Adapter, FALSE, &data);
}

/* Tells the device where its commands are, and starts it. Registers only, so that any IRQL will do. */
static VOID StartDevice(PADAPTER Adapter)
{
    ULONG index;

    WriteRegister(Adapter, DOORBELL_CONTROL, DOORBELL_CONTROL_RESET);
    for (index = 0; index < Adapter->ChannelCount; index++) {
        PCHANNEL channel = &Adapter->Channel[index];
        ULONG base = DOORBELL_CHANNEL(index);

        WriteRegister(Adapter, base + DOORBELL_TABLE_LOW, channel->TableAddress.LowPart);
        WriteRegister(Adapter, base + DOORBELL_TABLE_HIGH, (ULONG)channel->TableAddress.HighPart);
        WriteRegister(Adapter, base + DOORBELL_MESSAGE, channel->Message);
    }
    WriteRegister(Adapter, DOORBELL_CONTROL, DOORBELL_CONTROL_ENABLE);
}

/* DIRQL, under the Interrupt lock. */
BOOLEAN RamdiskInitialize(PVOID DeviceExtension)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    ULONG index;

    ChoosePerformance(adapter);
    if (!adapter->DpcsReady) {
        if (!StorPortEnablePassiveInitialization(adapter, RamdiskPassiveInitialize)) {
            return FALSE;
        }
        InitializeListHead(&adapter->Waiting);
        KeInitializeSpinLock(&adapter->UnitLock);
        KeInitializeSpinLock(&adapter->HistoryLock);
        CountMessages(adapter);
        for (index = 0; index < adapter->ChannelCount; index++) {
            adapter->Channel[index].Message = adapter->Messages == 0 ? 0 : index % adapter->Messages;
        }
    }
    StartDevice(adapter);
    return TRUE;
}

/* PASSIVE_LEVEL, no locks: the one place where DPCs may be initialised. */
BOOLEAN RamdiskPassiveInitialize(PVOID DeviceExtension)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    ULONG index;

    StorPortInitializeDpc(adapter, &adapter->ResetDpc, RamdiskResetDpc);
    for (index = 0; index < adapter->ChannelCount; index++) {
        StorPortInitializeDpc(adapter, &adapter->Channel[index].Dpc, RamdiskChannelDpc);
    }
    adapter->DpcsReady = TRUE;
    return TRUE;
}

static VOID ListControlTypes(PSCSI_SUPPORTED_CONTROL_TYPE_LIST List)
{
    static const SCSI_ADAPTER_CONTROL_TYPE supported[] = {
        ScsiQuerySupportedControlTypes,
        ScsiStopAdapter,
        ScsiRestartAdapter,
        ScsiAdapterSurpriseRemoval,
    };
    ULONG index;

    for (index = 0; index < ARRAYSIZE(supported); index++) {
        if ((ULONG)supported[index] < List->MaxControlType) {
            List->SupportedTypeList[supported[index]] = TRUE;
        }
    }
}

/* Stop and restart may come at DIRQL under the Interrupt lock: they touch registers only. */
SCSI_ADAPTER_CONTROL_STATUS RamdiskAdapterControl(PVOID DeviceExtension, SCSI_ADAPTER_CONTROL_TYPE ControlType,
                                                  PVOID Parameters)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;

    switch (ControlType) {
    case ScsiQuerySupportedControlTypes:
        ListControlTypes((PSCSI_SUPPORTED_CONTROL_TYPE_LIST)Parameters);
        return ScsiAdapterControlSuccess;
    case ScsiStopAdapter:
        WriteRegister(adapter, DOORBELL_CONTROL, DOORBELL_CONTROL_RESET);
        return ScsiAdapterControlSuccess;
    case ScsiRestartAdapter:
        StartDevice(adapter);
        return ScsiAdapterControlSuccess;
    case ScsiAdapterSurpriseRemoval:
        adapter->Removed = TRUE;
        StorPortIssueDpc(adapter, &adapter->ResetDpc, NULL, NULL);
        return ScsiAdapterControlSuccess;
    default:
        return ScsiAdapterControlUnsuccessful;
    }
}
