/*
 * scsi.c: HwStorBuildIo: what needs the device becomes a command for it; everything else is answered here.
 *
 * HwStorBuildIo runs without locks and on several processors at once, so it touches the request and its memory only.
 */
#include "ramdisk.h"

#define STANDARD_INQUIRY_BYTES 36
#define SERIAL_NUMBER "LOCKSTORM-RAMDISK"

static VOID PutBig32(PUCHAR To, ULONG Value)
{
    To[0] = (UCHAR)(Value >> 24);
    To[1] = (UCHAR)(Value >> 16);
    To[2] = (UCHAR)(Value >> 8);
    To[3] = (UCHAR)Value;
}

static ULONG GetBig32(const UCHAR *From)
{
    return (ULONG)From[0] << 24 | (ULONG)From[1] << 16 | (ULONG)From[2] << 8 | From[3];
}

/* The request ends with CHECK CONDITION. Its status becomes the caller's to report. */
VOID RamdiskSetSense(PSCSI_REQUEST_BLOCK Srb, UCHAR Key, UCHAR Code)
{
    PSENSE_DATA sense = (PSENSE_DATA)SrbGetSenseInfoBuffer(Srb);
    UCHAR status = SRB_STATUS_ERROR;

    if (sense != NULL && SrbGetSenseInfoBufferLength(Srb) >= sizeof(*sense)) {
        RtlZeroMemory(sense, sizeof(*sense));
        sense->ErrorCode = SENSE_ERRORCODE_FIXED_CURRENT;
        sense->SenseKey = Key;
        sense->AdditionalSenseCode = Code;
        sense->AdditionalSenseLength = sizeof(*sense) - FIELD_OFFSET(SENSE_DATA, CommandSpecificInformation);
        status |= SRB_STATUS_AUTOSENSE_VALID;
    }
    SrbSetScsiStatus(Srb, SCSISTAT_CHECK_CONDITION);
    SrbSetSrbStatus(Srb, status);
    SrbSetDataTransferLength(Srb, 0);
}

/* Ends a request that the device never sees, with sense data. */
static VOID Refuse(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, UCHAR Key, UCHAR Code)
{
    RamdiskSetSense(Srb, Key, Code);
    StorPortNotification(RequestComplete, Adapter, Srb);
}

/* Ends a request with as much of an answer as it has room for. */
static VOID Answer(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, const VOID *Data, ULONG Bytes)
{
    ULONG room = SrbGetDataTransferLength(Srb);
    PVOID buffer = SrbGetDataBuffer(Srb);

    if (buffer == NULL) {
        room = 0;
    }
    if (Bytes > room) {
        Bytes = room;
    }
    if (Bytes > 0) {
        RtlCopyMemory(buffer, Data, Bytes);
    }
    SrbSetDataTransferLength(Srb, Bytes);
    SrbSetScsiStatus(Srb, SCSISTAT_GOOD);
    RamdiskComplete(Adapter, Srb, SRB_STATUS_SUCCESS);
}

/* Copies a text of fixed length, without its final zero. */
#define PUT_TEXT(to, text) RtlCopyMemory((to), (text), sizeof(text) - 1)

static VOID AnswerInquiry(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    UCHAR data[STANDARD_INQUIRY_BYTES];

    RtlZeroMemory(data, sizeof(data));
    data[0] = DIRECT_ACCESS_DEVICE;
    data[2] = 6; /* SPC-4 */
    data[3] = 2; /* response data format */
    data[4] = sizeof(data) - 5;
    data[7] = 2; /* command queuing */
    PUT_TEXT(&data[8], "LOCKSTRM");
    PUT_TEXT(&data[16], "RAM DISK        ");
    PUT_TEXT(&data[32], "0001");
    Answer(Adapter, Srb, data, sizeof(data));
}

static VOID AnswerVitalProductData(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, UCHAR Page)
{
    UCHAR data[4 + 4 + sizeof(SERIAL_NUMBER)];
    ULONG bytes;

    RtlZeroMemory(data, sizeof(data));
    switch (Page) {
    case VPD_SUPPORTED_PAGES:
        data[4] = VPD_SUPPORTED_PAGES;
        data[5] = VPD_SERIAL_NUMBER;
        data[6] = VPD_DEVICE_IDENTIFIERS;
        bytes = 3;
        break;
    case VPD_SERIAL_NUMBER:
        PUT_TEXT(&data[4], SERIAL_NUMBER);
        bytes = sizeof(SERIAL_NUMBER) - 1;
        break;
    case VPD_DEVICE_IDENTIFIERS:
        data[4] = 2; /* ASCII */
        data[5] = 1; /* T10 vendor identification, of the unit */
        data[7] = sizeof(SERIAL_NUMBER) - 1;
        PUT_TEXT(&data[8], SERIAL_NUMBER);
        bytes = 4 + sizeof(SERIAL_NUMBER) - 1;
        break;
    default:
        Refuse(Adapter, Srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ADSENSE_INVALID_CDB);
        return;
    }
    data[1] = Page;
    data[3] = (UCHAR)bytes;
    Answer(Adapter, Srb, data, 4 + bytes);
}

