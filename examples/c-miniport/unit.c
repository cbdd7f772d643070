/*
 * unit.c: what the driver remembers of its one unit, for the next command and for whoever debugs it.
 */
#include "ramdisk.h"

/* HistoryLock is held. */
static VOID AddEntry(PADAPTER Adapter, UCHAR Operation, UCHAR Status, ULONG FirstBlock)
{
    HISTORY_ENTRY *entry = &Adapter->History[Adapter->HistoryNext % HISTORY_ENTRIES];

    entry->Operation = Operation;
    entry->Status = Status;
    entry->FirstBlock = FirstBlock;
    Adapter->HistoryNext++;
}

/* Writes the end of a command down. DISPATCH_LEVEL or below. */
VOID RamdiskNote(PADAPTER Adapter, UCHAR Operation, UCHAR Status, ULONG FirstBlock)
{
    KIRQL irql;

    KeAcquireSpinLock(&Adapter->HistoryLock, &irql);
    AddEntry(Adapter, Operation, Status, FirstBlock);
    KeReleaseSpinLock(&Adapter->HistoryLock, irql);
}

/* The next TEST UNIT READY will say that there was a reset. */
VOID RamdiskNoteReset(PADAPTER Adapter)
{
    KIRQL unitIrql;
    KIRQL historyIrql;

#if MISTAKE == 8
    KeAcquireSpinLock(&Adapter->HistoryLock, &historyIrql);
    KeAcquireSpinLock(&Adapter->UnitLock, &unitIrql);
#else
    KeAcquireSpinLock(&Adapter->UnitLock, &unitIrql);
    KeAcquireSpinLock(&Adapter->HistoryLock, &historyIrql);
#endif
    Adapter->Attention = TRUE;
    Adapter->Resets++;
    AddEntry(Adapter, 0, SRB_STATUS_BUS_RESET, 0);
#if MISTAKE == 8
    KeReleaseSpinLock(&Adapter->UnitLock, unitIrql);
    KeReleaseSpinLock(&Adapter->HistoryLock, historyIrql);
#else
    KeReleaseSpinLock(&Adapter->HistoryLock, historyIrql);
    KeReleaseSpinLock(&Adapter->UnitLock, unitIrql);
#endif
}

/* Whether there was a reset since somebody last asked. DISPATCH_LEVEL or below. */
BOOLEAN RamdiskTakeAttention(PADAPTER Adapter)
{
    KIRQL irql;
    BOOLEAN attention;

    KeAcquireSpinLock(&Adapter->UnitLock, &irql);
    attention = Adapter->Attention;
    Adapter->Attention = FALSE;
    if (attention) {
        RamdiskNote(Adapter, SCSIOP_TEST_UNIT_READY, SRB_STATUS_ERROR, 0);
    }
    KeReleaseSpinLock(&Adapter->UnitLock, irql);
    return attention;
}
