//! The DDI of the host: [`Port`], the handle that a miniport core gets for StorPort.
//!
//! The same handle runs StorPort's own code. Each DDI is a decision point, then one look at the state under
//! [`Port::act`], which ends the run where a rule was broken.

pub(super) mod access;
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod compiled;
mod ddi;
mod executive;
mod locks;
mod mutant;
mod resources;
mod shapes;

pub(super) use executive::Executives;
pub(super) use mutant::Mutant;

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Once;

use super::state::{Inner, State};
use crate::event::{Cause, Kind, Sink, Site};
use crate::machine::Driver;
use crate::storport::Ddi;

/// StorPort on the simulated machine, seen from one adapter's miniport.
pub struct Port<S: Sink + 'static> {
    inner: NonNull<Inner<S>>,
    caller: Caller,
}

/// On whose behalf a handle calls, in one word, so that a handle stays two: NULL is whoever calls, an odd
/// address is twice an offset in a compiled driver's image, plus one; all else is a source location.
#[derive(Clone, Copy)]
struct Caller(*const Location<'static>);

impl Caller {
    const WHOEVER: Caller = Caller(std::ptr::null());

    fn source(site: &'static Location<'static>) -> Self {
        Caller(site)
    }

    fn image(offset: u32) -> Self {
        Caller(std::ptr::without_provenance(offset as usize * 2 + 1))
    }

    /// The same, where whoever calls is known only here.
    #[inline(always)]
    #[track_caller]
    fn here(self) -> Self {
        if self.0.is_null() { Caller::source(Location::caller()) } else { self }
    }

    #[inline]
    #[track_caller]
    fn site(self) -> Site {
        if self.0.is_null() {
            return Site::Source(Location::caller());
        }
        if self.0.addr() % 2 == 1 {
            return Site::Image((self.0.addr() / 2) as u32);
        }
        // SAFETY: neither NULL nor odd, so it came from `source`.
        Site::Source(unsafe { &*self.0 })
    }
}

impl<S: Sink + 'static> Clone for Port<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Sink + 'static> Copy for Port<S> {}

impl<S: Sink + 'static> std::fmt::Debug for Port<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Port(..)")
    }
}

impl<S: Sink + 'static> Port<S> {
    pub(super) fn of(inner: NonNull<Inner<S>>) -> Self {
        Port { inner, caller: Caller::WHOEVER }
    }

    /// Reaches the state. `look` neither calls the driver nor switches processors.
    #[inline(always)]
    pub(super) fn with<R>(self, look: impl FnOnce(&mut State<S>) -> R) -> R {
        // SAFETY: the machine outlives every handle to it (handles exist only inside a run), and by the rule
        // above no other reference to the state is alive.
        look(unsafe { self.inner.as_ref().state() })
    }

    /// The state, for the two functions that must be inlined as a whole, which a closure need not be.
    ///
    /// # Safety
    ///
    /// The reference is gone before the driver is called or the processor is switched, and is the only one.
    #[inline(always)]
    pub(super) unsafe fn state<'a>(self) -> &'a mut State<S> {
        // SAFETY: the machine outlives every handle to it; the rest is the caller's promise.
        unsafe { self.inner.as_ref().state() }
    }

    /// As [`Port::with`]; if that ended the run, never returns.
    #[inline(always)]
    pub(super) fn act<R>(self, look: impl FnOnce(&mut State<S>) -> R) -> R {
        let (result, ended) = self.with(|s| (look(s), s.end.is_some()));
        if ended {
            self.park();
        }
        result
    }

    /// Where the driver called from.
    #[inline]
    #[track_caller]
    fn site(self) -> Site {
        self.caller.site()
    }

    /// A DDI without an event of its own: a decision point, the call, and its event.
    #[inline]
    fn call(
        self,
        (ddi, argument, site): (Ddi, u32, Site),
        act: impl FnOnce(&mut State<S>) -> u32,
    ) -> u32 {
        self.point();
        self.act(|s| {
            let result = act(s);
            s.emit(site, Kind::Called { ddi, argument, result });
            result
        })
    }

    /// The same handle, for calls that come from `offset` in a compiled driver's image.
    #[must_use]
    pub fn at(self, offset: u32) -> Self {
        Port { caller: Caller::image(offset), ..self }
    }

    /// The machine that runs on this thread; `None` outside a run.
    ///
    /// # Safety
    ///
    /// The sink of every machine that runs on this thread is an `S`.
    #[inline]
    #[must_use]
    pub unsafe fn current() -> Option<Self> {
        let inner = NonNull::new(RUNNING.get().cast_mut())?;
        Some(Port::of(inner.cast()))
    }

    /// Ends the run: the driver did what would have stopped Windows, or this process.
    #[cold]
    #[track_caller]
    pub fn crash(self, cause: Cause) -> ! {
        let site = self.site();
        self.with(|s| s.crash(site, cause));
        self.park()
    }

    /// Whether `bytes` bytes from `address` lie in memory of the machine's that a driver may use: extension, pool,
    /// requests, and the processors' stacks.
    #[inline]
    #[must_use]
    pub fn is_driver_memory(self, address: usize, bytes: usize) -> bool {
        self.with(|s| s.memory.is_drivers(address, bytes))
    }

    /// The virtual processor that runs. No decision point.
    #[inline]
    #[must_use]
    pub fn processor(self) -> u8 {
        self.with(|s| s.current as u8)
    }

    pub(super) fn driver(self) -> Driver {
        self.with(|s| s.driver).expect("a run has a driver")
    }

    /// HwDeviceExtension.
    pub(super) fn extension(self) -> *mut c_void {
        self.with(|s| s.memory.extension().cast())
    }
}

thread_local! {
    /// The machine whose driver this thread runs, NULL outside a run. A panic of a driver's is a finding and not
    /// news for the terminal.
    static RUNNING: Cell<*const ()> = const { Cell::new(std::ptr::null()) };
    /// Where the driver panicked last.
    static PANICKED_AT: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

static QUIET: Once = Once::new();

/// Where the panic was that has just been caught.
pub(super) fn panic_site() -> Site {
    PANICKED_AT.take().map_or(Site::Port, Site::Source)
}

/// Runs code that resumes the coroutines of `machine`; their panics say nothing on the terminal.
pub(super) fn quietly<S: Sink>(machine: NonNull<Inner<S>>, code: impl FnOnce()) {
    QUIET.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if RUNNING.get().is_null() {
                return previous(info);
            }
            // SAFETY: the compiler keeps the location of every panic as a static; the hook's signature shortens
            // its lifetime, no more.
            let forever = |at| unsafe {
                std::mem::transmute::<&Location<'_>, &'static Location<'static>>(at)
            };
            PANICKED_AT.set(info.location().map(forever));
        }));
    });
    let outer = RUNNING.replace(machine.as_ptr().cast_const().cast());
    code();
    RUNNING.set(outer);
}
