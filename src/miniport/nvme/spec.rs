//! NVM Express as it is on the wire: queue entries, opcodes, status codes, identify data.
//!
//! Layouts and numbers follow the NVM Express Base Specification 1.4
//! (<https://nvmexpress.org/specifications/>); the figures that define them are named where they are
//! used. Nothing here knows of Windows.

/// Bytes of a memory page, the only size that the driver sets (CC.MPS = 0).
pub const PAGE_BYTES: usize = 4096;
/// The namespace behind logical unit 0.
pub const NAMESPACE: u32 = 1;

/// Opcodes of the admin command set (figure 139).
pub mod admin {
    /// Create I/O Submission Queue.
    pub const CREATE_SUBMISSION_QUEUE: u8 = 0x01;
    /// Create I/O Completion Queue.
    pub const CREATE_COMPLETION_QUEUE: u8 = 0x05;
    /// Identify.
    pub const IDENTIFY: u8 = 0x06;
    /// Abort.
    pub const ABORT: u8 = 0x08;
    /// Set Features.
    pub const SET_FEATURES: u8 = 0x09;
}

/// Opcodes of the NVM command set (figure 346).
pub mod nvm {
    /// Flush.
    pub const FLUSH: u8 = 0x00;
    /// Write.
    pub const WRITE: u8 = 0x01;
    /// Read.
    pub const READ: u8 = 0x02;
    /// Dataset Management.
    pub const DATASET_MANAGEMENT: u8 = 0x09;
}

/// Identify: which data structure (CNS, figure 244).
const CNS_NAMESPACE: u32 = 0x00;
const CNS_CONTROLLER: u32 = 0x01;
/// Set Features: Number of Queues (figure 271).
const FEATURE_NUMBER_OF_QUEUES: u32 = 0x07;
/// Create I/O Queue, dword 11: physically contiguous.
const QUEUE_CONTIGUOUS: u32 = 1;
/// Create I/O Completion Queue, dword 11: interrupts enabled.
const QUEUE_INTERRUPTS: u32 = 1 << 1;
/// Dataset Management, dword 11: deallocate.
const DEALLOCATE: u32 = 1 << 2;
/// Read and Write, dword 12: force unit access.
const FORCE_UNIT_ACCESS: u32 = 1 << 30;

/// A submission queue entry (figure 105), 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Dword 0: opcode in bits 7:0, command identifier in bits 31:16.
    pub dword0: u32,
    /// NSID.
    pub namespace: u32,
    /// Dwords 2 and 3.
    pub reserved: [u32; 2],
    /// MPTR.
    pub metadata: u64,
    /// PRP1.
    pub prp1: u64,
    /// PRP2.
    pub prp2: u64,
    /// Dwords 10 to 15.
    pub dwords: [u32; 6],
}

/// Which two rings a Create I/O Queue command is about.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// Queue identifier, the same for both rings of a pair.
    pub id: u16,
    /// Physical address of the ring.
    pub address: u64,
    /// Entries.
    pub entries: u16,
}

impl Ring {
    /// Dword 10 of both Create commands: size (zero-based) and identifier.
    const fn dword10(self) -> u32 {
        ((self.entries as u32).wrapping_sub(1) << 16) | self.id as u32
    }
}

impl Command {
    /// A command of that opcode, all else zero.
    #[must_use]
    pub const fn new(opcode: u8) -> Self {
        Command {
            dword0: opcode as u32,
            namespace: 0,
            reserved: [0; 2],
            metadata: 0,
            prp1: 0,
            prp2: 0,
            dwords: [0; 6],
        }
    }

