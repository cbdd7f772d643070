//! The signal handlers: whose fault it is, and where to go on.
//!
//! A handler changes nothing but the interrupted registers, and the few bytes of a frame below the driver's stack
//! pointer. What is the driver's goes on in ordinary code: a trapped instruction in `trap`, on the driver's stack, and
//! a crash in [`Hooks::crashed`](super::watch::Hooks::crashed), on a stack of its own. Everything else goes to the
//! handler that was there before; a fault in code of this process is never taken for the driver's.

use std::io;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{c_int, c_void, mcontext_t, sigaction, siginfo_t, ucontext_t};

use super::emulate;
use super::trap::{self, Frame};
use super::watch::{Fault, Watched};
use crate::event::Cause;

/// Signals that a driver's instructions can raise.
const SIGNALS: [c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// What happened on each before.
static PREVIOUS: [AtomicPtr<sigaction>; SIGNALS.len()] =
    [const { AtomicPtr::new(null_mut()) }; SIGNALS.len()];

/// Vectors of the processor's exceptions.
pub(super) mod vector {
    pub(in super::super) const DIVIDE: i64 = 0;
    pub(in super::super) const DEBUG: i64 = 1;
    pub(in super::super) const BREAKPOINT: i64 = 3;
    pub(in super::super) const INVALID: i64 = 6;
    pub(in super::super) const PROTECTION: i64 = 13;
    pub(in super::super) const PAGE: i64 = 14;
}

/// A page fault's error code: it was a store.
const WRITE: i64 = 1 << 1;
/// A page fault's error code: it was an instruction fetch.
const FETCH: i64 = 1 << 4;

/// Stack that a trapped instruction's emulation may need: more than a kernel stack has in all, so a driver with less
/// left has long overflowed it.
const ROOM: isize = 48 * 1024;

/// Installs the handlers, if they are not, in front of those that are there.
///
/// Call it again after something else has set its own handlers; those must not pass signals back to
/// these.
///
/// # Errors
///
/// The processor lacks XSAVE, or the system refuses.
pub fn install() -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock();
    if !std::arch::is_x86_feature_detected!("xsave") {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the processor has no XSAVE"));
    }
    emulate::warm_up();
    SIGNALS.into_iter().zip(&PREVIOUS).try_for_each(|(signal, previous)| {
        let found = action(signal, None)?;
        if found.sa_sigaction == handler() {
            return Ok(());
        }
        // Leaked: a handler may be reading an older one.
        previous.store(Box::into_raw(Box::new(found)), Ordering::Release);
        // SAFETY: zeroes are a valid sigaction: an empty mask.
        let mut ours: sigaction = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = handler();
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        action(signal, Some(&ours)).map(drop)
    })
}

fn handler() -> libc::sighandler_t {
    on_signal as *const () as libc::sighandler_t
}

/// Sets, or only gets, what happens on a signal.
fn action(signal: c_int, new: Option<&sigaction>) -> io::Result<sigaction> {
    // SAFETY: zeroes are a valid sigaction, and both pointers are valid or null.
    unsafe {
        let mut old: sigaction = std::mem::zeroed();
        let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
        match libc::sigaction(signal, new, &raw mut old) {
            0 => Ok(old),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers; a watch lives while its driver runs.
    let ours = unsafe {
        let machine = &mut (*context.cast::<ucontext_t>()).uc_mcontext;
        // A code above zero: an instruction of this thread raised it, nobody sent it.
        (*info).si_code > 0 && Watched::current().is_some_and(|watched| watched.take(machine))
    };
    if !ours {
        pass_on(signal, info, context);
    }
}

/// Does what would have happened without us.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = SIGNALS.iter().position(|other| *other == signal);
    let previous = previous.map_or(null_mut(), |at| PREVIOUS[at].load(Ordering::Acquire));
    // SAFETY: null or a leaked box.
    let Some(previous) = (unsafe { previous.as_ref() }) else { return };
    // SAFETY: the kernel's own pointers are passed to a handler of the type that its flags tell; sigaction,
    // pthread_sigmask and raise are async-signal-safe.
    unsafe {
        let sent = (*info).si_code <= 0;
        match previous.sa_sigaction {
            libc::SIG_IGN if sent => {}
            // A fault cannot be ignored: the kernel ends the process, when the instruction is repeated.
            libc::SIG_IGN | libc::SIG_DFL => {
                let mut default: sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, null_mut());
                if sent {
                    libc::raise(signal);
                }
            }
            function => {
                // Our return to the interrupted code restores the mask.
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const previous.sa_mask, null_mut());
                if previous.sa_flags & libc::SA_SIGINFO != 0 {
                    let function: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        std::mem::transmute(function);
                    function(signal, info, context);
                } else {
                    let function: extern "C" fn(c_int) = std::mem::transmute(function);
                    function(signal);
                }
            }
        }
    }
}

/// The interrupted registers.
struct Context<'a>(&'a mut mcontext_t);

