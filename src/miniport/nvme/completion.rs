//! How a request ends: SrbStatus, SCSI status and sense data, and the call that gives it back.
//!
//! After [`complete`] the request and its SrbExtension are StorPort's: no caller touches either again.

use super::queue::Finished;
use super::spec::Status;
use crate::storport::srb::{SrbFlags, SrbFunction};
use crate::storport::{Srb, SrbStatus, StorPort};

/// SCSI status GOOD.
const GOOD: u8 = 0x00;
/// SCSI status CHECK CONDITION.
const CHECK_CONDITION: u8 = 0x02;

/// Sense key, additional sense code and its qualifier (SPC-4, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// ASC.
    pub code: u8,
    /// ASCQ.
    pub qualifier: u8,
}

impl Sense {
    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Sense { key, code, qualifier }
    }

    /// NOT READY, cause not reportable.
    pub const NOT_READY: Sense = Sense::new(0x2, 0x04, 0x00);
    /// MEDIUM ERROR, peripheral device write fault.
    pub const WRITE_FAULT: Sense = Sense::new(0x3, 0x03, 0x00);
    /// MEDIUM ERROR, unrecovered read error.
    pub const UNRECOVERED_READ_ERROR: Sense = Sense::new(0x3, 0x11, 0x00);
    /// HARDWARE ERROR, internal target failure.
    pub const INTERNAL_TARGET_FAILURE: Sense = Sense::new(0x4, 0x44, 0x00);
    /// ILLEGAL REQUEST, invalid command operation code.
    pub const INVALID_OPERATION_CODE: Sense = Sense::new(0x5, 0x20, 0x00);
    /// ILLEGAL REQUEST, logical block address out of range.
    pub const BLOCK_OUT_OF_RANGE: Sense = Sense::new(0x5, 0x21, 0x00);
    /// ILLEGAL REQUEST, invalid field in CDB.
    pub const INVALID_FIELD_IN_CDB: Sense = Sense::new(0x5, 0x24, 0x00);
    /// ILLEGAL REQUEST, parameter list length error.
    pub const PARAMETER_LIST_LENGTH: Sense = Sense::new(0x5, 0x1A, 0x00);
    /// ILLEGAL REQUEST, invalid field in parameter list.
    pub const INVALID_FIELD_IN_LIST: Sense = Sense::new(0x5, 0x26, 0x00);
    /// ILLEGAL REQUEST, saving parameters not supported.
    pub const SAVING_NOT_SUPPORTED: Sense = Sense::new(0x5, 0x39, 0x00);
    /// ILLEGAL REQUEST, access denied, no access rights.
    pub const ACCESS_DENIED: Sense = Sense::new(0x5, 0x20, 0x02);
    /// ILLEGAL REQUEST, access denied, invalid logical unit identifier.
    pub const INVALID_UNIT_IDENTIFIER: Sense = Sense::new(0x5, 0x20, 0x09);
    /// DATA PROTECT, write protected.
    pub const WRITE_PROTECTED: Sense = Sense::new(0x7, 0x27, 0x00);
    /// ABORTED COMMAND, nothing more to say.
    pub const ABORTED: Sense = Sense::new(0xB, 0x00, 0x00);
    /// ABORTED COMMAND, warning: power loss expected.
    pub const POWER_LOSS: Sense = Sense::new(0xB, 0x0B, 0x08);
    /// MISCOMPARE during verify operation.
    pub const MISCOMPARE: Sense = Sense::new(0xE, 0x1D, 0x00);

    /// Fixed format sense data, current error.
    #[must_use]
    pub const fn fixed_format(self) -> [u8; 18] {
        let mut data = [0; 18];
        data[0] = 0x70;
        data[2] = self.key;
        data[7] = 10;
        data[12] = self.code;
        data[13] = self.qualifier;
        data
    }
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; all the data moved.
    Success,
    /// Done; so many bytes moved.
    Moved(u32),
    /// The device refused or failed: CHECK CONDITION.
    Sense(Sense),
    /// Something between StorPort and the device.
    Status(SrbStatus),
}

