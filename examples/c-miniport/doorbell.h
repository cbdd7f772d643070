/*
 * doorbell.h: the device, as its driver sees it.
 *
 * A disk behind up to four channels. Each channel has a table of commands in the driver's memory; writing a command's
 * slot to the channel's doorbell starts it. When it ends, the device writes the command's Status, sets the slot's bit in
 * DONE and the channel's bit in INTERRUPT, and sends the channel's message. The interrupt line follows INTERRUPT.
 *
 * lockstorm's model of it is src/device/doorbell/, which has the same map with the same names.
 */
#ifndef DOORBELL_H
#define DOORBELL_H

#include <ntddk.h>

#define DOORBELL_VENDOR 0x1234
#define DOORBELL_DEVICE 0xDBE1

#define DOORBELL_CHANNELS_MAX 4
#define DOORBELL_SLOTS_MAX 16
#define DOORBELL_ELEMENTS_MAX 15
#define DOORBELL_BLOCK_BYTES 512

/* Registers, 32 bits each. */
#define DOORBELL_ID 0x00        /* RO: DOORBELL_ID_VALUE */
#define DOORBELL_LIMITS 0x04    /* RO: slots of a channel in bits 0-7, channels in bits 8-15 */
#define DOORBELL_BLOCKS 0x08    /* RO: blocks of the disk */
#define DOORBELL_CONTROL 0x0C   /* RW: DOORBELL_CONTROL_* */
#define DOORBELL_STATUS 0x10    /* RO: DOORBELL_STATUS_* */
#define DOORBELL_INTERRUPT 0x14 /* RW1C: a bit a channel */

#define DOORBELL_ID_VALUE 0x4C454244
#define DOORBELL_CONTROL_ENABLE 0x1 /* commands are executed */
#define DOORBELL_CONTROL_RESET 0x2  /* written: every command is dropped, at once; reads as 0 */
#define DOORBELL_STATUS_READY 0x1   /* commands that were started before are executed from now on */

/* Registers of channel c, at DOORBELL_CHANNEL(c). */
#define DOORBELL_CHANNEL(c) (0x100 + 0x20 * (c))
#define DOORBELL_TABLE_LOW 0x00  /* RW: physical address of DOORBELL_SLOTS_MAX commands */
#define DOORBELL_TABLE_HIGH 0x04
#define DOORBELL_MESSAGE 0x08    /* RW: the message that the channel sends */
#define DOORBELL_RING 0x0C       /* WO: a slot to start */
#define DOORBELL_DONE 0x10       /* RW1C: a bit a slot */

#define DOORBELL_REGISTER_BYTES 0x200

typedef enum _DOORBELL_OPERATION { DoorbellRead = 1, DoorbellWrite = 2, DoorbellFlush = 3 } DOORBELL_OPERATION;

typedef enum _DOORBELL_RESULT {
    DoorbellGood = 0,
    DoorbellMediumError = 1,
    DoorbellBusy = 2,
    DoorbellInvalid = 3,
    DoorbellPending = 0xFF /* what the driver writes before it starts a command */
} DOORBELL_RESULT;

typedef struct _DOORBELL_ELEMENT {
    ULONGLONG Address;
    ULONG Bytes;
    ULONG Reserved;
} DOORBELL_ELEMENT;

typedef struct _DOORBELL_COMMAND {
    UCHAR Operation;
    volatile UCHAR Status;
    USHORT Elements;
    ULONG FirstBlock;
    ULONG Blocks;
    ULONG Reserved;
    DOORBELL_ELEMENT Element[DOORBELL_ELEMENTS_MAX];
} DOORBELL_COMMAND, *PDOORBELL_COMMAND;
C_ASSERT(sizeof(DOORBELL_COMMAND) == 256);

#endif
