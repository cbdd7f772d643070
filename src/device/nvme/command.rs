//! What a submission queue entry asks for.
//!
//! An entry is read once, when it is fetched: everything about it that does not depend on the controller's
//! state is checked then, and what is left is a [`Work`] that can be done without looking back.

use super::admin::Admin;
use super::namespace::Io;
use super::prp::TRANSFER_BYTES_MAX;
use super::queue::ENTRY_BYTES;
use super::status::Status;

/// A submission queue entry (NVMe 1.4, 4.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) opcode: u8,
    /// Fused operation and the kind of data pointer; only zero is supported.
    flags: u8,
    pub(super) cid: u16,
    pub(super) nsid: u32,
    pub(super) prp: [u64; 2],
    /// CDW10 to CDW15.
    pub(super) words: [u32; 6],
}

impl Entry {
    pub(super) fn parse(raw: &[u8; ENTRY_BYTES as usize]) -> Self {
        let words = raw.as_chunks::<4>().0;
        let word = |index: usize| u32::from_le_bytes(words[index]);
        let pair = |index: usize| u64::from(word(index)) | u64::from(word(index + 1)) << 32;
        Entry {
            opcode: raw[0],
            flags: raw[1],
            cid: u16::from_le_bytes([raw[2], raw[3]]),
            nsid: word(1),
            prp: [pair(6), pair(8)],
            words: [word(10), word(11), word(12), word(13), word(14), word(15)],
        }
    }

    /// What it asks for.
    pub(super) fn decode(&self, admin: bool) -> Work {
        if self.flags & 0xC3 != 0 {
            return Work::Refused(Status::INVALID_FIELD);
        }
        let work = if admin {
            Admin::decode(self).map(Work::Admin)
        } else {
            Io::decode(self).map(Work::Io)
        };
        match work {
            Ok(work) if work.bytes() > TRANSFER_BYTES_MAX => Work::Refused(Status::INVALID_FIELD),
            Ok(work) => work,
            Err(status) => Work::Refused(status),
        }
    }
}

/// What a fetched command asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// Nothing that can be done.
    Refused(Status),
    Io(Io),
    Admin(Admin),
}

impl Work {
    /// Bytes that it transfers.
    pub(super) const fn bytes(&self) -> u32 {
        match self {
            Work::Refused(_) => 0,
            Work::Io(io) => io.bytes(),
            Work::Admin(admin) => admin.bytes(),
        }
    }
}
