/*
 * srbhelper.h: reads and writes a request without asking which of the two kinds it is.
 *
 * Written for lockstorm from https://learn.microsoft.com/windows-hardware/drivers/ddi/srbhelper/. An offset inside an
 * extended request that leads out of it is taken for none.
 */
#ifndef LOCKSTORM_SRBHELPER_H
#define LOCKSTORM_SRBHELPER_H

#include "srb.h"

FORCEINLINE BOOLEAN SrbIsExtended(const VOID *Srb)
{
    return ((const SCSI_REQUEST_BLOCK *)Srb)->Function == SRB_FUNCTION_STORAGE_REQUEST_BLOCK;
}

/* Reads or writes a field that both kinds have, under different names. */
#define SRB_FIELD(srb, extended, legacy) \
    (*(SrbIsExtended(srb) ? &((PSTORAGE_REQUEST_BLOCK)(srb))->extended : &((PSCSI_REQUEST_BLOCK)(srb))->legacy))

FORCEINLINE ULONG SrbGetSrbFunction(PVOID Srb)
{
    return SrbIsExtended(Srb) ? ((PSTORAGE_REQUEST_BLOCK)Srb)->SrbFunction : ((PSCSI_REQUEST_BLOCK)Srb)->Function;
}

FORCEINLINE UCHAR SrbGetSrbStatus(PVOID Srb)
{
    return ((PSCSI_REQUEST_BLOCK)Srb)->SrbStatus;
}

FORCEINLINE VOID SrbSetSrbStatus(PVOID Srb, UCHAR Status)
{
    ((PSCSI_REQUEST_BLOCK)Srb)->SrbStatus = Status;
}

FORCEINLINE ULONG SrbGetSrbFlags(PVOID Srb)
{
    return SRB_FIELD(Srb, SrbFlags, SrbFlags);
}

FORCEINLINE ULONG SrbGetDataTransferLength(PVOID Srb)
{
    return SRB_FIELD(Srb, DataTransferLength, DataTransferLength);
}

FORCEINLINE VOID SrbSetDataTransferLength(PVOID Srb, ULONG Length)
{
    SRB_FIELD(Srb, DataTransferLength, DataTransferLength) = Length;
}

FORCEINLINE PVOID SrbGetDataBuffer(PVOID Srb)
{
    return SRB_FIELD(Srb, DataBuffer, DataBuffer);
}

FORCEINLINE ULONG SrbGetTimeOutValue(PVOID Srb)
{
    return SRB_FIELD(Srb, TimeOutValue, TimeOutValue);
}

FORCEINLINE PVOID SrbGetMiniportContext(PVOID Srb)
{
    return SRB_FIELD(Srb, MiniportContext, SrbExtension);
}

FORCEINLINE PVOID SrbGetOriginalRequest(PVOID Srb)
{
    return SRB_FIELD(Srb, OriginalRequest, OriginalRequest);
}

FORCEINLINE PVOID SrbGetNextSrb(PVOID Srb)
{
    return SrbIsExtended(Srb) ? (PVOID)((PSTORAGE_REQUEST_BLOCK)Srb)->NextSrb
                              : (PVOID)((PSCSI_REQUEST_BLOCK)Srb)->NextSrb;
}

/* Whether `Bytes` bytes at `Offset` lie behind the head of an extended request and inside it. */
FORCEINLINE BOOLEAN SrbIsInside(PSTORAGE_REQUEST_BLOCK Srb, ULONG Offset, ULONG Bytes)
{
    return Offset >= offsetof(STORAGE_REQUEST_BLOCK, SrbExDataOffset) && Offset <= Srb->SrbLength &&
           Bytes <= Srb->SrbLength - Offset;
}

FORCEINLINE PSTOR_ADDR_BTL8 SrbGetBtl8Address(PVOID Srb)
{
    PSTORAGE_REQUEST_BLOCK srb = (PSTORAGE_REQUEST_BLOCK)Srb;
    PSTOR_ADDR_BTL8 address;

    if (!SrbIsInside(srb, srb->AddressOffset, sizeof(STOR_ADDR_BTL8))) {
        return NULL;
    }
    address = (PSTOR_ADDR_BTL8)((PUCHAR)srb + srb->AddressOffset);
    return address->Type == STOR_ADDRESS_TYPE_BTL8 ? address : NULL;
}