static VOID AnswerCapacity(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    UCHAR data[8];

    PutBig32(&data[0], Adapter->Blocks - 1);
    PutBig32(&data[4], DOORBELL_BLOCK_BYTES);
    Answer(Adapter, Srb, data, sizeof(data));
}

static VOID AnswerCapacity16(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    UCHAR data[32];

    RtlZeroMemory(data, sizeof(data));
    PutBig32(&data[4], Adapter->Blocks - 1);
    PutBig32(&data[8], DOORBELL_BLOCK_BYTES);
    Answer(Adapter, Srb, data, sizeof(data));
}

/* A header, no block descriptors, and the caching page: there is a write cache. */
static VOID AnswerModeSense(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, const UCHAR *Cdb, ULONG HeaderBytes)
{
    UCHAR data[8 + 20];
    UCHAR page = Cdb[2] & 0x3F;

    if (page != MODE_PAGE_CACHING && page != MODE_SENSE_RETURN_ALL) {
        Refuse(Adapter, Srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ADSENSE_INVALID_CDB);
        return;
    }
    RtlZeroMemory(data, sizeof(data));
    /* The length field does not count itself. */
    if (HeaderBytes == 4) {
        data[0] = 4 + 20 - 1;
    } else {
        data[1] = 8 + 20 - 2;
    }
    data[HeaderBytes] = MODE_PAGE_CACHING;
    data[HeaderBytes + 1] = 18;
    data[HeaderBytes + 2] = 0x04; /* write cache enabled */
    Answer(Adapter, Srb, data, HeaderBytes + 20);
}

static VOID AnswerReportLuns(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    UCHAR data[16];

    RtlZeroMemory(data, sizeof(data));
    data[3] = 8; /* one unit: number 0 */
    Answer(Adapter, Srb, data, sizeof(data));
}

static VOID TestUnitReady(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    if (RamdiskTakeAttention(Adapter)) {
        Refuse(Adapter, Srb, SCSI_SENSE_UNIT_ATTENTION, SCSI_ADSENSE_BUS_RESET);
    } else if (!(ReadRegister(Adapter, DOORBELL_STATUS) & DOORBELL_STATUS_READY)) {
        Refuse(Adapter, Srb, SCSI_SENSE_NOT_READY, SCSI_ADSENSE_LUN_NOT_READY);
    } else {
        Answer(Adapter, Srb, NULL, 0);
    }
}

/* A command without data. The rest of the request's memory is as StorPort gave it, which is not zero. */
static PREQUEST PrepareRequest(PSCSI_REQUEST_BLOCK Srb, DOORBELL_OPERATION Operation)
{
    PREQUEST request = (PREQUEST)SrbGetMiniportContext(Srb);

    request->Srb = Srb;
    request->Command.Operation = (UCHAR)Operation;
    request->Command.Status = DoorbellPending;
    request->Command.Elements = 0;
    request->Command.FirstBlock = 0;
    request->Command.Blocks = 0;
    request->Command.Reserved = 0;
    return request;
}

static BOOLEAN BuildTransfer(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb, const UCHAR *Cdb,
                             DOORBELL_OPERATION Operation)
{
    PREQUEST request = PrepareRequest(Srb, Operation);
    ULONG first = GetBig32(&Cdb[2]);
    ULONG blocks = (ULONG)Cdb[7] << 8 | Cdb[8];
    PSTOR_SCATTER_GATHER_LIST list;
    ULONG index;

    if (first >= Adapter->Blocks || blocks > Adapter->Blocks - first) {
        Refuse(Adapter, Srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ADSENSE_ILLEGAL_BLOCK);
        return FALSE;
    }
    if (blocks == 0) {
        Answer(Adapter, Srb, NULL, 0);
        return FALSE;
    }
    list = StorPortGetScatterGatherList(Adapter, Srb);
    if (list == NULL || list->NumberOfElements > DOORBELL_ELEMENTS_MAX) {
        RamdiskComplete(Adapter, Srb, SRB_STATUS_BUSY);
        return FALSE;
    }
    for (index = 0; index < list->NumberOfElements; index++) {
        DOORBELL_ELEMENT *element = &request->Command.Element[index];

        element->Address = (ULONGLONG)list->List[index].PhysicalAddress.QuadPart;
        element->Bytes = list->List[index].Length;
        element->Reserved = 0;
    }
    request->Command.Elements = (USHORT)list->NumberOfElements;
    request->Command.FirstBlock = first;
    request->Command.Blocks = blocks;
    return TRUE;
}

