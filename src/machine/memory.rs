//! The driver's memory: device extension, uncached extension, pool, requests and their data.
//!
//! One arena of host memory, cut into fixed regions, so that the same scenario gives every object the
//! same address in every run. Physical addresses follow from offsets: linear for what must be contiguous
//! (extensions, pool), and with neighbouring pages swapped for request data, because a buffer of several
//! pages is rarely contiguous on a real machine and a driver must not count on it.

use super::arena::Arena;
use crate::event::{Area, PROCESSORS_MAX};

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// Requests that can exist at once: StorPort's own resets included.
pub(super) const SLOTS: usize = 40;
/// Most bytes of a device extension. No document says how large one may be; real ones take up to some tens of KiB.
pub(super) const EXTENSION_BYTES: usize = UNCACHED_AT - HEADER;
/// Most bytes of a request's SrbExtension. Again there is no documented limit; drivers that keep a whole descriptor table
/// in it ask for 16 KiB and more.
pub(super) const SRB_EXTENSION_BYTES: usize = 0x1_0000;
/// Bytes of a request's data buffer: the longest transfer plus its offset in the first page.
pub(super) const DATA_BYTES: usize = 8 * PAGE;
/// Address of the register range, as a driver sees it; nothing lies there, register access is by DDI.
pub const REGISTERS_AT: usize = 0x7000_0000;

/// In front of the device extension lies StorPort's own header: the address of the machine.
const HEADER: usize = 64;
const UNCACHED_AT: usize = 0x4_0000;
const UNCACHED_BYTES: usize = 0x10_0000;
const POOL_AT: usize = UNCACHED_AT + UNCACHED_BYTES;
const POOL_BYTES: usize = 0x4_0000;
const SLOTS_AT: usize = POOL_AT + POOL_BYTES;
const SLOT: usize = 0x1000;
const SENSE_AT: usize = 0x100;
const SCATTER_GATHER_AT: usize = 0x180;
const SLOTS_END: usize = SLOTS_AT + SLOTS * SLOT;
/// SrbExtensions begin in the middle of a page, because StorPort aligns them to no page. An odd number of pages lies from
/// one to the next, so that they do not compete for the same lines of a cache.
const SRB_EXTENSIONS_AT: usize = SLOTS_END + 0x800;
const SRB_EXTENSION: usize = SRB_EXTENSION_BYTES + PAGE;
const SRB_EXTENSIONS_END: usize = SRB_EXTENSIONS_AT + SLOTS * SRB_EXTENSION;
/// What only compiled drivers ask StorPort for: the logical unit's extension, the registry buffer, and an MDL for
/// each request.
const LOGICAL_UNIT_AT: usize = SRB_EXTENSIONS_END.next_multiple_of(PAGE);
/// Most bytes of a logical unit's extension.
pub(super) const LOGICAL_UNIT_BYTES: usize = 0x1_0000;
const REGISTRY_AT: usize = LOGICAL_UNIT_AT + LOGICAL_UNIT_BYTES;
/// Bytes of the registry buffer.
pub(super) const REGISTRY_BYTES: usize = PAGE;
const MDLS_AT: usize = REGISTRY_AT + REGISTRY_BYTES;
/// Bytes of an MDL that describes a request's whole buffer.
pub(super) const MDL_BYTES: usize = 0x30 + 8 * (DATA_BYTES / PAGE + 1);
const MDL: usize = 0x100;
const DATA_AT: usize = MDLS_AT + (SLOTS * MDL).next_multiple_of(PAGE);
const _: () = assert!(MDL_BYTES <= MDL);
const BYTES: usize = DATA_AT + SLOTS * DATA_BYTES;
/// Behind the driver's memory lie the processors' stacks, each above a guard that faults when it is touched.
const STACKS_AT: usize = BYTES;
/// Bytes of a processor's stack: a kernel stack has 24 KiB, but an unoptimised build needs more, and a nested
/// interrupt at every level must fit.
const STACK_BYTES: usize = 512 * 1024;
/// A multiple of every host's page size.
const GUARD: usize = 0x1_0000;
const STACK: usize = GUARD + STACK_BYTES;
const ARENA_BYTES: usize = STACKS_AT + PROCESSORS_MAX * STACK;

