//! The printf family: where the text goes, and what each member does when it does not fit.

use super::format::{Arguments, format};
use super::strings::Unit;
use crate::binary::frame::Call;
use crate::event::Sink;

/// What a member of the family returns for text that does not fit, or arguments that are wrong.
const FAILURE: usize = -1_i32 as u32 as usize;

/// What to do when the text does not fit.
#[derive(Clone, Copy)]
enum Style {
    /// `_snprintf`: as much as fits, the end only where there is room for it.
    Old,
    /// `snprintf`: cut off, and the length that it would have had.
    C99,
    /// `sprintf_s`: an empty string.
    Empty,
    /// `_snprintf_s` of at most so many units: cut off.
    Cut(usize),
}

/// Formats into `room` units at argument 0.
fn print<S: Sink + 'static, U: Unit>(
    call: &Call<S>,
    room: usize,
    style: Style,
    (text, arguments): (usize, Arguments),
) -> usize {
    let to = call.pointer::<U>(0);
    let fits = match style {
        Style::Cut(most) => most.min(room.saturating_sub(1)),
        _ => room,
    };
    let mut at = 0;
    let length = format(call, call.pointer::<U>(text), arguments, &mut |unit| {
        if at < fits {
            call.write_at(to.wrapping_add(at), U::of(unit));
        }
        at += 1;
    });
    let end = |at: usize| {
        if at < room {
            call.write_at(to.wrapping_add(at), U::END);
        }
    };
    match style {
        Style::Old if length <= room => end(length),
        Style::Old => return FAILURE,
        Style::C99 => end(length.min(room.saturating_sub(1))),
        Style::Empty if length < room => end(length),
        Style::Empty => {
            end(0);
            return FAILURE;
        }
        Style::Cut(_) => {
            end(length.min(fits));
            if length > fits {
                return FAILURE;
            }
        }
    }
    length
}

/// Arguments that follow the fixed ones.
fn direct<S: Sink + 'static>(call: &Call<S>, text: usize) -> (usize, Arguments) {
    (text, Arguments::at(call.arguments_from(text + 1)))
}

/// Arguments behind a `va_list`.
fn list<S: Sink + 'static>(call: &Call<S>, text: usize) -> (usize, Arguments) {
    (text, Arguments::at(call.pointer(text + 1)))
}

/// Declares a member for bytes, and one for 16-bit units if it has one.
macro_rules! member {
    ($byte:ident $(, $wide:ident)?: |$call:ident| ($room:expr, $style:expr, $text:expr)) => {
        pub(super) fn $byte<S: Sink + 'static>($call: &Call<S>) -> usize {
            print::<S, u8>($call, $room, $style, $text)
        }

        $(pub(super) fn $wide<S: Sink + 'static>($call: &Call<S>) -> usize {
            print::<S, u16>($call, $room, $style, $text)
        })?
    };
}

member!(old_bounded, old_bounded_wide: |call| (call.word(1), Style::Old, direct(call, 2)));
member!(old_bounded_list, old_bounded_list_wide: |call| (call.word(1), Style::Old, list(call, 2)));
member!(bounded: |call| (call.word(1), Style::C99, direct(call, 2)));
member!(bounded_list: |call| (call.word(1), Style::C99, list(call, 2)));
member!(checked, checked_wide: |call| (call.word(1), Style::Empty, direct(call, 2)));
member!(checked_list, checked_list_wide: |call| (call.word(1), Style::Empty, list(call, 2)));
member!(truncating, truncating_wide: |call| (call.word(1), Style::Cut(call.word(2)), direct(call, 3)));
member!(truncating_list, truncating_list_wide: |call| (call.word(1), Style::Cut(call.word(2)), list(call, 3)));
member!(unbounded: |call| (usize::MAX, Style::Empty, direct(call, 1)));
member!(unbounded_list: |call| (usize::MAX, Style::Empty, list(call, 1)));
