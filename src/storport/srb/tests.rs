//! Both kinds of request through the same accessors, and extended requests with hostile offsets.

use core::ptr;

use super::*;
use crate::storport::address::StorAddressType;

/// An extended request with an address and one block of extended data, as a class driver lays it
/// out.
#[repr(C)]
#[derive(Default)]
struct Extended<T> {
    head: StorageRequestBlock,
    address: StorAddrBtl8,
    data: T,
}

const ADDRESS: u32 = 0x80;
const DATA: u32 = 0x90;

impl<T> Extended<T> {
    fn new(data: T) -> Self {
        let head = StorageRequestBlock {
            srb_length: size_of::<Self>() as u32,
            address_offset: ADDRESS,
            num_srb_ex_data: 1,
            srb_ex_data_offset: [DATA],
            ..StorageRequestBlock::default()
        };
        Self { head, address: StorAddrBtl8::new(1, 2, 3), data }
    }

    fn srb(&mut self) -> Srb {
        // SAFETY: a whole request, exclusively borrowed; each test is done with it before it goes.
        unsafe { Srb::new(ptr::from_mut(self).cast()) }
    }
}

fn read10(sense: &mut [u8]) -> SrbExDataScsiCdb16 {
    SrbExDataScsiCdb16 {
        cdb_length: 10,
        cdb: *b"\x28abcdefgh_unused",
        sense_info_buffer: sense.as_mut_ptr().cast(),
        sense_info_buffer_length: sense.len() as u8,
        ..SrbExDataScsiCdb16::new()
    }
}

const READ10: Option<[u8; 16]> = Some(*b"\x28abcdefgh_\0\0\0\0\0\0");

/// What holds for both kinds of request, if they say the same.
fn check_accessors(srb: Srb, sense: *const u8) {
    assert_eq!(srb.function(), SrbFunction::EXECUTE_SCSI);
    assert_eq!((srb.path_id(), srb.target_id(), srb.lun()), (1, 2, 3));
    assert_eq!(srb.cdb(), READ10);
    assert_eq!(srb.flags(), SrbFlags::DATA_IN);
    assert_eq!(srb.timeout_seconds(), 30);
    assert_eq!(srb.data_buffer().addr(), 0x1000);
    assert_eq!(srb.miniport_context().addr(), 0x2000);
    assert_eq!(srb.original_request().addr(), 0x3000);

    assert_eq!(srb.data_transfer_length(), 512);
    srb.set_data_transfer_length(256);
    assert_eq!(srb.data_transfer_length(), 256);

    assert_eq!(srb.status(), SrbStatus::PENDING);
    srb.set_status(SrbStatus::ERROR | SrbStatus::AUTOSENSE_VALID);
    assert_eq!(srb.status().code(), SrbStatus::ERROR);

    assert_eq!(srb.scsi_status(), 0);
    srb.set_scsi_status(2);
    assert_eq!(srb.scsi_status(), 2);

    let (buffer, bytes) = srb.sense_buffer().expect("there is a sense buffer");
    assert_eq!((buffer.cast_const(), bytes), (sense, 4));
    assert_eq!(srb.write_sense(&[0x70, 1]), 2);
    assert_eq!(srb.write_sense(&[0x70, 1, 2, 3, 4, 5]), 4);
}

#[test]
fn a_legacy_request() {
    let mut sense = [0; 5];
    let at = sense.as_mut_ptr();
    let mut request = ScsiRequestBlock {
        path_id: 1,
        target_id: 2,
        lun: 3,
        cdb_length: 10,
        cdb: *b"\x28abcdefgh_unused",
        sense_info_buffer: at.cast(),
        sense_info_buffer_length: 4,
        srb_flags: SrbFlags::DATA_IN,
        data_transfer_length: 512,
        time_out_value: 30,
        data_buffer: ptr::without_provenance_mut(0x1000),
        srb_extension: ptr::without_provenance_mut(0x2000),
        original_request: ptr::without_provenance_mut(0x3000),
        ..ScsiRequestBlock::default()
    };
    // SAFETY: a whole request that outlives the handle.
    let srb = unsafe { Srb::new(&raw mut request) };
    assert!(!srb.is_extended());
    check_accessors(srb, at);
    assert!(srb.ex_data::<SrbExDataScsiCdb16>().is_none());
    assert_eq!(request.scsi_status, 2);
    assert_eq!(sense, [0x70, 1, 2, 3, 0]);
}