/// Physical address of offset 0 of the linear part.
const LINEAR_PHYSICAL: u64 = 0x1_0000_0000;
/// Physical address of the first data page.
const DATA_PHYSICAL: u64 = 0x2_0000_0000;
/// Which data page lies at which physical page: an involution under which no two neighbours stay
/// neighbours in ascending order.
const PAGE_SWAP: usize = 0b101;

/// What new pool memory and a new SrbExtension hold: StorPort does not promise zeroes, so a driver that
/// counts on them must not get them.
pub(super) const FRESH: u8 = 0xCD;
/// What a completed request's SrbExtension holds: any later use of it shows.
pub(super) const COMPLETED: u8 = 0xDF;

/// Blocks of pool that are told apart; what a driver allocates beyond them can be freed twice unseen.
const BLOCKS_MAX: usize = 64;

/// The memory of one machine.
pub(super) struct Memory {
    arena: Arena,
    pool_used: usize,
    /// Addresses of the pool's blocks that are not freed, among the first of the run.
    blocks: [usize; BLOCKS_MAX],
    block_count: usize,
    uncached_used: usize,
    /// What the driver had of it before it was to find its adapter anew.
    uncached_kept: usize,
}

impl Memory {
    pub(super) fn new() -> Self {
        let arena = Arena::new(ARENA_BYTES);
        for processor in 0..PROCESSORS_MAX {
            arena.forbid(STACKS_AT + processor * STACK, GUARD);
        }
        Memory {
            arena,
            pool_used: 0,
            blocks: [0; BLOCKS_MAX],
            block_count: 0,
            uncached_used: 0,
            uncached_kept: 0,
        }
    }

    /// The highest and the lowest address of a processor's stack; the latter is that of its guard.
    pub(super) fn stack(&self, processor: usize) -> (usize, usize) {
        let guard = self.start() + STACKS_AT + processor * STACK;
        (guard + STACK, guard)
    }

    /// Where all stacks lie.
    pub(super) fn stacks(&self) -> super::StackLayout {
        super::StackLayout {
            start: self.start() + STACKS_AT,
            count: PROCESSORS_MAX,
            bytes: STACK,
            guard: GUARD,
        }
    }

    fn start(&self) -> usize {
        self.arena.base().addr().get()
    }

