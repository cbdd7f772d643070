//! The uncached extension: the memory that the controller reads commands from and writes completions
//! and identify data to.
//!
//! It is cut into pages, because every ring must begin on one. This file is the only one that follows
//! pointers into it; an index or offset beyond a page wraps inside the page.

use core::ptr;
use core::sync::atomic::{Ordering, fence};

use super::spec::{Command, Completion, PAGE_BYTES};
use crate::storport::{Shared, StorPort};

/// Pages before the rings of the I/O queues: identify data, admin submission, admin completion.
const FIRST_IO_PAGE: usize = 3;

/// Bytes to ask of StorPortGetUncachedExtension for that many I/O queue pairs. One page more, less a
/// byte, than needed: StorPort does not promise that the memory begins on a page.
#[must_use]
pub const fn uncached_bytes(io_queues: usize) -> u32 {
    ((FIRST_IO_PAGE + 2 * io_queues + 1) * PAGE_BYTES - 1) as u32
}

/// The uncached extension.
#[derive(Debug)]
pub struct Uncached {
    /// First whole page. Written in HwStorFindAdapter only.
    base: Shared<*mut u8>,
    /// Its physical address. Written in HwStorFindAdapter only.
    physical: Shared<u64>,
}

impl Uncached {
    /// Takes the memory at `base` into use, of which `physical` is the physical address.
    ///
    /// # Safety
    ///
    /// [`uncached_bytes`] of the number of queues used are valid at `base`, physically contiguous, for
    /// the life of the adapter, and nothing but the driver and the controller touches them.
    pub unsafe fn adopt<P: StorPort>(&self, port: P, base: *mut u8, physical: u64) {
        let slack = physical.next_multiple_of(PAGE_BYTES as u64) - physical;
        self.base.set(port, base.wrapping_add(slack as usize));
        self.physical.set(port, physical + slack);
    }

    /// Whether there is any.
    pub fn is_adopted<P: StorPort>(&self, port: P) -> bool {
        !self.base.get(port).is_null()
    }

    /// Where the controller writes identify data.
    pub fn identify_page<P: StorPort>(&self, port: P) -> Page {
        self.page(port, 0)
    }

    /// The submission and completion ring of a queue; 0 is the admin queue.
    pub fn rings<P: StorPort>(&self, port: P, queue: usize) -> (Page, Page) {
        let first = FIRST_IO_PAGE - 2 + 2 * queue;
        (self.page(port, first), self.page(port, first + 1))
    }

    fn page<P: StorPort>(&self, port: P, index: usize) -> Page {
        let base = self.base.get(port);
        if base.is_null() {
            return Page::NONE;
        }
        Page {
            address: base.wrapping_add(index * PAGE_BYTES),
            physical: self.physical.get(port) + (index * PAGE_BYTES) as u64,
        }
    }
}

/// One page of the uncached extension, or none: reads of none give zero, writes are lost.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where the driver sees it; null for none.
    address: *mut u8,
    /// Where the controller sees it.
    pub physical: u64,
}

impl Page {
    /// No page.
    pub const NONE: Page = Page { address: ptr::null_mut(), physical: 0 };

    /// Bytes of a submission entry and of a completion entry.
    const COMMAND: usize = size_of::<Command>();
    const COMPLETION: usize = size_of::<Completion>();

    /// The byte at `offset`.
    #[must_use]
    pub fn byte(self, offset: usize) -> u8 {
        self.read(offset % PAGE_BYTES, 0)
    }

    /// Fills entry `index` of a submission ring.
    pub fn put_command(self, index: u16, command: &Command) {
        self.write(usize::from(index) % (PAGE_BYTES / Self::COMMAND) * Self::COMMAND, *command);
    }

    /// Dword 3 of entry `index` of a completion ring; the entry's other dwords are at least as new.
    #[must_use]
    pub fn completion_dword3(self, index: u16) -> u32 {
        let dword3 = self.read(Self::completion_at(index) + 12, 0);
        fence(Ordering::Acquire);
        dword3
    }

    /// Dword 0 of entry `index` of a completion ring.
    #[must_use]
    pub fn completion_result(self, index: u16) -> u32 {
        self.read(Self::completion_at(index), 0)
    }

    /// Zeroes the first `entries` of a completion ring, so that no entry has the phase of the first
    /// round.
    pub fn clear_completions(self, entries: u16) {
        for index in 0..entries {
            self.write(Self::completion_at(index), Completion::default());
        }
    }

    const fn completion_at(index: u16) -> usize {
        index as usize % (PAGE_BYTES / Self::COMPLETION) * Self::COMPLETION
    }

    fn read<T: Copy>(self, offset: usize, absent: T) -> T {
        if self.address.is_null() {
            return absent;
        }
        // SAFETY: a page is `PAGE_BYTES` of memory that `Uncached::adopt` was promised, aligned to a
        // page; the callers keep a `T` at an aligned offset inside. Volatile, because the controller
        // writes there.
        unsafe { self.address.add(offset).cast::<T>().read_volatile() }
    }

    fn write<T: Copy>(self, offset: usize, value: T) {
        if !self.address.is_null() {
            // SAFETY: as in `read`; volatile, because the controller reads there.
            unsafe { self.address.add(offset).cast::<T>().write_volatile(value) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(4096))]
    struct Memory([u8; 2 * PAGE_BYTES]);

    #[test]
    fn indices_beyond_a_page_wrap_inside_it() {
        let mut memory = Box::new(Memory([0; 2 * PAGE_BYTES]));
        let page = Page { address: memory.0.as_mut_ptr(), physical: 0x5000 };
        page.put_command(65, &Command::new(9));
        assert_eq!(page.byte(64), 9);
        page.put_command(63, &Command { dwords: [u32::MAX; 6], ..Command::new(9) });
        page.put_command(u16::MAX, &Command::new(7));
        assert_eq!(page.byte(63 * 64), 7);
        assert_eq!(page.byte(PAGE_BYTES + 64), 9);
        page.clear_completions(256);
        assert!(memory.0.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn no_page_reads_as_zero() {
        Page::NONE.put_command(0, &Command::new(1));
        assert_eq!((Page::NONE.byte(0), Page::NONE.completion_dword3(3)), (0, 0));
    }

    #[test]
    fn the_memory_of_all_queues_stays_below_64_kib() {
        assert!(uncached_bytes(super::super::IO_QUEUES_MAX) < 64 * 1024);
    }
}
