//! What a thread that runs a compiled driver tells the signal handlers: where the driver lies, and [`Hooks`],
//! through which a trapped instruction reaches the machine.
//!
//! The handlers find it through one pointer in thread-local storage, without a lock and without allocating.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{NonNull, null, null_mut};

use crate::event::Cause;

/// What the machine does for an instruction that a driver cannot execute in user mode, and for an access to a
/// trapped register.
///
/// Except for [`Hooks::touched`], each is called outside of signal handlers, on the driver's stack, and may do what
/// a DDI may: switch processors, or end the run and never return. `at` is the instruction's offset in the image.
pub trait Hooks {
    /// The processor's IRQL: `mov reg, cr8`.
    fn irql(&self, at: usize) -> u8;

    /// `mov cr8, reg`: raises or lowers it.
    fn set_irql(&self, at: usize, level: u8);

    /// `cli` and `sti`.
    fn set_interrupts(&self, at: usize, enabled: bool);

    /// `in`: reads `bytes` (1, 2 or 4) bytes of a port.
    fn port_read(&self, at: usize, port: u16, bytes: usize) -> u32;

    /// `out`: writes `bytes` (1, 2 or 4) bytes to a port; the value's further bytes are zero.
    fn port_write(&self, at: usize, port: u16, bytes: usize, value: u32);

    /// A load of `bytes` (1, 2, 4 or 8) bytes at `offset` of [`Region::window`].
    fn register_read(&self, at: usize, offset: usize, bytes: usize) -> u64;

    /// A store to the window; the value's further bytes are zero.
    fn register_write(&self, at: usize, offset: usize, bytes: usize, value: u64);

    /// The processor that runs: KeGetCurrentProcessorNumber, inlined as a load from the processor control region.
    fn processor_number(&self) -> u32;

    /// The thread that runs, as an address: KeGetCurrentThread, inlined likewise.
    fn thread(&self) -> u64;

    /// Virtual time in units of 100 ns: the clocks of KUSER_SHARED_DATA, which headers inline loads of.
    fn time(&self) -> u64;

    /// A store to `address` met a page that is not writable. `true` if it is now and the store is to be repeated.
    ///
    /// Called in a signal handler, whoever stored: no allocation, no lock, no panic.
    fn touched(&self, address: usize) -> bool;

    /// The driver did what ends the run. Called on a stack of its own; the driver's is abandoned as it is.
    fn crashed(&self, fault: &Fault) -> !;
}

/// What a driver did, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it did.
    pub cause: Cause,
    /// Offset in the image of the instruction; of the return address, if the driver called into nowhere.
    pub at: usize,
    /// The address that could not be accessed; 0 where none is concerned.
    pub address: usize,
}

/// Stacks on which a driver runs: `count` of them, one behind another.
#[derive(Clone, Copy, Debug)]
pub struct Stacks {
    /// Address of the first one's guard.
    pub start: usize,
    /// How many there are.
    pub count: usize,
    /// Bytes of each, its guard included.
    pub bytes: usize,
    /// Bytes at the low end of each that nobody can access.
    pub guard: usize,
}

impl Stacks {
    /// Bytes below the stack pointer `top` down to its stack's guard, and below zero if it is in the guard;
    /// `None` if it is in none of these stacks.
    #[must_use]
    pub fn room(&self, top: usize) -> Option<isize> {
        // A stack pointer at the very top belongs to the stack below it.
        let offset = top.checked_sub(self.start)?.checked_sub(1)?;
        (offset / self.bytes < self.count)
            .then(|| (offset % self.bytes + 1).cast_signed() - self.guard.cast_signed())
    }

    /// Whether an access to `address`, with the stack pointer at `pointer`, ran over the end of a stack: it hit a guard, and
    /// little of that stack is left. A wild access that happens to hit a guard is no overflow.
    #[must_use]
    pub fn is_overflow(&self, address: usize, pointer: usize) -> bool {
        /// More than the frame of any function that a kernel stack has room for.
        const NEAR: usize = 0x1_0000;
        let place = |address: usize| {
            let offset = address.wrapping_sub(self.start);
            (offset / self.bytes, offset % self.bytes)
        };
        let ((hit, in_hit), (current, in_current)) = (place(address), place(pointer));
        hit == current && hit < self.count && in_hit < self.guard && in_current < self.guard + NEAR
    }