    /// A pointer to `offset`, for regions of fixed size.
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= BYTES);
        // SAFETY: every caller's offset lies inside the arena.
        unsafe { self.arena.base().as_ptr().add(offset) }
    }

    /// Forgets pool and uncached extension; the extension becomes `bytes` zeroes, as StorPort gives it.
    pub(super) fn power_on(&mut self, machine: usize, extension_bytes: usize) {
        (self.pool_used, self.block_count) = (0, 0);
        (self.uncached_used, self.uncached_kept) = (0, 0);
        debug_assert!(extension_bytes <= EXTENSION_BYTES);
        // SAFETY: header and extension lie inside the first region; nothing refers to them between runs.
        unsafe {
            self.at(0).cast::<usize>().write(machine);
            self.at(HEADER).write_bytes(0, extension_bytes);
        }
    }

    /// The device extension.
    pub(super) fn extension(&self) -> *mut u8 {
        self.at(HEADER)
    }

    /// The machine's address, from a device extension.
    ///
    /// # Safety
    ///
    /// `extension` came from [`Memory::extension`] of a live machine.
    pub(super) unsafe fn machine_of(extension: *mut u8) -> usize {
        // SAFETY: the header lies right before the extension.
        unsafe { extension.sub(HEADER).cast::<usize>().read() }
    }

    /// The uncached extension: page-aligned, zeroed, but for what the driver has had before; NULL if it was taken or is too
    /// large.
    pub(super) fn take_uncached(&mut self, bytes: usize) -> *mut u8 {
        if self.uncached_used != 0 || bytes == 0 || bytes > UNCACHED_BYTES {
            return std::ptr::null_mut();
        }
        self.uncached_used = bytes;
        let address = self.at(UNCACHED_AT);
        let fresh = bytes.saturating_sub(self.uncached_kept);
        // SAFETY: the region has `UNCACHED_BYTES` bytes, and nobody has it yet.
        unsafe { address.add(bytes - fresh).write_bytes(0, fresh) };
        address
    }

    /// The driver is to find its adapter anew and will ask for the extension again. It gets the same memory as it left it:
    /// what StorPort has given to a driver outlives a stop for power management
    /// (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-scsi_adapter_control_type>), and
    /// drivers keep STOR_DPC objects there that they initialise once.
    pub(super) fn give_back_uncached(&mut self) {
        self.uncached_kept = self.uncached_kept.max(self.uncached_used);
        self.uncached_used = 0;
    }

    /// A block of pool: 16-byte aligned, never the same twice in a run; NULL if the pool is spent.
    pub(super) fn take_pool(&mut self, bytes: usize) -> *mut u8 {
        self.take_pool_aligned(bytes, 16)
    }

    /// As [`Memory::take_pool`], aligned to a power of two up to a page. Its pages are contiguous for a device.
    pub(super) fn take_pool_aligned(&mut self, bytes: usize, align: usize) -> *mut u8 {
        debug_assert!(align.is_power_of_two() && (16..=PAGE).contains(&align));
        let first = self.pool_used.next_multiple_of(align);
        if bytes == 0 || first > POOL_BYTES || bytes > POOL_BYTES - first {
            return std::ptr::null_mut();
        }
        let address = self.at(POOL_AT + first);
        self.pool_used = (first + bytes).next_multiple_of(16).min(POOL_BYTES);
        // SAFETY: the block lies inside the pool's region, behind every block given out before.
        unsafe { address.write_bytes(FRESH, bytes) };
        if self.block_count < BLOCKS_MAX {
            self.blocks[self.block_count] = address.addr();
            self.block_count += 1;
        }
        address
    }

    /// Takes a block back; `false` if the address is none's that is in use.
    pub(super) fn give_back_pool(&mut self, address: usize) -> bool {
        let pool = self.at(POOL_AT).addr();
        if !(pool..pool + self.pool_used).contains(&address) {
            return false;
        }
        let blocks = &mut self.blocks[..self.block_count];
        match blocks.iter_mut().find(|block| **block == address) {
            Some(block) => *block = 0,
            None => return self.block_count == BLOCKS_MAX,
        }
        true
    }

    /// Whether `bytes` bytes from `address` lie in memory that the driver may give to its device.
    pub(super) fn contains(&self, address: usize, bytes: usize) -> bool {
        let (first, end) = (self.start() + HEADER, self.start() + BYTES);
        address >= first && address.checked_add(bytes).is_some_and(|last| last <= end)
    }

    /// Whether `bytes` bytes from `address` lie in that memory or in one processor's stack.
    pub(super) fn is_drivers(&self, address: usize, bytes: usize) -> bool {
        if self.contains(address, bytes) {
            return true;
        }
        let Some(offset) = address.checked_sub(self.start() + STACKS_AT) else { return false };
        let in_stack = offset % STACK;
        offset / STACK < PROCESSORS_MAX && in_stack >= GUARD && bytes <= STACK - in_stack
    }

    /// Where in memory that several processors reach an address lies. Request blocks, buffers and what StorPort lends for
    /// a call are not among it: who owns the request, or is called, is alone with them.
    pub(super) fn shared_place(
        &self,
        address: usize,
        number_of: impl Fn(usize) -> u16,
    ) -> Option<(Area, u32)> {
        let offset = address.checked_sub(self.start())?;
        let inside = |area, first| Some((area, (offset - first) as u32));
        match offset {
            HEADER..UNCACHED_AT => inside(Area::Extension, HEADER),
            UNCACHED_AT..POOL_AT => inside(Area::Uncached, UNCACHED_AT),
            POOL_AT..SLOTS_AT => inside(Area::Pool, POOL_AT),
            SRB_EXTENSIONS_AT..SRB_EXTENSIONS_END => {
                let in_all = offset - SRB_EXTENSIONS_AT;
                let (slot, in_extension) = (in_all / SRB_EXTENSION, in_all % SRB_EXTENSION);
                Some((Area::SrbExtension(number_of(slot)), in_extension as u32))
            }
            LOGICAL_UNIT_AT..REGISTRY_AT => inside(Area::LogicalUnit, LOGICAL_UNIT_AT),
            _ => None,
        }
    }

    /// The request block of a slot.
    pub(super) fn srb(&self, slot: usize) -> *mut u8 {
        self.at(SLOTS_AT + slot * SLOT)
    }

    /// The slot whose request block lies at `address`.
    pub(super) fn slot_of(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.at(SLOTS_AT).addr())?;
        (offset % SLOT == 0 && offset / SLOT < SLOTS).then_some(offset / SLOT)
    }

    /// The sense buffer of a slot.
    pub(super) fn sense(&self, slot: usize) -> *mut u8 {
        self.at(SLOTS_AT + slot * SLOT + SENSE_AT)
    }

    /// The scatter/gather list of a slot.
    pub(super) fn scatter_gather(&self, slot: usize) -> *mut u8 {
        self.at(SLOTS_AT + slot * SLOT + SCATTER_GATHER_AT)
    }

    /// The SrbExtension of a slot.
    pub(super) fn srb_extension(&self, slot: usize) -> *mut u8 {
        self.at(SRB_EXTENSIONS_AT + slot * SRB_EXTENSION)
    }

    /// The one logical unit's extension.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn logical_unit(&self) -> *mut u8 {
        self.at(LOGICAL_UNIT_AT)
    }

    /// The registry buffer.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn registry_buffer(&self) -> *mut u8 {
        self.at(REGISTRY_AT)
    }

    /// Where the MDL of a slot's buffer is.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn mdl(&self, slot: usize) -> *mut u8 {
        self.at(MDLS_AT + slot * MDL)
    }

    /// The data buffer of a slot, page-aligned.
    pub(super) fn data(&self, slot: usize) -> *mut u8 {
        self.at(DATA_AT + slot * DATA_BYTES)
    }

    /// The physical address of a byte, and how many bytes from there are contiguous; `None` for an address
    /// that is not the driver's.
    pub(super) fn physical(&self, address: usize) -> Option<(u64, usize)> {
        if !self.contains(address, 1) {
            return None;
        }
        let offset = address - self.start();
        if offset < DATA_AT {
            return Some((LINEAR_PHYSICAL + offset as u64, DATA_AT - offset));
        }
        let (page, in_page) = ((offset - DATA_AT) / PAGE, (offset - DATA_AT) % PAGE);
        let physical = DATA_PHYSICAL + ((page ^ PAGE_SWAP) * PAGE + in_page) as u64;
        Some((physical, PAGE - in_page))
    }

    /// The byte at a physical address, and how many bytes from there are contiguous.
    pub(super) fn virtual_of(&self, physical: u64) -> Option<(*mut u8, usize)> {
        if let Some(data) = physical.checked_sub(DATA_PHYSICAL) {
            let data = usize::try_from(data).ok()?;
            let (page, in_page) = (data / PAGE, data % PAGE);
            if page >= SLOTS * DATA_BYTES / PAGE {
                return None;
            }
            let offset = DATA_AT + (page ^ PAGE_SWAP) * PAGE + in_page;
            return Some((self.at(offset), PAGE - in_page));
        }
        let offset = usize::try_from(physical.checked_sub(LINEAR_PHYSICAL)?).ok()?;
        (HEADER..DATA_AT).contains(&offset).then(|| (self.at(offset), DATA_AT - offset))
    }

    /// Walks `bytes` bytes of physical memory in contiguous pieces; `false` before any piece if one
    /// lies outside.
    fn pieces(
        &self,
        physical: u64,
        bytes: usize,
        mut piece: impl FnMut(*mut u8, usize, usize),
    ) -> bool {
        let end = physical.checked_add(bytes as u64);
        let inside = |from: u64| self.virtual_of(from).map(|(_, run)| run);
        // A first walk for the bounds, so that a rejected transfer touches nothing.
        let (mut at, mut left) = (physical, bytes);
        while left > 0 {
            let (Some(run), Some(_)) = (inside(at), end) else { return false };
            let step = run.min(left);
            at += step as u64;
            left -= step;
        }
        let (mut at, mut done) = (physical, 0);
        while done < bytes {
            let Some((address, run)) = self.virtual_of(at) else { return false };
            let step = run.min(bytes - done);
            piece(address, done, step);
            at += step as u64;
            done += step;
        }
        true
    }

    /// Copies out of physical memory.
    pub(super) fn read_physical(&self, physical: u64, into: &mut [u8]) -> bool {
        let target = into.as_mut_ptr();
        self.pieces(physical, into.len(), |address, done, step| {
            // SAFETY: `pieces` stays inside the block and inside `into`, which do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(address, target.add(done), step) }
        })
    }

    /// Copies into physical memory.
    pub(super) fn write_physical(&self, physical: u64, from: &[u8]) -> bool {
        let source = from.as_ptr();
        self.pieces(physical, from.len(), |address, done, step| {
            // SAFETY: as in `read_physical`.
            unsafe { std::ptr::copy_nonoverlapping(source.add(done), address, step) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn physical_and_virtual_are_inverse() {
        let memory = Memory::new();
        for offset in (HEADER..BYTES).step_by(509) {
            let address = memory.at(offset).addr();
            let (physical, run) = memory.physical(address).expect("inside");
            let (back, same_run) = memory.virtual_of(physical).expect("inside");
            assert_eq!((back.addr(), same_run), (address, run));
        }
    }

    #[test]
    fn neighbouring_data_pages_are_not_contiguous() {
        let memory = Memory::new();
        let data = memory.data(3).addr();
        for page in 0..DATA_BYTES / PAGE - 1 {
            let (here, _) = memory.physical(data + page * PAGE).expect("inside");
            let (next, _) = memory.physical(data + (page + 1) * PAGE).expect("inside");
            assert_ne!(here + PAGE as u64, next);
        }
    }

    #[test]
    fn stacks_are_the_drivers_and_their_guards_are_not() {
        let memory = Memory::new();
        for processor in 0..PROCESSORS_MAX {
            let (top, guard) = memory.stack(processor);
            assert!(memory.is_drivers(guard + GUARD, STACK_BYTES));
            assert!(!memory.is_drivers(guard + GUARD - 1, 1));
            assert!(!memory.is_drivers(top - 1, 2), "across the end");
            assert!(!memory.contains(top - 1, 1), "no device reaches a stack");
        }
        let (end, _) = memory.stack(PROCESSORS_MAX - 1);
        assert!(!memory.is_drivers(end, 1));
        assert!(!memory.is_drivers(usize::MAX, 1));
    }

    #[test]
    fn the_uncached_extension_is_zeroed_once_in_a_run() {
        let mut memory = Memory::new();
        let bytes = |memory: &mut Memory, count| {
            let address = memory.take_uncached(count);
            // SAFETY: the machine's own memory, of so many bytes.
            unsafe { std::slice::from_raw_parts_mut(address, count) }
        };
        bytes(&mut memory, 64).fill(7);
        assert!(memory.take_uncached(64).is_null(), "it was taken");
        memory.give_back_uncached();
        let again = bytes(&mut memory, 96);
        assert!(again[..64].iter().all(|&byte| byte == 7) && again[64..] == [0; 32]);
        again.fill(9);
        memory.power_on(0, 0);
        assert_eq!(bytes(&mut memory, 96), [0; 96]);
    }

    #[test]
    fn a_block_of_pool_is_given_back_once() {
        let mut memory = Memory::new();
        let (first, second) = (memory.take_pool(24).addr(), memory.take_pool(8).addr());
        assert!(!memory.give_back_pool(first + 16), "inside a block");
        assert!(memory.give_back_pool(first));
        assert!(!memory.give_back_pool(first), "twice");
        assert!(memory.give_back_pool(second));
    }

    #[test]
    fn a_transfer_across_pages_reaches_the_right_bytes_or_none() {
        let memory = Memory::new();
        let (physical, _) = memory.physical(memory.data(0).addr() + PAGE - 2).expect("inside");
        assert!(memory.write_physical(physical, &[1, 2]));
        let mut read = [0; 2];
        assert!(memory.read_physical(physical, &mut read));
        assert_eq!(read, [1, 2]);
        assert!(
            !memory.write_physical(0x1_0000_0000, &[9]),
            "StorPort's header is not for devices"
        );
        assert!(!memory.read_physical(u64::MAX, &mut read));
    }
}
