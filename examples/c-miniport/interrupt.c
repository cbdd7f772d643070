/*
 * interrupt.c: from the device's interrupt to the channel's DPC.
 *
 * The interrupt routines take what the device has done, acknowledge it, and leave the rest to the DPC. A channel uses
 * message `Message`; where there are fewer messages than channels, several share one.
 */
#include "ramdisk.h"

#define NO_DEVICE_THERE 0xFFFFFFFF

/* Takes the lock that StorPort holds around the interrupt routine of this channel. DISPATCH_LEVEL or below. */
VOID RamdiskAcquireInterruptGuard(PADAPTER Adapter, PCHANNEL Channel, PINTERRUPT_GUARD Guard)
{
    if (Adapter->Messages != 0 && Adapter->PerMessage) {
        StorPortAcquireMSISpinLock(Adapter, Channel->Message, &Guard->OldIrql);
    } else {
        StorPortAcquireSpinLock(Adapter, InterruptLock, NULL, &Guard->Handle);
    }
}

VOID RamdiskReleaseInterruptGuard(PADAPTER Adapter, PCHANNEL Channel, PINTERRUPT_GUARD Guard)
{
    if (Adapter->Messages != 0 && Adapter->PerMessage) {
#if MISTAKE == 3
        StorPortReleaseMSISpinLock(Adapter, Channel->Index, Guard->OldIrql);
#else
        StorPortReleaseMSISpinLock(Adapter, Channel->Message, Guard->OldIrql);
#endif
    } else {
        StorPortReleaseSpinLock(Adapter, &Guard->Handle);
    }
}

/* Acknowledges what the channel has done and remembers it for the DPC. Under the channel's interrupt lock. */
VOID RamdiskCollectDone(PADAPTER Adapter, PCHANNEL Channel)
{
    ULONG base = DOORBELL_CHANNEL(Channel->Index);
    ULONG done;

    /* In this order: what ends in between interrupts again. */
    WriteRegister(Adapter, DOORBELL_INTERRUPT, 1UL << Channel->Index);
    done = ReadRegister(Adapter, base + DOORBELL_DONE);
    if (done == 0 || done == NO_DEVICE_THERE) {
        return;
    }
    WriteRegister(Adapter, base + DOORBELL_DONE, done);
    Channel->Done |= done;
}

static VOID ServeChannel(PADAPTER Adapter, PCHANNEL Channel)
{
    RamdiskCollectDone(Adapter, Channel);
#if MISTAKE == 6
    RamdiskNote(Adapter, 0, (UCHAR)(Channel->Done != 0), 0);
#endif
    if (Adapter->DpcsReady) {
        StorPortIssueDpc(Adapter, &Channel->Dpc, Channel, NULL);
    }
}

/* DIRQL, under the message's lock, or under the Interrupt lock if one lock serves all messages. */
BOOLEAN RamdiskMessageInterrupt(PVOID DeviceExtension, ULONG MessageId)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    ULONG index;

    for (index = 0; index < adapter->ChannelCount; index++) {
        if (adapter->Channel[index].Message == MessageId) {
            ServeChannel(adapter, &adapter->Channel[index]);
        }
    }
    return TRUE;
}

/* DIRQL, under the Interrupt lock. */
BOOLEAN RamdiskInterrupt(PVOID DeviceExtension)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    ULONG pending = ReadRegister(adapter, DOORBELL_INTERRUPT);
    ULONG index;

    if (pending == 0 || pending == NO_DEVICE_THERE) {
        return FALSE;
    }
    for (index = 0; index < adapter->ChannelCount; index++) {
        if (pending & (1UL << index)) {
            ServeChannel(adapter, &adapter->Channel[index]);
        }
    }
    return TRUE;
}
