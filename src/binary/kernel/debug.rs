//! Debug prints, breakpoints and bug checks. What a driver prints is read, as Windows would, and dropped.

use super::format::{Arguments, format};
use crate::binary::frame::Call;
use crate::event::{Cause, Sink};

/// Formats what argument `n` says, to see that every string can be read.
fn check<S: Sink + 'static>(call: &Call<S>, n: usize, arguments: Arguments) -> usize {
    format(call, call.pointer::<u8>(n), arguments, &mut |_| {});
    0
}

/// A routine whose argument `n` is a format, and whose arguments follow.
pub(in crate::binary) fn check_text<S: Sink + 'static>(call: &Call<S>, n: usize) -> usize {
    check(call, n, Arguments::at(call.arguments_from(n + 1)))
}

pub(super) fn print<S: Sink + 'static>(call: &Call<S>) -> usize {
    check_text(call, 0)
}

/// DbgPrintEx: component and level first. Most components are filtered out before the text is looked at.
pub(super) fn print_ex<S: Sink + 'static>(_: &Call<S>) -> usize {
    0
}

pub(super) fn print_with_prefix<S: Sink + 'static>(_: &Call<S>) -> usize {
    0
}

pub(super) fn break_point<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.crash(Cause::Breakpoint)
}

pub(super) fn bug_check<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.crash(Cause::BugCheck)
}
