//! INQUIRY and MODE SENSE: what the logical unit says of itself, as SCSI wants to hear it.
//!
//! Contents follow SPC-4 and SBC-3; what a namespace has no word for is reported as not supported.

use super::prp::LIST_ENTRIES;
use super::spec::{Controller, Namespace};

/// Vendor identification: there is no such field in NVM Express; Windows uses the same word.
const VENDOR: &[u8; 8] = b"NVMe    ";
/// Most descriptors of an UNMAP: each becomes a range of two quadwords in a request's table.
pub const UNMAP_DESCRIPTORS_MAX: usize = LIST_ENTRIES / 2;

/// Data to answer with, built front to back.
#[derive(Debug)]
pub struct Reply {
    bytes: [u8; Reply::ROOM],
    length: usize,
}

impl Reply {
    /// The longest reply, the block limits page.
    const ROOM: usize = 64;

    const fn new() -> Self {
        Reply { bytes: [0; Reply::ROOM], length: 0 }
    }

    /// Appends; what does not fit is cut.
    fn put(&mut self, data: &[u8]) -> &mut Self {
        let room = &mut self.bytes[self.length..];
        let bytes = data.len().min(room.len());
        room[..bytes].copy_from_slice(&data[..bytes]);
        self.length += bytes;
        self
    }

    /// Sets the byte at `offset`.
    fn set(&mut self, offset: usize, value: u8) -> &mut Self {
        self.bytes[offset] = value;
        self
    }

    /// What was built.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Standard INQUIRY data (SPC-4, table 174): a disk, SPC-4, with command queuing.
#[must_use]
pub fn standard(controller: &Controller) -> Reply {
    let mut reply = Reply::new();
    reply.put(&[0x00, 0x00, 0x06, 0x02, 31, 0x00, 0x00, 0x02]);
    reply.put(VENDOR).put(&controller.model[..16]).put(&revision(&controller.firmware));
    reply
}

/// The last four characters of the firmware revision that are not blank.
fn revision(firmware: &[u8; 8]) -> [u8; 4] {
    let end = firmware.iter().rposition(|&byte| byte != b' ').map_or(4, |last| (last + 1).max(4));
    [firmware[end - 4], firmware[end - 3], firmware[end - 2], firmware[end - 1]]
}

/// A vital product data page; `None` for one that the unit does not have.
#[must_use]
pub fn vital_product_data(
    page: u8,
    controller: &Controller,
    namespace: &Namespace,
    transfer_bytes: u32,
) -> Option<Reply> {
    let mut reply = Reply::new();
    reply.put(&[0x00, page, 0, 0]);
    match page {
        0x00 => reply.put(&[0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2]),
        0x80 => reply.put(&controller.serial),
        0x83 => identification(&mut reply, controller, namespace),
        0xB0 => block_limits(&mut reply, controller, transfer_bytes >> namespace.block_log2),
        // Not rotating.
        0xB1 => reply.put(&[0x00, 0x01]).put(&[0; 58]),
        // LBPU: UNMAP deallocates; thin provisioning if it does.
        0xB2 if controller.deallocates => reply.put(&[0x00, 0x80, 0x02, 0x00]),
        0xB2 => reply.put(&[0; 4]),
        _ => return None,
    };
    let length = (reply.length - 4) as u8;
    reply.set(3, length);
    Some(reply)
}

/// Device identification: EUI-64 if the namespace has one, and vendor, model and serial number.
fn identification<'a>(
    reply: &'a mut Reply,
    controller: &Controller,
    namespace: &Namespace,
) -> &'a mut Reply {
    if namespace.eui64 != 0 {
        reply.put(&[0x01, 0x02, 0x00, 8]).put(&namespace.eui64.to_be_bytes());
    }
    let (model, serial) = (&controller.model[..16], &controller.serial);
    let length = VENDOR.len() + model.len() + serial.len();
    reply.put(&[0x02, 0x01, 0x00, length as u8]).put(VENDOR).put(model).put(serial)
}

/// Block limits (SBC-3, table 193).
fn block_limits<'a>(
    reply: &'a mut Reply,
    controller: &Controller,
    transfer_blocks: u32,
) -> &'a mut Reply {
    let (blocks, descriptors) =
        if controller.deallocates { (u32::MAX, UNMAP_DESCRIPTORS_MAX as u32) } else { (0, 0) };
    reply.put(&[0; 4]).put(&transfer_blocks.to_be_bytes()).put(&[0; 8]);
    reply.put(&blocks.to_be_bytes()).put(&descriptors.to_be_bytes()).put(&[0; 36])
}

/// What a MODE SENSE asks for, from its CDB.
#[derive(Clone, Copy, Debug)]
pub struct ModeSense {
    /// Page code.
    pub page: u8,
    /// Page control: current, changeable, default or saved values.
    pub control: u8,
    /// Without block descriptor (DBD).
    pub no_block_descriptor: bool,
    /// MODE SENSE(10).
    pub long: bool,
}

/// Page control of [`ModeSense`]: which values can be changed.
const CHANGEABLE: u8 = 1;

