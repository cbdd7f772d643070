//! Counted strings, the registry by ntoskrnl's routine, the version of Windows, and routines by name.

use super::strings::{Unit, measure, unit};
use crate::binary::frame::{Call, plain};
use crate::binary::imports;
use crate::event::Sink;

/// STATUS_OBJECT_NAME_NOT_FOUND.
const STATUS_OBJECT_NAME_NOT_FOUND: usize = 0xC000_0034;
/// Longest name of a routine.
const NAME_BYTES: usize = 96;

/// UNICODE_STRING and ANSI_STRING.
#[repr(C)]
#[derive(Clone, Copy)]
struct Counted {
    length: u16,
    maximum: u16,
    buffer: usize,
}

plain!(Counted);

impl Counted {
    fn units(&self) -> (usize, *mut u16) {
        (usize::from(self.length / 2), std::ptr::with_exposed_provenance_mut(self.buffer))
    }
}

/// The string at argument 0 becomes the one that ends with an end at argument 1.
fn initialize<S: Sink + 'static, U: Unit>(call: &Call<S>) -> usize {
    let source = call.pointer::<U>(1);
    let mut string = Counted { length: 0, maximum: 0, buffer: source.addr() };
    if !source.is_null() {
        let bytes = measure(call, source, usize::from(u16::MAX)) * size_of::<U>();
        let most = usize::from(u16::MAX) - 2 * size_of::<U>() + 1;
        string.length = bytes.min(most) as u16;
        string.maximum = string.length + size_of::<U>() as u16;
    }
    call.write(0, string);
    0
}

pub(super) fn initialize_unicode<S: Sink + 'static>(call: &Call<S>) -> usize {
    initialize::<S, u16>(call)
}

pub(super) fn initialize_ansi<S: Sink + 'static>(call: &Call<S>) -> usize {
    initialize::<S, u8>(call)
}

pub(super) fn copy_unicode<S: Sink + 'static>(call: &Call<S>) -> usize {
    let mut to = call.read::<Counted>(0);
    to.length = 0;
    if call.word(1) != 0 {
        let (count, from) = call.read::<Counted>(1).units();
        let count = count.min(usize::from(to.maximum / 2));
        let (_, target) = to.units();
        for at in 0..count {
            call.write_at(target.wrapping_add(at), unit(call, from, at));
        }
        to.length = (count * 2) as u16;
    }
    call.write(0, to);
    0
}

fn order<S: Sink + 'static>(call: &Call<S>) -> i32 {
    let ((a_count, a), (b_count, b)) =
        (call.read::<Counted>(0).units(), call.read::<Counted>(1).units());
    let folded = call.boolean(2);
    let fold = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if folded => u16::from(byte.to_ascii_uppercase()),
        _ => unit,
    };
    for at in 0..a_count.min(b_count) {
        let (x, y) = (fold(unit(call, a, at)), fold(unit(call, b, at)));
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    a_count as i32 - b_count as i32
}

pub(super) fn compare_unicode<S: Sink + 'static>(call: &Call<S>) -> usize {
    order(call) as u32 as usize
}

pub(super) fn equal_unicode<S: Sink + 'static>(call: &Call<S>) -> usize {
    usize::from(order(call) == 0)
}

/// RtlQueryRegistryValues: there are no such keys.
pub(super) fn query_registry<S: Sink + 'static>(_: &Call<S>) -> usize {
    STATUS_OBJECT_NAME_NOT_FOUND
}

/// RtlGetVersion: Windows 10, version 2004, whose StorPort is the model.
pub(super) fn version<S: Sink + 'static>(call: &Call<S>) -> usize {
    let information = call.pointer::<u32>(0);
    for (field, value) in [(1, 10_u32), (2, 0), (3, super::variables::BUILD.into()), (4, 2)] {
        call.write_at(information.wrapping_add(field), value);
    }
    0
}

/// MmGetSystemRoutineAddress: a routine that an import could have named.
pub(super) fn routine_address<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (count, text) = call.read::<Counted>(0).units();
    let mut name = [0; NAME_BYTES];
    if count > name.len() {
        return 0;
    }
    for (at, byte) in name[..count].iter_mut().enumerate() {
        *byte = u8::try_from(unit(call, text, at)).unwrap_or(b'?');
    }
    let name = std::str::from_utf8(&name[..count]).unwrap_or_default();
    imports::routine::<S>("ntoskrnl.exe", name).unwrap_or(0)
}
