//! A device without a model behind it, for drivers that bring none: the puppet plays lock calls and needs
//! hardware only to interrupt it.
//!
//! It is a register file that remembers what was written, with two registers that do something:
//! [`TRIGGER`] and [`QUIET`].

use super::{Bus, Device};
use crate::scenario::{Answer, Manner};

/// Bytes of the register file.
pub const REGISTER_BYTES: u32 = 256;
/// Writing m sends message m and asserts the line. Whether the adapter was given messages or a line is
/// for the machine to know; it listens to one of the two.
pub const TRIGGER: u32 = 0xF0;
/// Writing anything takes the line back.
pub const QUIET: u32 = 0xF4;

/// Vendor that no one was given, so that no real driver takes this device for its own.
const VENDOR: u16 = 0x1234;

const WORDS: usize = REGISTER_BYTES as usize / 4;

const CONFIG: [u8; 256] = {
    let mut config = [0; 256];
    let vendor = VENDOR.to_le_bytes();
    config[0] = vendor[0];
    config[1] = vendor[1];
    config[2] = 0x01;
    // Memory space and bus mastering on.
    config[4] = 0x06;
    // Mass storage, other.
    config[0x0A] = 0x80;
    config[0x0B] = 0x01;
    // INTA.
    config[0x3D] = 1;
    config
};

/// The device. See the module.
#[derive(Clone, Debug)]
pub struct Bare {
    words: [u32; WORDS],
    removed: bool,
}

impl Bare {
    /// A device at power-on.
    #[must_use]
    pub const fn new() -> Self {
        Bare { words: [0; WORDS], removed: false }
    }
}

impl Default for Bare {
    fn default() -> Self {
        Bare::new()
    }
}

impl Device for Bare {
    fn power_on(&mut self, _manner: &Manner) {
        *self = Bare::new();
    }

    fn config_space(&self) -> &[u8; 256] {
        &CONFIG
    }

    fn register_bytes(&self) -> u32 {
        REGISTER_BYTES
    }

    fn read_register(&mut self, _bus: &mut dyn Bus, offset: u32) -> u32 {
        if self.removed {
            return u32::MAX;
        }
        self.words.get(offset as usize / 4).copied().unwrap_or(0)
    }

    fn write_register(&mut self, bus: &mut dyn Bus, offset: u32, value: u32) {
        if self.removed {
            return;
        }
        let Some(word) = self.words.get_mut(offset as usize / 4) else { return };
        *word = value;
        match offset & !3 {
            TRIGGER => {
                bus.send_message(value as u16);
                bus.set_line(true);
            }
            QUIET => bus.set_line(false),
            _ => {}
        }
    }

    fn due(&self) -> Option<u64> {
        None
    }

    fn advance(&mut self, _bus: &mut dyn Bus) {}

    fn advance_early(&mut self, _bus: &mut dyn Bus) -> bool {
        false
    }

    fn expect(&mut self, _answer: Answer) {}

    fn behave(&mut self) {}

    fn owns(&self, _address: u64, _bytes: u64) -> bool {
        false
    }

    fn geometry(&self) -> (u32, u32) {
        (512, 0)
    }

    fn remove(&mut self, bus: &mut dyn Bus) {
        self.removed = true;
        bus.set_line(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Wires {
        messages: Vec<u16>,
        line: bool,
    }

    impl Bus for Wires {
        fn read(&mut self, _address: u64, _into: &mut [u8]) -> bool {
            false
        }
        fn write(&mut self, _address: u64, _from: &[u8]) -> bool {
            false
        }
        fn send_message(&mut self, message: u16) {
            self.messages.push(message);
        }
        fn set_line(&mut self, asserted: bool) {
            self.line = asserted;
        }
        fn now(&self) -> u64 {
            0
        }
    }

    #[test]
    fn registers_remember_until_power_on() {
        let (mut device, mut wires) = (Bare::new(), Wires::default());
        device.write_register(&mut wires, 0x10, 0xDEAD_BEEF);
        assert_eq!(device.read_register(&mut wires, 0x10), 0xDEAD_BEEF);
        assert!(wires.messages.is_empty() && !wires.line);
        device.power_on(&Manner::default());
        assert_eq!(device.read_register(&mut wires, 0x10), 0);
    }

    #[test]
    fn trigger_interrupts_and_quiet_takes_the_line_back() {
        let (mut device, mut wires) = (Bare::new(), Wires::default());
        device.write_register(&mut wires, TRIGGER, 5);
        assert_eq!((wires.messages.as_slice(), wires.line), (&[5][..], true));
        device.write_register(&mut wires, QUIET, 0);
        assert_eq!((wires.messages.len(), wires.line), (1, false));
    }

    #[test]
    fn wild_offsets_and_a_removed_device_do_nothing() {
        let (mut device, mut wires) = (Bare::new(), Wires::default());
        device.write_register(&mut wires, u32::MAX, 1);
        assert_eq!(device.read_register(&mut wires, 0x100), 0);
        device.write_register(&mut wires, TRIGGER, 1);
        device.remove(&mut wires);
        assert!(!wires.line, "nothing is left to hold the line");
        device.write_register(&mut wires, TRIGGER, 1);
        assert_eq!(device.read_register(&mut wires, 0), u32::MAX);
        assert_eq!((wires.messages.len(), wires.line), (1, false));
    }
}