FORCEINLINE VOID SrbGetPathTargetLun(PVOID Srb, PUCHAR PathId, PUCHAR TargetId, PUCHAR Lun)
{
    STOR_ADDR_BTL8 none = {0};
    PSTOR_ADDR_BTL8 address;

    if (SrbIsExtended(Srb)) {
        address = SrbGetBtl8Address(Srb);
        if (address == NULL) {
            address = &none;
        }
        *PathId = address->Path;
        *TargetId = address->Target;
        *Lun = address->Lun;
    } else {
        *PathId = ((PSCSI_REQUEST_BLOCK)Srb)->PathId;
        *TargetId = ((PSCSI_REQUEST_BLOCK)Srb)->TargetId;
        *Lun = ((PSCSI_REQUEST_BLOCK)Srb)->Lun;
    }
}

/* The first block of extended data of that type that lies inside the request. */
FORCEINLINE PSRBEX_DATA SrbGetSrbExDataByType(PSTORAGE_REQUEST_BLOCK Srb, SRBEXDATATYPE Type)
{
    ULONG index;

    for (index = 0; index < Srb->NumSrbExData; index++) {
        ULONG at = FIELD_OFFSET(STORAGE_REQUEST_BLOCK, SrbExDataOffset) + index * sizeof(ULONG);
        ULONG offset;
        PSRBEX_DATA data;

        if (at + sizeof(ULONG) > Srb->SrbLength) {
            break;
        }
        offset = Srb->SrbExDataOffset[index];
        if (!SrbIsInside(Srb, offset, sizeof(SRBEX_DATA))) {
            continue;
        }
        data = (PSRBEX_DATA)((PUCHAR)Srb + offset);
        if (data->Type == Type && SrbIsInside(Srb, offset + sizeof(SRBEX_DATA), data->Length)) {
            return data;
        }
    }
    return NULL;
}

/* The part of a request that is a SCSI command of up to 16 bytes; NULL if there is none. */
FORCEINLINE PSRBEX_DATA_SCSI_CDB16 SrbGetCdb16Data(PVOID Srb)
{
    if (!SrbIsExtended(Srb) || ((PSTORAGE_REQUEST_BLOCK)Srb)->SrbFunction != SRB_FUNCTION_EXECUTE_SCSI) {
        return NULL;
    }
    return (PSRBEX_DATA_SCSI_CDB16)SrbGetSrbExDataByType((PSTORAGE_REQUEST_BLOCK)Srb, SrbExDataTypeScsiCdb16);
}

FORCEINLINE PUCHAR SrbGetCdb(PVOID Srb)
{
    if (SrbIsExtended(Srb)) {
        PSRBEX_DATA_SCSI_CDB16 data = SrbGetCdb16Data(Srb);
        return data != NULL && data->CdbLength > 0 ? data->Cdb : NULL;
    }
    return ((PSCSI_REQUEST_BLOCK)Srb)->Cdb;
}

FORCEINLINE VOID SrbSetScsiStatus(PVOID Srb, UCHAR ScsiStatus)
{
    if (SrbIsExtended(Srb)) {
        PSRBEX_DATA_SCSI_CDB16 data = SrbGetCdb16Data(Srb);
        if (data != NULL) {
            data->ScsiStatus = ScsiStatus;
        }
    } else {
        ((PSCSI_REQUEST_BLOCK)Srb)->ScsiStatus = ScsiStatus;
    }
}

FORCEINLINE PVOID SrbGetSenseInfoBuffer(PVOID Srb)
{
    if (SrbIsExtended(Srb)) {
        PSRBEX_DATA_SCSI_CDB16 data = SrbGetCdb16Data(Srb);
        return data != NULL ? data->SenseInfoBuffer : NULL;
    }
    return ((PSCSI_REQUEST_BLOCK)Srb)->SenseInfoBuffer;
}

FORCEINLINE UCHAR SrbGetSenseInfoBufferLength(PVOID Srb)
{
    if (SrbIsExtended(Srb)) {
        PSRBEX_DATA_SCSI_CDB16 data = SrbGetCdb16Data(Srb);
        return data != NULL ? data->SenseInfoBufferLength : 0;
    }
    return ((PSCSI_REQUEST_BLOCK)Srb)->SenseInfoBufferLength;
}

#endif
