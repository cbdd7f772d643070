//! How a call of the driver's arrives: a win64 entry point for each import, and its arguments.
//!
//! An entry point spills the four argument registers into the home space that every win64 caller leaves for them,
//! right below its stack arguments. So all arguments, variadic or not, lie in one row above the return address, and
//! a handler is an ordinary Rust function that reads them by number. The caller need not have cleared the upper
//! half of a 32-bit argument, on the stack least of all, so each is read at its own width.

use std::arch::naked_asm;
use std::ptr::NonNull;

use super::load;
use super::ranges;
use crate::event::{Cause, Sink};
use crate::machine::Port;

/// Images lie on multiples of this, and none is as large; so an address says its offset by itself.
pub(super) use super::image::STEP as IMAGE_STRIDE;

/// The address that an import is bound to.
pub(super) type Entry = unsafe extern "win64" fn();

/// One call of the driver's.
pub(super) struct Call<S: Sink + 'static> {
    /// The return address; the arguments follow it.
    frame: *const usize,
    /// The machine, at the call's site; `None` in DriverEntry.
    machine: Option<Port<S>>,
}

/// The entry point whose handler is `F`, a function item: it has no size, so its type says it all.
pub(super) const fn entry_of<S, F>(_: F) -> Entry
where
    S: Sink + 'static,
    F: Fn(&Call<S>) -> usize + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a handler is a function item") }
    entry::<S, F>
}

/// Spills the register arguments and calls the handler with the address of the frame.
#[unsafe(naked)]
unsafe extern "win64" fn entry<S, F>()
where
    S: Sink + 'static,
    F: Fn(&Call<S>) -> usize + Copy + 'static,
{
    naked_asm!(
        "mov [rsp + 8], rcx",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], r8",
        "mov [rsp + 32], r9",
        "mov rcx, rsp",
        "sub rsp, 40",
        "call {handle}",
        "add rsp, 40",
        "ret",
        handle = sym handle::<S, F>,
    )
}

/// The Rust side of [`entry`]. Its convention keeps what a win64 callee must keep: rsi, rdi and xmm6 to xmm15 too.
unsafe extern "win64" fn handle<S, F>(frame: *const usize) -> usize
where
    S: Sink + 'static,
    F: Fn(&Call<S>) -> usize + Copy + 'static,
{
    // SAFETY: `F` has no size, and `entry_of` was given a value of it.
    let handler = unsafe { NonNull::<F>::dangling().as_ref() };
    // SAFETY: `frame` is what `entry` passes. The image was bound to the entry points of `S`, and a machine runs
    // a driver only if they were made for its sink (`Compiled`).
    handler(&unsafe { Call::new(frame) })
}