#[test]
fn an_extended_request() {
    let mut sense = [0; 5];
    let mut request = Extended::new(read10(&mut sense[..4]));
    let at = request.data.sense_info_buffer.cast();
    request.head.srb_flags = SrbFlags::DATA_IN;
    request.head.data_transfer_length = 512;
    request.head.time_out_value = 30;
    request.head.data_buffer = ptr::without_provenance_mut(0x1000);
    request.head.miniport_context = ptr::without_provenance_mut(0x2000);
    request.head.original_request = ptr::without_provenance_mut(0x3000);
    let srb = request.srb();
    assert!(srb.is_extended());
    check_accessors(srb, at);
    assert_eq!(srb.ex_data::<SrbExDataScsiCdb16>().map(|data| data.cdb_length), Some(10));
    assert_eq!(request.data.scsi_status, 2);
    assert_eq!(sense, [0x70, 1, 2, 3, 0]);
}

#[test]
fn a_longer_command_gives_its_first_bytes() {
    let mut data = SrbExDataScsiCdb32::new();
    data.cdb_length = 32;
    data.cdb = core::array::from_fn(|i| i as u8);
    assert_eq!(Extended::new(data).srb().cdb(), Some(core::array::from_fn(|i| i as u8)));
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Variable {
    data: SrbExDataScsiCdbVar,
    more: [u8; 8],
}

fn variable(cdb_length: u32) -> Variable {
    // SAFETY: integers and a null pointer.
    let mut block: Variable = unsafe { core::mem::zeroed() };
    block.data.head.kind = SrbExDataType::SCSI_CDB_VAR;
    block.data.cdb_length = cdb_length;
    block.data.cdb = [0x7F];
    block.more = [9; 8];
    block
}

#[test]
fn a_command_of_any_length_ends_with_the_request() {
    let expected = Some([0x7F, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]);
    assert_eq!(Extended::new(variable(16)).srb().cdb(), expected);
    assert_eq!(Extended::new(variable(u32::MAX)).srb().cdb(), expected);
    let mut cut = Extended::new(variable(u32::MAX));
    cut.head.srb_length -= 8;
    assert_eq!(cut.srb().cdb(), Some([0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn other_extended_data() {
    let mut power = SrbExDataPower { power_action: 3, ..SrbExDataPower::default() };
    power.head.kind = SrbExDataType::POWER;
    let mut request = Extended::new(power);
    request.head.srb_function = u32::from(SrbFunction::POWER.0);
    let srb = request.srb();
    assert_eq!(srb.function(), SrbFunction::POWER);
    assert_eq!(srb.ex_data::<SrbExDataPower>().map(|data| data.power_action), Some(3));
    assert!(srb.ex_data::<SrbExDataPnp>().is_none());
    assert_eq!((srb.cdb(), srb.sense_buffer(), srb.scsi_status()), (None, None, 0));
}

#[test]
fn a_request_without_command() {
    let mut request = ScsiRequestBlock::default();
    // SAFETY: a whole request that outlives the handle.
    let srb = unsafe { Srb::new(&raw mut request) };
    assert_eq!((srb.cdb(), srb.sense_buffer(), srb.write_sense(&[1])), (None, None, 0));
    request.function = SrbFunction::PNP;
    request.cdb_length = 16;
    request.scsi_status = 7; // PnPSubFunction here
    // SAFETY: as above.
    let srb = unsafe { Srb::new(&raw mut request) };
    srb.set_scsi_status(2);
    assert_eq!((srb.cdb(), srb.scsi_status()), (None, 0));
    assert_eq!(request.scsi_status, 7);
}

#[test]
fn a_legacy_command_is_no_longer_than_its_room() {
    let mut request = ScsiRequestBlock { cdb_length: 255, cdb: [7; 16], ..Default::default() };
    // SAFETY: a whole request that outlives the handle.
    let srb = unsafe { Srb::new(&raw mut request) };
    assert_eq!(srb.cdb(), Some([7; 16]));
}

#[test]
fn hostile_offsets_of_extended_data() {
    let length = size_of::<Extended<SrbExDataScsiCdb16>>() as u32;
    // Into the head, one byte too late, at the end, past it, and where additions overflow.
    for offset in [0, 0x10, 0x7B, DATA + 1, length, length + 8, u32::MAX - 7, u32::MAX] {
        let mut request = Extended::new(read10(&mut [0; 4]));
        request.head.srb_ex_data_offset = [offset];
        let srb = request.srb();
        srb.set_scsi_status(2);
        assert_eq!((srb.cdb(), srb.scsi_status()), (None, 0), "offset {offset:#x}");
        assert_eq!(srb.write_sense(&[1]), 0, "offset {offset:#x}");
    }
}

#[test]
fn hostile_counts_of_extended_data() {
    for count in [0, 0x1000, u32::MAX] {
        let mut request = Extended::new(read10(&mut [0; 4]));
        request.head.num_srb_ex_data = count;
        assert_eq!(request.srb().cdb(), None, "count {count:#x}");
    }
}

#[test]
fn a_request_too_short_for_its_parts() {
    for length in [0, 0x77, 0x78, 0x7B, ADDRESS, DATA - 1] {
        let mut request = Extended::new(read10(&mut [0; 4]));
        request.head.srb_length = length;
        let srb = request.srb();
        assert_eq!((srb.cdb(), srb.address()), (None, None), "length {length:#x}");
        assert_eq!((srb.path_id(), srb.target_id(), srb.lun()), (0, 0, 0));
    }
}

#[test]
fn hostile_addresses() {
    for offset in [0, 0x34, 0x78, DATA + 0x28 - 0xF, u32::MAX] {
        let mut request = Extended::new(read10(&mut [0; 4]));
        request.head.address_offset = offset;
        assert_eq!(request.srb().address(), None, "offset {offset:#x}");
    }
    let mut request = Extended::new(read10(&mut [0; 4]));
    request.address.kind = StorAddressType::NVME;
    assert_eq!(request.srb().address(), None);
}

#[test]
fn a_function_that_does_not_fit_is_none_that_exists() {
    let mut request = Extended::new(read10(&mut [0; 4]));
    request.head.srb_function = 0x100;
    assert_eq!(request.srb().function(), SrbFunction(0xFF));
    assert_eq!(request.srb().cdb(), None);
}

#[test]
fn unaligned_parts_are_found() {
    let mut bytes = [0_u64; 32];
    let data = read10(&mut [0; 4]);
    let head = StorageRequestBlock {
        srb_length: size_of_val(&bytes) as u32,
        address_offset: 0x81,
        num_srb_ex_data: 1,
        srb_ex_data_offset: [0x95],
        ..StorageRequestBlock::default()
    };
    let at: *mut u8 = bytes.as_mut_ptr().cast();
    // SAFETY: all three are inside `bytes`, which outlives the handle.
    let srb = unsafe {
        at.cast::<StorageRequestBlock>().write(head);
        at.add(0x81).cast::<StorAddrBtl8>().write_unaligned(StorAddrBtl8::new(4, 5, 6));
        at.add(0x95).cast::<SrbExDataScsiCdb16>().write_unaligned(data);
        Srb::new(at.cast())
    };
    assert_eq!((srb.path_id(), srb.target_id(), srb.lun()), (4, 5, 6));
    assert_eq!(srb.cdb(), READ10);
    assert_eq!(srb.sense_buffer().map(|(_, bytes)| bytes), Some(4));
}

#[test]
fn names() {
    assert_eq!(format!("{:?}", SrbFunction::RESET_BUS), "SRB_FUNCTION_RESET_BUS");
    assert_eq!(
        format!("{}", SrbFlags::UNSPECIFIED_DIRECTION),
        "SRB_FLAGS_DATA_IN | SRB_FLAGS_DATA_OUT"
    );
    assert_eq!(format!("{}", SrbExDataType::IO_INFO), "SrbExDataTypeIoInfo");
}
