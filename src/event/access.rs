//! What a driver does to memory that several processors reach: told only in a run whose memory is watched, so that
//! every other run has the events that it always had.
//!
//! An access names no address but an [`Area`] and an offset into it, which are the same on any host. Memory that
//! only one processor can reach, a stack above all, is no area.

use core::fmt;

pub use crate::storport::Touch;

/// A piece of memory that belongs to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Area {
    /// The device extension.
    Extension,
    /// The uncached extension, which the device reads and writes too.
    Uncached,
    /// Pool. What is allocated is never in the same place twice in a run.
    Pool,
    /// The SrbExtension of the request of that number.
    SrbExtension(u16),
    /// The logical unit's extension.
    LogicalUnit,
    /// The variables of a compiled driver: offsets from the base of its image.
    Image,
}

impl Area {
    /// A number below 2^19, another for each area.
    #[inline]
    pub(crate) const fn number(self) -> u32 {
        // In the order of the variants, so that it is the compiler's own number for them.
        let kind: u32 = match self {
            Area::Extension => 0,
            Area::Uncached => 1,
            Area::Pool => 2,
            Area::SrbExtension(_) => 3,
            Area::LogicalUnit => 4,
            Area::Image => 5,
        };
        let which = if let Area::SrbExtension(request) = self { request } else { 0 };
        kind << 16 | which as u32
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Area::Extension => f.write_str("device extension"),
            Area::Uncached => f.write_str("uncached extension"),
            Area::Pool => f.write_str("pool"),
            Area::SrbExtension(request) => write!(f, "SrbExtension of request {request}"),
            Area::LogicalUnit => f.write_str("logical unit extension"),
            Area::Image => f.write_str("driver"),
        }
    }
}

/// One access to an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub struct Access {
    /// Which area.
    pub area: Area,
    /// Offset of the first byte.
    pub offset: u32,
    /// How many bytes.
    pub bytes: u16,
    /// How.
    pub touch: Touch,
}

impl fmt::Display for Access {
    /// `write of 4 bytes at device extension+0x40`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Access { area, offset, bytes, touch } = self;
        let plural = if *bytes == 1 { "" } else { "s" };
        write!(f, "{touch} of {bytes} byte{plural} at {area}+{offset:#x}")
    }
}
