//! The namespace: a RAM disk, and the NVM commands that reach it (NVMe 1.4, 6).
//!
//! A block that was not written since power-on, or was deallocated, reads as zeros (DLFEAT 1).

use super::command::Entry;
use super::prp::{Pages, TRANSFER_BYTES_MAX};
use super::status::Status;
use crate::device::Bus;
use crate::device::medium::Medium;
pub(super) use crate::device::medium::{BLOCK_BYTES, BLOCK_SHIFT, BLOCKS};

/// The only namespace.
pub(super) const NAMESPACE: u32 = 1;
const EVERY_NAMESPACE: u32 = u32::MAX;

const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;

/// Bytes of a Dataset Management range.
const RANGE_BYTES: usize = 16;
/// The most that one command can name.
const RANGES_MAX: usize = 256;

/// Some blocks of the disk; always inside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    first: u32,
    blocks: u32,
}

impl Span {
    /// `None` if a block lies outside the disk.
    fn new(first: u64, blocks: u64) -> Option<Self> {
        if first.checked_add(blocks)? > u64::from(BLOCKS) {
            return None;
        }
        Some(Span { first: first as u32, blocks: blocks as u32 })
    }

    const fn bytes(&self) -> u32 {
        self.blocks * BLOCK_BYTES
    }

    fn block_range(&self) -> core::ops::Range<usize> {
        self.first as usize..(self.first + self.blocks) as usize
    }
}

/// An NVM command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Io {
    Flush,
    Write(Span),
    Read(Span),
    WriteZeroes(Span),
    /// Dataset Management: number of ranges; whether they are to be deallocated, or only hinted at.
    Dataset {
        ranges: u16,
        deallocate: bool,
    },
}

impl Io {
    pub(super) fn decode(entry: &Entry) -> Result<Io, Status> {
        let decode: fn(&Entry) -> Result<Io, Status> = match entry.opcode {
            FLUSH => |_| Ok(Io::Flush),
            WRITE => |entry| transfer(entry).map(Io::Write),
            READ => |entry| transfer(entry).map(Io::Read),
            WRITE_ZEROES => |entry| span(entry).map(Io::WriteZeroes),
            DATASET_MANAGEMENT => |entry| Ok(dataset(entry)),
            _ => return Err(Status::INVALID_OPCODE),
        };
        let flush_all = entry.opcode == FLUSH && entry.nsid == EVERY_NAMESPACE;
        if entry.nsid != NAMESPACE && !flush_all {
            return Err(Status::INVALID_NAMESPACE);
        }
        decode(entry)
    }

    pub(super) const fn bytes(&self) -> u32 {
        match self {
            Io::Flush | Io::WriteZeroes(_) => 0,
            Io::Write(span) | Io::Read(span) => span.bytes(),
            Io::Dataset { ranges, .. } => *ranges as u32 * RANGE_BYTES as u32,
        }
    }

    /// How it ends when the medium fails.
    pub(super) const fn media_error(&self) -> Status {
        match self {
            Io::Read(_) => Status::UNRECOVERED_READ,
            _ => Status::WRITE_FAULT,
        }
    }
}

/// The blocks that CDW10 to CDW12 name.
fn span(entry: &Entry) -> Result<Span, Status> {
    let first = u64::from(entry.words[0]) | u64::from(entry.words[1]) << 32;
    Span::new(first, blocks(entry)).ok_or(Status::LBA_OUT_OF_RANGE)
}

/// The same, of a command that moves data: too much for one transfer is refused before the disk's end
/// is looked at.
fn transfer(entry: &Entry) -> Result<Span, Status> {
    if blocks(entry) * u64::from(BLOCK_BYTES) > u64::from(TRANSFER_BYTES_MAX) {
        return Err(Status::INVALID_FIELD);
    }
    span(entry)
}

const fn dataset(entry: &Entry) -> Io {
    let ranges = (entry.words[0] & 0xFF) as u16 + 1;
    Io::Dataset { ranges, deallocate: entry.words[1] & 4 != 0 }
}

const fn blocks(entry: &Entry) -> u64 {
    (entry.words[2] & 0xFFFF) as u64 + 1
}

/// The medium, and where range lists are read to.
#[derive(Debug)]
pub(super) struct Disk {
    medium: Medium,
    ranges: Box<[u8; RANGES_MAX * RANGE_BYTES]>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Disk { medium: Medium::new(), ranges: Box::new([0; RANGES_MAX * RANGE_BYTES]) }
    }

    /// Every block reads as zeros.
    pub(super) fn wipe(&mut self) {
        self.medium.wipe();
    }

    /// Does a command whose data lies in `pages`.
    pub(super) fn perform(
        &mut self,
        bus: &mut dyn Bus,
        io: Io,
        pages: &Pages,
    ) -> Result<(), Status> {
        match io {
            Io::Flush => Ok(()),
            Io::Write(span) => pages.receive(bus, self.medium.materialise(span.block_range())),
            Io::Read(span) => pages.send(bus, self.medium.materialise(span.block_range())),
            Io::WriteZeroes(span) => {
                self.medium.deallocate(span.block_range());
                Ok(())
            }
            Io::Dataset { ranges, deallocate } => self.dataset(bus, ranges, deallocate, pages),
        }
    }

    fn dataset(
        &mut self,
        bus: &mut dyn Bus,
        ranges: u16,
        deallocate: bool,
        pages: &Pages,
    ) -> Result<(), Status> {
        let used = usize::from(ranges) * RANGE_BYTES;
        pages.receive(bus, &mut self.ranges[..used])?;
        // Nothing is deallocated if any range is wrong.
        for index in 0..usize::from(ranges) {
            self.range(index)?;
        }
        if deallocate {
            for index in 0..usize::from(ranges) {
                let span = self.range(index)?;
                self.medium.deallocate(span.block_range());
            }
        }
        Ok(())
    }

    /// A range of the list: attributes, blocks, first block.
    fn range(&self, index: usize) -> Result<Span, Status> {
        let raw = &self.ranges.as_chunks::<8>().0[2 * index..];
        let blocks = u64::from_le_bytes(raw[0]) >> 32;
        Span::new(u64::from_le_bytes(raw[1]), blocks).ok_or(Status::LBA_OUT_OF_RANGE)
    }
}
