//! The ring of violations: bytes with the layout of [`record`](super::record), written in place.

use super::record::{
    HEADER_BYTES, MAGIC, RECORD_BYTES, RECORDS, RING_BYTES, VERSION, encode, header,
};
use crate::rules::Finding;

/// The newest [`RECORDS`] violations. Aligned, so that a debugger or a dump shows it at a round address.
#[repr(C, align(64))]
pub(super) struct Ring {
    bytes: [u8; RING_BYTES],
    written: u64,
}

impl Ring {
    pub(super) const fn new() -> Ring {
        let mut bytes = [0; RING_BYTES];
        copy(&mut bytes, header::MAGIC, &MAGIC);
        copy(&mut bytes, header::VERSION, &VERSION.to_le_bytes());
        copy(&mut bytes, header::RECORD_BYTES, &(RECORD_BYTES as u16).to_le_bytes());
        copy(&mut bytes, header::RECORDS, &(RECORDS as u32).to_le_bytes());
        Ring { bytes, written: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8; RING_BYTES] {
        &self.bytes
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Adds a record, in the place of the oldest if the ring is full.
    pub(super) fn push(&mut self, finding: &Finding) {
        let at = HEADER_BYTES + (self.written % RECORDS as u64) as usize * RECORD_BYTES;
        self.written += 1;
        if let Some(place) = self.bytes.get_mut(at..at + RECORD_BYTES) {
            place.copy_from_slice(&encode(finding, self.written));
        }
        copy(&mut self.bytes, header::WRITTEN, &self.written.to_le_bytes());
    }
}

/// `copy_from_slice` where it is not constant yet.
const fn copy(bytes: &mut [u8], at: usize, from: &[u8]) {
    let mut n = 0;
    while n < from.len() {
        bytes[at + n] = from[n];
        n += 1;
    }
}
