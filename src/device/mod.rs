//! Hardware models: what the machine attaches behind the registers that a miniport maps.
//!
//! A device sees register accesses and memory by physical address, raises interrupts, and does its work
//! at virtual times that it chooses itself; how fast, in which order and how well it answers is the
//! scenario's decision, which arrives as a [`Manner`] and one [`Answer`] for each command.

pub mod bare;
mod disguise;
pub mod doorbell;
mod medium;
pub mod model;
pub mod nvme;
pub mod pci;
pub mod registers;
mod service;

use crate::scenario::{Answer, Manner};

/// Memory and interrupt lines, seen from the device.
///
/// Addresses are physical. Whatever a driver writes into a queue may be a wild address, so every access
/// says whether it lay inside memory that the driver may give to a device.
pub trait Bus {
    /// Reads driver memory; `false` and nothing read if any byte lies outside.
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool;
    /// Writes driver memory; `false` and nothing written if any byte lies outside.
    fn write(&mut self, address: u64, from: &[u8]) -> bool;
    /// Sends message `message` (an edge).
    fn send_message(&mut self, message: u16);
    /// Drives the interrupt line (a level).
    fn set_line(&mut self, asserted: bool);
    /// Virtual time in nanoseconds.
    fn now(&self) -> u64;
}

/// Bus address of a device's first register. The ranges of a device with several lie behind it.
pub const REGISTERS_PHYSICAL: u64 = 0xFEB0_0000;

/// A range of registers or ports, one a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins among the device's registers.
    pub offset: u32,
    /// How long it is.
    pub bytes: u32,
    /// Memory, or ports.
    pub memory: bool,
}

impl Range {
    /// The only range of a device: memory.
    #[must_use]
    pub const fn memory(bytes: u32) -> Range {
        Range { offset: 0, bytes, memory: true }
    }
}

/// A device model.
pub trait Device: std::fmt::Debug {
    /// Power-on state, for a new run. Must cost no more than the last run touched, and allocate nothing
    /// once warm.
    fn power_on(&mut self, manner: &Manner);

    /// PCI configuration space.
    fn config_space(&self) -> &[u8; 256];

    /// Bytes of all registers: the end of the last range.
    fn register_bytes(&self) -> u32;

    /// The range of the BAR at `index` among those that the device has; all its registers are one range
    /// unless it says otherwise.
    fn range(&self, index: usize) -> Option<Range> {
        (index == 0).then(|| Range::memory(self.register_bytes()))
    }

    /// A 32-bit register read.
    fn read_register(&mut self, bus: &mut dyn Bus, offset: u32) -> u32;

    /// A 32-bit register write.
    fn write_register(&mut self, bus: &mut dyn Bus, offset: u32, value: u32);

    /// The virtual time at which the device next does something by itself; `None` if never.
    fn due(&self) -> Option<u64>;

    /// Does everything that is due at `bus.now()`.
    fn advance(&mut self, bus: &mut dyn Bus);

    /// Does the next thing that is due at once, whatever its time; `false` if there is none.
    fn advance_early(&mut self, bus: &mut dyn Bus) -> bool;

    /// How the device is to answer the next command that has no answer yet. The machine calls it once for
    /// every request step, in order; commands take answers in the order in which the device fetches them.
    fn expect(&mut self, answer: Answer);

    /// Faults end: from now on every command is answered promptly and well, commands that were swallowed
    /// stay swallowed.
    fn behave(&mut self);

    /// Some command with a buffer byte inside `[address, address + bytes)` is still with the device.
    fn owns(&self, address: u64, bytes: u64) -> bool;

    /// Bytes of one block, and number of blocks; 0 blocks for a device that is not a disk.
    fn geometry(&self) -> (u32, u32);

    /// Whether it ever ends what a driver asks of it. Where it does not, a request that is never completed says
    /// nothing about the driver, and neither does a driver that tries again and again.
    fn completes(&self) -> bool {
        true
    }

    /// The device is gone: the line falls, registers read as all ones, nothing happens any more.
    fn remove(&mut self, bus: &mut dyn Bus);
}
