//! Physical region pages: a scatter/gather list in the only form that a controller takes.
//!
//! The first entry may point into a page; every further one points to the start of a page and stands
//! for the whole of it (NVM Express Base Specification 1.4, section 4.3). So a buffer may begin and end
//! inside a page, and nothing else may. A list that breaks this cannot be transferred by one command.

use super::spec::PAGE_BYTES;

/// Entries of a PRP list: with the first entry, as many pages as the largest transfer can touch.
pub const LIST_ENTRIES: usize = 32;
/// Most bytes of a transfer: it touches one page more if it begins inside one.
pub const TRANSFER_BYTES_MAX: u32 = (LIST_ENTRIES * PAGE_BYTES) as u32;

const PAGE: u64 = PAGE_BYTES as u64;

/// The scatter/gather list cannot be written as PRP entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What goes into the data pointer of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// PRP1.
    pub first: u64,
    /// PRP2, if no more than two entries are needed.
    pub second: u64,
    /// Entries that were written to the list; PRP2 must point to it if there are two or more.
    pub listed: usize,
}

/// Walks `bytes` bytes of a scatter/gather list, pairs of address and length, and passes every PRP
/// entry after the first to `list`, with its index.
///
/// # Errors
///
/// [`Malformed`] if the list is too short or too long, wraps around the address space, is not aligned to
/// four bytes, or has a gap inside a page.
pub fn build(
    elements: impl Iterator<Item = (u64, u32)>,
    bytes: u32,
    mut list: impl FnMut(usize, u64),
) -> Result<Pointer, Malformed> {
    let mut walk = Walk { entries: 0, pointer: Pointer { first: 0, second: 0, listed: 0 } };
    let mut left = u64::from(bytes);
    let mut end = 0;
    for (address, length) in elements {
        let length = u64::from(length).min(left);
        if length == 0 {
            continue;
        }
        let stop = address.checked_add(length).ok_or(Malformed)?;
        let continues = walk.entries > 0 && address == end;
        if !continues || address % PAGE == 0 {
            let aligned = if walk.entries == 0 {
                address % 4 == 0
            } else {
                address % PAGE == 0 && end % PAGE == 0
            };
            if !aligned {
                return Err(Malformed);
            }
            walk.push(address, &mut list)?;
        }
        let mut page = (address | (PAGE - 1)).saturating_add(1);
        while page < stop {
            walk.push(page, &mut list)?;
            page = page.saturating_add(PAGE);
        }
        end = stop;
        left -= length;
    }
    if left > 0 || walk.entries == 0 { Err(Malformed) } else { Ok(walk.pointer) }
}

/// The entries so far.
struct Walk {
    entries: usize,
    pointer: Pointer,
}

impl Walk {
    fn push(&mut self, address: u64, list: &mut impl FnMut(usize, u64)) -> Result<(), Malformed> {
        match self.entries {
            0 => self.pointer.first = address,
            entry if entry > LIST_ENTRIES => return Err(Malformed),
            entry => {
                if entry == 1 {
                    self.pointer.second = address;
                }
                list(entry - 1, address);
                self.pointer.listed = entry;
            }
        }
        self.entries += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(elements: &[(u64, u32)], bytes: u32) -> Result<Vec<u64>, Malformed> {
        let mut all = vec![0];
        let pointer = build(elements.iter().copied(), bytes, |index, address| {
            assert_eq!(index + 1, all.len());
            all.push(address);
        })?;
        all[0] = pointer.first;
        assert_eq!(pointer.listed, all.len() - 1);
        assert_eq!(pointer.second, all.get(1).copied().unwrap_or(0));
        Ok(all)
    }

    /// What a controller does with the entries: the physical address of every 4 bytes.
    fn walked(entries: &[u64], bytes: u32) -> Vec<u64> {
        let mut addresses = Vec::new();
        let (mut entry, mut at) = (0, entries[0]);
        for _ in 0..bytes / 4 {
            addresses.push(at);
            at += 4;
            if at % PAGE == 0 {
                entry += 1;
                at = entries.get(entry).copied().unwrap_or(0);
            }
        }
        addresses
    }

    #[test]
    fn a_buffer_may_begin_and_end_inside_a_page() {
        assert_eq!(entries(&[(0x1200, 0x200)], 0x200), Ok(vec![0x1200]));
        assert_eq!(entries(&[(0x1E00, 0x400)], 0x400), Ok(vec![0x1E00, 0x2000]));
        let scattered = [(0x1E00, 0x200), (0x9000, 0x1000), (0x4000, 0x10)];
        assert_eq!(entries(&scattered, 0x1210), Ok(vec![0x1E00, 0x9000, 0x4000]));
    }

    #[test]
    fn adjacent_elements_are_one_stretch() {
        let split = [(0x1200, 0x100), (0x1300, 0xE00), (0x2100, 0x1000)];
        assert_eq!(entries(&split, 0x1F00), Ok(vec![0x1200, 0x2000, 0x3000]));
    }

    #[test]
    fn what_prp_entries_cannot_say_is_refused() {
        assert_eq!(entries(&[], 512), Err(Malformed));
        assert_eq!(entries(&[(0x1000, 512)], 1024), Err(Malformed), "too short");
        assert_eq!(entries(&[(0x1002, 512)], 512), Err(Malformed), "not aligned");
        assert_eq!(entries(&[(0x1000, 512), (0x3000, 512)], 1024), Err(Malformed), "ends inside");
        assert_eq!(entries(&[(0x1E00, 512), (0x3200, 512)], 1024), Err(Malformed), "begins inside");
        assert_eq!(entries(&[(u64::MAX - 3, 512)], 512), Err(Malformed), "wraps");
        assert_eq!(entries(&[(0x1000, u32::MAX)], u32::MAX), Err(Malformed), "too long");
    }

    #[test]
    fn the_largest_transfer_fits_wherever_it_begins() {
        for offset in (0..PAGE).step_by(512) {
            let list = entries(&[(0x10_0000 + offset, u32::MAX)], TRANSFER_BYTES_MAX);
            assert!(list.is_ok_and(|list| list.len() <= LIST_ENTRIES + 1), "{offset}");
        }
    }

    #[test]
    fn the_controller_walks_the_same_bytes_as_the_list() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..500 {
            let bytes = (random(u64::from(TRANSFER_BYTES_MAX) / 512) as u32 + 1) * 512;
            let mut offset = random(8) * 512;
            let mut elements = Vec::new();
            let mut expected = Vec::new();
            let mut left = u64::from(bytes);
            while left > 0 {
                let base = random(1 << 20) * 16 * PAGE + offset;
                let stretch = ((1 + random(3)) * PAGE - offset).min(left);
                expected.extend((0..stretch / 4).map(|word| base + 4 * word));
                let cut = random(stretch / 512 + 1) * 512;
                elements.push((base, cut as u32));
                elements.push((base + cut, (stretch - cut) as u32));
                left -= stretch;
                offset = 0;
            }
            let list = entries(&elements, bytes).expect("a virtually contiguous buffer");
            assert_eq!(walked(&list, bytes), expected);
        }
    }
}