    /// The opcode.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.dword0 as u8
    }

    /// The same command under that identifier.
    #[must_use]
    pub const fn with_identifier(mut self, identifier: u16) -> Self {
        self.dword0 = (self.dword0 & 0xFFFF) | ((identifier as u32) << 16);
        self
    }

    /// Identify Controller into the page at `buffer`.
    #[must_use]
    pub const fn identify_controller(buffer: u64) -> Self {
        let mut command = Command::new(admin::IDENTIFY);
        command.prp1 = buffer;
        command.dwords[0] = CNS_CONTROLLER;
        command
    }

    /// Identify Namespace into the page at `buffer`.
    #[must_use]
    pub const fn identify_namespace(buffer: u64) -> Self {
        let mut command = Command::new(admin::IDENTIFY);
        command.namespace = NAMESPACE;
        command.prp1 = buffer;
        command.dwords[0] = CNS_NAMESPACE;
        command
    }

    /// Set Features, Number of Queues: asks for that many pairs of I/O queues.
    #[must_use]
    pub const fn set_queue_count(pairs: u16) -> Self {
        let mut command = Command::new(admin::SET_FEATURES);
        let zero_based = (pairs as u32).wrapping_sub(1) & 0xFFFF;
        command.dwords[0] = FEATURE_NUMBER_OF_QUEUES;
        command.dwords[1] = (zero_based << 16) | zero_based;
        command
    }

    /// Create I/O Completion Queue that interrupts with `vector`.
    #[must_use]
    pub const fn create_completion_queue(ring: Ring, vector: u16) -> Self {
        let mut command = Command::new(admin::CREATE_COMPLETION_QUEUE);
        command.prp1 = ring.address;
        command.dwords[0] = ring.dword10();
        command.dwords[1] = ((vector as u32) << 16) | QUEUE_INTERRUPTS | QUEUE_CONTIGUOUS;
        command
    }

    /// Create I/O Submission Queue that completes to the completion queue of the same identifier.
    #[must_use]
    pub const fn create_submission_queue(ring: Ring) -> Self {
        let mut command = Command::new(admin::CREATE_SUBMISSION_QUEUE);
        command.prp1 = ring.address;
        command.dwords[0] = ring.dword10();
        command.dwords[1] = ((ring.id as u32) << 16) | QUEUE_CONTIGUOUS;
        command
    }

    /// Abort the command `identifier` of submission queue `queue`.
    #[must_use]
    pub const fn abort(queue: u16, identifier: u16) -> Self {
        let mut command = Command::new(admin::ABORT);
        command.dwords[0] = ((identifier as u32) << 16) | queue as u32;
        command
    }

    /// Flush of the namespace.
    #[must_use]
    pub const fn flush() -> Self {
        let mut command = Command::new(nvm::FLUSH);
        command.namespace = NAMESPACE;
        command
    }

    /// Read or Write of `blocks` (1 to 65536) from `first` on; the data pointer is left empty.
    #[must_use]
    pub const fn transfer(write: bool, first: u64, blocks: u32, force_unit_access: bool) -> Self {
        let mut command = Command::new(if write { nvm::WRITE } else { nvm::READ });
        command.namespace = NAMESPACE;
        command.dwords[0] = first as u32;
        command.dwords[1] = (first >> 32) as u32;
        command.dwords[2] = blocks.wrapping_sub(1) & 0xFFFF;
        if force_unit_access {
            command.dwords[2] |= FORCE_UNIT_ACCESS;
        }
        command
    }

    /// Dataset Management, Deallocate, of `ranges` (1 to 256) described at `buffer`.
    #[must_use]
    pub const fn deallocate(ranges: u32, buffer: u64) -> Self {
        let mut command = Command::new(nvm::DATASET_MANAGEMENT);
        command.namespace = NAMESPACE;
        command.prp1 = buffer;
        command.dwords[0] = ranges.wrapping_sub(1) & 0xFF;
        command.dwords[1] = DEALLOCATE;
        command
    }
}

/// A completion queue entry (figure 122), 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Completion {
    /// Dword 0, command specific.
    pub result: u32,
    /// Dword 1.
    pub reserved: u32,
    /// Dword 2: submission queue head in bits 15:0, its identifier in bits 31:16.
    pub submission: u32,
    /// Dword 3: command identifier in bits 15:0, phase tag in bit 16, status in bits 31:17.
    pub dword3: u32,
}

impl Completion {
    /// The command that it is about.
    #[must_use]
    pub const fn identifier(dword3: u32) -> u16 {
        dword3 as u16
    }

    /// The phase tag.
    #[must_use]
    pub const fn phase(dword3: u32) -> bool {
        dword3 & (1 << 16) != 0
    }

    /// The status field.
    #[must_use]
    pub const fn status(dword3: u32) -> Status {
        Status((dword3 >> 17) as u16)
    }
}

