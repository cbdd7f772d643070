/*
 * io.c: a request's way through the device: HwStorStartIo, the channel's DPC, completion.
 */
#include "ramdisk.h"

#define NO_SLOT 0xFFFFFFFF

VOID RamdiskComplete(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, UCHAR SrbStatus)
{
    SrbSetSrbStatus(Srb, SrbStatus);
    StorPortNotification(RequestComplete, Adapter, Srb);
}

/* Writes down and completes requests whose status is set already. With no lock held. */
VOID RamdiskCompleteAll(PADAPTER Adapter, PLIST_ENTRY Finished)
{
    while (!IsListEmpty(Finished)) {
        PREQUEST request = CONTAINING_RECORD(RemoveHeadList(Finished), REQUEST, Link);

        RamdiskNote(Adapter, request->Command.Operation, SrbGetSrbStatus(request->Srb), request->Command.FirstBlock);
        /* From here on the request, and the memory in which `request` lies, are StorPort's. */
        StorPortNotification(RequestComplete, Adapter, request->Srb);
    }
}

static ULONG FreeSlot(PADAPTER Adapter, PCHANNEL Channel)
{
    ULONG slot;

    for (slot = 0; slot < Adapter->SlotCount; slot++) {
        if (!(Channel->Busy & (1UL << slot))) {
            return slot;
        }
    }
    return NO_SLOT;
}

/* Gives the device a request on this channel. StartIo is held. FALSE if the channel is full. */
static BOOLEAN StartOnChannel(PADAPTER Adapter, PCHANNEL Channel, PREQUEST Request)
{
    STOR_LOCK_HANDLE handle = {0};
    ULONG slot;

    StorPortAcquireSpinLock(Adapter, DpcLock, &Channel->Dpc, &handle);
    slot = FreeSlot(Adapter, Channel);
    if (slot == NO_SLOT) {
#if MISTAKE != 1
        StorPortReleaseSpinLock(Adapter, &handle);
#endif
        return FALSE;
    }
    RtlCopyMemory(&Channel->Table[slot], &Request->Command, sizeof(DOORBELL_COMMAND));
    Channel->Request[slot] = Request;
    Channel->Busy |= 1UL << slot;
    InterlockedIncrement(&Adapter->InFlight);
    WriteRegister(Adapter, DOORBELL_CHANNEL(Channel->Index) + DOORBELL_RING, slot);
    StorPortReleaseSpinLock(Adapter, &handle);
    return TRUE;
}

