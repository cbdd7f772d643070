//! How a command ends: the status field of a completion queue entry (NVMe 1.4, 4.6.1).

/// Bits 31:17 of a completion's DW3: status code, its type at bit 8, Do Not Retry at bit 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16);

/// Trying the same command again would fail again.
const DO_NOT_RETRY: u16 = 1 << 14;

impl Status {
    pub(super) const SUCCESS: Status = Status(0);

    pub(super) const INVALID_OPCODE: Status = Status(0x001 | DO_NOT_RETRY);
    pub(super) const INVALID_FIELD: Status = Status(0x002 | DO_NOT_RETRY);
    pub(super) const ID_CONFLICT: Status = Status(0x003 | DO_NOT_RETRY);
    pub(super) const DATA_TRANSFER_ERROR: Status = Status(0x004);
    pub(super) const INTERNAL_ERROR: Status = Status(0x006);
    pub(super) const ABORT_REQUESTED: Status = Status(0x007);
    pub(super) const ABORTED_BY_QUEUE_DELETION: Status = Status(0x008);
    pub(super) const INVALID_NAMESPACE: Status = Status(0x00B | DO_NOT_RETRY);
    pub(super) const SEQUENCE_ERROR: Status = Status(0x00C | DO_NOT_RETRY);
    pub(super) const PRP_OFFSET_INVALID: Status = Status(0x013 | DO_NOT_RETRY);
    pub(super) const LBA_OUT_OF_RANGE: Status = Status(0x080 | DO_NOT_RETRY);
    pub(super) const NAMESPACE_NOT_READY: Status = Status(0x082);

    pub(super) const COMPLETION_QUEUE_INVALID: Status = Status(0x100 | DO_NOT_RETRY);
    pub(super) const INVALID_QUEUE_IDENTIFIER: Status = Status(0x101 | DO_NOT_RETRY);
    pub(super) const INVALID_QUEUE_SIZE: Status = Status(0x102 | DO_NOT_RETRY);
    pub(super) const ABORT_LIMIT_EXCEEDED: Status = Status(0x103);
    pub(super) const EVENT_LIMIT_EXCEEDED: Status = Status(0x105 | DO_NOT_RETRY);
    pub(super) const INVALID_VECTOR: Status = Status(0x108 | DO_NOT_RETRY);
    pub(super) const INVALID_LOG_PAGE: Status = Status(0x109 | DO_NOT_RETRY);
    pub(super) const INVALID_QUEUE_DELETION: Status = Status(0x10C | DO_NOT_RETRY);
    pub(super) const FEATURE_NOT_SAVEABLE: Status = Status(0x10D | DO_NOT_RETRY);

    pub(super) const WRITE_FAULT: Status = Status(0x280 | DO_NOT_RETRY);
    pub(super) const UNRECOVERED_READ: Status = Status(0x281 | DO_NOT_RETRY);
}