/// The status field of a completion (figure 124): code in bits 7:0, type in 10:8, Do Not Retry in 14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Successful Completion.
    pub const SUCCESS: Status = Status(0);
    /// Type and code together: everything but More, Do Not Retry and the retry delay.
    pub const CODE_MASK: u16 = 0x07FF;

    /// Generic: Invalid Command Opcode.
    pub const INVALID_OPCODE: u16 = 0x001;
    /// Generic: Invalid Field in Command.
    pub const INVALID_FIELD: u16 = 0x002;
    /// Generic: Data Transfer Error.
    pub const DATA_TRANSFER_ERROR: u16 = 0x004;
    /// Generic: Commands Aborted due to Power Loss Notification.
    pub const POWER_LOSS: u16 = 0x005;
    /// Generic: Internal Error.
    pub const INTERNAL_ERROR: u16 = 0x006;
    /// Generic: Command Abort Requested.
    pub const ABORT_REQUESTED: u16 = 0x007;
    /// Generic: Command Aborted due to SQ Deletion.
    pub const QUEUE_DELETED: u16 = 0x008;
    /// Generic: Invalid Namespace or Format.
    pub const INVALID_NAMESPACE: u16 = 0x00B;
    /// Generic: Namespace is Write Protected.
    pub const NAMESPACE_WRITE_PROTECTED: u16 = 0x020;
    /// Generic, NVM command set: LBA Out of Range.
    pub const LBA_OUT_OF_RANGE: u16 = 0x080;
    /// Generic, NVM command set: Capacity Exceeded.
    pub const CAPACITY_EXCEEDED: u16 = 0x081;
    /// Generic, NVM command set: Namespace Not Ready.
    pub const NAMESPACE_NOT_READY: u16 = 0x082;
    /// Command specific, NVM command set: Attempted Write to Read Only Range.
    pub const READ_ONLY_RANGE: u16 = 0x182;
    /// Media: Write Fault.
    pub const WRITE_FAULT: u16 = 0x280;
    /// Media: Unrecovered Read Error.
    pub const UNRECOVERED_READ_ERROR: u16 = 0x281;
    /// Media: Compare Failure.
    pub const COMPARE_FAILURE: u16 = 0x285;
    /// Media: Access Denied.
    pub const ACCESS_DENIED: u16 = 0x286;

    /// Type and code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0 & Status::CODE_MASK
    }

    /// Whether the command did what it was asked.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.code() == 0
    }
}

/// One range of Dataset Management (figure 364), 16 bytes as two quadwords.
#[must_use]
pub const fn deallocate_range(first: u64, blocks: u32) -> [u64; 2] {
    [(blocks as u64) << 32, first]
}

/// What the driver keeps of Identify Controller (figure 247).
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    /// SN, 20 bytes of ASCII.
    pub serial: [u8; 20],
    /// MN, 40 bytes of ASCII.
    pub model: [u8; 40],
    /// FR, 8 bytes of ASCII.
    pub firmware: [u8; 8],
    /// MDTS: largest transfer as a power of two of pages; 0 for no limit.
    pub transfer_pages_log2: u8,
    /// ONCS bit 2: Dataset Management is supported.
    pub deallocates: bool,
    /// VWC bit 0: there is a volatile write cache.
    pub write_cache: bool,
    /// NN: the largest namespace identifier.
    pub namespaces: u32,
}

impl Controller {
    /// Reads the fields out of the data structure, whose bytes `at` gives.
    #[must_use]
    pub fn parse(at: impl Fn(usize) -> u8) -> Self {
        Controller {
            serial: printable(field(&at, 4)),
            model: printable(field(&at, 24)),
            firmware: printable(field(&at, 64)),
            transfer_pages_log2: at(77),
            namespaces: u32::from_le_bytes(field(&at, 516)),
            deallocates: u16::from_le_bytes(field(&at, 520)) & (1 << 2) != 0,
            write_cache: at(525) & 1 != 0,
        }
    }
}

/// What the driver keeps of Identify Namespace (figure 245).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// NSZE: logical blocks; 0 where there is no namespace.
    pub blocks: u64,
    /// LBADS of the format in use: bytes of a block as a power of two.
    pub block_log2: u8,
    /// EUI64, big-endian as on the wire; 0 for none.
    pub eui64: u64,
}

impl Namespace {
    /// Reads the fields out of the data structure, whose bytes `at` gives; `None` for a format that
    /// the driver cannot use: blocks below 512 bytes or above a page, metadata with the data, a size
    /// that overflows.
    #[must_use]
    pub fn parse(at: impl Fn(usize) -> u8) -> Option<Self> {
        let blocks = u64::from_le_bytes(field(&at, 0));
        let formats = at(25);
        let format = at(26) & 0xF;
        if blocks == 0 || format > formats {
            return None;
        }
        let descriptor = u32::from_le_bytes(field(&at, 128 + 4 * usize::from(format)));
        let metadata_bytes = descriptor & 0xFFFF;
        let block_log2 = (descriptor >> 16) as u8;
        let fits = (9..=12).contains(&block_log2) && blocks <= i64::MAX as u64 >> block_log2;
        (metadata_bytes == 0 && fits).then(|| Namespace {
            blocks,
            block_log2,
            eui64: u64::from_be_bytes(field(&at, 120)),
        })
    }
}

