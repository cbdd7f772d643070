//! Strings of bytes and of 16-bit units. Each unit is checked before it is read: a string ends where its end is
//! found, and not where its memory ends.

use super::memory::{EINVAL, ERANGE};
use crate::binary::frame::{Call, Plain};
use crate::event::Sink;

/// A unit of a string: a byte or a WCHAR.
pub(super) trait Unit: Plain + Into<u32> + PartialEq {
    /// What a string ends with.
    const END: Self;
    /// The unit with that value's low bits.
    fn of(value: u32) -> Self;
}

impl Unit for u8 {
    const END: u8 = 0;
    fn of(value: u32) -> u8 {
        value as u8
    }
}

impl Unit for u16 {
    const END: u16 = 0;
    fn of(value: u32) -> u16 {
        value as u16
    }
}

/// Unit `index` of the string at `start`.
pub(super) fn unit<S: Sink + 'static, U: Unit>(call: &Call<S>, start: *mut U, index: usize) -> U {
    call.read_at(start.wrapping_add(index).cast_const())
}

/// The units before the end, at most `most`.
pub(super) fn measure<S: Sink + 'static, U: Unit>(
    call: &Call<S>,
    start: *mut U,
    most: usize,
) -> usize {
    (0..most).find(|&at| unit(call, start, at) == U::END).unwrap_or(most)
}

/// ASCII letters without their case.
fn fold(unit: u32) -> u32 {
    if (u32::from(b'A')..=u32::from(b'Z')).contains(&unit) { unit + 32 } else { unit }
}

/// Compares at most `most` units of the strings at arguments 0 and 1.
fn order<S: Sink + 'static, U: Unit>(call: &Call<S>, most: usize, folded: bool) -> usize {
    let (a, b) = (call.pointer::<U>(0), call.pointer::<U>(1));
    for at in 0..most {
        let (a, b): (u32, u32) = (unit(call, a, at).into(), unit(call, b, at).into());
        let (x, y) = if folded { (fold(a), fold(b)) } else { (a, b) };
        if x != y {
            return if x < y { -1_i32 as u32 as usize } else { 1 };
        }
        if a == 0 {
            break;
        }
    }
    0
}

/// Copies at most `most` units from argument `from` to `to`, an end behind them if there is `room` for it.
fn transfer<S: Sink + 'static, U: Unit>(
    call: &Call<S>,
    to: *mut U,
    from: *mut U,
    (most, room): (usize, usize),
) -> Result<(), ()> {
    let length = measure(call, from, most.min(room));
    if length == room {
        return Err(());
    }
    for at in 0..length {
        call.write_at(to.wrapping_add(at), unit(call, from, at));
    }
    call.write_at(to.wrapping_add(length), U::END);
    Ok(())
}

/// strcpy_s and its kin: room, source and count are arguments; what does not fit leaves an empty string.
fn transfer_checked<S: Sink + 'static, U: Unit>(
    call: &Call<S>,
    append: bool,
    most: usize,
) -> usize {
    let (to, room, from) = (call.pointer::<U>(0), call.word(1), call.pointer::<U>(2));
    if to.is_null() || room == 0 {
        return EINVAL;
    }
    let used = if append { measure(call, to, room) } else { 0 };
    if from.is_null() {
        call.write_at(to, U::END);
        return EINVAL;
    }
    match transfer(call, to.wrapping_add(used), from, (most, room - used)) {
        Ok(()) => 0,
        Err(()) => {
            call.write_at(to, U::END);
            ERANGE
        }
    }
}

fn copy_of<S: Sink + 'static, U: Unit>(call: &Call<S>, append: bool) -> usize {
    let to = call.pointer::<U>(0);
    let used = if append { measure(call, to, usize::MAX) } else { 0 };
    let end = (usize::MAX, usize::MAX);
    let _ = transfer(call, to.wrapping_add(used), call.pointer::<U>(1), end);
    to.addr()
}

