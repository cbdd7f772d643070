//! Which entry point an import is bound to.
//!
//! A routine without a model is bound too, to a few bytes of code of its own: many drivers import what they call only
//! where the machine never leads them. Calling it ends the run, with the name of the routine.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::frame::{Call, Entry};
use super::{atomic, instrument, kernel, storport};
use crate::event::{Cause, Sink};

/// Modules whose exports a miniport may import.
const MODULES: &[&str] =
    &["storport.sys", "ntoskrnl.exe", "hal.dll", "ntdll.dll", "wmilib.sys", instrument::MODULE];

/// The address of a routine or variable that has a model.
pub(super) fn routine<S: Sink + 'static>(module: &str, name: &str) -> Option<usize> {
    let is = |known: &str| module.eq_ignore_ascii_case(known);
    let entry = if is("storport.sys") {
        storport::find::<S>(name)
    } else if is(instrument::MODULE) {
        instrument::find::<S>(name).or_else(|| atomic::find::<S>(name))
    } else {
        kernel::find::<S>(name).or_else(|| kernel::find_raw(name))
    };
    entry.map(|entry| entry as usize).or_else(|| kernel::find_variable(name))
}

/// Whether a miniport may import from that module at all.
pub(super) fn is_known_module(module: &str) -> bool {
    MODULES.iter().any(|known| module.eq_ignore_ascii_case(known))
}

/// Code for routines without a model: each loads the address of its name and goes on to the handler.
#[derive(Debug)]
pub(super) struct Unmodelled {
    page: NonNull<u8>,
    bytes: usize,
    used: usize,
}

/// `mov r11, imm64; mov rax, imm64; jmp r11`, padded.
const THUNK_BYTES: usize = 32;

// SAFETY: after `seal` nobody writes the page.
unsafe impl Send for Unmodelled {}

impl Unmodelled {
    /// Room for so many routines; `None` without memory.
    pub(super) fn new(routines: usize) -> Option<Self> {
        let bytes = (routines.max(1) * THUNK_BYTES).next_multiple_of(4096);
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
        // SAFETY: a new mapping wherever the system puts it.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        let page = NonNull::new(page).filter(|_| page != libc::MAP_FAILED)?.cast();
        Some(Unmodelled { page, bytes, used: 0 })
    }

    /// The address for a routine of that name; `None` when the room is used up.
    pub(super) fn add<S: Sink + 'static>(&mut self, name: &str) -> Option<usize> {
        if self.used + THUNK_BYTES > self.bytes {
            return None;
        }
        // For the life of the process: a finding may be printed long after the image is gone.
        let name: &'static str = Box::leak(Box::from(name));
        let name: &'static &'static str = Box::leak(Box::new(name));
        let mut code = [0x90; THUNK_BYTES];
        code[..2].copy_from_slice(&[0x49, 0xBB]);
        code[2..10].copy_from_slice(&(unnamed::<S> as Entry as usize).to_le_bytes());
        code[10..12].copy_from_slice(&[0x48, 0xB8]);
        code[12..20].copy_from_slice(&(std::ptr::from_ref(name).expose_provenance()).to_le_bytes());
        code[20..23].copy_from_slice(&[0x41, 0xFF, 0xE3]);
        // SAFETY: inside the page, which is ours and not yet executable.
        unsafe {
            let at = self.page.as_ptr().add(self.used);
            at.copy_from(code.as_ptr(), THUNK_BYTES);
            self.used += THUNK_BYTES;
            Some(at.addr())
        }
    }

    /// Makes the code executable, and no longer writable.
    pub(super) fn seal(&self) -> bool {
        let access = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: our mapping.
        unsafe { libc::mprotect(self.page.as_ptr().cast(), self.bytes, access) == 0 }
    }
}

impl Drop for Unmodelled {
    fn drop(&mut self) {
        // SAFETY: our mapping; the image that was bound to it goes with it.
        unsafe { libc::munmap(self.page.as_ptr().cast(), self.bytes) };
    }
}

/// As `frame`'s entry points; what arrives in rax becomes argument 0, for the real ones do not matter any more.
#[unsafe(naked)]
unsafe extern "win64" fn unnamed<S: Sink + 'static>() {
    std::arch::naked_asm!(
        "mov [rsp + 8], rax",
        "mov rcx, rsp",
        "sub rsp, 40",
        "call {handle}",
        "ud2",
        handle = sym called::<S>,
    )
}

unsafe extern "win64" fn called<S: Sink + 'static>(frame: *const usize) -> ! {
    // SAFETY: as in `frame::handle`.
    let call = unsafe { Call::<S>::new(frame) };
    let name: *const &'static str = call.pointer(0);
    // SAFETY: `Unmodelled::add` put the address of a leaked name there.
    unmodelled(&call, unsafe { *name })
}

/// Names of the routines without a model that were called, by the address of the call.
pub(super) static CALLED: Mutex<BTreeMap<usize, &'static str>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The last routine without a model that was called.
    static LAST: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Ends the run: the routine has no model.
#[cold]
pub(super) fn unmodelled<S: Sink + 'static>(call: &Call<S>, name: &'static str) -> ! {
    CALLED.lock().unwrap_or_else(PoisonError::into_inner).insert(call.return_address(), name);
    LAST.set(Some(name));
    call.crash(Cause::Unmodelled)
}

/// The name of the routine without a model that ended this thread's last run of that end.
pub(super) fn last_unmodelled() -> Option<&'static str> {
    LAST.get()
}

/// The name of the routine without a model that was called with this return address.
pub(super) fn unmodelled_name(return_address: usize) -> Option<&'static str> {
    CALLED.lock().unwrap_or_else(PoisonError::into_inner).get(&return_address).copied()
}
