//! PCI configuration space: a mass storage controller with MSI-X. BAR 0's address is the machine's to choose.

/// Vendor that no one was given, so that no real driver takes this device for its own.
const VENDOR: u32 = 0x1234;
const DEVICE: u32 = 0xDBE1;

const MSIX: usize = 0x40;
/// Messages that it can send.
const VECTORS: u32 = 64;

pub(super) const CONFIG: [u8; 256] = {
    let mut config = [0; 256];
    put(&mut config, 0x00, VENDOR | DEVICE << 16);
    // Memory space and bus mastering on; there is a list of capabilities.
    put(&mut config, 0x04, 0x0010_0006);
    // Mass storage, other; revision 1.
    put(&mut config, 0x08, 0x0180_0001);
    put(&mut config, 0x2C, VENDOR | 1 << 16);
    put(&mut config, 0x34, MSIX as u32);
    // INTA.
    put(&mut config, 0x3C, 0x0100);
    put(&mut config, MSIX, 0x11 | (VECTORS - 1) << 16);
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
