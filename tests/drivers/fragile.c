/*
 * fragile.c: a miniport that is right, and cannot bear a mistake in its locks. HwStorFindAdapter takes a lock for each way
 * in which a driver can end its process, and goes that way if the lock did not raise the IRQL.
 */
#include <ntddk.h>
#include <storport.h>
#include <srbhelper.h>

typedef struct _EXTENSION {
    KSPIN_LOCK Lock[5];
} EXTENSION, *PEXTENSION;

/* What the machine can take: a finding of the run. */
static VOID Crash(VOID)
{
    *(volatile int *)16 = 1;
}

/* What it cannot: with no stack and no code there is nobody left to tell. */
static VOID Vanish(VOID)
{
    __asm__ volatile("xorl %esp, %esp\n\tjmp *%rsp");
}

static VOID Hang(VOID)
{
    for (;;) {
        __asm__ volatile("");
    }
}

/* Takes memory, and tries again when there is none left. */
static VOID Exhaust(PVOID DeviceExtension)
{
    for (;;) {
        PVOID memory = NULL;

        StorPortAllocatePool(DeviceExtension, 0x4000, 'gart', &memory);
    }
}

static VOID Overflow(volatile UCHAR *Above)
{
    volatile UCHAR room[2048];

    room[0] = *Above;
    Overflow(room);
    room[1] = 1;
}

#define GUARDED(Number, Disaster)                                                                                      \
    do {                                                                                                               \
        KIRQL irql;                                                                                                    \
                                                                                                                       \
        KeAcquireSpinLock(&extension->Lock[Number], &irql);                                                            \
        if (KeGetCurrentIrql() < DISPATCH_LEVEL) {                                                                     \
            Disaster;                                                                                                  \
        }                                                                                                              \
        KeReleaseSpinLock(&extension->Lock[Number], irql);                                                             \
    } while (0)

static ULONG FindAdapter(PVOID DeviceExtension, PVOID HwContext, PVOID BusInformation, PCHAR ArgumentString,
                         PPORT_CONFIGURATION_INFORMATION Config, PBOOLEAN Again)
{
    PEXTENSION extension = (PEXTENSION)DeviceExtension;
    UCHAR top = 0;

    UNREFERENCED_PARAMETER(HwContext);
    UNREFERENCED_PARAMETER(BusInformation);
    UNREFERENCED_PARAMETER(ArgumentString);
    *Again = FALSE;
    if (Config->DumpMode != 0) {
        return SP_RETURN_NOT_FOUND;
    }
    GUARDED(0, Crash());
    GUARDED(1, Vanish());
    GUARDED(2, Hang());
    GUARDED(3, Exhaust(extension));
    GUARDED(4, Overflow(&top));
    Config->MaximumTransferLength = 0x10000;
    Config->NumberOfPhysicalBreaks = 17;
    Config->NumberOfBuses = 1;
    Config->MaximumNumberOfTargets = 1;
    Config->MaximumNumberOfLogicalUnits = 1;
    Config->ScatterGather = TRUE;
    Config->Master = TRUE;
    Config->SynchronizationModel = StorSynchronizeFullDuplex;
    return SP_RETURN_FOUND;
}

static BOOLEAN Initialize(PVOID DeviceExtension)
{
    UNREFERENCED_PARAMETER(DeviceExtension);
    return TRUE;
}

static BOOLEAN StartIo(PVOID DeviceExtension, PSCSI_REQUEST_BLOCK Srb)
{
    SrbSetSrbStatus(Srb, SRB_STATUS_SUCCESS);
    StorPortNotification(RequestComplete, DeviceExtension, Srb);
    return TRUE;
}

static BOOLEAN Interrupt(PVOID DeviceExtension)
{
    UNREFERENCED_PARAMETER(DeviceExtension);
    return FALSE;
}

static BOOLEAN ResetBus(PVOID DeviceExtension, ULONG PathId)
{
    /* Every request is complete when HwStorStartIo returns. */
    UNREFERENCED_PARAMETER(DeviceExtension);
    UNREFERENCED_PARAMETER(PathId);
    return TRUE;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    HW_INITIALIZATION_DATA data;

    RtlZeroMemory(&data, sizeof(data));
    data.HwInitializationDataSize = sizeof(data);
    data.AdapterInterfaceType = PCIBus;
    data.HwFindAdapter = FindAdapter;
    data.HwInitialize = Initialize;
    data.HwStartIo = StartIo;
    data.HwInterrupt = Interrupt;
    data.HwResetBus = ResetBus;
    data.DeviceExtensionSize = sizeof(EXTENSION);
    data.MapBuffers = STOR_MAP_NON_READ_WRITE_BUFFERS;
    data.NeedPhysicalAddresses = TRUE;
    data.TaggedQueuing = TRUE;
    data.AutoRequestSense = TRUE;
    data.MultipleRequestPerLu = TRUE;
    data.SrbTypeFlags = SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK;
    data.AddressTypeFlags = ADDRESS_TYPE_FLAG_BTL8;
    return (NTSTATUS)StorPortInitialize(DriverObject, RegistryPath, &data, NULL);
}
