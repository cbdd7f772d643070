//! Where a logical unit is: the address blocks that requests and notifications carry.

use super::status::named;

named! {
    /// The type of a storage address.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_address>.
    StorAddressType(u16) {
        UNKNOWN = 0, "STOR_ADDRESS_TYPE_UNKNOWN";
        /// Bus, target and logical unit, a byte each.
        BTL8 = 1, "STOR_ADDRESS_TYPE_BTL8";
        NVME = 2, "STOR_ADDRESS_TYPE_NVME";
    }
}

/// `STOR_ADDRESS`: the head of any address; the type says what follows.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_address>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorAddress {
    /// `Type`.
    pub kind: StorAddressType,
    /// `Port`: the number of the adapter's port; zero from a miniport.
    pub port: u16,
    /// `AddressLength`: bytes of `AddressData`.
    pub address_length: u32,
    /// `AddressData`, as many bytes as a BTL8 address has room for.
    pub address_data: [u8; 8],
}

/// `STOR_ADDR_BTL8`: an address by bus (path), target and logical unit.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_addr_btl8>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorAddrBtl8 {
    /// `Type`: [`StorAddressType::BTL8`].
    pub kind: StorAddressType,
    /// `Port`: the number of the adapter's port; zero from a miniport.
    pub port: u16,
    /// `AddressLength`: [`StorAddrBtl8::ADDRESS_LENGTH`].
    pub address_length: u32,
    /// `Path`: the bus.
    pub path: u8,
    /// `Target`.
    pub target: u8,
    /// `Lun`.
    pub lun: u8,
    /// `Reserved`.
    pub reserved: u8,
}

impl StorAddrBtl8 {
    /// `STOR_ADDR_BTL8_ADDRESS_LENGTH`, in bytes.
    pub const ADDRESS_LENGTH: u32 = 4;

    /// The address of a logical unit.
    #[must_use]
    pub const fn new(path: u8, target: u8, lun: u8) -> Self {
        Self {
            kind: StorAddressType::BTL8,
            port: 0,
            address_length: Self::ADDRESS_LENGTH,
            path,
            target,
            lun,
            reserved: 0,
        }
    }

    /// The same address as the general form that StorPort's routines take.
    #[must_use]
    pub const fn to_address(self) -> StorAddress {
        StorAddress {
            kind: self.kind,
            port: self.port,
            address_length: self.address_length,
            address_data: [self.path, self.target, self.lun, self.reserved, 0, 0, 0, 0],
        }
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<StorAddress>() == 0x10);
    assert!(offset_of!(StorAddress, kind) == 0x00);
    assert!(offset_of!(StorAddress, port) == 0x02);
    assert!(offset_of!(StorAddress, address_length) == 0x04);
    assert!(offset_of!(StorAddress, address_data) == 0x08);
    assert!(size_of::<StorAddrBtl8>() == 0x10);
    assert!(offset_of!(StorAddrBtl8, kind) == 0x00);
    assert!(offset_of!(StorAddrBtl8, port) == 0x02);
    assert!(offset_of!(StorAddrBtl8, address_length) == 0x04);
    assert!(offset_of!(StorAddrBtl8, path) == 0x08);
    assert!(offset_of!(StorAddrBtl8, target) == 0x09);
    assert!(offset_of!(StorAddrBtl8, lun) == 0x0A);
    assert!(offset_of!(StorAddrBtl8, reserved) == 0x0B);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_btl8_address_keeps_its_parts_in_the_general_form() {
        let address = StorAddrBtl8::new(1, 2, 3).to_address();
        assert_eq!(address.kind, StorAddressType::BTL8);
        assert_eq!(address.address_length, 4);
        assert_eq!(address.address_data[..4], [1, 2, 3, 0]);
        assert_eq!(format!("{:?}", address.kind), "STOR_ADDRESS_TYPE_BTL8");
    }
}
