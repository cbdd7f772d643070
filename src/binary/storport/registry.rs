//! The registry, which holds what the scenario configures a driver with, and nothing else.

use std::ffi::CStr;

use super::extended::FIRST;
use super::status;
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::{Ddi, StorPort, StorStatus};

/// MINIPORT_REG_DWORD.
const DWORD: u32 = 4;
/// Longest name of a value that the machine may have, with its end.
const NAME_BYTES: usize = 64;

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    let (ddi, answer) = match code {
        // The hardware key has nothing in it, and keeps nothing.
        Code::REGISTRY_READ_ADAPTER_KEY => (Ddi::RegistryReadAdapterKey, StorStatus::UNSUCCESSFUL),
        Code::REGISTRY_WRITE_ADAPTER_KEY => (Ddi::RegistryWriteAdapterKey, StorStatus::SUCCESS),
        _ => return None,
    };
    let _ = name(call, FIRST + 1, &mut [0; NAME_BYTES]);
    Some(status(StorStatus(port.called(ddi, 0, || answer.0))))
}

pub(super) fn allocate_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let length = call.writable::<u32>(1, size_of::<u32>());
    let (buffer, bytes) = port.allocate_registry_buffer(call.read_at(length));
    call.write_at(length, bytes);
    buffer.addr()
}

pub(super) fn free_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).free_registry_buffer();
    0
}

pub(super) fn read<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let length = call.writable::<u32>(5, size_of::<u32>());
    let mut bytes = [0; NAME_BYTES];
    let name = name(call, 1, &mut bytes);
    let value = match call.u32(3) {
        DWORD => port.registry_read_dword(name),
        _ => {
            port.called(Ddi::RegistryRead, 0, || 0);
            None
        }
    };
    let room = call.read_at(length) as usize;
    let Some(value) = value else {
        call.write_at(length, 0);
        return 0;
    };
    call.write_at(length, size_of::<u32>() as u32);
    if room < size_of::<u32>() {
        return 0;
    }
    call.write(4, value);
    1
}

pub(super) fn write<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let _ = name(call, 1, &mut [0; NAME_BYTES]);
    let _ = call.readable::<u8>(4, call.u32(5) as usize);
    port.called(Ddi::RegistryWrite, 0, || 1) as usize
}

/// The string at argument `n`, as far as it may be a name that the machine knows.
fn name<'a, S: Sink + 'static>(call: &Call<S>, n: usize, room: &'a mut [u8]) -> &'a CStr {
    let address = call.pointer::<u8>(n);
    for (index, byte) in room.iter_mut().enumerate() {
        *byte = call.read_at(address.wrapping_add(index).cast_const());
        if *byte == 0 {
            break;
        }
    }
    // A longer name is none that the machine knows.
    CStr::from_bytes_until_nul(room).unwrap_or_default()
}
