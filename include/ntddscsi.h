/*
 * ntddscsi.h: the head of SRB_FUNCTION_IO_CONTROL's data, with which programs talk to a miniport.
 *
 * Written for lockstorm from https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddscsi/.
 */
#ifndef LOCKSTORM_NTDDSCSI_H
#define LOCKSTORM_NTDDSCSI_H

#include "wdm.h"

typedef struct _SRB_IO_CONTROL {
    ULONG HeaderLength;
    UCHAR Signature[8];
    ULONG Timeout;
    ULONG ControlCode;
    ULONG ReturnCode;
    ULONG Length;
} SRB_IO_CONTROL, *PSRB_IO_CONTROL;

#endif