/// MODE SENSE data; `None` for a page that the unit does not have.
#[must_use]
pub fn mode_sense(
    asked: ModeSense,
    controller: &Controller,
    namespace: &Namespace,
) -> Option<Reply> {
    const CACHING: u8 = 0x08;
    const CONTROL: u8 = 0x0A;
    const ALL: u8 = 0x3F;
    /// FUA is honoured, in the device-specific parameter (SBC-3, table 174).
    const DPOFUA: u8 = 0x10;
    if !matches!(asked.page, CACHING | CONTROL | ALL) {
        return None;
    }
    let descriptor_bytes = if asked.no_block_descriptor { 0 } else { 8 };
    let mut reply = Reply::new();
    if asked.long {
        reply.put(&[0, 0, 0, DPOFUA, 0, 0, 0, descriptor_bytes]);
    } else {
        reply.put(&[0, 0, DPOFUA, descriptor_bytes]);
    }
    if !asked.no_block_descriptor {
        let blocks = u32::try_from(namespace.blocks).unwrap_or(u32::MAX);
        reply.put(&blocks.to_be_bytes()).put(&(1_u32 << namespace.block_log2).to_be_bytes());
    }
    if asked.page != CONTROL {
        let write_cache = controller.write_cache && asked.control != CHANGEABLE;
        reply.put(&[CACHING, 0x12, u8::from(write_cache) << 2]).put(&[0; 17]);
    }
    if asked.page != CACHING {
        reply.put(&[CONTROL, 0x0A]).put(&[0; 10]);
    }
    // The length field does not count itself.
    let length = reply.length as u8;
    if asked.long {
        reply.set(1, length - 2)
    } else {
        reply.set(0, length - 1)
    };
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller() -> Controller {
        Controller {
            serial: *b"0123456789ABCDEFGHIJ",
            model: *b"A model name that is forty bytes long   ",
            firmware: *b"1.2.34  ",
            transfer_pages_log2: 5,
            deallocates: true,
            write_cache: true,
            namespaces: 1,
        }
    }

    const NAMESPACE: Namespace = Namespace { blocks: 128, block_log2: 9, eui64: 0x0102_0304 };

    #[test]
    fn standard_data_names_the_device() {
        let reply = standard(&controller());
        assert_eq!(reply.data().len(), 36);
        assert_eq!(&reply.data()[8..36], b"NVMe    A model name tha2.34");
        assert_eq!(usize::from(reply.data()[4]), reply.data().len() - 5);
    }

    #[test]
    fn the_revision_is_the_end_of_the_firmware_name() {
        assert_eq!(&revision(b"1.2.34  "), b".2.34"[1..].as_ref());
        assert_eq!(&revision(b"12345678"), b"5678");
        assert_eq!(&revision(b"A       "), b"A   ");
        assert_eq!(&revision(b"        "), b"    ");
    }

    #[test]
    fn every_listed_page_exists_and_says_its_length() {
        let list = vital_product_data(0, &controller(), &NAMESPACE, 0x2_0000).unwrap();
        assert_eq!(list.data()[4..], [0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2]);
        for &page in &list.data()[4..] {
            let reply = vital_product_data(page, &controller(), &NAMESPACE, 0x2_0000).unwrap();
            assert_eq!(reply.data()[1], page);
            assert_eq!(usize::from(reply.data()[3]), reply.data().len() - 4, "page {page:#x}");
        }
        assert!(vital_product_data(0xC0, &controller(), &NAMESPACE, 0x2_0000).is_none());
    }

    #[test]
    fn designators_fill_the_identification_page() {
        let reply = vital_product_data(0x83, &controller(), &NAMESPACE, 0x2_0000).unwrap();
        let mut designators = &reply.data()[4..];
        let mut types = Vec::new();
        while let [_, kind, _, length, rest @ ..] = designators {
            types.push(*kind);
            designators = &rest[usize::from(*length)..];
        }
        assert_eq!(types, [0x02, 0x01]);
    }

    #[test]
    fn block_limits_are_those_of_the_driver() {
        let reply = vital_product_data(0xB0, &controller(), &NAMESPACE, 0x2_0000).unwrap();
        assert_eq!(reply.data()[8..12], 256_u32.to_be_bytes());
        assert_eq!(reply.data()[20..24], u32::MAX.to_be_bytes());
        assert_eq!(reply.data()[24..28], 16_u32.to_be_bytes());
        let none = Controller { deallocates: false, ..controller() };
        let reply = vital_product_data(0xB0, &none, &NAMESPACE, 0x2_0000).unwrap();
        assert_eq!(reply.data()[20..28], [0; 8]);
    }

    #[test]
    fn mode_sense_lengths_agree_with_the_data() {
        for (page, bytes) in [(0x08, 20), (0x0A, 12), (0x3F, 32)] {
            for (no_block_descriptor, descriptor) in [(false, 8), (true, 0)] {
                let short = ModeSense { page, control: 0, no_block_descriptor, long: false };
                let reply = mode_sense(short, &controller(), &NAMESPACE).unwrap();
                assert_eq!(reply.data().len(), 4 + descriptor + bytes);
                assert_eq!(usize::from(reply.data()[0]), reply.data().len() - 1);
                let long = ModeSense { long: true, ..short };
                let reply = mode_sense(long, &controller(), &NAMESPACE).unwrap();
                assert_eq!(reply.data().len(), 8 + descriptor + bytes);
                assert_eq!(usize::from(reply.data()[1]), reply.data().len() - 2);
            }
        }
    }

    #[test]
    fn the_write_cache_shows_in_the_caching_page_and_cannot_be_changed() {
        let asked = ModeSense { page: 8, control: 0, no_block_descriptor: true, long: false };
        let enabled = |asked| mode_sense(asked, &controller(), &NAMESPACE).unwrap().data()[6] & 4;
        assert_eq!(enabled(asked), 4);
        assert_eq!(enabled(ModeSense { control: CHANGEABLE, ..asked }), 0);
        assert!(mode_sense(ModeSense { page: 1, ..asked }, &controller(), &NAMESPACE).is_none());
    }
}
