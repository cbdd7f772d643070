//! MDLs, contiguous memory, physical addresses and mappings.

use std::ffi::c_void;

use crate::binary::frame::Call;
use crate::event::{Cause, Sink};
use crate::machine::Port;
use crate::storport::Ddi;
use crate::storport::memory::PhysicalAddress;

/// Bytes of a page, and of MDL without its page numbers.
const PAGE: usize = 4096;
const HEAD_BYTES: usize = 0x30;
/// MDL_MAPPED_TO_SYSTEM_VA and MDL_SOURCE_IS_NONPAGED_POOL.
const MAPPED: u16 = 0x1;
const NONPAGED: u16 = 0x4;
/// Most pages that an MDL here describes: more than the machine has.
const PAGES_MAX: usize = 1024;

/// The head of `MDL`. See <https://learn.microsoft.com/windows-hardware/drivers/kernel/using-mdls>.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    next: usize,
    size: u16,
    flags: u16,
    reserved: u32,
    process: usize,
    mapped: usize,
    start: usize,
    bytes: u32,
    offset: u32,
}

const _: () = assert!(size_of::<Head>() == HEAD_BYTES);
crate::binary::frame::plain!(Head);

fn pages(address: usize, bytes: u32) -> usize {
    (address % PAGE + bytes as usize).div_ceil(PAGE)
}

/// Bytes of an MDL for a buffer.
pub(in crate::binary) fn bytes_for(address: usize, bytes: u32) -> usize {
    HEAD_BYTES + pages(address, bytes) * size_of::<usize>()
}

/// Makes an MDL for a buffer, without its pages.
pub(in crate::binary) fn initialize<S: Sink + 'static>(
    call: &Call<S>,
    mdl: *mut u8,
    address: usize,
    bytes: u32,
) {
    let head = Head {
        next: 0,
        size: bytes_for(address, bytes) as u16,
        flags: 0,
        reserved: 0,
        process: 0,
        mapped: 0,
        start: address & !(PAGE - 1),
        bytes,
        offset: (address % PAGE) as u32,
    };
    call.write_at(mdl.cast(), head);
}

/// MmBuildMdlForNonPagedPool: the pages, and that they are mapped.
pub(in crate::binary) fn build<S: Sink + 'static>(call: &Call<S>, port: Port<S>, mdl: *mut u8) {
    let mut head = call.read_at(mdl.cast_const().cast::<Head>());
    head.mapped = head.start.wrapping_add(head.offset as usize);
    head.flags |= NONPAGED | MAPPED;
    call.write_at(mdl.cast(), head);
    let count = pages(head.mapped, head.bytes);
    if count > PAGES_MAX {
        call.crash(Cause::BadPointer);
    }
    let first = mdl.wrapping_add(HEAD_BYTES).cast::<u64>();
    for page in 0..count {
        let physical = port.physical_address_of(head.mapped.max(head.start + page * PAGE));
        let number = physical.map_or(0, |physical| physical.0 / PAGE as u64);
        call.write_at(first.wrapping_add(page), number);
    }
}

pub(super) fn build_for_pool<S: Sink + 'static>(call: &Call<S>) -> usize {
    build(call, call.port(), call.pointer(0));
    0
}

pub(super) fn allocate<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (address, bytes) = (call.word(0), call.u32(1));
    let mdl = call.port().allocate(Ddi::AllocateMdl, bytes_for(address, bytes));
    if !mdl.is_null() {
        initialize(call, mdl.cast(), address, bytes);
    }
    mdl.addr()
}

pub(super) fn free<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().free(Ddi::FreeMdl, call.pointer(0));
    0
}

/// MmMapLockedPagesSpecifyCache: all memory of the machine is mapped.
pub(super) fn map_locked_pages<S: Sink + 'static>(call: &Call<S>) -> usize {
    let head = call.read::<Head>(0);
    head.start.wrapping_add(head.offset as usize)
}

pub(super) fn physical_address<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().physical_address_of(call.word(0)).unwrap_or_default().0 as usize
}

fn contiguous<S: Sink + 'static>(call: &Call<S>, highest: u64) -> *mut c_void {
    match call.port().allocate_contiguous(Ddi::AllocateContiguousMemory, call.word(0)) {
        Ok((address, physical)) if physical <= PhysicalAddress(highest) => address,
        _ => std::ptr::null_mut(),
    }
}

pub(super) fn allocate_contiguous<S: Sink + 'static>(call: &Call<S>) -> usize {
    contiguous(call, u64::MAX).addr()
}

/// MmAllocateContiguousMemorySpecifyCache: argument 2 is the highest address.
pub(super) fn allocate_contiguous_below<S: Sink + 'static>(call: &Call<S>) -> usize {
    contiguous(call, call.u64(2)).addr()
}

pub(super) fn free_contiguous<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().free(Ddi::FreeContiguousMemory, call.pointer(0));
    0
}

pub(super) fn map_io_space<S: Sink + 'static>(call: &Call<S>) -> usize {
    let bytes = u32::try_from(call.word(1)).unwrap_or(u32::MAX);
    call.port().map_io_space(PhysicalAddress(call.u64(0)), bytes).addr()
}

pub(super) fn unmap_io_space<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().called(Ddi::MmUnmapIoSpace, 0, || 0);
    0
}
