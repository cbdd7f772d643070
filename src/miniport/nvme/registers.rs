//! The controller's registers: where they are and what their bits mean.
//!
//! A removed controller answers every read with all ones, which no register of a present one holds;
//! a range that was never mapped answers the same, so the driver has one way to learn that nobody is
//! there.

use crate::storport::{Shared, StorPort};

/// Offsets of the registers (NVM Express Base Specification 1.4, figure 68).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Register {
    /// CAP, bits 31:0.
    CapabilitiesLow = 0x00,
    /// CAP, bits 63:32.
    CapabilitiesHigh = 0x04,
    /// INTMS: sets mask bits of pin-based interrupts.
    InterruptMaskSet = 0x0C,
    /// INTMC: clears them.
    InterruptMaskClear = 0x10,
    /// CC.
    Configuration = 0x14,
    /// CSTS.
    Status = 0x1C,
    /// AQA: sizes of the admin queues.
    AdminQueueAttributes = 0x24,
    /// ASQ, bits 31:0.
    AdminSubmissionLow = 0x28,
    /// ASQ, bits 63:32.
    AdminSubmissionHigh = 0x2C,
    /// ACQ, bits 31:0.
    AdminCompletionLow = 0x30,
    /// ACQ, bits 63:32.
    AdminCompletionHigh = 0x34,
}

/// Where the doorbells begin.
const DOORBELLS: u64 = 0x1000;
/// What every register of an absent controller reads.
pub const ABSENT: u32 = u32::MAX;

/// CC: enabled, 4 KiB pages, the NVM command set, round robin, entries of 64 and 16 bytes.
pub const CC_ENABLE: u32 = (6 << 16) | (4 << 20) | 1;
/// CC: not enabled.
pub const CC_DISABLE: u32 = 0;
/// CC: enabled, with a normal shutdown notification.
pub const CC_SHUTDOWN: u32 = CC_ENABLE | (1 << 14);

/// CSTS: controller fatal status.
pub const CSTS_FATAL: u32 = 1 << 1;
/// CSTS: ready.
pub const CSTS_READY: u32 = 1;
/// CSTS: shutdown processing, both bits.
const CSTS_SHUTDOWN_MASK: u32 = 3 << 2;
/// CSTS: shutdown processing is complete.
const CSTS_SHUTDOWN_COMPLETE: u32 = 2 << 2;

/// Whether a value of CSTS says that shutdown processing is complete.
#[must_use]
pub const fn is_shut_down(status: u32) -> bool {
    status & CSTS_SHUTDOWN_MASK == CSTS_SHUTDOWN_COMPLETE
}

/// CAP, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// MQES as a count: entries of the largest queue.
    pub queue_entries: u32,
    /// TO, in microseconds: the longest that the controller takes to become ready or not ready.
    pub ready_timeout_us: u32,
    /// DSTRD, in bytes: the distance of one doorbell from the next.
    pub doorbell_stride: u32,
}

impl Capabilities {
    /// Decodes CAP; `None` if the controller does not know 4 KiB pages or the NVM command set.
    #[must_use]
    pub const fn parse(low: u32, high: u32) -> Option<Self> {
        let smallest_page_log2 = (high >> 16) & 0xF;
        let knows_nvm = high & (1 << 5) != 0;
        if smallest_page_log2 != 0 || !knows_nvm {
            return None;
        }
        Some(Capabilities {
            queue_entries: (low & 0xFFFF) + 1,
            // A controller that says 0 still gets one unit: the specification has no faster one.
            ready_timeout_us: (if low >> 24 == 0 { 1 } else { low >> 24 }) * 500_000,
            doorbell_stride: 4 << (high & 0xF),
        })
    }
}

/// The mapped register range.
#[derive(Debug)]
pub struct Registers {
    /// What StorPortGetDeviceBase returned. Written in HwStorFindAdapter only.
    base: Shared<*mut u32>,
    /// Bytes mapped there. Written in HwStorFindAdapter only.
    bytes: Shared<u32>,
    /// [`Capabilities::doorbell_stride`]. Written in HwStorFindAdapter only.
    stride: Shared<u32>,
}

impl Registers {
    /// Takes a mapping into use.
    ///
    /// # Safety
    ///
    /// `base` came from StorPortGetDeviceBase for `bytes` bytes and stays mapped.
    pub unsafe fn map<P: StorPort>(&self, port: P, base: *mut u32, bytes: u32) {
        self.base.set(port, base);
        self.bytes.set(port, bytes);
    }

