//! What the controller says about itself: Identify data (NVMe 1.4, 5.15), log pages, and the hostile
//! garbage that replaces Identify data when the scenario says so.

use super::namespace::{BLOCK_SHIFT, BLOCKS, NAMESPACE};
use super::prp::{MDTS, PAGE_BYTES};
use crate::scenario::Manner;

/// A page of data, as every Identify command transfers.
pub(super) type Page = [u8; PAGE_BYTES as usize];

/// Asynchronous Event Requests held at once.
pub(super) const EVENT_REQUESTS: usize = 4;
/// Abort commands carried out at once.
pub(super) const ABORTS: usize = 4;

/// Vendor that no one was given.
pub(super) const VENDOR: u16 = 0x1234;
/// VS: 1.4.
pub(super) const VERSION: u32 = 0x0001_0400;

const NGUID: [u8; 16] = *b"lockstorm-ns-001";
const EUI64: [u8; 8] = *b"lockstrm";
const UUID: [u8; 16] = [
    0x6C, 0x6F, 0x63, 0x6B, 0x73, 0x74, 0x4F, 0x72, 0x8D, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
];

fn put(page: &mut [u8], offset: usize, bytes: &[u8]) {
    page[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// ASCII, padded with spaces.
fn put_text(page: &mut [u8], offset: usize, length: usize, text: &[u8]) {
    page[offset..offset + length].fill(b' ');
    put(page, offset, text);
}

/// CNS 01h.
pub(super) fn controller(page: &mut Page) {
    page.fill(0);
    put(page, 0, &VENDOR.to_le_bytes());
    put(page, 2, &VENDOR.to_le_bytes());
    put_text(page, 4, 20, b"LOCKSTORM-0001");
    put_text(page, 24, 40, b"lockstorm NVMe RAM disk");
    put_text(page, 64, 8, b"1.0");
    page[77] = MDTS;
    put(page, 78, &1_u16.to_le_bytes());
    put(page, 80, &VERSION.to_le_bytes());
    // An I/O controller.
    page[111] = 1;
    page[258] = ABORTS as u8 - 1;
    page[259] = EVENT_REQUESTS as u8 - 1;
    // One read-only firmware slot.
    page[260] = 0x03;
    // Get Log Page with offsets and long transfers.
    page[261] = 0x04;
    // Warning and critical temperature, in kelvin.
    put(page, 266, &343_u16.to_le_bytes());
    put(page, 268, &353_u16.to_le_bytes());
    // Entries of 64 and 16 bytes, no others.
    page[512] = 0x66;
    page[513] = 0x44;
    put(page, 516, &1_u32.to_le_bytes());
    // Dataset Management and Write Zeroes.
    put(page, 520, &0x000C_u16.to_le_bytes());
    // A volatile write cache; Flush may name all namespaces.
    page[525] = 0x07;
    put(page, 768, b"nqn.2024-01.io.lockstorm:disk-0001");
    // Power state 0, 25 W.
    put(page, 2048, &2500_u16.to_le_bytes());
}

/// CNS 00h of the only namespace.
pub(super) fn namespace(page: &mut Page) {
    page.fill(0);
    for offset in [0, 8, 16] {
        put(page, offset, &u64::from(BLOCKS).to_le_bytes());
    }
    // Deallocated blocks read as zeros, also after Write Zeroes with deallocation.
    page[33] = 0x09;
    put(page, 104, &NGUID);
    put(page, 120, &EUI64);
    page[130] = BLOCK_SHIFT;
}

/// CNS 02h: the active namespaces above `after`.
pub(super) fn active_namespaces(page: &mut Page, after: u32) {
    page.fill(0);
    if after < NAMESPACE {
        put(page, 0, &NAMESPACE.to_le_bytes());
    }
}

/// CNS 03h of the only namespace: EUI-64, NGUID, UUID.
pub(super) fn descriptors(page: &mut Page) {
    page.fill(0);
    let mut offset = 0;
    for (kind, id) in [(1, &EUI64[..]), (2, &NGUID[..]), (3, &UUID[..])] {
        page[offset] = kind;
        page[offset + 1] = id.len() as u8;
        put(page, offset + 4, id);
        offset += 4 + id.len();
    }
}

/// A log page; `None` if there is no such page.
pub(super) fn log(page: &mut Page, id: u8) -> Option<u32> {
    page.fill(0);
    match id {
        // Errors: no entry.
        0x01 => Some(64),
        // Health: 300 K, all spare blocks left, a tenth of them the threshold.
        0x02 => {
            put(page, 1, &300_u16.to_le_bytes());
            page[3] = 100;
            page[4] = 10;
            Some(512)
        }
        // Firmware: slot 1 is active.
        0x03 => {
            page[0] = 1;
            put_text(page, 8, 8, b"1.0");
            Some(512)
        }
        _ => None,
    }
}

/// Replaces Identify data by garbage, the same for the same manner and `kind`: noise everywhere, and the
/// fields that a driver computes with set to what breaks careless arithmetic.
///
/// No block size but the true one is plausible, so that a driver which believes in the disk transfers
/// what the disk transfers, and data stays comparable.
pub(super) fn garble(page: &mut Page, manner: &Manner, kind: u8) {
    let mut noise = Noise::new(manner, kind);
    for chunk in page.as_chunks_mut::<8>().0 {
        *chunk = noise.next().to_le_bytes();
    }
    match kind {
        0 => garble_namespace(page, &mut noise),
        1 => garble_controller(page, &mut noise),
        _ => {}
    }
}

fn garble_controller(page: &mut Page, noise: &mut Noise) {
    page[77] = noise.pick([0, 1, 4, 20, 31, 32, 255]);
    page[512] = noise.pick([0x66, 0x66, 0x00, 0xFF, 0x67]);
    page[513] = noise.pick([0x44, 0x44, 0x00, 0xFF, 0x45]);
    put(page, 516, &noise.pick([0, 1, 1, 2, 1024, u32::MAX]).to_le_bytes());
    put(page, 520, &noise.pick([0_u16, 0x000C, 0xFFFF]).to_le_bytes());
}

fn garble_namespace(page: &mut Page, noise: &mut Noise) {
    for offset in [0, 8, 16] {
        let blocks = noise.pick([0, 1, u64::from(BLOCKS), 1 << 32, u64::MAX - 1, u64::MAX]);
        put(page, offset, &blocks.to_le_bytes());
    }
    for format in 0..16 {
        page[130 + 4 * format] = noise.pick([BLOCK_SHIFT, BLOCK_SHIFT, 0, 1, 8, 40, 63, 255]);
    }
}

/// Deterministic noise (xorshift64*).
struct Noise(u64);

impl Noise {
    fn new(manner: &Manner, kind: u8) -> Self {
        let seed = [
            manner.latency,
            manner.queue_entries,
            manner.queue_pairs,
            manner.spurious_every,
            manner.queue_creation_fails,
            manner.order as u8,
            kind,
            0x5B,
        ];
        // Spreads seeds that differ in a single bit.
        let mut noise = Noise(u64::from_le_bytes(seed));
        for _ in 0..8 {
            noise.next();
        }
        noise
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        from[(self.next() >> 32) as usize % N]
    }
}
