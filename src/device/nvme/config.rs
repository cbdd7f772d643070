//! PCI configuration space: an NVMe controller with power management, MSI-X and PCI Express
//! capabilities. BAR 0's address is the machine's to choose.

use super::admin::VECTORS;
use super::identify::VENDOR;
use super::registers::offset::{MSIX_PENDING, MSIX_TABLE};

const POWER: usize = 0x40;
const MSIX: usize = 0x50;
const EXPRESS: usize = 0x60;

/// What the controller has in its configuration space.
pub(super) const CONFIG: [u8; 256] = {
    let mut config = [0; 256];
    put(&mut config, 0x00, VENDOR as u32 | 0x4C53 << 16);
    // Memory space and bus mastering on; there is a list of capabilities.
    put(&mut config, 0x04, 0x0010_0006);
    // Mass storage, non-volatile memory, NVMe; revision 1.
    put(&mut config, 0x08, 0x0108_0201);
    // BAR 0: 64-bit memory.
    put(&mut config, 0x10, 0x4);
    put(&mut config, 0x2C, VENDOR as u32 | 0x0001 << 16);
    put(&mut config, 0x34, POWER as u32);
    // INTA.
    put(&mut config, 0x3C, 0x0100);
    put(&mut config, POWER, 0x0003_0001 | (MSIX as u32) << 8);
    put(&mut config, MSIX, 0x11 | (EXPRESS as u32) << 8 | (VECTORS as u32 - 1) << 16);
    put(&mut config, MSIX + 4, MSIX_TABLE);
    put(&mut config, MSIX + 8, MSIX_PENDING);
    put(&mut config, EXPRESS, 0x0002_0010);
    config
};

const fn put(config: &mut [u8; 256], at: usize, value: u32) {
    let bytes = value.to_le_bytes();
    let mut index = 0;
    while index < 4 {
        config[at + index] = bytes[index];
        index += 1;
    }
}