impl Context<'_> {
    fn get(&self, register: c_int) -> usize {
        self.0.gregs[register as usize] as usize
    }

    fn set(&mut self, register: c_int, value: usize) {
        self.0.gregs[register as usize] = value as i64;
    }

    fn vector(&self) -> i64 {
        self.0.gregs[libc::REG_TRAPNO as usize]
    }

    /// Whether it is a page fault whose error code has `bit`.
    fn is_page_fault(&self, bit: i64) -> bool {
        self.vector() == vector::PAGE && self.0.gregs[libc::REG_ERR as usize] & bit != 0
    }

    /// The address that could not be accessed, if it is known.
    fn address(&self) -> usize {
        if self.vector() == vector::PAGE { self.get(libc::REG_CR2) } else { 0 }
    }

    /// Goes on at `function`, with one argument, as after a call of it.
    fn call(&mut self, function: usize, stack: usize, argument: usize) {
        /// Direction, trap and alignment check: what Rust code counts on to be clear.
        const UNWANTED_FLAGS: usize = 1 << 10 | 1 << 8 | 1 << 18;
        self.set(libc::REG_EFL, self.get(libc::REG_EFL) & !UNWANTED_FLAGS);
        self.set(libc::REG_RIP, function);
        self.set(libc::REG_RSP, stack);
        self.set(libc::REG_RDI, argument);
    }
}

impl Watched {
    /// Takes a signal if it is the driver's; `false` if it is somebody else's.
    fn take(&self, machine: &mut mcontext_t) -> bool {
        let mut context = Context(machine);
        let address = context.address();
        if context.is_page_fault(WRITE) && self.hooks().touched(address) {
            return true;
        }
        let at = context.get(libc::REG_RIP);
        if let Some(resume) = trap::after_failed_copy(at) {
            context.set(libc::REG_RIP, resume);
            return true;
        }
        let Some(at) = self.offset(at) else { return self.take_wild_call(&mut context) };
        let overflow = self.is_overflow(address, context.get(libc::REG_RSP));
        match cause(&context, overflow) {
            // The instruction has been executed; its report is to name it.
            Some(cause @ Cause::Breakpoint) => {
                self.crash(&mut context, Fault { cause, at: at.saturating_sub(1), address });
            }
            Some(cause) => self.crash(&mut context, Fault { cause, at, address }),
            None => self.emulate(&mut context, at),
        }
        true
    }

    /// The driver called an address where there is no code: the call's return address is on top of its stack.
    fn take_wild_call(&self, context: &mut Context<'_>) -> bool {
        let (at, stack) = (context.get(libc::REG_RIP), context.get(libc::REG_RSP));
        // Inside a stack and at least one word below its top.
        let readable =
            self.room(stack + 8).is_some_and(|room| room >= 8) && self.room(stack).is_some();
        if !context.is_page_fault(FETCH) && !is_non_canonical(at) || !readable {
            return false;
        }
        // SAFETY: between the guard and the top of a stack of this thread; unaligned reads are fine.
        let from = unsafe { std::ptr::with_exposed_provenance::<usize>(stack).read_unaligned() };
        let Some(from) = self.offset(from) else { return false };
        self.crash(context, Fault { cause: Cause::AccessViolation, at: from, address: at });
        true
    }

    /// Goes on in the emulation, on the driver's stack.
    fn emulate(&self, context: &mut Context<'_>, at: usize) {
        let stack = context.get(libc::REG_RSP);
        match self.room(stack) {
            Some(room) if room >= ROOM => {}
            Some(_) => {
                return self
                    .crash(context, Fault { cause: Cause::StackOverflow, at, address: stack });
            }
            // Its stack pointer points to no stack.
            None => {
                let address = context.address();
                return self.crash(context, Fault { cause: Cause::AccessViolation, at, address });
            }
        }
        let frame = Frame::below(stack);
        // SAFETY: `ROOM` bytes below the stack pointer are accessible, and the driver has nothing there: its calling
        // convention knows no red zone.
        unsafe { frame.write(Frame::of(context.0)) };
        context.call(trap::trampoline as *const () as usize, frame.addr(), frame.addr());
    }

    /// Goes on in the report of a crash.
    fn crash(&self, context: &mut Context<'_>, fault: Fault) {
        // SAFETY: this thread is inside the handler; whoever reads the fault runs after it, before the next.
        unsafe { self.fault.get().write(fault) };
        if let Some(floating) = std::ptr::NonNull::new(context.0.fpregs) {
            // SAFETY: the kernel's own pointer to the interrupted floating-point state.
            unsafe { (*floating.as_ptr()).mxcsr = trap::MXCSR };
        }
        // As after a call: a return address lies on an aligned stack.
        context.call(
            trap::report as *const () as usize,
            self.emergency - 8,
            self.fault.get().addr(),
        );
    }
}

/// What ends the run at once; `None` if the instruction must be looked at.
fn cause(context: &Context<'_>, overflow: bool) -> Option<Cause> {
    match context.vector() {
        vector::PAGE if overflow => Some(Cause::StackOverflow),
        vector::PAGE if context.is_page_fault(FETCH) => Some(Cause::AccessViolation),
        vector::PAGE | vector::PROTECTION => None,
        vector::DIVIDE => Some(Cause::DivisionByZero),
        vector::DEBUG | vector::BREAKPOINT => Some(Cause::Breakpoint),
        vector::INVALID => Some(Cause::IllegalInstruction),
        // Misaligned, where that is checked, or a stack segment fault: no canonical address.
        _ => Some(Cause::AccessViolation),
    }
}

/// Whether no memory can be at `address`: bits 47 to 63 are not equal.
fn is_non_canonical(address: usize) -> bool {
    (address.cast_signed() << 16 >> 16).cast_unsigned() != address
}

#[cfg(test)]
mod tests;