impl<S: Sink + 'static> Call<S> {
    /// # Safety
    ///
    /// `frame` is the address of a return address with the win64 arguments behind it, and every machine that runs on
    /// this thread tells an `S`.
    #[inline]
    pub(super) unsafe fn new(frame: *const usize) -> Self {
        // SAFETY: the contract.
        let (machine, return_address) = unsafe { (Port::current(), frame.read()) };
        let offset = (return_address % IMAGE_STRIDE) as u32;
        if machine.is_none() {
            load::called_from(return_address);
        }
        Call { frame, machine: machine.map(|port: Port<S>| port.at(offset)) }
    }

    /// Where the routine returns to: right behind the call.
    pub(super) fn return_address(&self) -> usize {
        // SAFETY: `new`'s contract.
        unsafe { self.frame.read() }
    }

    /// Argument `n`, counted from 0, as the 8 bytes of its place.
    #[inline]
    pub(super) fn word(&self, n: usize) -> usize {
        // SAFETY: a handler reads only arguments that its routine has. A caller that passed fewer has other words of
        // its stack there, which can be read too: below it lie the machine's own frames.
        unsafe { self.frame.add(1 + n).read() }
    }

    #[inline]
    pub(super) fn u64(&self, n: usize) -> u64 {
        self.word(n) as u64
    }

    #[inline]
    pub(super) fn u32(&self, n: usize) -> u32 {
        self.word(n) as u32
    }

    #[inline]
    pub(super) fn i32(&self, n: usize) -> i32 {
        self.word(n) as i32
    }

    #[inline]
    pub(super) fn u16(&self, n: usize) -> u16 {
        self.word(n) as u16
    }

    #[inline]
    pub(super) fn u8(&self, n: usize) -> u8 {
        self.word(n) as u8
    }

    /// A BOOLEAN.
    #[inline]
    pub(super) fn boolean(&self, n: usize) -> bool {
        self.u8(n) != 0
    }

    /// A pointer that nobody has looked at.
    #[inline]
    pub(super) fn pointer<T>(&self, n: usize) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.word(n))
    }

    /// Where argument `n` lies, for a `va_list` that begins there.
    pub(super) fn arguments_from(&self, n: usize) -> *const u64 {
        self.frame.wrapping_add(1 + n).cast()
    }

    /// The machine, for calls at this site. In DriverEntry there is none yet: the load fails.
    #[inline]
    pub(super) fn port(&self) -> Port<S> {
        match self.machine {
            Some(port) => port,
            None => load::needs_machine(),
        }
    }

    /// The machine, if there is one yet.
    #[inline]
    pub(super) fn machine(&self) -> Option<Port<S>> {
        self.machine
    }

    /// The machine, for a routine whose argument `n` is HwDeviceExtension; what else stands there is a finding.
    #[inline]
    pub(super) fn adapter(&self, n: usize) -> Port<S> {
        let port = self.port();
        if self.word(n) != port.device_extension().addr() {
            port.crash(Cause::BadPointer);
        }
        port
    }

    /// Ends the run, or the load.
    #[cold]
    pub(super) fn crash(&self, cause: Cause) -> ! {
        match self.machine {
            Some(port) => port.crash(cause),
            None => load::crashed(cause),
        }
    }

    /// Whether the driver may read these bytes.
    #[inline]
    pub(super) fn may_read(&self, address: usize, bytes: usize) -> bool {
        match self.machine {
            Some(port) if port.is_driver_memory(address, bytes) => true,
            _ => ranges::is_readable(address, bytes) || load::is_memory(address, bytes),
        }
    }

    /// Whether the driver may write these bytes.
    #[inline]
    pub(super) fn may_write(&self, address: usize, bytes: usize) -> bool {
        match self.machine {
            Some(port) if port.is_driver_memory(address, bytes) => true,
            _ => ranges::is_writable(address, bytes) || load::is_memory(address, bytes),
        }
    }

    /// Argument `n` as the address of `bytes` bytes that may be read; a wild one is a finding.
    #[inline]
    pub(super) fn readable<T>(&self, n: usize, bytes: usize) -> *const T {
        let address = self.pointer(n);
        self.check_read(address, bytes);
        address
    }

    /// As [`Call::readable`], for writing.
    #[inline]
    pub(super) fn writable<T>(&self, n: usize, bytes: usize) -> *mut T {
        let address = self.pointer::<T>(n);
        self.check_write(address, bytes);
        address
    }

    /// A wild pointer is a finding.
    #[inline]
    pub(super) fn check_read<T>(&self, address: *const T, bytes: usize) {
        if bytes != 0 && !self.may_read(address.addr(), bytes) {
            self.crash(Cause::BadPointer);
        }
    }

    /// A wild pointer is a finding.
    #[inline]
    pub(super) fn check_write<T>(&self, address: *mut T, bytes: usize) {
        if bytes != 0 && !self.may_write(address.addr(), bytes) {
            self.crash(Cause::BadPointer);
        }
    }

    /// What argument `n` points to.
    #[inline]
    pub(super) fn read<T: Plain>(&self, n: usize) -> T {
        self.read_at(self.pointer(n))
    }

    /// What lies at `address`.
    #[inline]
    pub(super) fn read_at<T: Plain>(&self, address: *const T) -> T {
        self.check_read(address, size_of::<T>());
        // SAFETY: checked; any bytes are a value of a `Plain` type.
        unsafe { address.read_unaligned() }
    }

    /// Stores `value` where argument `n` points.
    #[inline]
    pub(super) fn write<T: Plain>(&self, n: usize, value: T) {
        self.write_at(self.pointer(n), value);
    }

    /// Stores `value` at `address`.
    #[inline]
    pub(super) fn write_at<T: Plain>(&self, address: *mut T, value: T) {
        self.check_write(address, size_of::<T>());
        // SAFETY: checked.
        unsafe { address.write_unaligned(value) }
    }

    /// Argument `n` as a function of the driver's; `None` for NULL, and a finding for what lies outside the image.
    ///
    /// # Safety
    ///
    /// `F` is a type of function pointer; whoever calls it does so as a win64 function.
    #[inline]
    pub(super) unsafe fn function<F: Copy>(&self, n: usize) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) }
        let address = self.word(n);
        if address == 0 {
            return None;
        }
        if !ranges::is_code(address) {
            self.crash(Cause::BadPointer);
        }
        // SAFETY: not NULL, and the caller's promise.
        Some(unsafe { std::mem::transmute_copy::<usize, F>(&address) })
    }

    /// As [`Call::function`], for a routine that must be there.
    ///
    /// # Safety
    ///
    /// As for [`Call::function`].
    #[inline]
    pub(super) unsafe fn routine<F: Copy>(&self, n: usize) -> F {
        // SAFETY: the caller's promise.
        match unsafe { self.function(n) } {
            Some(function) => function,
            None => self.crash(Cause::BadPointer),
        }
    }
}

/// Declares `find`, which gives the entry point of a routine by its name.
macro_rules! routines {
    ($($($name:literal)|+ => $($handler:ident)::+;)*) => {
        /// Every routine that has a model here.
        pub(crate) const NAMES: &[&str] = &[$($($name),+),*];

        /// The entry point of a routine, for a machine that tells an `S`.
        pub(super) fn find<S: crate::event::Sink + 'static>(
            name: &str,
        ) -> Option<crate::binary::frame::Entry> {
            Some(match name {
                $($($name)|+ => crate::binary::frame::entry_of::<S, _>($($handler)::+::<S>),)*
                _ => return None,
            })
        }
    };
}
pub(super) use routines;

/// A type of which any bytes are a value.
///
/// # Safety
///
/// So it must be.
pub(super) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: integers, or structures of integers and raw pointers.
        unsafe impl $crate::binary::frame::Plain for $type {}
    )*};
}
pub(super) use plain;

plain!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

// SAFETY: any bytes are a raw pointer.
unsafe impl<T> Plain for *mut T {}