impl Outcome {
    /// What a finished command means for its request (SCSI translation reference of the NVM Express
    /// organisation, status code mapping).
    #[must_use]
    pub fn of(status: Status) -> Self {
        Outcome::Sense(match status.code() {
            0 => return Outcome::Success,
            Status::ABORT_REQUESTED => return Outcome::Status(SrbStatus::ABORTED),
            Status::INVALID_OPCODE => Sense::INVALID_OPERATION_CODE,
            Status::INVALID_FIELD => Sense::INVALID_FIELD_IN_CDB,
            Status::DATA_TRANSFER_ERROR | Status::QUEUE_DELETED => Sense::ABORTED,
            Status::POWER_LOSS => Sense::POWER_LOSS,
            Status::INVALID_NAMESPACE => Sense::INVALID_UNIT_IDENTIFIER,
            Status::ACCESS_DENIED => Sense::ACCESS_DENIED,
            Status::LBA_OUT_OF_RANGE => Sense::BLOCK_OUT_OF_RANGE,
            Status::NAMESPACE_NOT_READY => Sense::NOT_READY,
            Status::NAMESPACE_WRITE_PROTECTED | Status::READ_ONLY_RANGE => Sense::WRITE_PROTECTED,
            Status::WRITE_FAULT | Status::CAPACITY_EXCEEDED => Sense::WRITE_FAULT,
            Status::UNRECOVERED_READ_ERROR => Sense::UNRECOVERED_READ_ERROR,
            Status::COMPARE_FAILURE => Sense::MISCOMPARE,
            _ => Sense::INTERNAL_TARGET_FAILURE,
        })
    }

    /// What a finished command means for the request that it was sent for.
    #[must_use]
    pub fn of_finished(finished: &Finished) -> Self {
        if finished.srb.function() != SrbFunction::ABORT_COMMAND {
            return Outcome::of(finished.status);
        }
        // Abort reports in bit 0 whether the other command was left alone.
        let aborted = finished.status.is_success() && finished.result & 1 == 0;
        if aborted { Outcome::Success } else { Outcome::Status(SrbStatus::ABORT_FAILED) }
    }
}

/// Writes the outcome into the request and gives it back to StorPort. Any IRQL.
#[track_caller]
pub fn complete<P: StorPort>(port: P, srb: Srb, outcome: Outcome) {
    let status = match outcome {
        Outcome::Success => success(srb),
        Outcome::Moved(bytes) => {
            srb.set_data_transfer_length(bytes);
            success(srb)
        }
        Outcome::Sense(sense) => check_condition(srb, sense),
        Outcome::Status(status) => {
            if status != SrbStatus::BUSY {
                srb.set_data_transfer_length(0);
            }
            status
        }
    };
    srb.set_status(status);
    port.request_complete(srb);
}

fn success(srb: Srb) -> SrbStatus {
    srb.set_scsi_status(GOOD);
    SrbStatus::SUCCESS
}

/// CHECK CONDITION, with sense data where the request wants it and has room for it.
fn check_condition(srb: Srb, sense: Sense) -> SrbStatus {
    srb.set_data_transfer_length(0);
    srb.set_scsi_status(CHECK_CONDITION);
    if srb.flags().contains(SrbFlags::DISABLE_AUTOSENSE)
        || srb.write_sense(&sense.fixed_format()) == 0
    {
        return SrbStatus::ERROR;
    }
    SrbStatus::ERROR | SrbStatus::AUTOSENSE_VALID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sense_data_has_the_fixed_format() {
        let data = Sense::UNRECOVERED_READ_ERROR.fixed_format();
        assert_eq!(data, [0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn do_not_retry_and_more_do_not_change_the_meaning() {
        assert_eq!(Outcome::of(Status(0x6000)), Outcome::Success);
        let failed = Status(0x4000 | Status::UNRECOVERED_READ_ERROR);
        assert_eq!(Outcome::of(failed), Outcome::Sense(Sense::UNRECOVERED_READ_ERROR));
        assert_eq!(Outcome::of(Status(0x4007)), Outcome::Status(SrbStatus::ABORTED));
        assert_eq!(Outcome::of(Status(0x7FF)), Outcome::Sense(Sense::INTERNAL_TARGET_FAILURE));
    }
}
