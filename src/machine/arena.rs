//! Host memory at an address that is the same in every process, and the processors' stacks in it.
//!
//! A compiled driver can see its pointers: it hashes them, compares them, keeps them in tables. So all memory that
//! a driver gets to know lies at fixed addresses, and the same bytes lead to the same run in every process. An
//! address is asked for as a hint, which the system keeps where nothing is in the way; several machines in one
//! process lie one behind the other.

use std::ffi::c_void;
use std::num::NonZero;
use std::ptr::{self, NonNull};

/// Where the first machine's memory lies: far from where systems put programs, libraries, heaps and the shadow
/// memory of sanitizers.
const FIRST: usize = 0x2000_0000_0000;
/// How far the next machine's is from there.
const STRIDE: usize = 0x4000_0000;
/// How many fixed places there are; a process with more machines at once gets whatever the system finds.
const PLACES: usize = 256;

/// A range of zeroed memory, for the life of the value.
pub(super) struct Arena {
    base: NonNull<u8>,
    bytes: usize,
}

impl Arena {
    /// `bytes` bytes at the first fixed place that is free.
    pub(super) fn new(bytes: usize) -> Self {
        debug_assert!(bytes <= STRIDE);
        for place in 0..PLACES {
            let wanted = FIRST + place * STRIDE;
            let arena = Arena::map(ptr::without_provenance_mut(wanted), bytes);
            if arena.base.addr().get() == wanted {
                return arena;
            }
        }
        Arena::map(ptr::null_mut(), bytes)
    }

    fn map(hint: *mut c_void, bytes: usize) -> Self {
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
        // SAFETY: a hint without MAP_FIXED replaces nothing that is mapped.
        let base = unsafe { libc::mmap(hint, bytes, access, flags, -1, 0) };
        assert!(base != libc::MAP_FAILED, "no memory for a machine: {bytes} bytes");
        let base = NonNull::new(base.cast()).expect("nothing is mapped at 0");
        Arena { base, bytes }
    }

    /// The first byte; page-aligned.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Makes `bytes` bytes at `offset`, both multiples of the host's page, fault when they are touched.
    pub(super) fn forbid(&self, offset: usize, bytes: usize) {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset);
        // SAFETY: the range lies inside this mapping, which nobody uses yet.
        let status = unsafe {
            libc::mprotect(self.base.as_ptr().add(offset).cast(), bytes, libc::PROT_NONE)
        };
        assert!(status == 0, "a guard page could not be set up");
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this size; the value's user is gone with it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// A processor's stack: a part of the arena, which outlives every coroutine of its machine.
pub(super) struct Stack {
    top: NonZero<usize>,
    guard: NonZero<usize>,
}

impl Stack {
    /// The stack below `top`, whose guard begins at `guard`.
    ///
    /// # Safety
    ///
    /// Nobody else uses the memory in between while the stack is in use, and a guard is at its low end.
    pub(super) unsafe fn new(top: usize, guard: usize) -> Self {
        let address = |address| NonZero::new(address).expect("nothing is mapped at 0");
        Stack { top: address(top), guard: address(guard) }
    }
}

// SAFETY: `Stack::new`'s contract: exclusive memory with a guard; `memory` lays it out page-aligned and large.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> NonZero<usize> {
        self.top
    }

    fn limit(&self) -> NonZero<usize> {
        self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_lie_at_fixed_places_and_are_zeroed() {
        let arenas: Vec<_> = (0..3).map(|_| Arena::new(0x2_0000)).collect();
        for arena in &arenas {
            let address = arena.base().addr().get();
            assert_eq!((address - FIRST) % STRIDE, 0);
            // SAFETY: the arena has these bytes.
            let bytes = unsafe { std::slice::from_raw_parts(arena.base().as_ptr(), 0x2_0000) };
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
    }
}