/* Gives the device a request on the next channel that has room. StartIo is held. */
static BOOLEAN StartRequest(PADAPTER Adapter, PREQUEST Request)
{
    ULONG tried;

    for (tried = 0; tried < Adapter->ChannelCount; tried++) {
        PCHANNEL channel = &Adapter->Channel[Adapter->NextChannel];

        Adapter->NextChannel = (Adapter->NextChannel + 1) % Adapter->ChannelCount;
        if (StartOnChannel(Adapter, channel, Request)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Starts what waits for room, as far as there is room. StartIo is held. */
static VOID StartWaiting(PADAPTER Adapter)
{
    while (!IsListEmpty(&Adapter->Waiting)) {
        PREQUEST request = CONTAINING_RECORD(Adapter->Waiting.Flink, REQUEST, Link);

        /* It leaves the list first: once started, another processor may complete it. */
        RemoveEntryList(&request->Link);
        if (!StartRequest(Adapter, request)) {
            InsertHeadList(&Adapter->Waiting, &request->Link);
            return;
        }
    }
}

/* Looks at the channels again later, in case an interrupt is lost. StartIo is held. */
static VOID StartTimer(PADAPTER Adapter)
{
    if (!Adapter->TimerRunning) {
        Adapter->TimerRunning = TRUE;
        StorPortNotification(RequestTimerCall, Adapter, RamdiskTimer, WATCHDOG_MICROSECONDS);
    }
}

/* DISPATCH_LEVEL, under StartIo: HwStorBuildIo has prepared the request. */
BOOLEAN RamdiskStartIo(PVOID DeviceExtension, PSCSI_REQUEST_BLOCK Srb)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    PREQUEST request = (PREQUEST)SrbGetMiniportContext(Srb);
    ULONG function = SrbGetSrbFunction(Srb);
    LIST_ENTRY finished;

    if (function == SRB_FUNCTION_RESET_LOGICAL_UNIT || function == SRB_FUNCTION_RESET_DEVICE) {
        InitializeListHead(&finished);
        RamdiskReset(adapter, &finished);
        RamdiskCompleteAll(adapter, &finished);
        RamdiskComplete(adapter, Srb, SRB_STATUS_SUCCESS);
        return TRUE;
    }
    if (adapter->Removed) {
        RamdiskComplete(adapter, Srb, SRB_STATUS_NO_DEVICE);
        return TRUE;
    }
    StartTimer(adapter);
    if (!IsListEmpty(&adapter->Waiting) || !StartRequest(adapter, request)) {
        InsertTailList(&adapter->Waiting, &request->Link);
    }
    return TRUE;
}

/* DISPATCH_LEVEL, under StartIo, which lets it take no Dpc lock: the DPCs look for themselves. */
VOID RamdiskTimer(PVOID DeviceExtension)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    ULONG index;

    adapter->TimerRunning = FALSE;
    if (adapter->InFlight == 0) {
        return;
    }
    for (index = 0; index < adapter->ChannelCount; index++) {
        StorPortIssueDpc(adapter, &adapter->Channel[index].Dpc, &adapter->Channel[index], NULL);
    }
    StartTimer(adapter);
}

static VOID SetResult(PREQUEST Request, UCHAR Status)
{
    PSCSI_REQUEST_BLOCK srb = Request->Srb;

    switch (Status) {
    case DoorbellGood:
        SrbSetSrbStatus(srb, SRB_STATUS_SUCCESS);
        SrbSetScsiStatus(srb, SCSISTAT_GOOD);
        break;
    case DoorbellMediumError:
        RamdiskSetSense(srb, SCSI_SENSE_MEDIUM_ERROR, SCSI_ADSENSE_UNRECOVERED_ERROR);
        break;
    case DoorbellBusy:
        SrbSetSrbStatus(srb, SRB_STATUS_BUSY);
        SrbSetDataTransferLength(srb, 0);
        break;
    default:
        RamdiskSetSense(srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ADSENSE_INVALID_CDB);
        break;
    }
}

/* Takes what has ended off the channel. Under the channel's Dpc lock. */
static VOID TakeFinished(PADAPTER Adapter, PCHANNEL Channel, ULONG Done, PLIST_ENTRY Finished)
{
    ULONG slot;

    for (slot = 0; slot < Adapter->SlotCount; slot++) {
        ULONG bit = 1UL << slot;
        UCHAR status = Channel->Table[slot].Status;

        /* A device may say that a slot is done which is not, or not any more. */
        if (!(Done & Channel->Busy & bit) || status == DoorbellPending) {
            continue;
        }
        Channel->Busy &= ~bit;
        InterlockedDecrement(&Adapter->InFlight);
        SetResult(Channel->Request[slot], status);
        InsertTailList(Finished, &Channel->Request[slot]->Link);
        Channel->Request[slot] = NULL;
    }
}

/* DISPATCH_LEVEL, no locks. One DPC a channel. */
VOID RamdiskChannelDpc(PSTOR_DPC Dpc, PVOID DeviceExtension, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    PCHANNEL channel = (PCHANNEL)SystemArgument1;
    STOR_LOCK_HANDLE dpcHandle = {0};
    STOR_LOCK_HANDLE startIoHandle = {0};
    INTERRUPT_GUARD guard = {{0}, 0};
    LIST_ENTRY finished;
    ULONG done;

    UNREFERENCED_PARAMETER(SystemArgument2);
    InitializeListHead(&finished);
    StorPortAcquireSpinLock(adapter, DpcLock, Dpc, &dpcHandle);
    RamdiskAcquireInterruptGuard(adapter, channel, &guard);
    RamdiskCollectDone(adapter, channel);
    done = channel->Done;
    channel->Done = 0;
    RamdiskReleaseInterruptGuard(adapter, channel, &guard);
#if MISTAKE == 9
    StorPortReleaseSpinLock(adapter, &dpcHandle);
    TakeFinished(adapter, channel, done, &finished);
#else
    TakeFinished(adapter, channel, done, &finished);
    StorPortReleaseSpinLock(adapter, &dpcHandle);
#endif
    if (IsListEmpty(&finished)) {
        return;
    }
    StorPortAcquireSpinLock(adapter, StartIoLock, NULL, &startIoHandle);
    StartWaiting(adapter);
#if MISTAKE == 4
    STOR_LOCK_HANDLE copy = startIoHandle;
    StorPortReleaseSpinLock(adapter, &copy);
#else
    StorPortReleaseSpinLock(adapter, &startIoHandle);
#endif
    RamdiskCompleteAll(adapter, &finished);
}
