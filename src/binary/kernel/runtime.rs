//! What compilers and headers put into a driver, and routines that have nothing to do here.

use std::arch::naked_asm;

use crate::binary::frame::Call;
use crate::event::{Cause, Sink};

/// STATUS_NOT_FOUND.
const STATUS_NOT_FOUND: usize = 0xC000_0225;

/// A routine that succeeds, answers FALSE or does nothing.
pub(super) fn nothing<S: Sink + 'static>(_: &Call<S>) -> usize {
    0
}

pub(super) fn not_found<S: Sink + 'static>(_: &Call<S>) -> usize {
    STATUS_NOT_FOUND
}

/// EtwRegister: a handle that EtwWrite and the others take.
pub(super) fn etw_register<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.write(3, 1_u64);
    0
}

/// __C_specific_handler, which only an exception calls; there is none here that a driver could handle.
pub(super) fn exception<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.crash(Cause::AccessViolation)
}

/// __chkstk: touches every page of the rax bytes below the stack pointer, so that a frame too large for the stack
/// hits the guard and does not step over it. Keeps every register.
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn check_stack() {
    naked_asm!(
        "push rcx",
        "push rax",
        "lea rcx, [rsp + 24]",
        "2:",
        "cmp rax, 4096",
        "jb 3f",
        "sub rcx, 4096",
        "test [rcx], rcx",
        "sub rax, 4096",
        "jmp 2b",
        "3:",
        "sub rcx, rax",
        "test [rcx], rcx",
        "pop rax",
        "pop rcx",
        "ret",
    )
}