    /// The stack of this thread.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn of_this_thread() -> io::Result<Self> {
        let (mut start, mut bytes, mut guard) = (null_mut(), 0, 0);
        // SAFETY: the attributes are initialised by the first call, which is checked, and destroyed once.
        let status = unsafe {
            let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
            match libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) {
                0 => {
                    let status = libc::pthread_attr_getstack(
                        &raw const attributes,
                        &raw mut start,
                        &raw mut bytes,
                    );
                    libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard);
                    libc::pthread_attr_destroy(&raw mut attributes);
                    status
                }
                status => status,
            }
        };
        if status != 0 {
            return Err(io::Error::from_raw_os_error(status));
        }
        // The guard lies below what the system calls the stack.
        Ok(Stacks { start: start.addr() - guard, count: 1, bytes: bytes + guard, guard })
    }
}

/// Where a driver lies, and where it may run.
#[derive(Clone, Debug)]
pub struct Region {
    /// The image, headers included.
    pub image: Range<usize>,
    /// Every stack on which the driver is called.
    pub stacks: Vec<Stacks>,
    /// Addresses of device registers that are trapped: nothing is accessible there. Empty if there are none.
    pub window: Range<usize>,
}

/// A driver that a thread can watch. While it does, the driver's faults reach its hooks.
pub struct Watch<'h> {
    watched: NonNull<Watched>,
    hooks: PhantomData<&'h dyn Hooks>,
}

/// A watch that is on, until this is dropped. Watches nest: the innermost counts.
#[must_use]
#[derive(Debug)]
pub struct Watching<'w> {
    /// The one that was on before.
    outer: *const Watched,
    watch: PhantomData<&'w Watched>,
}

/// What a signal handler sees of a [`Watch`].
pub(super) struct Watched {
    pub(super) region: Region,
    hooks: NonNull<dyn Hooks>,
    /// Top of the stack on which a crash is reported.
    pub(super) emergency: usize,
    /// The fault to report there.
    pub(super) fault: UnsafeCell<Fault>,
}

thread_local! {
    /// What this thread watches. Neither lazily initialised nor dropped, so that a handler can read it.
    static CURRENT: Cell<*const Watched> = const { Cell::new(null()) };
    static STACKS: io::Result<HandlerStacks> = HandlerStacks::new();
}

impl<'h> Watch<'h> {
    /// Prepares to let the faults of the driver in `region` reach `hooks`, when they happen on this thread.
    ///
    /// # Errors
    ///
    /// A stack that is all guard, no memory for the handlers' stacks, or [`install`](super::fault::install) fails.
    pub fn new(region: Region, hooks: &'h (dyn Hooks + 'h)) -> io::Result<Self> {
        if region.stacks.iter().any(|stacks| stacks.bytes <= stacks.guard) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        super::fault::install()?;
        let emergency = STACKS.with(|stacks| match stacks {
            Ok(stacks) => Ok(stacks.emergency()),
            Err(error) => Err(io::Error::from(error.kind())),
        })?;
        let hooks: *const (dyn Hooks + 'h) = hooks;
        // SAFETY: only the lifetime changes, and the watch, whose drop ends every use, has the true one.
        let hooks = unsafe {
            std::mem::transmute::<*const (dyn Hooks + 'h), *mut (dyn Hooks + 'static)>(hooks)
        };
        let hooks = NonNull::new(hooks).expect("made from a reference");
        let fault = UnsafeCell::new(Fault { cause: Cause::AccessViolation, at: 0, address: 0 });
        let watched =
            NonNull::from(Box::leak(Box::new(Watched { region, hooks, emergency, fault })));
        Ok(Watch { watched, hooks: PhantomData })
    }

    /// Watches from here on.
    pub fn on(&self) -> Watching<'_> {
        Watching { outer: CURRENT.replace(self.watched.as_ptr()), watch: PhantomData }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // SAFETY: leaked from a box in `new`, and unreachable for the handlers: whoever is `Watching` borrows this.
        drop(unsafe { Box::from_raw(self.watched.as_ptr()) });
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: alive as long as the watch.
        f.debug_tuple("Watch").field(&unsafe { self.watched.as_ref() }.region).finish()
    }
}