/// strncpy: exactly so many units, filled up with ends, and none behind them.
fn copy_some_of<S: Sink + 'static, U: Unit>(call: &Call<S>) -> usize {
    let (to, from, count) = (call.pointer::<U>(0), call.pointer::<U>(1), call.word(2));
    let length = measure(call, from, count);
    for at in 0..count {
        let unit = if at < length { unit(call, from, at) } else { U::END };
        call.write_at(to.wrapping_add(at), unit);
    }
    to.addr()
}

fn search<S: Sink + 'static, U: Unit>(call: &Call<S>, last: bool) -> usize {
    let (start, wanted) = (call.pointer::<U>(0), U::of(call.u32(1)));
    let mut found = 0;
    for at in 0.. {
        let here = unit(call, start, at);
        if here == wanted {
            found = start.wrapping_add(at).addr();
            if !last {
                break;
            }
        }
        if here == U::END {
            break;
        }
    }
    found
}

fn part_of<S: Sink + 'static, U: Unit>(call: &Call<S>) -> usize {
    let (text, wanted) = (call.pointer::<U>(0), call.pointer::<U>(1));
    let (length, count) = (measure(call, text, usize::MAX), measure(call, wanted, usize::MAX));
    let fits = |at: usize| (0..count).all(|i| unit(call, text, at + i) == unit(call, wanted, i));
    (0..(length + 1).saturating_sub(count))
        .find(|&at| fits(at))
        .map_or(0, |at| text.wrapping_add(at).addr())
}

/// Declares a routine for bytes and for 16-bit units.
macro_rules! routine {
    ($byte:ident, $wide:ident, |$call:ident, $unit:ident| $body:expr) => {
        pub(super) fn $byte<S: Sink + 'static>($call: &Call<S>) -> usize {
            type $unit = u8;
            $body
        }

        pub(super) fn $wide<S: Sink + 'static>($call: &Call<S>) -> usize {
            type $unit = u16;
            $body
        }
    };
}

routine!(length, length_wide, |call, U| measure(call, call.pointer::<U>(0), usize::MAX));
routine!(bounded_length, bounded_length_wide, |call, U| {
    measure(call, call.pointer::<U>(0), call.word(1))
});
routine!(compare, compare_wide, |call, U| order::<S, U>(call, usize::MAX, false));
routine!(compare_some, compare_some_wide, |call, U| order::<S, U>(call, call.word(2), false));
routine!(compare_folded, compare_folded_wide, |call, U| order::<S, U>(call, usize::MAX, true));
routine!(compare_some_folded, compare_some_folded_wide, |call, U| {
    order::<S, U>(call, call.word(2), true)
});
routine!(copy, copy_wide, |call, U| copy_of::<S, U>(call, false));
routine!(append, append_wide, |call, U| copy_of::<S, U>(call, true));
routine!(copy_some, copy_some_wide, |call, U| copy_some_of::<S, U>(call));
routine!(copy_checked, copy_checked_wide, |call, U| {
    transfer_checked::<S, U>(call, false, usize::MAX)
});
routine!(append_checked, append_checked_wide, |call, U| {
    transfer_checked::<S, U>(call, true, usize::MAX)
});
routine!(copy_some_checked, copy_some_checked_wide, |call, U| {
    transfer_checked::<S, U>(call, false, call.word(3))
});
routine!(first, first_wide, |call, U| search::<S, U>(call, false));
routine!(last, last_wide, |call, U| search::<S, U>(call, true));
routine!(part, part_wide, |call, U| part_of::<S, U>(call));

pub(super) fn lower<S: Sink + 'static>(call: &Call<S>) -> usize {
    fold(call.u32(0)) as usize
}

pub(super) fn upper<S: Sink + 'static>(call: &Call<S>) -> usize {
    let unit = call.u32(0);
    let is_lower = (u32::from(b'a')..=u32::from(b'z')).contains(&unit);
    (if is_lower { unit - 32 } else { unit }) as usize
}
