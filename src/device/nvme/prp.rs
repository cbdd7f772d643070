//! Where a command's data lies: Physical Region Page entries and lists (NVMe 1.4, 4.3).
//!
//! Lists are resolved when a command is fetched, into a fixed array, so that the device can always tell
//! which memory it still has a claim on.

use super::status::Status;
use crate::device::Bus;

/// CC.MPS is 0 on this controller: pages of 4 KiB.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Identify's MDTS: the largest transfer is this power of two of pages.
pub(super) const MDTS: u8 = 4;
/// The largest transfer; also the size of the whole disk.
pub(super) const TRANSFER_BYTES_MAX: u32 = PAGE_BYTES << MDTS;

/// Pages that the largest transfer touches when it starts inside a page.
const PAGES_MAX: usize = (1 << MDTS) + 1;
const PAGE_MASK: u64 = PAGE_BYTES as u64 - 1;

/// Memory of one command. The first piece may start inside its page, the last may end inside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages {
    bytes: u32,
    count: u8,
    addresses: [u64; PAGES_MAX],
}

impl Pages {
    pub(super) const NONE: Pages = Pages { bytes: 0, count: 0, addresses: [0; PAGES_MAX] };

    /// Forgets the memory: the device has no claim on it any more.
    pub(super) fn clear(&mut self) {
        self.bytes = 0;
        self.count = 0;
    }

    /// Follows the PRP entries of a command that transfers `bytes`, at most [`TRANSFER_BYTES_MAX`]. On
    /// an error nothing is claimed.
    pub(super) fn resolve(
        &mut self,
        bus: &mut dyn Bus,
        first: u64,
        second: u64,
        bytes: u32,
    ) -> Result<(), Status> {
        self.clear();
        if bytes == 0 {
            return Ok(());
        }
        if first & 3 != 0 {
            return Err(Status::PRP_OFFSET_INVALID);
        }
        self.addresses[0] = first;
        let left = bytes.saturating_sub(PAGE_BYTES - (first & PAGE_MASK) as u32);
        let more = left.div_ceil(PAGE_BYTES) as usize;
        match more {
            0 => {}
            1 => self.addresses[1] = page(second)?,
            _ => self.follow(bus, second, more)?,
        }
        self.count = 1 + more as u8;
        self.bytes = bytes;
        Ok(())
    }

    /// Reads `count` entries of the list at `list` into the addresses from the second on. A list that does
    /// not end in its page goes on where its last entry points.
    fn follow(&mut self, bus: &mut dyn Bus, list: u64, count: usize) -> Result<(), Status> {
        if list & 7 != 0 {
            return Err(Status::PRP_OFFSET_INVALID);
        }
        let here = (u64::from(PAGE_BYTES) - (list & PAGE_MASK)) as usize / 8;
        if count <= here {
            return self.read_entries(bus, list, 0, count);
        }
        if here > 1 {
            self.read_entries(bus, list, 0, here - 1)?;
        }
        let mut pointer = [0; 8];
        if !bus.read(list | (PAGE_MASK & !7), &mut pointer) {
            return Err(Status::DATA_TRANSFER_ERROR);
        }
        // The rest fits: a whole page holds more entries than any command of this controller has.
        let next = page(u64::from_le_bytes(pointer))?;
        self.read_entries(bus, next, here - 1, count - (here - 1))
    }

    /// Reads `count` entries at `list` into the addresses after the first `1 + done`.
    fn read_entries(
        &mut self,
        bus: &mut dyn Bus,
        list: u64,
        done: usize,
        count: usize,
    ) -> Result<(), Status> {
        let mut raw = [0; 8 * PAGES_MAX];
        let raw = &mut raw[..8 * count];
        if !bus.read(list, raw) {
            return Err(Status::DATA_TRANSFER_ERROR);
        }
        for (to, entry) in self.addresses[1 + done..].iter_mut().zip(raw.as_chunks::<8>().0) {
            *to = page(u64::from_le_bytes(*entry))?;
        }
        Ok(())
    }

    /// The pieces in order: address, offset in the transfer, bytes.
    fn pieces(&self) -> impl Iterator<Item = (u64, usize, usize)> + '_ {
        let mut start = 0;
        self.addresses[..usize::from(self.count)].iter().map(move |&address| {
            let in_page = PAGE_BYTES - (address & PAGE_MASK) as u32;
            let bytes = in_page.min(self.bytes - start);
            let piece = (address, start as usize, bytes as usize);
            start += bytes;
            piece
        })
    }

    /// Writes to the driver's memory. What `data` does not fill is left alone.
    pub(super) fn send(&self, bus: &mut dyn Bus, data: &[u8]) -> Result<(), Status> {
        for (address, start, bytes) in self.pieces() {
            let end = (start + bytes).min(data.len());
            if start < end && !bus.write(address, &data[start..end]) {
                return Err(Status::DATA_TRANSFER_ERROR);
            }
        }
        Ok(())
    }

    /// Reads the driver's memory. Pieces before one that cannot be read have then been taken over.
    pub(super) fn receive(&self, bus: &mut dyn Bus, data: &mut [u8]) -> Result<(), Status> {
        for (address, start, bytes) in self.pieces() {
            let end = (start + bytes).min(data.len());
            if start < end && !bus.read(address, &mut data[start..end]) {
                return Err(Status::DATA_TRANSFER_ERROR);
            }
        }
        Ok(())
    }

    /// Some byte lies in `[address, address + bytes)`.
    pub(super) fn overlaps(&self, address: u64, bytes: u64) -> bool {
        let end = address.saturating_add(bytes);
        self.pieces()
            .any(|(piece, _, length)| piece < end && address < piece.saturating_add(length as u64))
    }
}

/// An entry that must name a whole page.
const fn page(entry: u64) -> Result<u64, Status> {
    if entry & PAGE_MASK == 0 { Ok(entry) } else { Err(Status::PRP_OFFSET_INVALID) }
}