static BOOLEAN BuildFlush(PSCSI_REQUEST_BLOCK Srb)
{
    PrepareRequest(Srb, DoorbellFlush);
    return TRUE;
}

/* TRUE if HwStorStartIo is to start it; FALSE if it has been completed. */
static BOOLEAN BuildScsi(PADAPTER Adapter, PSCSI_REQUEST_BLOCK Srb)
{
    PUCHAR cdb = SrbGetCdb(Srb);

    if (cdb == NULL) {
        RamdiskComplete(Adapter, Srb, SRB_STATUS_INVALID_REQUEST);
        return FALSE;
    }
    switch (cdb[0]) {
    case SCSIOP_READ:
        return BuildTransfer(Adapter, Srb, cdb, DoorbellRead);
    case SCSIOP_WRITE:
        return BuildTransfer(Adapter, Srb, cdb, DoorbellWrite);
    case SCSIOP_SYNCHRONIZE_CACHE:
        return BuildFlush(Srb);
    case SCSIOP_TEST_UNIT_READY:
        TestUnitReady(Adapter, Srb);
        return FALSE;
    case SCSIOP_START_STOP_UNIT:
        Answer(Adapter, Srb, NULL, 0);
        return FALSE;
    case SCSIOP_INQUIRY:
        if (cdb[1] & 1) {
            AnswerVitalProductData(Adapter, Srb, cdb[2]);
        } else {
            AnswerInquiry(Adapter, Srb);
        }
        return FALSE;
    case SCSIOP_READ_CAPACITY:
        AnswerCapacity(Adapter, Srb);
        return FALSE;
    case SCSIOP_MODE_SENSE:
        AnswerModeSense(Adapter, Srb, cdb, 4);
        return FALSE;
    case SCSIOP_MODE_SENSE10:
        AnswerModeSense(Adapter, Srb, cdb, 8);
        return FALSE;
    case SCSIOP_REPORT_LUNS:
        AnswerReportLuns(Adapter, Srb);
        return FALSE;
    case SCSIOP_SERVICE_ACTION_IN16:
        if ((cdb[1] & 0x1F) == SERVICE_ACTION_READ_CAPACITY16) {
            AnswerCapacity16(Adapter, Srb);
            return FALSE;
        }
        break;
    default:
        break;
    }
    Refuse(Adapter, Srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ADSENSE_ILLEGAL_COMMAND);
    return FALSE;
}

/* DISPATCH_LEVEL, no locks. */
BOOLEAN RamdiskBuildIo(PVOID DeviceExtension, PSCSI_REQUEST_BLOCK Srb)
{
    PADAPTER adapter = (PADAPTER)DeviceExtension;
    UCHAR path;
    UCHAR target;
    UCHAR lun;

    SrbGetPathTargetLun(Srb, &path, &target, &lun);
    if (path != 0 || target != 0 || lun != 0) {
        RamdiskComplete(adapter, Srb, SRB_STATUS_INVALID_LUN);
        return FALSE;
    }
    switch (SrbGetSrbFunction(Srb)) {
    case SRB_FUNCTION_EXECUTE_SCSI:
        return BuildScsi(adapter, Srb);
    case SRB_FUNCTION_FLUSH:
    case SRB_FUNCTION_SHUTDOWN:
        return BuildFlush(Srb);
    case SRB_FUNCTION_RESET_LOGICAL_UNIT:
    case SRB_FUNCTION_RESET_DEVICE:
        return TRUE;
    case SRB_FUNCTION_PNP:
    case SRB_FUNCTION_POWER:
        RamdiskComplete(adapter, Srb, SRB_STATUS_SUCCESS);
        return FALSE;
    default:
        RamdiskComplete(adapter, Srb, SRB_STATUS_INVALID_REQUEST);
        return FALSE;
    }
}
