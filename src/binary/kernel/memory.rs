//! Bytes: what compilers call by themselves. No decision points but where accesses to memory are: these are the driver's
//! own instructions.

use crate::binary::frame::Call;
use crate::event::{Sink, Touch};

/// EINVAL and ERANGE of the run-time library.
pub(super) const EINVAL: usize = 22;
pub(super) const ERANGE: usize = 34;

pub(super) fn copy<S: Sink + 'static>(call: &Call<S>) -> usize {
    let bytes = call.word(2);
    let (to, from) = (call.writable::<u8>(0, bytes), call.readable::<u8>(1, bytes));
    touch(call, from.addr(), bytes, Touch::Read);
    touch(call, to.addr(), bytes, Touch::Write);
    // SAFETY: both checked; they may overlap.
    unsafe { std::ptr::copy(from, to, bytes) };
    to.addr()
}

/// Tells of an access, where that is wanted.
fn touch<S: Sink + 'static>(call: &Call<S>, address: usize, bytes: usize, touch: Touch) {
    if let Some(port) = call.machine()
        && bytes != 0
    {
        port.image_touches(address, bytes, touch);
    }
}

/// memcpy_s: to, its bytes, from, count.
pub(super) fn copy_checked<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (room, bytes) = (call.word(1), call.word(3));
    if bytes == 0 {
        return 0;
    }
    if call.word(0) == 0 {
        return EINVAL;
    }
    if call.word(2) == 0 || room < bytes {
        let to = call.writable::<u8>(0, room);
        // SAFETY: checked.
        unsafe { to.write_bytes(0, room) };
        return if room < bytes { ERANGE } else { EINVAL };
    }
    let (to, from) = (call.writable::<u8>(0, bytes), call.readable::<u8>(2, bytes));
    // SAFETY: both checked; they may overlap.
    unsafe { std::ptr::copy(from, to, bytes) };
    0
}

fn set<S: Sink + 'static>(call: &Call<S>, value: u8, bytes: usize) -> usize {
    let to = call.writable::<u8>(0, bytes);
    touch(call, to.addr(), bytes, Touch::Write);
    // SAFETY: checked.
    unsafe { to.write_bytes(value, bytes) };
    to.addr()
}

pub(super) fn fill<S: Sink + 'static>(call: &Call<S>) -> usize {
    set(call, call.u8(1), call.word(2))
}

/// RtlFillMemory: the length comes before the value.
pub(super) fn fill_rtl<S: Sink + 'static>(call: &Call<S>) -> usize {
    set(call, call.u8(2), call.word(1))
}

pub(super) fn zero<S: Sink + 'static>(call: &Call<S>) -> usize {
    set(call, 0, call.word(1))
}

/// The bytes of two arguments, as long as they are equal.
fn equal_bytes<S: Sink + 'static>(call: &Call<S>, bytes: usize) -> (usize, *const u8, *const u8) {
    let (a, b) = (call.readable::<u8>(0, bytes), call.readable::<u8>(1, bytes));
    // SAFETY: checked.
    let same = (0..bytes).take_while(|&at| unsafe { a.add(at).read() == b.add(at).read() }).count();
    (same, a, b)
}

pub(super) fn compare<S: Sink + 'static>(call: &Call<S>) -> usize {
    let bytes = call.word(2);
    let (same, a, b) = equal_bytes(call, bytes);
    if same == bytes {
        return 0;
    }
    // SAFETY: checked; before the end.
    let (a, b) = unsafe { (a.add(same).read(), b.add(same).read()) };
    (i32::from(a) - i32::from(b)) as u32 as usize
}

/// RtlCompareMemory: how many bytes are equal.
pub(super) fn matching<S: Sink + 'static>(call: &Call<S>) -> usize {
    equal_bytes(call, call.word(2)).0
}

pub(super) fn find<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (bytes, wanted) = (call.word(2), call.u8(1));
    let from = call.readable::<u8>(0, bytes);
    // SAFETY: checked.
    let found = (0..bytes).find(|&at| unsafe { from.add(at).read() } == wanted);
    found.map_or(0, |at| from.addr() + at)
}
