//! Memory: pool, contiguous and DMA memory, a request's buffer and its MDL.

use super::extended::FIRST;
use super::{srb, status};
use crate::binary::frame::{Call, plain};
use crate::binary::kernel::mdl;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::config::AccessRange;
use crate::storport::memory::PhysicalAddress;
use crate::storport::{Ddi, StorPort, StorStatus};

plain!(AccessRange);

/// Most bytes of a host memory buffer: what leaves pool for everything else.
const HOST_MEMORY_BYTES: usize = 0x1_0000;

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    Some(status(match code {
        Code::ALLOCATE_POOL => allocate_pool(call, port),
        // SAFETY: the machine knows its blocks; the driver's use of a freed one is the driver's mistake.
        Code::FREE_POOL => unsafe { port.free_pool(call.pointer(FIRST)) },
        Code::GET_SYSTEM_ADDRESS => get_system_address(call, port),
        Code::ALLOCATE_MDL => allocate_mdl(call, port),
        Code::FREE_MDL => port.free(Ddi::FreeMdl, call.pointer(FIRST)),
        Code::BUILD_MDL_FOR_NON_PAGED_POOL => {
            mdl::build(call, port, call.pointer(FIRST));
            success(port, Ddi::BuildMdlForNonPagedPool)
        }
        Code::GET_ORIGINAL_MDL => get_original_mdl(call, port),
        Code::ALLOCATE_CONTIGUOUS_MEMORY_SPECIFY_CACHE_NODE => {
            allocate_contiguous(call, port, Ddi::AllocateContiguousMemory)
        }
        Code::FREE_CONTIGUOUS_MEMORY_SPECIFY_CACHE => {
            port.free(Ddi::FreeContiguousMemory, call.pointer(FIRST))
        }
        Code::ALLOCATE_DMA_MEMORY => allocate_contiguous(call, port, Ddi::AllocateDmaMemory),
        Code::FREE_DMA_MEMORY => port.free(Ddi::FreeDmaMemory, call.pointer(FIRST)),
        Code::ALLOCATE_HMB => allocate_host_memory_buffer(call, port),
        Code::FREE_HMB => success(port, Ddi::FreeHostMemoryBuffer),
        Code::MARK_DUMP_MEMORY => {
            let _ = call.readable::<u8>(FIRST, call.word(FIRST + 1));
            success(port, Ddi::MarkDumpMemory)
        }
        _ => return None,
    }))
}

/// A routine that does nothing that the machine would notice, and succeeds.
pub(super) fn success<S: Sink + 'static>(port: Port<S>, ddi: Ddi) -> StorStatus {
    StorStatus(port.called(ddi, 0, || StorStatus::SUCCESS.0))
}

/// A routine that refuses its arguments.
pub(super) fn refuse<S: Sink + 'static>(port: Port<S>, ddi: Ddi) -> StorStatus {
    StorStatus(port.called(ddi, 0, || StorStatus::INVALID_PARAMETER.0))
}

fn allocate_pool<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable::<*mut u8>(FIRST + 2, size_of::<*mut u8>());
    let mut buffer = std::ptr::null_mut();
    let status = port.allocate_pool(call.u32(FIRST), call.u32(FIRST + 1), &mut buffer);
    call.write_at(result, buffer.cast());
    status
}

fn get_system_address<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable::<*mut u8>(FIRST + 1, size_of::<*mut u8>());
    let Some(srb) = srb(call, FIRST) else { return refuse(port, Ddi::GetSystemAddress) };
    let mut address = std::ptr::null_mut();
    let status = port.get_system_address(srb, &mut address);
    call.write_at(result, address.cast());
    status
}

fn allocate_mdl<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable::<*mut u8>(FIRST + 2, size_of::<*mut u8>());
    let (buffer, bytes) = (call.word(FIRST), call.u32(FIRST + 1));
    let mdl = port.allocate(Ddi::AllocateMdl, mdl::bytes_for(buffer, bytes));
    call.write_at(result, mdl.cast());
    if mdl.is_null() {
        return StorStatus::INSUFFICIENT_RESOURCES;
    }
    mdl::initialize(call, mdl.cast(), buffer, bytes);
    StorStatus::SUCCESS
}

fn get_original_mdl<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable::<*mut u8>(FIRST + 1, size_of::<*mut u8>());
    let Some((mdl, buffer, bytes)) = port.mdl_of(call.word(FIRST)) else {
        call.write_at(result, std::ptr::null_mut());
        return refuse(port, Ddi::GetOriginalMdl);
    };
    mdl::initialize(call, mdl.cast(), buffer.addr(), bytes);
    mdl::build(call, port, mdl.cast());
    call.write_at(result, mdl.cast());
    success(port, Ddi::GetOriginalMdl)
}

/// StorPortAllocateContiguousMemorySpecifyCacheNode, and StorPortAllocateDmaMemory, which has one argument more.
fn allocate_contiguous<S: Sink + 'static>(call: &Call<S>, port: Port<S>, ddi: Ddi) -> StorStatus {
    let (bytes, highest) = (call.word(FIRST), PhysicalAddress(call.u64(FIRST + 2)));
    let result = call.writable::<*mut u8>(FIRST + 6, size_of::<*mut u8>());
    let physical = (ddi == Ddi::AllocateDmaMemory)
        .then(|| call.writable::<PhysicalAddress>(FIRST + 7, size_of::<PhysicalAddress>()));
    let (address, at) = match port.allocate_contiguous(ddi, bytes) {
        Ok((_, at)) if at > highest => (std::ptr::null_mut(), PhysicalAddress(0)),
        Ok(memory) => memory,
        Err(_) => (std::ptr::null_mut(), PhysicalAddress(0)),
    };
    call.write_at(result, address.cast());
    if let Some(physical) = physical {
        call.write_at(physical, at);
    }
    match address.is_null() {
        true => StorStatus::INSUFFICIENT_RESOURCES,
        false => StorStatus::SUCCESS,
    }
}

/// StorPortAllocateHostMemoryBuffer: one range, of what is wished or of what there is.
fn allocate_host_memory_buffer<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let ddi = Ddi::AllocateHostMemoryBuffer;
    let (minimum, preferred) = (call.word(FIRST), call.word(FIRST + 1));
    let ranges = call.writable::<AccessRange>(FIRST + 7, size_of::<AccessRange>());
    let count = call.writable::<u32>(FIRST + 8, size_of::<u32>());
    let bytes = preferred.min(HOST_MEMORY_BYTES);
    if bytes < minimum || bytes == 0 || call.read_at(count) == 0 {
        return refuse(port, ddi);
    }
    match port.allocate_contiguous(ddi, bytes) {
        Ok((_, physical)) => {
            let range = AccessRange {
                range_start: physical,
                range_length: bytes as u32,
                range_in_memory: 1,
            };
            call.write_at(ranges, range);
            call.write_at(count, 1);
            StorStatus::SUCCESS
        }
        Err(status) => status,
    }
}