    /// Forgets the mapping and returns it, for StorPortFreeDeviceBase.
    pub fn unmap<P: StorPort>(&self, port: P) -> *mut u32 {
        let base = self.base.get(port);
        self.base.set(port, core::ptr::null_mut());
        self.bytes.set(port, 0);
        base
    }

    /// Whether a range is mapped.
    pub fn is_mapped<P: StorPort>(&self, port: P) -> bool {
        !self.base.get(port).is_null()
    }

    /// Sets the doorbells' distance, and returns how many queue pairs have their doorbells inside
    /// the mapped range.
    pub fn set_stride<P: StorPort>(&self, port: P, stride: u32) -> u32 {
        self.stride.set(port, stride);
        let room = u64::from(self.bytes.get(port)).saturating_sub(DOORBELLS);
        (room / (2 * u64::from(stride))) as u32
    }

    /// Reads a register; [`ABSENT`] outside the mapped range.
    #[track_caller]
    pub fn read<P: StorPort>(&self, port: P, register: Register) -> u32 {
        match self.at(port, register as u64) {
            // SAFETY: `at` gives addresses inside the mapping only.
            Some(address) => unsafe { port.read_register_ulong(address) },
            None => ABSENT,
        }
    }

    /// Writes a register; nothing outside the mapped range.
    #[track_caller]
    pub fn write<P: StorPort>(&self, port: P, register: Register, value: u32) {
        self.write_at(port, register as u64, value);
    }

    /// Writes a 64-bit register whose halves are `low` and the one after it.
    #[track_caller]
    pub fn write_pair<P: StorPort>(&self, port: P, low: Register, value: u64) {
        self.write_at(port, low as u64, value as u32);
        self.write_at(port, low as u64 + 4, (value >> 32) as u32);
    }

    /// Tells the controller how far the driver has filled submission queue `queue`.
    #[track_caller]
    pub fn ring_submission<P: StorPort>(&self, port: P, queue: u16, tail: u16) {
        self.ring(port, 2 * u64::from(queue), tail);
    }

    /// Tells the controller how far the driver has emptied completion queue `queue`.
    #[track_caller]
    pub fn ring_completion<P: StorPort>(&self, port: P, queue: u16, head: u16) {
        self.ring(port, 2 * u64::from(queue) + 1, head);
    }

    #[track_caller]
    fn ring<P: StorPort>(&self, port: P, doorbell: u64, value: u16) {
        let offset = DOORBELLS + doorbell * u64::from(self.stride.get(port));
        self.write_at(port, offset, u32::from(value));
    }

    #[track_caller]
    fn write_at<P: StorPort>(&self, port: P, offset: u64, value: u32) {
        if let Some(address) = self.at(port, offset) {
            // SAFETY: `at` gives addresses inside the mapping only.
            unsafe { port.write_register_ulong(address, value) }
        }
    }

    /// The address of the 32-bit register at `offset`, if it is mapped.
    fn at<P: StorPort>(&self, port: P, offset: u64) -> Option<*mut u32> {
        let base = self.base.get(port);
        let inside = offset + 4 <= u64::from(self.bytes.get(port));
        (inside && !base.is_null()).then(|| base.wrapping_byte_add(offset as usize))
    }
}

/// A range shorter than this has no doorbell of the admin queue.
pub const SMALLEST_RANGE: u32 = DOORBELLS as u32 + 2 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_decoded() {
        let low = 0x1400_003F;
        let high = (1 << 5) | 2;
        assert_eq!(
            Capabilities::parse(low, high),
            Some(Capabilities {
                queue_entries: 64,
                ready_timeout_us: 10_000_000,
                doorbell_stride: 16
            })
        );
        assert_eq!(Capabilities::parse(low, 2), None, "no NVM command set");
        assert_eq!(Capabilities::parse(low, (1 << 5) | (1 << 16)), None, "pages of 8 KiB at least");
        assert_eq!(Capabilities::parse(0, 1 << 5).map(|cap| cap.ready_timeout_us), Some(500_000));
        assert_eq!(Capabilities::parse(ABSENT, ABSENT), None);
    }

    #[test]
    fn shutdown_is_complete_only_at_two() {
        assert!([0, 4, 12].iter().all(|&status| !is_shut_down(status)));
        assert!(is_shut_down(8) && is_shut_down(8 | CSTS_READY));
    }
}
