//! The data buffer of a request that the driver answers or reads itself.

use core::ptr;

use super::completion::Outcome;
use crate::storport::{Srb, SrbStatus};

/// A request's data buffer in system space.
#[derive(Debug)]
pub struct DataBuffer {
    at: *mut u8,
    bytes: usize,
}

impl DataBuffer {
    /// The buffer of `srb`, which must still be the driver's and must not read or write blocks: of
    /// every other, StorPort maps the buffer (STOR_MAP_NON_READ_WRITE_BUFFERS). `None` without one.
    #[must_use]
    pub fn of(srb: Srb) -> Option<Self> {
        let at = srb.data_buffer().cast::<u8>();
        let bytes = srb.data_transfer_length() as usize;
        (!at.is_null()).then_some(DataBuffer { at, bytes })
    }

    /// The `N` bytes at `offset`, if they are inside.
    #[must_use]
    pub fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let inside = offset.checked_add(N).is_some_and(|end| end <= self.bytes);
        // SAFETY: StorPort mapped DataTransferLength bytes, which stay mapped until the request's
        // completion; bytes need no alignment.
        inside.then(|| unsafe { self.at.add(offset).cast::<[u8; N]>().read_unaligned() })
    }

    /// Copies as much of `data` as fits to the beginning, and returns how many bytes that was.
    pub fn fill(&self, data: &[u8]) -> usize {
        let bytes = data.len().min(self.bytes);
        // SAFETY: as in `read`; `data` is the driver's own.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), self.at, bytes) };
        bytes
    }
}

/// Answers a request with data of which it wants no more than `allocation` bytes.
#[must_use]
pub fn answer(srb: Srb, data: &[u8], allocation: u32) -> Outcome {
    let wanted = data.len().min(allocation as usize);
    if wanted == 0 || srb.data_transfer_length() == 0 {
        return Outcome::Moved(0);
    }
    match DataBuffer::of(srb) {
        Some(buffer) => Outcome::Moved(buffer.fill(&data[..wanted]) as u32),
        None => Outcome::Status(SrbStatus::INTERNAL_ERROR),
    }
}
