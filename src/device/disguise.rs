//! A model under another name: what a description says stands in configuration space, behind it works the model.
//!
//! For drivers that look for one vendor's device and no other.

use super::pci::Function;
use super::{Bus, Device, Range};
use crate::scenario::{Answer, Manner};

/// A model with a configuration space that is not its own.
#[derive(Debug)]
pub(super) struct Disguise {
    device: Box<dyn Device>,
    space: [u8; 256],
}

impl Disguise {
    /// Puts `function`'s configuration space in front of `device`, whose registers are BAR 0 all the same.
    pub(super) fn new(device: Box<dyn Device>, function: &Function) -> Self {
        let mut space = *function.space();
        space[0x10..0x14].copy_from_slice(&(super::REGISTERS_PHYSICAL as u32).to_le_bytes());
        Disguise { device, space }
    }
}

impl Device for Disguise {
    fn power_on(&mut self, manner: &Manner) {
        self.device.power_on(manner);
    }

    fn config_space(&self) -> &[u8; 256] {
        &self.space
    }

    fn register_bytes(&self) -> u32 {
        self.device.register_bytes()
    }

    fn range(&self, index: usize) -> Option<Range> {
        self.device.range(index)
    }

    fn read_register(&mut self, bus: &mut dyn Bus, offset: u32) -> u32 {
        self.device.read_register(bus, offset)
    }

    fn write_register(&mut self, bus: &mut dyn Bus, offset: u32, value: u32) {
        self.device.write_register(bus, offset, value);
    }

    fn due(&self) -> Option<u64> {
        self.device.due()
    }

    fn advance(&mut self, bus: &mut dyn Bus) {
        self.device.advance(bus);
    }

    fn advance_early(&mut self, bus: &mut dyn Bus) -> bool {
        self.device.advance_early(bus)
    }

    fn expect(&mut self, answer: Answer) {
        self.device.expect(answer);
    }

    fn behave(&mut self) {
        self.device.behave();
    }

    fn owns(&self, address: u64, bytes: u64) -> bool {
        self.device.owns(address, bytes)
    }

    fn geometry(&self) -> (u32, u32) {
        self.device.geometry()
    }

    fn completes(&self) -> bool {
        self.device.completes()
    }

    fn remove(&mut self, bus: &mut dyn Bus) {
        self.device.remove(bus);
    }
}
