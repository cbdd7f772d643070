/*
 * reset.c: resets, and what a device that is gone leaves behind.
 *
 * A reset for a unit or a target comes as a request, through HwStorStartIo; a bus reset through HwStorResetBus, which may
 * take no Dpc lock and so leaves it to a DPC.
 */
#include "ramdisk.h"

/* Ends every request that the device has or that waits for room. */
static VOID TakeEverything(PADAPTER Adapter, PCHANNEL Channel, UCHAR SrbStatus, PLIST_ENTRY Finished)
{
    ULONG slot;

    for (slot = 0; slot < Adapter->SlotCount; slot++) {
        PREQUEST request = Channel->Request[slot];

        if (Channel->Busy & (1UL << slot)) {
            InterlockedDecrement(&Adapter->InFlight);
            SrbSetSrbStatus(request->Srb, SrbStatus);
            SrbSetDataTransferLength(request->Srb, 0);
            InsertTailList(Finished, &request->Link);
            Channel->Request[slot] = NULL;
        }
    }
    Channel->Busy = 0;
}

static VOID ResetChannel(PADAPTER Adapter, PCHANNEL Channel, UCHAR SrbStatus, PLIST_ENTRY Finished)
{
    STOR_LOCK_HANDLE handle = {0};
    INTERRUPT_GUARD guard = {{0}, 0};

#if MISTAKE == 2
    RamdiskAcquireInterruptGuard(Adapter, Channel, &guard);
    StorPortAcquireSpinLock(Adapter, DpcLock, &Channel->Dpc, &handle);
#else
    StorPortAcquireSpinLock(Adapter, DpcLock, &Channel->Dpc, &handle);
    RamdiskAcquireInterruptGuard(Adapter, Channel, &guard);
#endif
    Channel->Done = 0;
    RamdiskReleaseInterruptGuard(Adapter, Channel, &guard);
    TakeEverything(Adapter, Channel, SrbStatus, Finished);
#if MISTAKE == 7
    RamdiskCompleteAll(Adapter, Finished);
#endif
    StorPortReleaseSpinLock(Adapter, &handle);
}

/* Resets the device and collects every request, to be completed by the caller. StartIo is held. */
VOID RamdiskReset(PADAPTER Adapter, PLIST_ENTRY Finished)
{
    UCHAR status = Adapter->Removed ? SRB_STATUS_NO_DEVICE : SRB_STATUS_BUS_RESET;
    ULONG index;

    /* The device first: it must not have a buffer any more when its request is completed. */
    WriteRegister(Adapter, DOORBELL_CONTROL, DOORBELL_CONTROL_ENABLE | DOORBELL_CONTROL_RESET);
    for (index = 0; index < Adapter->ChannelCount; index++) {
        ResetChannel(Adapter, &Adapter->Channel[index], status, Finished);
    }
    while (!IsListEmpty(&Adapter->Waiting)) {
        PREQUEST request = CONTAINING_RECORD(RemoveHeadList(&Adapter->Waiting), REQUEST, Link);

        SrbSetSrbStatus(request->Srb, status);
        SrbSetDataTransferLength(request->Srb, 0);
        InsertTailList(Finished, &request->Link);
    }
    RamdiskNoteReset(Adapter);
}

/* DISPATCH_LEVEL, no locks. */
VOID RamdiskResetDpc(PSTOR_DPC Dpc, PVOID DeviceExtension, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    STOR_LOCK_HANDLE handle = {0};
    LIST_ENTRY finished;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    InitializeListHead(&finished);
    StorPortAcquireSpinLock(adapter, StartIoLock, NULL, &handle);
    RamdiskReset(adapter, &finished);
    StorPortReleaseSpinLock(adapter, &handle);
    RamdiskCompleteAll(adapter, &finished);
}

/* DISPATCH_LEVEL, under StartIo. */
BOOLEAN RamdiskResetBus(PVOID DeviceExtension, ULONG PathId)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;

    UNREFERENCED_PARAMETER(PathId);
#if MISTAKE == 5
    RamdiskResetDpc(&adapter->ResetDpc, adapter, NULL, NULL);
#else
    StorPortIssueDpc(adapter, &adapter->ResetDpc, NULL, NULL);
#endif
    return TRUE;
}
