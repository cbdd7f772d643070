/*
 * ramdisk.h: the driver's own structures, and which lock guards what.
 *
 *   lock                    guards                                                taken by the driver in
 *   StartIo (StorPort's)    NextChannel, TimerRunning, Waiting, every doorbell    DPCs; StorPort holds it around
 *                                                                                 HwStorStartIo, HwStorTimer, HwStorResetBus
 *   Dpc of a channel        Busy and Srb of the channel                           HwStorStartIo, DPCs
 *   message of a channel,   Done of the channel, and its DONE register            DPCs; StorPort holds it around the
 *   or Interrupt                                                                  interrupt routine
 *   UnitLock (executive)    Attention, Resets                                     at DISPATCH_LEVEL or below
 *   HistoryLock (executive) History, HistoryNext                                  at DISPATCH_LEVEL or below
 *
 * Order: StartIo, Dpc, message or Interrupt; Unit, History. No routine holds the Dpc locks of two channels. Requests are
 * completed with no lock of the driver's held.
 *
 * MISTAKE, if it is not 0, puts one of nine mistakes into the driver: README.md lists them.
 */
#ifndef RAMDISK_H
#define RAMDISK_H

#include <ntddk.h>
#include <storport.h>
#include <srbhelper.h>

#include "doorbell.h"

#ifndef MISTAKE
#define MISTAKE 0
#endif

#define HISTORY_ENTRIES 16
#define MESSAGES_MAX 64
/* How long a command may go unanswered before the driver looks whether its interrupt was lost. */
#define WATCHDOG_MICROSECONDS 1000000

/* A request's memory: SrbExtension. StorPort does not clear it. */
typedef struct _REQUEST {
    LIST_ENTRY Link;
    PSCSI_REQUEST_BLOCK Srb;
    DOORBELL_COMMAND Command;
} REQUEST, *PREQUEST;

typedef struct _CHANNEL {
    STOR_DPC Dpc;
    ULONG Index;
    ULONG Message;
    ULONG Done;
    ULONG Busy;
    PREQUEST Request[DOORBELL_SLOTS_MAX];
    PDOORBELL_COMMAND Table;
    STOR_PHYSICAL_ADDRESS TableAddress;
} CHANNEL, *PCHANNEL;

/* The lock that StorPort holds around the interrupt routine of a channel, taken elsewhere. */
typedef struct _INTERRUPT_GUARD {
    STOR_LOCK_HANDLE Handle;
    ULONG OldIrql;
} INTERRUPT_GUARD, *PINTERRUPT_GUARD;

typedef struct _HISTORY_ENTRY {
    UCHAR Operation;
    UCHAR Status;
    ULONG FirstBlock;
} HISTORY_ENTRY;

typedef struct _ADAPTER {
    PUCHAR Registers;
    ULONG ChannelCount;
    ULONG SlotCount;
    ULONG Blocks;
    ULONG Messages; /* granted; 0 with a line */
    BOOLEAN PerMessage;
    volatile BOOLEAN DpcsReady;
    volatile BOOLEAN Removed;
    volatile LONG InFlight;

    ULONG NextChannel;
    BOOLEAN TimerRunning;
    LIST_ENTRY Waiting;

    KSPIN_LOCK UnitLock;
    BOOLEAN Attention;
    ULONG Resets;

    KSPIN_LOCK HistoryLock;
    ULONG HistoryNext;
    HISTORY_ENTRY History[HISTORY_ENTRIES];

    STOR_DPC ResetDpc;
    CHANNEL Channel[DOORBELL_CHANNELS_MAX];
} ADAPTER, *PADAPTER;

/* adapter.c */
HW_FIND_ADAPTER RamdiskFindAdapter;
HW_INITIALIZE RamdiskInitialize;
HW_PASSIVE_INITIALIZE_ROUTINE RamdiskPassiveInitialize;
HW_ADAPTER_CONTROL RamdiskAdapterControl;

/* io.c */
HW_STARTIO RamdiskStartIo;
HW_DPC_ROUTINE RamdiskChannelDpc;
HW_TIMER RamdiskTimer;
VOID RamdiskCompleteAll(PADAPTER Adapter, PLIST_ENTRY Finished);
VOID RamdiskComplete(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, UCHAR SrbStatus);

/* interrupt.c */
HW_INTERRUPT RamdiskInterrupt;
HW_MESSAGE_SIGNALED_INTERRUPT_ROUTINE RamdiskMessageInterrupt;
VOID RamdiskAcquireInterruptGuard(PADAPTER Adapter, PCHANNEL Channel, PINTERRUPT_GUARD Guard);
VOID RamdiskReleaseInterruptGuard(PADAPTER Adapter, PCHANNEL Channel, PINTERRUPT_GUARD Guard);
VOID RamdiskCollectDone(PADAPTER Adapter, PCHANNEL Channel);

/* reset.c */
HW_RESET_BUS RamdiskResetBus;
HW_DPC_ROUTINE RamdiskResetDpc;
VOID RamdiskReset(PADAPTER Adapter, PLIST_ENTRY Finished);

/* scsi.c */
HW_BUILDIO RamdiskBuildIo;
VOID RamdiskSetSense(PSCSI_REQUEST_BLOCK Srb, UCHAR Key, UCHAR Code);

/* unit.c */
VOID RamdiskNote(PADAPTER Adapter, UCHAR Operation, UCHAR Status, ULONG FirstBlock);
VOID RamdiskNoteReset(PADAPTER Adapter);
BOOLEAN RamdiskTakeAttention(PADAPTER Adapter);

FORCEINLINE ULONG ReadRegister(PADAPTER Adapter, ULONG Offset)
{
    return StorPortReadRegisterUlong(Adapter, (volatile ULONG *)(Adapter->Registers + Offset));
}

FORCEINLINE VOID WriteRegister(PADAPTER Adapter, ULONG Offset, ULONG Value)
{
    StorPortWriteRegisterUlong(Adapter, (volatile ULONG *)(Adapter->Registers + Offset), Value);
}

#endif