impl Watched {
    /// What this thread watches.
    ///
    /// # Safety
    ///
    /// The result is not used after the end of its [`Watch`].
    pub(super) unsafe fn current<'a>() -> Option<&'a Self> {
        // SAFETY: null or a live watch, by the caller's promise.
        unsafe { CURRENT.get().as_ref() }
    }

    /// The machine.
    pub(super) fn hooks(&self) -> &dyn Hooks {
        // SAFETY: the watch borrows them for its whole life.
        unsafe { self.hooks.as_ref() }
    }

    /// The offset of an address in the image.
    pub(super) fn offset(&self, address: usize) -> Option<usize> {
        self.region.image.contains(&address).then(|| address - self.region.image.start)
    }

    /// [`Stacks::room`] of whichever stack it is.
    pub(super) fn room(&self, top: usize) -> Option<isize> {
        self.region.stacks.iter().find_map(|stacks| stacks.room(top))
    }

    /// As [`Stacks::is_overflow`], for all stacks.
    pub(super) fn is_overflow(&self, address: usize, pointer: usize) -> bool {
        self.region.stacks.iter().any(|stacks| stacks.is_overflow(address, pointer))
    }
}

/// A thread's stacks for signal handlers and for reports of crashes; a driver's own stack may be the very thing that is
/// broken.
struct HandlerStacks {
    base: *mut libc::c_void,
}

/// Bytes of the alternate signal stack. Ours needs little, but a handler that we pass a signal on to, such as
/// libFuzzer's, may print a stack trace.
const ALTERNATE_BYTES: usize = 0x2_0000;
/// Bytes of the stack on which a crash is reported, through all the rules and sinks of the machine.
const EMERGENCY_BYTES: usize = 0x4_0000;
/// Bytes below each that nobody can access.
const GUARD_BYTES: usize = 0x1000;

impl HandlerStacks {
    fn new() -> io::Result<Self> {
        let bytes = 2 * GUARD_BYTES + ALTERNATE_BYTES + EMERGENCY_BYTES;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, guards inside it, and its upper parts used as stacks.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(null_mut(), bytes, protection, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stacks = HandlerStacks { base };
            for guard in [0, GUARD_BYTES + ALTERNATE_BYTES] {
                if libc::mprotect(base.byte_add(guard), GUARD_BYTES, libc::PROT_NONE) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            let alternate = libc::stack_t {
                ss_sp: base.byte_add(GUARD_BYTES),
                ss_flags: 0,
                ss_size: ALTERNATE_BYTES,
            };
            if libc::sigaltstack(&raw const alternate, null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(stacks)
        }
    }

    fn emergency(&self) -> usize {
        self.base.addr() + 2 * GUARD_BYTES + ALTERNATE_BYTES + EMERGENCY_BYTES
    }
}

impl Drop for HandlerStacks {
    fn drop(&mut self) {
        // SAFETY: the thread ends and runs neither drivers nor handlers on these stacks any more; the system is told
        // before they go.
        unsafe {
            let mut current: libc::stack_t = std::mem::zeroed();
            libc::sigaltstack(std::ptr::null(), &raw mut current);
            if current.ss_sp == self.base.byte_add(GUARD_BYTES) {
                current.ss_flags = libc::SS_DISABLE;
                libc::sigaltstack(&raw const current, null_mut());
            }
            libc::munmap(self.base, 2 * GUARD_BYTES + ALTERNATE_BYTES + EMERGENCY_BYTES);
        }
    }
}
