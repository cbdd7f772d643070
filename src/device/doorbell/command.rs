//! A command: what a driver writes into its table, and what the device makes of it.
//!
//! | byte | field |
//! | --- | --- |
//! | 0 | Operation: 1 read, 2 write, 3 flush |
//! | 1 | Status, written by the device |
//! | 2-3 | Elements, up to 15 |
//! | 4-7 | FirstBlock |
//! | 8-11 | Blocks |
//! | 16 + 16 n | element n: address (8 bytes), bytes (4) |

use crate::device::Bus;
use crate::device::medium::{BLOCK_BYTES, BLOCKS, Medium};

/// Bytes of a command.
pub(super) const COMMAND_BYTES: usize = 256;
/// Where its Status is.
pub(super) const STATUS_AT: u64 = 1;

const HEAD_BYTES: usize = 16;
const ELEMENT_BYTES: usize = 16;
const ELEMENTS: usize = (COMMAND_BYTES - HEAD_BYTES) / ELEMENT_BYTES;

const READ: u8 = 1;
const WRITE: u8 = 2;
const FLUSH: u8 = 3;

/// What the device writes into Status. A driver writes 0xFF before it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Good = 0,
    MediumError = 1,
    Busy = 2,
    Invalid = 3,
}

/// A piece of a buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    address: u64,
    bytes: u32,
}

/// A command as the device has read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    operation: u8,
    first: u32,
    blocks: u32,
    /// Elements that it says it has: more than there is room for if it is malformed.
    count: u16,
    elements: [Element; ELEMENTS],
}

impl Command {
    pub(super) fn parse(raw: &[u8; COMMAND_BYTES]) -> Command {
        let word = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        Command {
            operation: raw[0],
            first: word(4),
            blocks: word(8),
            count: u16::from_le_bytes([raw[2], raw[3]]),
            elements: std::array::from_fn(|n| {
                let at = HEAD_BYTES + n * ELEMENT_BYTES;
                let address = u64::from(word(at)) | u64::from(word(at + 4)) << 32;
                Element { address, bytes: word(at + 8) }
            }),
        }
    }

    fn elements(&self) -> &[Element] {
        &self.elements[..usize::from(self.count).min(ELEMENTS)]
    }

    /// Does it: moves all of the data, or says that it is invalid.
    pub(super) fn perform(&self, bus: &mut dyn Bus, medium: &mut Medium) -> Status {
        match self.operation {
            FLUSH => Status::Good,
            READ | WRITE if self.is_sound() => self.transfer(bus, medium),
            _ => Status::Invalid,
        }
    }

    /// The blocks exist, and the elements have room for just them.
    fn is_sound(&self) -> bool {
        let inside = u64::from(self.first) + u64::from(self.blocks) <= u64::from(BLOCKS);
        let bytes: u64 = self.elements().iter().map(|element| u64::from(element.bytes)).sum();
        inside
            && usize::from(self.count) <= ELEMENTS
            && bytes == u64::from(self.blocks) * u64::from(BLOCK_BYTES)
    }

    fn transfer(&self, bus: &mut dyn Bus, medium: &mut Medium) -> Status {
        let range = self.first as usize..(self.first + self.blocks) as usize;
        let mut data = medium.materialise(range);
        for element in self.elements() {
            let (piece, rest) = data.split_at_mut(element.bytes as usize);
            let moved = match self.operation {
                READ => bus.write(element.address, piece),
                _ => bus.read(element.address, piece),
            };
            if !moved {
                return Status::Invalid;
            }
            data = rest;
        }
        Status::Good
    }

    /// Some byte of its buffer lies in `[address, address + bytes)`.
    pub(super) fn owns(&self, address: u64, bytes: u64) -> bool {
        self.elements().iter().any(|element| {
            let end = element.address.saturating_add(element.bytes.into());
            element.address < address.saturating_add(bytes) && address < end
        })
    }
}
