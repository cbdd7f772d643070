//! KUSER_SHARED_DATA: the page at a fixed address in which Windows keeps its clocks and its version.
//!
//! KeQueryTickCount, KeQuerySystemTime and KeQueryInterruptTime are loads from this page where headers inline them, so a
//! driver that uses them imports nothing. On Linux the address lies in the kernel's half: every load of it is trapped,
//! and answered here from the machine's virtual time. A store is an access violation, as it is on Windows, where the
//! page is read-only.
//!
//! Source: the structure's page (`ntddk/ns-ntddk-kuser_shared_data` of the DDI reference) names the fields; it gives no
//! offsets, which are those that every 64-bit Windows has had, since drivers and user-mode code are compiled with them.
//! A field that is not here has no model; the run ends and says so.

use super::kernel::{BUILD, TICK};
use super::storport::information::COUNTS_PER_SECOND;
use super::storport::wait::EPOCH;

/// SharedUserData as the kernel sees it on x64.
const ADDRESS: u64 = 0xFFFF_F780_0000_0000;
const BYTES: u64 = 0x1000;

/// Ticks to milliseconds: `ticks * multiplier >> 24`.
const TICK_MULTIPLIER: u64 = (TICK << 24) / 10_000;

/// Whether a load from here is one from the page.
pub(super) fn contains(address: u64) -> bool {
    address.wrapping_sub(ADDRESS) < BYTES
}

/// What a load of `bytes` (1, 2, 4 or 8) bytes finds at an address of the page, `now` being the virtual time in
/// units of 100 ns; `None` if it touches a field without a model.
pub(super) fn load(address: u64, bytes: usize, now: u64) -> Option<u64> {
    let offset = address.wrapping_sub(ADDRESS);
    fields(now).into_iter().find_map(|(at, size, value)| {
        let skipped = offset.checked_sub(at)?;
        let within = skipped + bytes as u64 <= size;
        within.then(|| (value >> (skipped * 8)) as u64 & super::register::mask(bytes))
    })
}

/// Offset, size in bytes and value of each field.
fn fields(now: u64) -> [(u64, u64, u128); 12] {
    let ticks = now / TICK;
    [
        (0x000, 4, u128::from(ticks as u32)), // TickCountLowDeprecated
        (0x004, 4, u128::from(TICK_MULTIPLIER)), // TickCountMultiplier
        (0x008, 12, system_time(now)),        // InterruptTime
        (0x014, 12, system_time(EPOCH + now)), // SystemTime
        (0x020, 12, 0),                       // TimeZoneBias: UTC
        (0x260, 4, u128::from(BUILD)),        // NtBuildNumber
        (0x26C, 4, 10),                       // NtMajorVersion
        (0x270, 4, 0),                        // NtMinorVersion
        (0x2D4, 1, 0),                        // KdDebuggerEnabled
        (0x2EC, 1, 0),                        // SafeBootMode
        (0x300, 8, u128::from(COUNTS_PER_SECOND)), // QpcFrequency
        (0x320, 12, system_time(ticks)),      // TickCount
    ]
}

/// A KSYSTEM_TIME: the value, and its high half again, by which a reader of 32 bits sees a change in between.
fn system_time(value: u64) -> u128 {
    u128::from(value) | u128::from(value >> 32) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 0x12_3456_789A;

    fn at(offset: u64, bytes: usize) -> Option<u64> {
        load(ADDRESS + offset, bytes, NOW)
    }

    #[test]
    fn clocks_are_the_virtual_time() {
        assert_eq!(at(0x008, 8), Some(NOW));
        assert_eq!(at(0x014, 8), Some(EPOCH + NOW));
        assert_eq!(at(0x320, 8), Some(NOW / TICK));
        // As a reader of 32 bits has it: high, low, high again.
        assert_eq!(
            (at(0x00C, 4), at(0x008, 4), at(0x010, 4)),
            (Some(0x12), Some(0x3456_789A), Some(0x12))
        );
    }

    #[test]
    fn a_tick_is_15_625_milliseconds() {
        let multiplier = at(0x004, 4).expect("a field");
        assert_eq!((64 * multiplier) >> 24, 1_000);
    }

    #[test]
    fn parts_of_fields_are_read_and_more_than_a_field_is_not() {
        assert_eq!(at(0x260, 2), Some(u64::from(BUILD)));
        assert_eq!(at(0x26C, 4), Some(10));
        assert_eq!(at(0x26C, 8), None, "two fields");
        assert_eq!(at(0x030, 2), None, "NtSystemRoot");
        assert_eq!(at(0xFFC, 8), None, "beyond the page");
    }

    #[test]
    fn the_page_ends_where_it_ends() {
        assert!(contains(ADDRESS) && contains(ADDRESS + 0xFFF));
        assert!(!contains(ADDRESS - 1) && !contains(ADDRESS + 0x1000));
    }
}
