//! The interrupt request level: what a processor runs at, and therefore what may interrupt it and
//! which locks it may take.

use core::fmt;

/// `KIRQL`, with the values of x64 and Arm64.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/kernel/managing-hardware-priorities>.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(transparent))]
pub struct Irql(pub u8);

impl Irql {
    /// `PASSIVE_LEVEL`: threads; nothing is masked.
    pub const PASSIVE: Self = Self(0);
    /// `APC_LEVEL`: asynchronous procedure calls are masked.
    pub const APC: Self = Self(1);
    /// `DISPATCH_LEVEL`: DPCs and spin locks; the processor no longer switches threads.
    pub const DISPATCH: Self = Self(2);
    /// The lowest level that a device interrupt can have (DIRQL).
    pub const DEVICE_LOWEST: Self = Self(3);
    /// The highest level that a device interrupt can have (DIRQL).
    pub const DEVICE_HIGHEST: Self = Self(11);
    /// `HIGH_LEVEL`: everything is masked; crash dumps.
    pub const HIGH: Self = Self(15);

    /// Whether this is the level of a device interrupt.
    #[must_use]
    pub const fn is_device(self) -> bool {
        Self::DEVICE_LOWEST.0 <= self.0 && self.0 <= Self::DEVICE_HIGHEST.0
    }
}

impl fmt::Display for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("PASSIVE_LEVEL"),
            1 => f.write_str("APC_LEVEL"),
            2 => f.write_str("DISPATCH_LEVEL"),
            level @ 3..=11 => write!(f, "DIRQL {level}"),
            12 => f.write_str("SYNCH_LEVEL"),
            13 => f.write_str("CLOCK_LEVEL"),
            14 => f.write_str("IPI_LEVEL"),
            15 => f.write_str("HIGH_LEVEL"),
            level => write!(f, "IRQL {level}"),
        }
    }
}

impl fmt::Debug for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format!("{}", Irql::PASSIVE), "PASSIVE_LEVEL");
        assert_eq!(format!("{:?}", Irql::DEVICE_LOWEST), "DIRQL 3");
        assert_eq!(format!("{}", Irql::HIGH), "HIGH_LEVEL");
        assert_eq!(format!("{}", Irql(200)), "IRQL 200");
    }

    #[test]
    fn order_and_device_range() {
        assert!(Irql::PASSIVE < Irql::APC && Irql::APC < Irql::DISPATCH);
        assert!(!Irql::DISPATCH.is_device() && Irql::DEVICE_LOWEST.is_device());
        assert!(Irql::DEVICE_HIGHEST.is_device() && !Irql::HIGH.is_device());
    }
}
