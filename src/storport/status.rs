//! The status codes that StorPort and a miniport exchange, and the macro `named!` by which these
//! files declare a C enumeration or flag set.

use core::fmt;

/// Declares a transparent integer whose values (and flag bits) have the names that Windows gives
/// them.
///
/// C may pass any integer where it declares an enumeration, so none of these is a Rust `enum`.
/// Debug and Display write the Windows name, then the set bits, and in hexadecimal what has no
/// name.
macro_rules! named {
    (
        $(#[$doc:meta])*
        $type:ident($int:ty) {
            $($(#[$value_doc:meta])* $value:ident = $number:literal, $name:literal;)*
        }
        $($bits:ident {
            $($(#[$bit_doc:meta])* $bit:ident = $mask:literal, $bit_name:literal;)*
        })?
    ) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "host", serde(transparent))]
        pub struct $type(pub $int);

        impl $type {
            $(
                #[doc = concat!("`", $name, "`.")]
                $(#[$value_doc])*
                pub const $value: Self = Self($number);
            )*
            $(
                $(
                    #[doc = concat!("`", $bit_name, "`.")]
                    $(#[$bit_doc])*
                    pub const $bit: Self = Self($mask);
                )*

                /// Whether every bit of `bits` is set.
                #[must_use]
                pub const fn contains(self, $bits: Self) -> bool {
                    self.0 & $bits.0 == $bits.0
                }
            )?

            /// The name of the value as Windows spells it, flag bits left aside.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 $($(& !$mask)*)? {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }

        $(
            impl core::ops::BitOr for $type {
                type Output = Self;

                fn bitor(self, $bits: Self) -> Self {
                    Self(self.0 | $bits.0)
                }
            }
        )?

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let rest = self.0 $($(& !$mask)*)?;
                let bits = [$($((self.0 & $mask != 0, $bit_name),)*)?];
                $crate::storport::status::write_names(
                    f, stringify!($type), rest, self.name(), &bits,
                )
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(super) use named;

/// Writes `NAME | BIT | BIT`; a `rest` without a name as `Type(0x..)`, and not at all if it is zero
/// and there are bits.
pub(super) fn write_names<T: fmt::LowerHex + Default + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    type_name: &str,
    rest: T,
    name: Option<&str>,
    bits: &[(bool, &str)],
) -> fmt::Result {
    let mut set = bits.iter().filter(|(set, _)| *set).map(|(_, name)| *name);
    match name.or_else(|| if rest == T::default() { set.next() } else { None }) {
        Some(name) => f.write_str(name)?,
        None => write!(f, "{type_name}({rest:#x})")?,
    }
    set.try_for_each(|bit| write!(f, " | {bit}"))
}

named! {
    /// `STOR_STATUS_*`: what the newer StorPort routines return.
    ///
    /// See the return table of
    /// <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlockex>.
    StorStatus(u32) {
        SUCCESS = 0x0000_0000, "STOR_STATUS_SUCCESS";
        UNSUCCESSFUL = 0xC100_0001, "STOR_STATUS_UNSUCCESSFUL";
        /// This Windows is older than the routine.
        NOT_IMPLEMENTED = 0xC100_0002, "STOR_STATUS_NOT_IMPLEMENTED";
        INSUFFICIENT_RESOURCES = 0xC100_0003, "STOR_STATUS_INSUFFICIENT_RESOURCES";
        BUFFER_TOO_SMALL = 0xC100_0004, "STOR_STATUS_BUFFER_TOO_SMALL";
        ACCESS_DENIED = 0xC100_0005, "STOR_STATUS_ACCESS_DENIED";
        INVALID_PARAMETER = 0xC100_0006, "STOR_STATUS_INVALID_PARAMETER";
        INVALID_DEVICE_REQUEST = 0xC100_0007, "STOR_STATUS_INVALID_DEVICE_REQUEST";
        /// Called at an IRQL at which the routine does not work.
        INVALID_IRQL = 0xC100_0008, "STOR_STATUS_INVALID_IRQL";
        INVALID_DEVICE_STATE = 0xC100_0009, "STOR_STATUS_INVALID_DEVICE_STATE";
        INVALID_BUFFER_SIZE = 0xC100_000A, "STOR_STATUS_INVALID_BUFFER_SIZE";
        UNSUPPORTED_VERSION = 0xC100_000B, "STOR_STATUS_UNSUPPORTED_VERSION";
        BUSY = 0xC100_000C, "STOR_STATUS_BUSY";
        THROTTLED_REQUEST = 0xC100_000D, "STOR_STATUS_THROTTLED_REQUEST";
        TIMEOUT = 0xC100_000E, "STOR_STATUS_TIMEOUT";
        INVALID_DATA = 0xC100_000F, "STOR_STATUS_INVALID_DATA";
    }
}

named! {
    /// `SRB_STATUS_*`: how a request ended, in the low six bits, and two flags.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_scsi_request_block>.
    SrbStatus(u8) {
        /// Not ended; a request must not be completed with it.
        PENDING = 0x00, "SRB_STATUS_PENDING";
        SUCCESS = 0x01, "SRB_STATUS_SUCCESS";
        ABORTED = 0x02, "SRB_STATUS_ABORTED";
        ABORT_FAILED = 0x03, "SRB_STATUS_ABORT_FAILED";
        /// The device said more in ScsiStatus and sense data.
        ERROR = 0x04, "SRB_STATUS_ERROR";
        BUSY = 0x05, "SRB_STATUS_BUSY";
        INVALID_REQUEST = 0x06, "SRB_STATUS_INVALID_REQUEST";
        INVALID_PATH_ID = 0x07, "SRB_STATUS_INVALID_PATH_ID";
        NO_DEVICE = 0x08, "SRB_STATUS_NO_DEVICE";
        TIMEOUT = 0x09, "SRB_STATUS_TIMEOUT";
        SELECTION_TIMEOUT = 0x0A, "SRB_STATUS_SELECTION_TIMEOUT";
        COMMAND_TIMEOUT = 0x0B, "SRB_STATUS_COMMAND_TIMEOUT";
        MESSAGE_REJECTED = 0x0D, "SRB_STATUS_MESSAGE_REJECTED";
        BUS_RESET = 0x0E, "SRB_STATUS_BUS_RESET";
        PARITY_ERROR = 0x0F, "SRB_STATUS_PARITY_ERROR";
        REQUEST_SENSE_FAILED = 0x10, "SRB_STATUS_REQUEST_SENSE_FAILED";
        NO_HBA = 0x11, "SRB_STATUS_NO_HBA";
        /// More or less data than asked for; DataTransferLength says how much.
        DATA_OVERRUN = 0x12, "SRB_STATUS_DATA_OVERRUN";
        UNEXPECTED_BUS_FREE = 0x13, "SRB_STATUS_UNEXPECTED_BUS_FREE";
        PHASE_SEQUENCE_FAILURE = 0x14, "SRB_STATUS_PHASE_SEQUENCE_FAILURE";
        BAD_SRB_BLOCK_LENGTH = 0x15, "SRB_STATUS_BAD_SRB_BLOCK_LENGTH";
        REQUEST_FLUSHED = 0x16, "SRB_STATUS_REQUEST_FLUSHED";
        ACCESS_DENIED = 0x17, "SRB_STATUS_ACCESS_DENIED";
        OPERATION_IN_PROGRESS = 0x18, "SRB_STATUS_OPERATION_IN_PROGRESS";
        INVALID_LUN = 0x20, "SRB_STATUS_INVALID_LUN";
        INVALID_TARGET_ID = 0x21, "SRB_STATUS_INVALID_TARGET_ID";
        BAD_FUNCTION = 0x22, "SRB_STATUS_BAD_FUNCTION";
        ERROR_RECOVERY = 0x23, "SRB_STATUS_ERROR_RECOVERY";
        NOT_POWERED = 0x24, "SRB_STATUS_NOT_POWERED";
        LINK_DOWN = 0x25, "SRB_STATUS_LINK_DOWN";
        INSUFFICIENT_RESOURCES = 0x26, "SRB_STATUS_INSUFFICIENT_RESOURCES";
        THROTTLED_REQUEST = 0x27, "SRB_STATUS_THROTTLED_REQUEST";
        INVALID_PARAMETER = 0x28, "SRB_STATUS_INVALID_PARAMETER";
        INTERNAL_ERROR = 0x30, "SRB_STATUS_INTERNAL_ERROR";
    }
    bits {
        /// The port stopped the logical unit's queue.
        QUEUE_FROZEN = 0x40, "SRB_STATUS_QUEUE_FROZEN";
        /// The sense buffer was filled.
        AUTOSENSE_VALID = 0x80, "SRB_STATUS_AUTOSENSE_VALID";
    }
}

impl SrbStatus {
    /// The status without its flags: `SRB_STATUS()` of the C header.
    #[must_use]
    pub const fn code(self) -> Self {
        Self(self.0 & !(Self::QUEUE_FROZEN.0 | Self::AUTOSENSE_VALID.0))
    }
}

named! {
    /// `SP_RETURN_*`: what HwStorFindAdapter found.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_find_adapter>.
    SpReturn(u32) {
        NOT_FOUND = 0, "SP_RETURN_NOT_FOUND";
        FOUND = 1, "SP_RETURN_FOUND";
        ERROR = 2, "SP_RETURN_ERROR";
        BAD_CONFIG = 3, "SP_RETURN_BAD_CONFIG";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", SrbStatus::BUS_RESET), "SRB_STATUS_BUS_RESET");
        assert_eq!(format!("{}", StorStatus::INVALID_IRQL), "STOR_STATUS_INVALID_IRQL");
        assert_eq!(format!("{}", SpReturn::FOUND), "SP_RETURN_FOUND");
        assert_eq!(format!("{}", StorStatus(0xC100_1234)), "StorStatus(0xc1001234)");
        assert_eq!(SrbStatus(0x3F).name(), None);
    }

    #[test]
    fn srb_status_flags() {
        let status = SrbStatus::ERROR | SrbStatus::AUTOSENSE_VALID;
        assert_eq!(status.code(), SrbStatus::ERROR);
        assert!(status.contains(SrbStatus::AUTOSENSE_VALID));
        assert!(!status.contains(SrbStatus::QUEUE_FROZEN));
        assert_eq!(format!("{status}"), "SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID");
        assert_eq!(
            format!("{}", SrbStatus(0xFF)),
            "SrbStatus(0x3f) | SRB_STATUS_QUEUE_FROZEN | SRB_STATUS_AUTOSENSE_VALID"
        );
    }
}
