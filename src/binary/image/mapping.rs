//! A range of addresses with memory behind it.

use std::io;
use std::ops::Range;

use super::super::error::LoadError;

/// Zeroed memory of whole pages, readable and writable until [`protect`](Self::protect) says otherwise.
#[derive(Debug)]
pub(super) struct Mapping {
    base: *mut u8,
    size: usize,
}

impl Mapping {
    /// At exactly `base`; `None` if something lies there or may not lie there.
    pub(super) fn at(base: usize, size: usize) -> Result<Option<Self>, LoadError> {
        match Self::new(base, size, libc::MAP_FIXED_NOREPLACE) {
            // Kernels before 4.17 take the address for a mere wish.
            Ok(mapping) => Ok((mapping.base() == base).then_some(mapping)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && base < 1 << 46 => {
                Err(no_memory(error))
            }
            Err(_) => Ok(None),
        }
    }

    /// Wherever there is room.
    pub(super) fn anywhere(size: usize) -> Result<Self, LoadError> {
        Self::new(0, size, 0).map_err(no_memory)
    }

    fn new(base: usize, size: usize, flags: libc::c_int) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: neither form replaces a mapping that exists.
        let memory =
            unsafe { libc::mmap(base as *mut libc::c_void, size, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { base: memory.cast(), size })
    }

    /// The first address.
    pub(super) fn base(&self) -> usize {
        self.base as usize
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The address of `offset`.
    pub(super) fn pointer(&self, offset: u32) -> *mut u8 {
        self.base.wrapping_add(offset as usize)
    }

    /// Copies `bytes` to `offset`. Only before anything is protected.
    pub(super) fn write(&mut self, offset: u32, bytes: &[u8]) {
        self.bytes()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// The eight bytes at `offset`. Only before anything is protected.
    pub(super) fn word(&mut self, offset: u32) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes()[offset as usize..][..8]);
        u64::from_le_bytes(word)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is ours alone, and no code of the driver runs before it is protected.
        unsafe { std::slice::from_raw_parts_mut(self.base, self.size) }
    }

    /// Sets the protection of whole pages. Safe to call in a signal handler when it succeeds.
    pub(super) fn protect(
        &self,
        pages: Range<u32>,
        protection: libc::c_int,
    ) -> Result<(), LoadError> {
        if self.try_protect(&pages, protection) {
            Ok(())
        } else {
            Err(LoadError::Memory("the image's protection", io::Error::last_os_error()))
        }
    }

    /// As [`protect`](Self::protect), but tells only whether it could. Safe to call in a signal handler.
    pub(super) fn try_protect(&self, pages: &Range<u32>, protection: libc::c_int) -> bool {
        if pages.start > pages.end || pages.end as usize > self.size {
            return false;
        }
        let start = self.pointer(pages.start).cast();
        // SAFETY: the pages are the mapping's own; what it holds is only reached through raw pointers.
        unsafe { libc::mprotect(start, pages.len(), protection) == 0 }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone.
        unsafe { libc::munmap(self.base.cast(), self.size) };
    }
}

fn no_memory(error: io::Error) -> LoadError {
    LoadError::Memory("memory for the image", error)
}
