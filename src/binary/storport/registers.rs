//! Registers and ports by routine: what a debug build of storport.h imports, and what a release build inlines.
//!
//! The device model's registers are 32 bits wide. A wider access is two of them, the lower first; a narrower one is
//! a part of one.

use super::super::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::{Ddi, StorPort};

/// Reads `bytes` bytes of registers from an address that a driver gave; what is no register is memory.
pub(in crate::binary) fn read<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    address: usize,
    bytes: usize,
) -> u64 {
    if port.is_register(address, bytes) {
        return read_register(port, address, bytes);
    }
    let from: *const u8 = std::ptr::with_exposed_provenance(address);
    call.check_read(from, bytes);
    let mut value = [0; 8];
    // SAFETY: checked; at most 8 bytes.
    unsafe { value.as_mut_ptr().copy_from(from, bytes) };
    u64::from_le_bytes(value)
}

/// Reads 1, 2, 4 or 8 bytes of registers.
pub(in crate::binary) fn read_register<S: Sink + 'static>(
    port: Port<S>,
    address: usize,
    bytes: usize,
) -> u64 {
    let (word, shift) = (address & !3, address % 4 * 8);
    let part = |at: usize| {
        // SAFETY: the machine looks at the address only, and answers all ones outside the range.
        u64::from(unsafe { port.read_register_ulong(std::ptr::without_provenance(at)) })
    };
    let low = part(word) >> shift;
    let crosses = shift + bytes * 8 > 32;
    let value = if crosses { low | part(word + 4) << (32 - shift) } else { low };
    value & mask(bytes)
}

/// Writes registers at an address that a driver gave; what is no register is memory.
pub(in crate::binary) fn write<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    address: usize,
    (bytes, value): (usize, u64),
) {
    if port.is_register(address, bytes) {
        return write_register(port, address, (bytes, value));
    }
    let to: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
    call.check_write(to, bytes);
    // SAFETY: checked; at most 8 bytes.
    unsafe { to.copy_from(value.to_le_bytes().as_ptr(), bytes) };
}

/// Writes 1, 2, 4 or 8 bytes of registers. What is narrower than a register leaves the rest of it as it reads.
pub(in crate::binary) fn write_register<S: Sink + 'static>(
    port: Port<S>,
    address: usize,
    (bytes, value): (usize, u64),
) {
    let mut at = address;
    let end = address + bytes;
    while at < end {
        let (word, shift) = (at & !3, at % 4 * 8);
        let count = (end - at).min(4 - at % 4);
        let part = (value >> ((at - address) * 8) & mask(count)) as u32;
        let register = std::ptr::without_provenance_mut::<u32>(word);
        // SAFETY: as above; a write outside is ignored.
        unsafe {
            let whole = if count == 4 {
                part
            } else {
                let keep = !((mask(count) << shift) as u32);
                port.read_register_ulong(register) & keep | part << shift
            };
            port.write_register_ulong(register, whole);
        }
        at += count;
    }
}

const fn mask(bytes: usize) -> u64 {
    u64::MAX >> (64 - bytes * 8)
}

/// Copies `count` registers one behind the other: for buffer routines of registers.
fn read_buffer<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let (address, count) = (call.word(1), call.u32(3) as usize);
    let buffer = call.writable::<u8>(2, count.saturating_mul(bytes));
    for index in 0..count {
        let value = read(call, port, address.wrapping_add(index * bytes), bytes);
        // SAFETY: checked for all.
        unsafe { buffer.add(index * bytes).copy_from(value.to_le_bytes().as_ptr(), bytes) };
    }
    0
}

/// As [`read_buffer`], the other way.
fn write_buffer<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let (address, count) = (call.word(1), call.u32(3) as usize);
    let buffer = call.readable::<u8>(2, count.saturating_mul(bytes));
    for index in 0..count {
        let mut value = [0; 8];
        // SAFETY: checked for all; at most 8 bytes.
        unsafe { value.as_mut_ptr().copy_from(buffer.add(index * bytes), bytes) };
        let at = address.wrapping_add(index * bytes);
        write(call, port, at, (bytes, u64::from_le_bytes(value)));
    }
    0
}

/// An adapter of the machine has no ports: a read gives what an empty bus gives, a write is lost.
fn read_port<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let value = mask(bytes) as u32;
    port.called(Ddi::ReadPort, call.u32(1), || value) as usize
}

fn write_port<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let value = call.u32(2) & mask(bytes) as u32;
    port.called(Ddi::WritePort, call.u32(1), || value);
    0
}

/// The buffer routines of ports go to one port again and again.
fn read_port_buffer<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let count = call.u32(3) as usize;
    let buffer = call.writable::<u8>(2, count.saturating_mul(bytes));
    port.called(Ddi::ReadPort, call.u32(1), || mask(bytes) as u32);
    // SAFETY: checked.
    unsafe { buffer.write_bytes(0xFF, count * bytes) };
    0
}

fn write_port_buffer<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> usize {
    let port = call.adapter(0);
    let count = call.u32(3) as usize;
    let _ = call.readable::<u8>(2, count.saturating_mul(bytes));
    port.called(Ddi::WritePort, call.u32(1), || 0);
    0
}

macro_rules! widths {
    ($($bytes:literal: $read:ident $write:ident $read_buffer:ident $write_buffer:ident;)*) => {$(
        pub(super) fn $read<S: Sink + 'static>(call: &Call<S>) -> usize {
            read(call, call.adapter(0), call.word(1), $bytes) as usize
        }

        pub(super) fn $write<S: Sink + 'static>(call: &Call<S>) -> usize {
            write(call, call.adapter(0), call.word(1), ($bytes, call.u64(2)));
            0
        }

        pub(super) fn $read_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
            read_buffer(call, $bytes)
        }

        pub(super) fn $write_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
            write_buffer(call, $bytes)
        }
    )*};
}

macro_rules! port_widths {
    ($($bytes:literal: $read:ident $write:ident $read_buffer:ident $write_buffer:ident;)*) => {$(
        pub(super) fn $read<S: Sink + 'static>(call: &Call<S>) -> usize {
            read_port(call, $bytes)
        }

        pub(super) fn $write<S: Sink + 'static>(call: &Call<S>) -> usize {
            write_port(call, $bytes)
        }

        pub(super) fn $read_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
            read_port_buffer(call, $bytes)
        }

        pub(super) fn $write_buffer<S: Sink + 'static>(call: &Call<S>) -> usize {
            write_port_buffer(call, $bytes)
        }
    )*};
}

widths! {
    1: read_register_uchar write_register_uchar
        read_register_buffer_uchar write_register_buffer_uchar;
    2: read_register_ushort write_register_ushort
        read_register_buffer_ushort write_register_buffer_ushort;
    4: read_register_ulong write_register_ulong
        read_register_buffer_ulong write_register_buffer_ulong;
    8: read_register_ulong64 write_register_ulong64
        read_register_buffer_ulong64 write_register_buffer_ulong64;
}

port_widths! {
    1: read_port_uchar write_port_uchar read_port_buffer_uchar write_port_buffer_uchar;
    2: read_port_ushort write_port_ushort read_port_buffer_ushort write_port_buffer_ushort;
    4: read_port_ulong write_port_ulong read_port_buffer_ulong write_port_buffer_ulong;
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_mask_is_as_wide_as_its_bytes() {
        assert_eq!([mask(1), mask(2), mask(4), mask(8)], [0xFF, 0xFFFF, 0xFFFF_FFFF, u64::MAX]);
    }
}