/// `N` bytes from `offset` on. Read one by one, because a page does not go on a kernel stack.
fn field<const N: usize>(at: &impl Fn(usize) -> u8, offset: usize) -> [u8; N] {
    core::array::from_fn(|index| at(offset + index))
}

/// The text with everything but printable ASCII blanked, because it goes on into INQUIRY data.
fn printable<const N: usize>(mut text: [u8; N]) -> [u8; N] {
    for byte in &mut text {
        if !matches!(byte, 0x20..=0x7E) {
            *byte = b' ';
        }
    }
    text
}

const _: () = {
    assert!(size_of::<Command>() == 64);
    assert!(core::mem::offset_of!(Command, prp1) == 24);
    assert!(core::mem::offset_of!(Command, dwords) == 40);
    assert!(size_of::<Completion>() == 16);
    assert!(core::mem::offset_of!(Completion, dword3) == 12);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_encoded_as_the_specification_says() {
        let read = Command::transfer(false, 0x1_2345_6789, 8, true).with_identifier(0xABCD);
        assert_eq!(read.dword0, 0xABCD_0002);
        assert_eq!(read.namespace, 1);
        assert_eq!(read.dwords, [0x2345_6789, 1, 0x4000_0007, 0, 0, 0]);

        let ring = Ring { id: 3, address: 0x7000, entries: 32 };
        let completion = Command::create_completion_queue(ring, 2);
        assert_eq!(completion.dwords[..2], [0x001F_0003, 0x0002_0003]);
        let submission = Command::create_submission_queue(ring);
        assert_eq!(submission.dwords[..2], [0x001F_0003, 0x0003_0001]);

        assert_eq!(Command::set_queue_count(4).dwords[..2], [7, 0x0003_0003]);
        assert_eq!(Command::abort(2, 0x41).dwords[0], 0x0041_0002);
        assert_eq!(Command::deallocate(3, 0x9000).dwords[..2], [2, 4]);
        assert_eq!(deallocate_range(5, 7), [7 << 32, 5]);
    }

    #[test]
    fn a_completion_is_decoded() {
        let dword3 = (0x4281 << 17) | (1 << 16) | 0x0102;
        assert_eq!(Completion::identifier(dword3), 0x0102);
        assert!(Completion::phase(dword3));
        assert_eq!(Completion::status(dword3).code(), Status::UNRECOVERED_READ_ERROR);
        assert!(!Completion::status(dword3).is_success());
        assert!(Completion::status(0x1_0007).is_success());
    }

    #[test]
    fn identify_controller_keeps_what_is_printable() {
        let mut page = [0; PAGE_BYTES];
        page[4..8].copy_from_slice(b"S1\xFF\n");
        page[24..28].copy_from_slice(b"Disk");
        page[77] = 5;
        page[516] = 1;
        page[520] = 4;
        page[525] = 1;
        let controller = Controller::parse(|at| page[at]);
        assert_eq!(&controller.serial[..5], b"S1   ");
        assert_eq!(&controller.model[..5], b"Disk ");
        assert_eq!((controller.transfer_pages_log2, controller.namespaces), (5, 1));
        assert!(controller.deallocates && controller.write_cache);
    }

    #[test]
    fn identify_namespace_refuses_what_the_driver_cannot_use() {
        let parse = |blocks: u64, format: u8, descriptor: u32| {
            let mut page = [0; PAGE_BYTES];
            page[..8].copy_from_slice(&blocks.to_le_bytes());
            page[26] = format;
            page[128..132].copy_from_slice(&descriptor.to_le_bytes());
            Namespace::parse(|at| page[at])
        };
        let parsed = parse(128, 0, 9 << 16);
        assert_eq!(parsed, Some(Namespace { blocks: 128, block_log2: 9, eui64: 0 }));
        assert_eq!(parse(0, 0, 9 << 16), None);
        assert_eq!(parse(128, 1, 9 << 16), None);
        assert_eq!(parse(128, 0, 8 << 16), None);
        assert_eq!(parse(128, 0, 13 << 16), None);
        assert_eq!(parse(128, 0, 9 << 16 | 8), None);
        assert_eq!(parse(u64::MAX, 0, 9 << 16), None);
        assert_eq!(Namespace::parse(|_| 0xFF), None);
    }
}
